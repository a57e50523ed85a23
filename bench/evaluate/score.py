"""The score of one run: each fault and each claim judged, and the partition compared."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import Any

from app.core.signal import Advisory
from app.flow.offline import RecordedLine
from bench.evaluate.partition import agreement
from bench.evaluate.story import Claim, Story, firm
from bench.evaluate.truth import Fault, Shown, Truth, shown

EARLY = timedelta(minutes=5)  # closed earlier than the true end by more: premature
LATE = timedelta(minutes=60)  # closed later by more: a zombie
KIND_AFTER = timedelta(minutes=5)  # when the origin is asked first
AROUND = timedelta(minutes=5)  # a claim so long before a fault may still be of it
MAJORITY = 0.5


@dataclass(slots=True, kw_only=True)
class FaultScore:
    """One fault; times in seconds, infinite where it was missed. ``probed``: a probe failed too.

    ``delay`` runs from the first failing event of a user or a probe to the claim, ``shown_delay``
    to the first suspicion; ``told_delay`` from the arrival of the first signal to the claim.
    """

    id: str
    origin: str
    seen: bool
    posted: bool
    required: bool = True
    probed: bool = False
    claim: str | None = None
    said: str | None = None
    said_early: str | None = None
    delay: float = inf
    told_delay: float = inf
    shown_delay: float = inf
    lead: float | None = None
    fragments: int = 0
    close_error: float | None = None
    premature: bool = False
    zombie: bool = False
    reopened: int = 0
    told: int = 0
    attach: dict[str, str] = field(default_factory=dict)
    attach_seconds: list[float] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ClaimScore:
    """One claim; ``verdict`` is right, fragment, allowed (a broken probe host, say) or false.

    ``covers`` are the faults of which it holds the most.
    """

    id: str
    origin: str
    at: str
    services: list[str]
    verdict: str
    fault: str | None
    covers: list[str]


@dataclass(slots=True, kw_only=True)
class RunScore:
    """Everything that the tables need of one run; plain values, so that it can be stored."""

    faults: list[FaultScore]
    claims: list[ClaimScore]
    suspicions: int
    stray: dict[str, str]
    partition: dict[str, float | None]
    calibration: list[tuple[float, float, float]]

    def document(self) -> dict[str, Any]:
        """As a dictionary."""
        return asdict(self)


@dataclass(slots=True)
class _Held:
    """Which claim holds how many failing signals of which fault."""

    by_claim: dict[str, Counter[str]]

    @staticmethod
    def of(story: Story, seen: Mapping[str, Shown]) -> "_Held":
        held: dict[str, Counter[str]] = {}
        for fault, one in seen.items():
            for ref in one.refs:
                claim = story.holders.get(ref)
                if claim is not None:
                    held.setdefault(claim, Counter())[fault] += 1
        return _Held(held)

    def count(self, claim: Claim, fault: Fault) -> int:
        return self.by_claim.get(claim.id, Counter())[fault.id]

    def main(self, claim: Claim) -> str | None:
        """The fault that most of a claim's labelled signals are of."""
        counts = {f: n for f, n in self.by_claim.get(claim.id, Counter()).items() if f}
        return max(sorted(counts), key=lambda f: counts[f]) if counts else None

    def covers(self, claim: Claim, seen: Mapping[str, Shown]) -> list[str]:
        """The faults of whose failing signals a claim holds the most."""
        counts = self.by_claim.get(claim.id, Counter())
        return sorted(
            fault for fault, n in counts.items() if fault and n > MAJORITY * len(seen[fault].refs)
        )


def _fits(claim: Claim, fault: Fault) -> bool:
    """Whether a claim is about the same place at the same time."""
    start = fault.started_at - AROUND
    same = set(claim.services) & set(fault.services) or not fault.services
    return bool(same) and claim.was_open(start, fault.ended_at + LATE)


def _match(
    faults: Sequence[Fault], claims: Sequence[Claim], held: _Held
) -> dict[str, Claim]:  # fmt: skip
    """Match one to one: those first that share most signals, then those that fit."""
    pairs = [
        (-held.count(claim, fault), claim.origin != fault.origin, claim.opened_at, fault.id,
         claim.id)
        for fault in faults
        for claim in claims
        if _fits(claim, fault)
    ]  # fmt: skip
    by_id = {claim.id: claim for claim in claims}
    found: dict[str, Claim] = {}
    taken: set[str] = set()
    for _, _, _, fault_id, claim_id in sorted(pairs):
        if fault_id not in found and claim_id not in taken:
            found[fault_id] = by_id[claim_id]
            taken.add(claim_id)
    return found


def _closing(row: FaultScore, fault: Fault, claim: Claim) -> None:
    final = claim.ended_at
    row.premature = any(
        fault.is_active(end) and end < fault.ended_at - EARLY
        for end in claim.ends
        if claim.claimed_at is not None and end > claim.claimed_at
    ) or (final is not None and final < fault.ended_at - EARLY)
    row.zombie = final is None or final > fault.ended_at + LATE
    row.close_error = inf if final is None else abs((final - fault.ended_at).total_seconds())
    row.reopened, row.told = len(claim.reopened), claim.told


def _attaching(
    row: FaultScore, one: Shown, claim: Claim, holders: Mapping[str, str], homes: Mapping[str, str]
) -> None:
    """Judge where each advisory of a fault ended: right, apart (on its own), or wrong."""
    for vendor_id, arrived in sorted(one.advisories.items()):
        holder = holders.get(vendor_id)
        if holder == claim.id:
            row.attach[vendor_id] = "right"
            linked = claim.links.get(vendor_id)
            if linked is not None:
                since = max(arrived, claim.opened_at)
                row.attach_seconds.append(max(0.0, (linked - since).total_seconds()))
        elif holder is not None and homes.get(holder) not in (None, row.id):
            row.attach[vendor_id] = "wrong"
        else:
            row.attach[vendor_id] = "apart"


def _fault_score(fault: Fault, one: Shown, claim: Claim | None, fragments: int) -> FaultScore:
    row = FaultScore(
        id=fault.id,
        origin=fault.origin,
        seen=bool(one.refs),
        posted=bool(one.advisories),
        required=fault.required,
        probed=one.probed,
        fragments=fragments,
    )
    claimed = claim.claimed_at if claim is not None else None
    if one.published_at is not None and row.seen:
        row.lead = -inf if claimed is None else (one.published_at - claimed).total_seconds()
    if claim is None or claimed is None or one.first_at is None:
        return row
    row.claim, row.said = claim.id, claim.origin
    row.said_early = claim.origin_at(claimed + KIND_AFTER)
    first = fault.first_failing_at or one.first_at
    row.delay = (claimed - first).total_seconds()
    row.told_delay = (claimed - one.first_at).total_seconds()
    row.shown_delay = ((claim.shown_at or claimed) - first).total_seconds()
    _closing(row, fault, claim)
    return row


def _advisory_holders(lines: Sequence[RecordedLine], story: Story) -> dict[str, str]:
    """Vendor id → the claim that holds its newest revision."""
    holders: dict[str, str] = {}
    for line in lines:
        if isinstance(line.signal, Advisory):
            claim = story.holders.get(line.ref)
            if claim is None:
                holders.pop(line.signal.vendor_id, None)
            else:
                holders[line.signal.vendor_id] = claim
    return holders


def _calibration(
    claims: Sequence[Claim], true: set[str], until: datetime | None
) -> list[tuple[float, float, float]]:
    """What was said of each claim while it was open, against whether it was a fault."""
    samples = []
    for claim in claims:
        said = [p for at, p in claim.confidences if until is None or at <= until]
        samples += [(p, float(claim.id in true), 1 / len(said)) for p in said]
    return samples


def score(story: Story, truth: Truth, lines: list[RecordedLine]) -> RunScore:
    """Judge one run."""
    seen = shown(truth, lines)
    held = _Held.of(story, seen)
    claims = firm(story.living)
    visible = [fault for fault in truth.faults if seen[fault.id].refs]
    matched = _match(visible, claims, held)
    home = {claim.id: fault for fault, claim in matched.items()}
    verdicts = [_claim_score(claim, home, held, seen, (truth, visible)) for claim in claims]
    pieces = Counter(row.fault for row in verdicts if row.verdict == "fragment")
    holders = _advisory_holders(lines, story)
    rows = []
    for fault in truth.faults:
        claim = matched.get(fault.id)
        row = _fault_score(fault, seen[fault.id], claim, 1 + pieces[fault.id] if claim else 0)
        if claim is not None:
            _attaching(row, seen[fault.id], claim, holders, home)
        rows.append(row)
    unseen = [fault.id for fault in truth.faults if not seen[fault.id].refs]
    strays = {v for key in ("", *unseen) for v in seen[key].advisories}
    shown_too = [claim for claim in story.living if claim.shown_at is not None]
    true = set(home) | {row.id for row in verdicts if row.verdict == "fragment"}
    true |= {row.id for row in verdicts if row.verdict == "allowed"}
    true |= {claim.id for claim in shown_too if held.main(claim)}
    return RunScore(
        faults=rows,
        claims=verdicts,
        suspicions=sum(
            1 for claim in shown_too if claim.claimed_at is None and held.main(claim) is None
        ),
        stray={v: "wrong" if holders.get(v) in home else "right" for v in sorted(strays)},
        partition=asdict(agreement(*_groups(story, truth, lines))),
        calibration=_calibration(shown_too, true, None),
    )


def _groups(
    story: Story, truth: Truth, lines: Sequence[RecordedLine]
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """The two partitions of the signals, as far as they are to agree.

    What is only suspected holds nothing yet. An advisory of no fault that stays alone, or opens an
    incident by the vendor's word, is where it belongs; on an incident of ours it is one too many.
    """
    firm_ones = {claim.id for claim in story.claims if claim.claimed_at is not None}
    suspected = {claim.id for claim in story.claims if claim.shown_at is not None} - firm_ones
    true: dict[str, str | None] = {}
    told: dict[str, str | None] = {}
    for line in lines:
        label, holder = truth.labels.get(line.ref), story.holders.get(line.ref)
        if isinstance(line.signal, Advisory) and label is None and holder not in firm_ones:
            continue
        true[line.ref] = label
        told[line.ref] = None if holder in suspected else holder
    return true, told


def _claim_score(
    claim: Claim,
    home: Mapping[str, str],
    held: _Held,
    seen: Mapping[str, Shown],
    known: tuple[Truth, Sequence[Fault]],
) -> ClaimScore:
    truth, visible = known
    fault = home.get(claim.id)
    verdict = "right"
    if fault is None:
        fault = held.main(claim) or next((f.id for f in visible if _fits(claim, f)), None)
        if any(claim.origin in one.origins and claim.was_open(one.start, one.end + LATE)
               for one in truth.allowed):  # fmt: skip
            verdict, fault = "allowed", None
        else:
            verdict = "false" if fault is None else "fragment"
    return ClaimScore(
        id=claim.id,
        origin=claim.origin,
        at=claim.claimed_at.isoformat() if claim.claimed_at else "",
        services=list(claim.services),
        verdict=verdict,
        fault=fault,
        covers=held.covers(claim, seen),
    )
