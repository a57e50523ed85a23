"""Aggregation: signals into counts per minute and cell; commutative, so order does not matter."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.core.signal import ClientReport, ProbeResult
from app.core.state import (
    ACTOR_CAP,
    EXEMPLARS,
    Bucket,
    Cell,
    EngineState,
    Exemplar,
    ProbeMinute,
    Track,
    minute_of,
    with_exemplar,
)
from app.core.types import Outcome, SelfCheck, Symptom

WEAK = 0.2  # reports of less outage weight (a wrong password, say) are counted, not believed
FAILED = frozenset({Outcome.FAILED})
TEXT_LIMIT = 200  # characters of an exemplar


@dataclass(slots=True)
class _Pile:
    """Reports of one batch for one cell."""

    sample: ClientReport
    minutes: dict[int, "_Minute"] = field(default_factory=dict)
    exemplars: list[ClientReport] = field(default_factory=list)


@dataclass(slots=True)
class _Minute:
    first_at: datetime
    last_at: datetime
    count: int = 0
    actors: set[str] = field(default_factory=set)


def cell_key(report: ClientReport) -> str:
    """The cell of a report, as one string; no part may hold the separator unescaped."""
    parts = (report.service, report.client, report.symptom, report.region, report.network)
    return "|".join((part or "").replace("|", "/") for part in parts)


def track_key(result: ProbeResult) -> str:
    """The track of a probe result, as one string."""
    return f"{result.probe.replace('|', '/')}|{result.location.replace('|', '/')}"


def _piles(reports: Iterable[ClientReport]) -> dict[str, _Pile]:
    piles: dict[str, _Pile] = {}
    for report in reports:
        key = cell_key(report)
        pile = piles.get(key)
        if pile is None:
            pile = piles[key] = _Pile(report)
        minute = minute_of(report.occurred_at)
        heap = pile.minutes.get(minute)
        if heap is None:
            heap = pile.minutes[minute] = _Minute(report.occurred_at, report.occurred_at)
        heap.count += report.count
        heap.first_at = min(heap.first_at, report.occurred_at)
        heap.last_at = max(heap.last_at, report.occurred_at)
        if report.weight >= WEAK:
            heap.actors.add(report.actor)
        pile.exemplars.append(report)
    return piles


def _merge_bucket(old: Bucket | None, heap: _Minute) -> Bucket:
    actors = heap.actors if old is None else heap.actors | set(old.actors)
    return Bucket(
        count=heap.count + (old.count if old else 0),
        actors=tuple(sorted(actors)[:ACTOR_CAP]),
        first_at=min(heap.first_at, old.first_at) if old else heap.first_at,
        last_at=max(heap.last_at, old.last_at) if old else heap.last_at,
    )


def _exemplar(report: ClientReport) -> Exemplar:
    words = report.message or report.code or report.symptom
    return Exemplar(
        id=report.id,
        occurred_at=report.occurred_at,
        text=words[:TEXT_LIMIT],
        code=report.code,
        http_status=report.http_status,
    )


def add_reports(state: EngineState, reports: Iterable[ClientReport]) -> EngineState:
    """Count reports into their cells."""
    cells = dict(state.cells)
    for key, pile in _piles(reports).items():
        sample = pile.sample
        cell = cells.get(key) or Cell(
            service=sample.service,
            client=sample.client,
            symptom=sample.symptom,
            region=sample.region,
            location=sample.network,
        )
        minutes = dict(cell.minutes)
        for minute, heap in pile.minutes.items():
            minutes[minute] = _merge_bucket(minutes.get(minute), heap)
        earliest = sorted(pile.exemplars, key=lambda r: (r.occurred_at, r.id))[:EXEMPLARS]
        samples = tuple(_exemplar(report) for report in earliest)
        cells[key] = replace(
            cell, minutes=minutes, exemplars=with_exemplar(cell.exemplars, samples)
        )
    return replace(state, cells=cells)


def _merge_probe(old: ProbeMinute, result: ProbeResult) -> ProbeMinute:
    mark = f"{result.occurred_at.isoformat()}|{result.id}"
    sound = result.self_check is not SelfCheck.FAILED and result.outcome is not Outcome.UNKNOWN
    failed = sound and result.outcome in FAILED
    symptom, kept = old.symptom, old.mark
    if failed and (old.mark == "" or mark < old.mark):
        symptom, kept = result.symptom or Symptom.OTHER, mark
    return ProbeMinute(
        ok=old.ok + int(sound and not failed),
        failed=old.failed + int(failed),
        abstained=old.abstained + int(not sound),
        symptom=symptom,
        mark=kept,
        first_at=min(old.first_at or result.occurred_at, result.occurred_at),
        last_at=max(old.last_at or result.occurred_at, result.occurred_at),
    )


def add_probe_results(state: EngineState, results: Iterable[ProbeResult]) -> EngineState:
    """Enter probe results into their tracks."""
    tracks = dict(state.tracks)
    for result in results:
        key = track_key(result)
        track = tracks.get(key) or Track(
            probe=result.probe,
            location=result.location,
            service=result.service,
            feature=result.feature,
            client=result.client,
            region=result.region,
        )
        minute = minute_of(result.occurred_at)
        minutes = dict(track.minutes)
        minutes[minute] = _merge_probe(minutes.get(minute) or ProbeMinute(), result)
        exemplars = track.exemplars
        if result.outcome in FAILED and result.self_check is not SelfCheck.FAILED:
            text = (result.error or result.symptom or "failed")[:TEXT_LIMIT]
            sample = Exemplar(
                id=result.id,
                occurred_at=result.occurred_at,
                text=text,
                http_status=result.http_status,
            )
            exemplars = with_exemplar(exemplars, (sample,))
        tracks[key] = replace(track, minutes=minutes, exemplars=exemplars)
    return replace(state, tracks=tracks)
