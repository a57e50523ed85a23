"""From the documents of an incident to its picture: pure, on plain dictionaries."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from app.web.lanes import (
    PALETTE,
    Column,
    Lead,
    Marker,
    Picture,
    Segment,
    Tick,
    Track,
    Users,
    Usual,
)
from app.web.times import hour_minute, instant, span
from app.web.words import ADVISORY_STATUS, CLIENT, FIXING, SYMPTOM, service_name, word

Document = dict[str, Any]
_Usuals = tuple[Usual, ...]
_Run = tuple[datetime, datetime, str, str]  # first, last, tone, symptom

BEFORE = timedelta(minutes=20)  # shown ahead of the first moment
AFTER = timedelta(minutes=10)  # shown past the last moment
REACH = timedelta(hours=6)  # an onset stated further back than this is drawn at the edge
BINS = 260  # most columns that stay readable
BIN_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1440)
PROBE_GAP = timedelta(minutes=6)  # a check that is silent for longer is unknown, not as before
TONES = {"failing": "failing", "degraded": "degraded", "healthy": "restored"}


def picture_of(
    incident: Document,
    evidence: Document,
    events: Sequence[Document],
    advisories: Sequence[Document],
    now: datetime,
) -> Picture:
    """Build the picture of one incident.

    Args:
        incident: the incident document.
        evidence: ``{"advisories", "cells"}`` as the evidence resource gives it.
        events: the incident's events, oldest first, as native documents.
        advisories: whole advisories of the incident, with posts.
        now: the present instant.
    """
    over = instant(incident.get("resolved_at") or incident.get("closed_at"))
    is_over = incident["status"] in {"resolved", "closed", "dismissed", "merged"}
    end = (over or instant(incident["updated_at"]) or now) if is_over else now
    start, until = _window(incident, evidence, end)
    return Picture(
        start=start,
        end=min(until, max(now, end)) if is_over else until,
        now=None if is_over else now,
        description=_description(incident),
        vendor=tuple(
            _vendor_track(advisory, incident, events, start, end)
            for advisory in _known_advisories(incident, advisories)
        ),
        probes=_probe_tracks(_cells(evidence, "probe"), start, until),
        users=_users(evidence, start, until),
        markers=_markers(incident),
        lead=_lead(incident, end),
    )


def _cells(evidence: Document, source: str) -> list[Document]:
    return [cell for cell in evidence.get("cells") or [] if cell.get("source") == source]


def _window(incident: Document, evidence: Document, end: datetime) -> tuple[datetime, datetime]:
    keys = ("first_signal_at", "detected_at", "confirmed_at", "vendor_published_at")
    moments = [at for key in keys if (at := instant(incident.get(key)))]
    if not moments:
        cells = evidence.get("cells") or []
        moments = [at for cell in cells if (at := instant(cell.get("first_at")))]
    first = min(moments, default=instant(incident["updated_at"]) or end)
    stated = instant(incident.get("vendor_started_at"))
    if stated is not None and first - REACH < stated < first:
        first = stated
    start = (min(first, end) - BEFORE).replace(second=0, microsecond=0)
    length = max(end - start, timedelta(minutes=40))
    return start, start + length + max(AFTER, length / 24)


def _description(incident: Document) -> str:
    def at(key: str) -> str | None:
        value = instant(incident.get(key))
        return None if value is None else hour_minute(value)

    told = [
        (at("detected_at"), "we detected it"),
        (at("confirmed_at"), "it was confirmed"),
        (at("vendor_published_at"), "Microsoft published"),
        (at("mitigated_at"), "it was mitigated"),
        (at("resolved_at"), "it was resolved"),
    ]
    return "; ".join(f"{time} UTC {text}" for time, text in told if time) + "."


def _markers(incident: Document) -> tuple[Marker, ...]:
    names = (
        ("detected_at", "detected", "own"),
        ("confirmed_at", "confirmed", "own"),
        ("vendor_published_at", "Microsoft published", "vendor"),
        ("mitigated_at", "mitigated", "good"),
        ("resolved_at", "resolved", "good"),
    )
    return tuple(
        Marker(at=at, label=text, kind=kind)
        for key, text, kind in names
        if (at := instant(incident.get(key)))
    )


def lead_words(seconds: float | None) -> str:
    """Say how the vendor's first post stands to our detection; None: it published nothing."""
    if seconds is None:
        return "Microsoft silent"
    if abs(seconds) < 30:  # noqa: PLR2004 - the same minute
        return "Microsoft published at the same time"
    return f"Microsoft published {span(seconds)} {'later' if seconds > 0 else 'earlier'}"


def _lead(incident: Document, end: datetime) -> Lead | None:
    detected = instant(incident.get("detected_at"))
    published = instant(incident.get("vendor_published_at"))
    if detected is None:
        return None
    if published is not None:
        seconds = (published - detected).total_seconds()
        return Lead(start=detected, end=published, label=lead_words(seconds))
    if incident.get("origin") not in {"vendor", "unknown"}:
        return None
    silent = span((end - detected).total_seconds())
    return Lead(start=detected, end=end, label=f"Microsoft silent for {silent}", open_ended=True)


def _known_advisories(incident: Document, advisories: Sequence[Document]) -> list[Document]:
    whole = {advisory["id"]: advisory for advisory in advisories}
    linked = [{**item, **whole.get(item["id"], {})} for item in incident.get("advisories") or []]
    return sorted(linked, key=lambda item: (str(item.get("published_at") or ""), item["id"]))


def _vendor_track(
    advisory: Document,
    incident: Document,
    events: Sequence[Document],
    start: datetime,
    end: datetime,
) -> Track:
    known = advisory["id"]
    published = instant(advisory.get("published_at") or advisory.get("first_seen_at"))
    history = _status_history(known, events)
    if published is None:
        published = history[0][0] if history else end
    if not history:
        history = [(published, advisory["status"], advisory.get("condition") or "unknown")]
    # The first status we read stands from the post on: we may have read it a little later.
    history[0] = (min(history[0][0], published), history[0][1], history[0][2])
    detected = instant(incident.get("detected_at"))
    segments = []
    if detected is not None and detected < published:
        text = f"No word from Microsoft, {hour_minute(detected)} to {hour_minute(published)}"
        segments.append(Segment(start=detected, end=published, tone="silent", label="", title=text))
    ends = [at for at, _, _ in history[1:]]
    last = max(end, history[-1][0])
    for (at, status, condition), until in zip(history, [*ends, last], strict=True):
        name = word(ADVISORY_STATUS, status)
        segments.append(
            Segment(
                start=at,
                end=until,
                tone=_tone(status, condition),
                label=name,
                title=f"{known} {name}, {hour_minute(at)} to {hour_minute(until)} UTC",
            )
        )
    stated = instant(advisory.get("stated_started_at") or advisory.get("started_at"))
    return Track(
        label=f"{known} {_service_of(advisory)}".strip(),
        segments=tuple(segments),
        ticks=tuple(
            Tick(at=at, title=f"{known} post {hour_minute(at)} UTC")
            for post in advisory.get("posts") or []
            if start <= (at := instant(post["created_at"]) or end) <= end
        ),
        stated_start=stated if stated is not None and start <= stated else None,
    )


def _service_of(advisory: Document) -> str:
    service = advisory.get("service")
    return service_name(service) if service else ""


def _tone(status: str, condition: str) -> str:
    if status in FIXING:
        return "fixing"
    return TONES.get(condition, "unknown")


def _status_history(known: str, events: Sequence[Document]) -> list[tuple[datetime, str, str]]:
    history: list[tuple[datetime, str, str]] = []
    for event in events:
        incident = (event.get("data") or {}).get("incident") or {}
        for item in incident.get("advisories") or []:
            if item["id"] != known:
                continue
            if not history or history[-1][1] != item["status"]:
                at = instant(event["occurred_at"])
                if at is not None:
                    history.append((at, item["status"], item.get("condition") or "unknown"))
    return history


def check_name(cell: Document) -> str:
    """Name the check that a probe cell comes from."""
    for sample in [cell, *(cell.get("exemplars") or [])]:
        if name := sample.get("probe"):
            return str(name)
    return str(cell.get("feature") or word(CLIENT, cell.get("client")) or cell["service"])


def _probe_tracks(cells: Iterable[Document], start: datetime, end: datetime) -> tuple[Track, ...]:
    rows: dict[tuple[str, str], dict[datetime, tuple[str, str]]] = defaultdict(dict)
    for cell in cells:
        row = rows[(str(cell.get("location") or "anywhere"), check_name(cell))]
        symptom = word(SYMPTOM, cell.get("symptom"))
        for point in cell.get("series") or []:
            at = instant(point["minute"])
            if at is not None and start <= at <= end:
                row[at] = (_probe_tone(point), symptom)
    return tuple(
        Track(label=f"{location} · {check}", segments=_probe_segments(minutes, end))
        for (location, check), minutes in sorted(rows.items())
    )


def _probe_tone(point: Document) -> str:
    # A minute in which the location's own control check failed says nothing of the service.
    if state := point.get("state"):
        return str(state) if state in {"failing", "healthy"} else "unknown"
    return "failing" if point["count"] else "healthy"


def _probe_segments(minutes: dict[datetime, tuple[str, str]], end: datetime) -> tuple[Segment, ...]:
    times = sorted(minutes)
    if not times:
        return ()
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    usual = gaps[len(gaps) // 2] if gaps else timedelta(minutes=1)
    reach = max(min(usual * 3, PROBE_GAP), usual)
    runs: list[_Run] = []
    for at in times:
        tone, symptom = minutes[at]
        if runs and at - runs[-1][1] > reach:  # unknown is never healthy, nor failing
            runs.append((runs[-1][1], at, "unknown", ""))
        until = min(at + usual, end)
        if runs:
            first, last, before, known = runs[-1]
            if before == tone:
                runs[-1] = (first, until, tone, known or symptom)
                continue
            if last < at:
                runs[-1] = (first, at, before, known)
        runs.append((at, until, tone, symptom))
    return tuple(
        Segment(start=run[0], end=run[1], tone=run[2], label="", title=_probe_words(run))
        for run in runs
    )


def _probe_words(run: _Run) -> str:
    first, last, tone, symptom = run
    word_of = {"failing": "failing", "healthy": "clean", "unknown": "no sound result"}[tone]
    detail = f": {symptom}" if tone == "failing" and symptom else ""
    return f"{word_of}{detail}, {hour_minute(first)} to {hour_minute(last)} UTC"


def _users(evidence: Document, start: datetime, end: datetime) -> Users:
    cells = _cells(evidence, "client_report")
    minutes = (end - start) / timedelta(minutes=1)
    width = next((step for step in BIN_MINUTES if minutes / step <= BINS), BIN_MINUTES[-1])
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    reporters: Counter[int] = Counter()
    totals: Counter[str] = Counter()
    for cell in cells:
        symptom = word(SYMPTOM, cell.get("symptom")) or "other"
        for point in cell.get("series") or []:
            at = instant(point["minute"])
            if at is None or not start <= at <= end:
                continue
            index = int((at - start) / timedelta(minutes=width))
            counts[index][symptom] += point["count"]
            totals[symptom] += point["count"]
            reporters[index] += point.get("reporters") or 0
    ranked = [name for name, _ in sorted(totals.items(), key=lambda item: (-item[1], item[0]))]
    shown = ranked if len(ranked) <= PALETTE else [*ranked[: PALETTE - 1], "all others"]
    columns = tuple(
        Column(
            at=start + timedelta(minutes=width * index),
            parts=_parts(counts[index], shown),
            reporters=reporters[index],
        )
        for index in sorted(counts)
    )
    return Users(
        symptoms=tuple(shown),
        columns=columns,
        usual=_usual(evidence.get("usual") or [], start, end, width),
        bin_minutes=width,
    )


def _usual(services: Sequence[Document], start: datetime, end: datetime, width: int) -> _Usuals:
    """Add the services up: they are independent, so their variances and those of minutes add."""
    steps = [
        (at, index, hour["expected"], (hour["upper"] - hour["expected"]) ** 2)
        for index, service in enumerate(services)
        for hour in service["hours"]
        if (at := instant(hour["from"]))
    ]
    bands: list[Usual] = []
    known: dict[int, tuple[float, float]] = {}
    ordered = sorted(steps, key=lambda step: step[:2])
    for position, (at, index, mean, variance) in enumerate(ordered):
        known[index] = (mean, variance)
        until = ordered[position + 1][0] if position + 1 < len(ordered) else end
        left, right = max(at, start), min(until, end)
        if left >= right:
            continue
        whole = width * sum(part[0] for part in known.values())
        spread = (width * sum(part[1] for part in known.values())) ** 0.5
        bands.append(Usual(start=left, end=right, expected=whole, upper=whole + spread))
    return tuple(bands)


def _parts(counts: Counter[str], shown: Sequence[str]) -> tuple[int, ...]:
    parts = [counts[name] for name in shown]
    if shown and shown[-1] == "all others":
        parts[-1] = sum(counts.values()) - sum(parts)
    return tuple(parts)
