"""Aggregation: signals into counts per minute and cell; commutative, so order does not matter."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b

from app.core.signal import ClientReport, ProbeResult
from app.core.state import (
    ACTOR_CAP,
    CELL_CAP,
    EPOCH,
    EXEMPLARS,
    SIGN_IN_SERVICE,
    Cell,
    EngineState,
    Epoch,
    Exemplar,
    ProbeMinute,
    Track,
    with_exemplar,
)
from app.core.types import Client, Outcome, SelfCheck, Symptom

# Refused sign-ins. A prompt loop is none: sign-in works there, and what was signed in to refuses.
SIGN_IN = frozenset({Symptom.AUTH_REJECTED})
WEAK = 0.2  # reports of less outage weight (a wrong password, say) are counted, not believed
TEXT_LIMIT = 200  # characters of an exemplar
MARK_BYTES = 7  # of an actor's mark: 56 bits, uniform, so that the smallest are a fair sample
SEPARATORS = 4  # in the key of a cell
MINUTE_MS = 60_000
MOST_SAMPLES = 64  # reports that wait for being looked at as exemplars
FAR = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Touched:
    """What a batch changed: service and network (or location) → the earliest minute."""

    reports: dict[tuple[str, str], int] = field(default_factory=dict)
    results: dict[tuple[str, str], int] = field(default_factory=dict)
    failures: set[tuple[str, str]] = field(default_factory=set)  # of the results

    def join(self, other: "Touched") -> None:
        """Take in what another batch changed."""
        for mine, theirs in ((self.reports, other.reports), (self.results, other.results)):
            for name, minute in theirs.items():
                mine[name] = min(minute, mine.get(name, minute))
        self.failures |= other.failures

    @property
    def earliest(self) -> int | None:
        """The earliest minute that anything was said of."""
        return min((*self.reports.values(), *self.results.values()), default=None)


@dataclass(slots=True)
class _Pile:
    """Reports of one batch for one cell; ``last`` is the latest instant of which a sample is kept.

    ``epochs`` are those of its service, shared by all of its piles.
    """

    key: str
    service: str
    network: str
    last: datetime
    counts: dict[int, int] = field(default_factory=dict)
    samples: list[ClientReport] = field(default_factory=list)
    epochs: dict[int, Epoch] = field(default_factory=dict)
    is_sign_in: bool = False

    def sample(self, report: ClientReport) -> None:
        """Keep a report that may be among the earliest."""
        samples = self.samples
        samples.append(report)
        if len(samples) >= MOST_SAMPLES:
            samples.sort(key=_earlier)
            del samples[EXEMPLARS:]
            self.last = samples[-1].occurred_at


def _earlier(report: ClientReport) -> tuple[datetime, str]:
    return report.occurred_at, report.id


def mark_of(actor: str) -> int:
    """The mark that stands for an actor in the counts."""
    return int.from_bytes(blake2b(actor.encode(), digest_size=MARK_BYTES).digest(), "big")


def cell_key(report: ClientReport) -> str:
    """The cell of a report, as one string; no part may hold the separator unescaped."""
    parts = (
        report.service, report.client, report.symptom, report.region or "", report.network or "",
    )  # fmt: skip
    return "|".join(part.replace("|", "/") for part in parts)


def overflow_key(key: str) -> str:
    """The cell that stands in when a service has too many."""
    service, _, symptom, _, _ = key.split("|")
    return f"{service}|{Client.OTHER.value}|{symptom}||"


def track_key(result: ProbeResult) -> str:
    """The track of a probe result, as one string."""
    return f"{result.probe.replace('|', '/')}|{result.location.replace('|', '/')}"


def _new_cell(key: str) -> Cell:
    service, client, symptom, region, network = key.split("|")
    return Cell(
        service=service,
        client=client,
        symptom=symptom,
        region=region or None,
        location=network or None,
    )


class _Sorter:
    """Sorts the reports of one batch into cells and epochs; lives for one call."""

    def __init__(self, state: EngineState) -> None:
        self.state = state
        self.piles: dict[str, _Pile] = {}
        self.seen: dict[str, dict[int, Epoch]] = {}  # by service
        self.marks: dict[str, int] = {}
        self.per_service: dict[str, int] = {}
        for cell in state.cells.values():
            self.per_service[cell.service] = self.per_service.get(cell.service, 0) + 1

    def _pile(self, report: ClientReport) -> _Pile:
        """The pile of a cell that was not met in this batch, or the one that stands in for it."""
        key = cell_key(report)
        cell = self.state.cells.get(key)
        if cell is None:
            service = key.split("|", 1)[0]
            known = self.per_service.get(service, 0)
            if known >= CELL_CAP:
                key = overflow_key(key)
                cell = self.state.cells.get(key)
            else:
                self.per_service[service] = known + 1
        pile = self.piles.get(key)
        if pile is None:
            kept = cell.exemplars if cell is not None else ()
            pile = self.piles[key] = _Pile(
                key=key,
                service=report.service,
                network=report.network or "",
                last=kept[-1].occurred_at if len(kept) == EXEMPLARS else FAR,
                epochs=self.seen.setdefault(report.service, {}),
            )
        return pile

    def sort(self, reports: Iterable[ClientReport]) -> None:
        """Sort every report."""
        marks = self.marks
        met: dict[str, _Pile] = {}  # by the parts as they came, which saves looking at each
        for report in reports:
            parts = "|".join(
                (report.service, report.client, report.symptom, report.region or "",
                 report.network or "")
            )  # fmt: skip
            pile = met.get(parts)
            if pile is None or parts.count("|") != SEPARATORS:
                pile = met[parts] = self._pile(report)
            at = report.occurred_at
            ms = int(at.timestamp() * 1000)
            minute = ms // MINUTE_MS
            counts = pile.counts
            counts[minute] = counts.get(minute, 0) + report.count
            if at <= pile.last:
                pile.sample(report)
            epochs = pile.epochs
            if report.weight < WEAK:
                if report.symptom not in SIGN_IN:
                    continue
                # one user's own mistake; of many it is an attack
                epochs, pile.is_sign_in = self.seen.setdefault(SIGN_IN_SERVICE, {}), True
            actor = report.actor
            mark = marks.get(actor)
            if mark is None:
                mark = marks[actor] = mark_of(actor)
            epoch = epochs.get(minute // EPOCH)
            if epoch is None:
                epoch = epochs[minute // EPOCH] = {}
            known = epoch.get(mark)
            if known is None or (ms, pile.key) < known:
                epoch[mark] = (ms, pile.key)

    def touched(self) -> Touched:
        """What was said of: of each service and network the earliest minute."""
        touched = Touched()
        for pile in self.piles.values():
            earliest = min(pile.counts)
            services = (pile.service, SIGN_IN_SERVICE) if pile.is_sign_in else (pile.service,)
            for scope in ((service, pile.network) for service in services):
                touched.reports[scope] = min(earliest, touched.reports.get(scope, earliest))
        return touched

    def cells(self, shifts: dict[tuple[str, int], int]) -> dict[str, Cell]:
        """The cells with what this batch adds."""
        cells = dict(self.state.cells)
        for key, pile in self.piles.items():
            cell = cells.get(key) or _new_cell(key)
            counts = dict(cell.counts)
            for minute, count in pile.counts.items():
                counts[minute] = counts.get(minute, 0) + count
            cells[key] = replace(
                cell, counts=counts, exemplars=_with_earliest(cell.exemplars, pile.samples)
            )
        by_cell: dict[str, list[tuple[int, int]]] = {}
        for (key, minute), shift in shifts.items():
            if shift:
                by_cell.setdefault(key, []).append((minute, shift))
        for key, moved in by_cell.items():
            cell = cells[key]
            firsts = dict(cell.firsts)
            for minute, shift in moved:
                firsts[minute] = firsts.get(minute, 0) + shift
            cells[key] = replace(cell, firsts={m: n for m, n in firsts.items() if n > 0})
        return cells


def _with_earliest(kept: tuple[Exemplar, ...], reports: list[ClientReport]) -> tuple[Exemplar, ...]:
    if not reports:
        return kept
    earliest = sorted(reports, key=_earlier)[:EXEMPLARS]
    return with_exemplar(kept, tuple(_exemplar(report) for report in earliest))


def _exemplar(report: ClientReport) -> Exemplar:
    words = report.message or report.code or report.symptom
    return Exemplar(
        id=report.id,
        occurred_at=report.occurred_at,
        text=words[:TEXT_LIMIT],
        code=report.code,
        http_status=report.http_status,
    )


def _join(old: Epoch, new: Epoch) -> Epoch:
    """The first reports of both, of the actors with the smallest marks."""
    joined = dict(old)
    for mark, said in new.items():
        known = joined.get(mark)
        if known is None or said < known:
            joined[mark] = said
    if len(joined) > ACTOR_CAP:
        joined = {mark: joined[mark] for mark in sorted(joined)[:ACTOR_CAP]}
    return joined


def _shift(shifts: dict[tuple[str, int], int], old: Epoch, new: Epoch, touched: Epoch) -> None:
    """Note how the first reports moved between cells and minutes."""
    marks = touched.keys() if len(new) < ACTOR_CAP else touched.keys() | old.keys()
    for mark in marks:
        before, after = old.get(mark), new.get(mark)
        if before == after:
            continue
        if before is not None:
            place = (before[1], before[0] // MINUTE_MS)
            shifts[place] = shifts.get(place, 0) - 1
        if after is not None:
            place = (after[1], after[0] // MINUTE_MS)
            shifts[place] = shifts.get(place, 0) + 1


def add_reports(state: EngineState, reports: Iterable[ClientReport]) -> tuple[EngineState, Touched]:
    """Count reports into their cells and epochs."""
    sorter = _Sorter(state)
    sorter.sort(reports)
    epochs = dict(state.epochs)
    shifts: dict[tuple[str, int], int] = {}
    for service, said in sorter.seen.items():
        if not said:
            continue  # none of its reports is believed
        spans = epochs[service] = dict(epochs.get(service, {}))
        for number, new in said.items():
            old = spans.get(number, {})
            spans[number] = joined = _join(old, new)
            _shift(shifts, old, joined, new)
    return replace(state, cells=sorter.cells(shifts), epochs=epochs), sorter.touched()


def is_bad(result: ProbeResult) -> bool:
    """Whether a result speaks against the service: it failed, or answered far too slowly.

    A *degraded* answer of another kind does not: a changed contract hurts nobody by itself, and
    throttling is as often ours.
    """
    slow = result.outcome is Outcome.DEGRADED and result.symptom is Symptom.SLOW
    return slow or result.outcome is Outcome.FAILED


def _merge_probe(old: ProbeMinute, result: ProbeResult) -> ProbeMinute:
    sound = result.self_check is not SelfCheck.FAILED and result.outcome is not Outcome.UNKNOWN
    failed = sound and is_bad(result)
    symptom, kept, at = old.symptom, old.mark, result.occurred_at
    if failed:
        mark = f"{at.isoformat()}|{result.id}"
        if old.mark == "" or mark < old.mark:
            symptom, kept = result.symptom or Symptom.OTHER, mark
    return ProbeMinute(
        ok=old.ok + int(sound and not failed),
        failed=old.failed + int(failed),
        abstained=old.abstained + int(not sound),
        symptom=symptom,
        mark=kept,
        first_at=at if old.first_at is None or at < old.first_at else old.first_at,
        last_at=at if old.last_at is None or at > old.last_at else old.last_at,
    )


NOTHING = ProbeMinute()


def add_probe_results(
    state: EngineState, results: Iterable[ProbeResult]
) -> tuple[EngineState, Touched]:
    """Enter probe results into their tracks."""
    tracks = dict(state.tracks)
    touched = Touched()
    minutes_of: dict[str, dict[int, ProbeMinute]] = {}
    samples: dict[str, list[Exemplar]] = {}
    for result in results:
        key = track_key(result)
        if key not in minutes_of:
            known = tracks.get(key)
            if known is None:
                known = tracks[key] = Track(
                    probe=result.probe,
                    location=result.location,
                    service=result.service,
                    feature=result.feature,
                    client=result.client,
                    region=result.region,
                )
            minutes_of[key] = dict(known.minutes)
        minutes = minutes_of[key]
        minute = int(result.occurred_at.timestamp()) // 60
        minutes[minute] = _merge_probe(minutes.get(minute) or NOTHING, result)
        scope = (tracks[key].service, result.location)
        touched.results[scope] = min(minute, touched.results.get(scope, minute))
        if is_bad(result) and result.self_check is not SelfCheck.FAILED:
            touched.failures.add(scope)
            samples.setdefault(key, []).append(
                Exemplar(
                    id=result.id,
                    occurred_at=result.occurred_at,
                    text=(result.error or result.symptom or "failed")[:TEXT_LIMIT],
                    http_status=result.http_status,
                )
            )
    for key, minutes in minutes_of.items():
        track = tracks[key]
        kept = with_exemplar(track.exemplars, tuple(samples.get(key, ())))
        tracks[key] = Track(  # several times as quick as ``replace``
            probe=track.probe,
            location=track.location,
            service=track.service,
            feature=track.feature,
            client=track.client,
            region=track.region,
            minutes=minutes,
            exemplars=kept,
            failure_rate=track.failure_rate,
        )
    return replace(state, tracks=tracks), touched
