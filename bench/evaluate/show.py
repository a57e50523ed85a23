"""One seed in detail: what was true beside what was told."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from app.core.events import EventType
from app.core.signal import Advisory
from app.core.types import SignalKind
from bench.evaluate.run import Played
from bench.evaluate.score import RunScore, score
from bench.evaluate.story import Claim

KEPT = 40  # lines of the course of one incident


def _clock(at: datetime | None) -> str:
    return "—" if at is None else f"{at:%d %H:%M:%S}"


def _seconds(value: float | None) -> str:
    return "—" if value is None else f"{value:.0f} s"


def detail(played: Played) -> Iterator[str]:
    """The lines of the page."""
    case = played.case
    judged = score(played.story, case.truth, case.lines)
    document = case.truth.document
    yield f"{case.scenario} seed {case.seed}: {document.get('title', '')}"
    yield f"  {document.get('story', '')}"
    yield (
        f"  {case.profile.users} users, {len(case.lines)} signals, "
        f"{_clock(case.lines[0].received_at)} to {_clock(case.lines[-1].received_at)}, "
        f"{played.steps} steps, {played.seconds:.1f} s, state {played.state_bytes} bytes"
    )
    yield "\nTRUE"
    labels = Counter(case.truth.labels.values())
    for fault, row in zip(case.truth.faults, judged.faults, strict=True):
        spells = ", ".join(f"{_clock(a)} to {_clock(b)}" for a, b in fault.spells[:6])
        yield (
            f"  {fault.id}: {fault.origin} {'+'.join(fault.services)} {spells}; "
            f"{labels[fault.id]} signals, first failing {_clock(fault.first_failing_at)}"
            f"{'' if fault.required else ' (allowed, not demanded)'}"
        )
        yield (
            f"      → {row.claim or 'MISSED' if row.seen else 'not to be seen'}; "
            f"said {row.said_early}/{row.said}, delay {_seconds(row.delay)} "
            f"(suspected {_seconds(row.shown_delay)}), lead {_seconds(row.lead)}, "
            f"close error {_seconds(row.close_error)}"
            f"{' PREMATURE' if row.premature else ''}{' ZOMBIE' if row.zombie else ''}, "
            f"pieces {row.fragments}, reopened {row.reopened}, attach {row.attach}"
        )
    for one in document.get("adversaries", []):
        yield f"  adversary: {one}"
    for one in document.get("advisories", []):
        yield (
            f"  advisory {one['id']} ({one['role']}, of {one['fault'] or 'nothing'}) "
            f"{one['service']} {one['published_at']} … {one['resolved_at']}"
        )
    yield f"  expected: {document.get('expected')}"
    yield from _told(played, judged)


def _told(played: Played, judged: RunScore) -> Iterator[str]:
    yield "\nTOLD"
    verdicts = {row.id: row for row in judged.claims}
    for claim in played.story.claims:
        row = verdicts.get(claim.id)
        word = "not firm"
        if row is not None:
            word = f"{row.verdict} of {row.fault}" if row.fault else row.verdict
        if claim.merged_into:
            word = f"merged into {claim.merged_into}"
        yield (
            f"  {claim.id} [{word}] {claim.origin} {'+'.join(claim.services)} "
            f"{claim.status}: shown {_clock(claim.shown_at)}, firm {_clock(claim.claimed_at)}, "
            f"ended {_clock(claim.ended_at)}; “{claim.title}”"
            f"{' OVER-MERGED ' + str(row.covers) if row and len(row.covers) > 1 else ''}"
        )
        yield f"      held: {_held(played, claim)}; advisories {sorted(claim.links)}"
    yield "\nEVENTS"
    last: datetime | None = None
    for event in played.told.events:
        incident = event.incident
        soon = last is not None and event.occurred_at - last < timedelta(minutes=10)
        if soon and event.type is EventType.UPDATED:
            continue
        last = event.occurred_at
        about = (
            ""
            if incident is None
            else (
                f"{incident.id} {incident.status.value} {incident.origin.value} "
                f"{'+'.join(incident.services)} {incident.confidence:.3f}"
            )
        )
        yield f"  {_clock(event.occurred_at)} {event.type.value:26} {about} {event.reason}"
    yield "\nEXPLAINED"
    for found in played.told.incidents:
        yield f"  {found.id}"
        for reason in found.explanation[-KEPT:]:
            yield (f"    {_clock(reason.at)} {reason.effect}{reason.weight:.1f} {reason.text}")
    odd = _odd(played)
    yield f"\nWHERE SIGNALS WENT (label → claim: how many): {odd}"
    stray = {k: v for k, v in judged.stray.items() if v == "wrong"}
    yield f"stray advisories attached wrongly: {sorted(stray) or 'none'}"
    yield f"partition: {judged.partition}"


def _held(played: Played, claim: Claim) -> str:
    counts: Counter[str] = Counter()
    for line in played.case.lines:
        if played.story.holders.get(line.ref) == claim.id:
            counts[played.case.truth.labels.get(line.ref) or "nothing"] += 1
    return ", ".join(f"{n} of {label}" for label, n in counts.most_common()) or "nothing"


def _odd(played: Played) -> str:
    counts: Counter[tuple[str, str, str]] = Counter()
    for line in played.case.lines:
        label = played.case.truth.labels.get(line.ref)
        claim = played.story.holders.get(line.ref)
        if label is not None or claim is not None:
            kind = SignalKind.ADVISORY if isinstance(line.signal, Advisory) else "signal"
            counts[label or "nothing", claim or "none", kind] += 1
    return "; ".join(f"{a} → {b} ({kind}): {n}" for (a, b, kind), n in sorted(counts.items()))
