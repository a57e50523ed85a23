"""Evidence: what supports an incident, as the document that people and programs read."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from app.core.disturbance import Disturbance
from app.core.document import rfc3339
from app.core.incident import Incident
from app.core.rates import HOUR, Rate
from app.core.state import Cell, Exemplar, Track, cell_id, instant_of, track_id

LEAST_SHOWN = 5  # people; smaller groups are not shown outside the tenant
LEAD_IN = 30  # minutes shown before the onset, so that the rise can be seen
RUN_OUT = 15  # minutes shown after the last bad one

SPREAD = 2.0  # standard deviations to the upper edge of what is usual

Expected: TypeAlias = Callable[[str, int], Rate]


def _exemplars(samples: Sequence[Exemplar]) -> list[dict[str, Any]]:
    return [
        {
            "id": s.id,
            "occurred_at": rfc3339(s.occurred_at),
            "text": s.text,
            "code": s.code,
            "http_status": s.http_status,
        }
        for s in samples
    ]


def _cell(cell: Cell, start: int, end: int, expected: Expected) -> dict[str, Any] | None:
    minutes = sorted(m for m in cell.counts if start <= m <= end)
    if not minutes:
        return None
    return {
        "id": cell_id(cell),
        "source": "client_report",
        "service": cell.service,
        "feature": None,
        "client": cell.client,
        "symptom": cell.symptom,
        "region": cell.region,
        "location": cell.location,
        "first_at": rfc3339(instant_of(minutes[0])),
        "last_at": rfc3339(instant_of(minutes[-1])),
        "count": sum(cell.counts[m] for m in minutes),
        "reporters": sum(cell.firsts.get(m, 0) for m in minutes),
        "series": [
            {
                "minute": rfc3339(instant_of(m)),
                "count": cell.counts[m],
                "reporters": cell.firsts.get(m, 0),
                "expected": round(expected(cell.service, m).mean, 4),
            }
            for m in minutes
        ],
        "exemplars": _exemplars(cell.exemplars),
    }


def _track(track: Track, start: int, end: int) -> dict[str, Any] | None:
    minutes = sorted(m for m in track.minutes if start <= m <= end)
    if not minutes:
        return None
    spoken = [track.minutes[m] for m in minutes]
    failed = [p for p in spoken if p.failed]
    return {
        "id": track_id(track),
        "source": "probe",
        "probe": track.probe,
        "service": track.service,
        "feature": track.feature,
        "client": track.client,
        "symptom": failed[0].symptom if failed else None,
        "region": track.region,
        "location": track.location,
        "first_at": rfc3339(min((p.first_at for p in spoken if p.first_at), default=None)),
        "last_at": rfc3339(max((p.last_at for p in spoken if p.last_at), default=None)),
        "count": sum(p.failed for p in spoken),
        "reporters": 0,
        "series": [
            {
                "minute": rfc3339(instant_of(m)),
                "count": track.minutes[m].failed,
                "reporters": 0,
                "expected": 0.0,
                "state": _state(track, m),
            }
            for m in minutes
        ],
        "exemplars": _exemplars(track.exemplars),
    }


def _state(track: Track, minute: int) -> str:
    result = track.minutes[minute]
    if not result.speaks:
        return "abstains"
    return "failing" if result.is_bad else "healthy"


def evidence_document(
    incident: Incident,
    disturbance: Disturbance | None,
    tracks: Iterable[Track],
    *,
    expected: Expected,
) -> dict[str, Any]:
    """Lay out the evidence of one incident.

    Args:
        incident: whose evidence.
        disturbance: what our own evidence holds of it, or None.
        tracks: every check; those that watch the same services and are well speak too.
        expected: service and minute → distinct users per minute that are usual.

    Returns:
        ``advisories``, ``cells``, and ``usual``: by service the hours of the time that the cells
        cover, each with the distinct users per minute that were expected, and the upper edge of
        what is usual; an hour like the one before is left out.
    """
    cells: list[dict[str, Any]] = []
    usual: list[dict[str, Any]] = []
    if disturbance is not None:
        start, end = disturbance.onset - LEAD_IN, disturbance.last_bad + RUN_OUT
        services = sorted({cell.service for cell in disturbance.cells})
        usual = [
            {"service": service, "hours": _hours(service, start, end, expected)}
            for service in services
        ]
        for cell in disturbance.cells:
            made = _cell(cell, start, end, expected)
            cells += [made] if made else []
        for track in tracks:
            if track.service in disturbance.services:
                made = _track(track, start, end)
                cells += [made] if made else []
    return {
        "advisories": [
            {
                "id": a.id,
                "title": a.title,
                "status": a.status,
                "score": round(a.score, 3),
                "linked_at": rfc3339(a.linked_at),
                "published_at": rfc3339(a.published_at),
                "is_resolved": a.is_resolved,
            }
            for a in incident.advisories
        ],
        "cells": cells,
        "usual": usual,
    }


def _hours(service: str, start: int, end: int, expected: Expected) -> list[dict[str, Any]]:
    hours: list[dict[str, Any]] = []
    known = (-1.0, -1.0)
    for minute in range(start - start % HOUR, end + 1, HOUR):
        rate = expected(service, minute)
        spread = SPREAD * (rate.mean + rate.mean**2 / rate.size) ** 0.5
        found = (round(rate.mean, 4), round(rate.mean + spread, 4))
        if found != known:
            at = rfc3339(instant_of(minute))
            hours.append({"from": at, "expected": found[0], "upper": found[1]})
        known = found
    return hours


def for_outsiders(document: dict[str, Any]) -> dict[str, Any]:
    """What of an evidence document may be seen outside the tenant: no group under five people.

    Cells of reports by fewer are left out, with how many there were, and so are the minutes'
    reporters and the sample messages of the others, which are of single persons.
    """
    cells = document.get("cells", [])
    kept = []
    for cell in cells:
        if cell["source"] != "client_report":
            kept.append(cell)
        elif cell["reporters"] >= LEAST_SHOWN:
            series = [{**m, "reporters": 0} if m["reporters"] < LEAST_SHOWN else m
                      for m in cell["series"]]  # fmt: skip
            kept.append({**cell, "series": series, "exemplars": []})
    return {**document, "cells": kept, "withheld": len(cells) - len(kept)}
