"""View model of an incident's timeline; pure."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from app.web.views import Document, When, advisory_words, surely
from app.web.words import EVENT, plural, word

# Fields that the title of the event tells already, or that no reader waits for.
TOLD = frozenset(
    {"updated_at", "revision", "status", "status_reason", "acknowledged", "advisories", "notes",
     "explanation", "evidence", "summary", "vendor_published_at", "lead_time_seconds",
     "confidence", "confidence_label", "title"}
)  # fmt: skip
# These grow all the time while an incident lasts.
FIGURES = frozenset({"impact", "clients", "features", "symptoms", "regions", "networks"})
SCALES = frozenset({"severity", "disagreement", "origin", "resolution"})  # shown from → to
FIELDS = {
    "vendor_started_at": "start by the word of Microsoft",
    "mitigated_at": "time of mitigation",
    "resolved_at": "time of recovery",
    "confirmed_at": "time of confirmation",
    "detected_at": "time of detection",
    "stale_sources": "stale sources",
}
PLAIN_REASONS = frozenset({"command", "acknowledged", "noted", "evidence_changed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event of the timeline, or a run of events in which only figures moved.

    ``undo`` is the event's id where it tells of a command that can be taken back.
    """

    kind: str
    title: str
    detail: str
    actor: str
    when: When
    since: When | None = None
    undo: str = ""


# The reasons of events whose command, or merger, can be undone.
UNDOABLE = frozenset(
    {"acknowledged", "assigned", "severity_set", "labelled", "person_resolved", "person_reopened",
     "person_dismissed", "person_merged", "person_split", "person_pin", "person_unpin",
     "noted", "same_fault"}
)  # fmt: skip


def timeline(events: Sequence[Document], now: datetime) -> tuple[Happening, ...]:
    """The events of an incident, newest first; runs of mere figures are one line."""
    undone = {(event.get("data") or {}).get("undone") for event in events}
    ordered = sorted(events, key=lambda event: -int(event["sequence"]))
    lines: list[Happening] = []
    for routine, run in groupby(ordered, key=_is_routine):
        group = list(run)
        if routine:
            lines.append(_figures(group, now))
        else:
            lines.extend(_happening(event, now, undone) for event in group)
    return tuple(lines)


def _is_routine(event: Document) -> bool:
    body = event.get("data") or {}
    moved = set(body.get("changed") or []) - TOLD
    engine = (body.get("actor") or {}).get("kind", "engine") == "engine"
    return event["type"] == "incident.updated" and engine and moved <= FIGURES


def _figures(run: Sequence[Document], now: datetime) -> Happening:
    """Sum up a run of updates, newest first, in which only figures moved."""
    newest, oldest = run[0], run[-1]
    return Happening(
        kind="figures",
        title="Figures moved" if len(run) == 1 else f"Figures moved {len(run)} times",
        detail=_impact(newest),
        actor="",
        when=surely(newest["occurred_at"], now),
        since=surely(oldest["occurred_at"], now) if len(run) > 1 else None,
    )


def _happening(event: Document, now: datetime, undone: AbstractSet[str | None]) -> Happening:
    reason = (event.get("data") or {}).get("reason")
    gone = event["id"] in undone
    can = reason in UNDOABLE and not gone and not _is_foreign(event)
    title = word(EVENT, event["type"])
    return Happening(
        kind=event["type"].rpartition(".")[2],
        title=f"{title}, taken back" if gone else title,
        detail=_detail(event),
        actor=_actor((event.get("data") or {}).get("actor") or {}),
        when=surely(event["occurred_at"], now),
        undo=event["id"] if can else "",
    )


def _is_foreign(event: Document) -> bool:
    """Whether it tells of a comment from a ticket, or of a message that was let out: both stay."""
    body = event.get("data") or {}
    is_note = event["type"] == "incident.noted"
    by_person = (body.get("actor") or {}).get("kind") == "person"
    return is_note and (not by_person or bool(body.get("announcement")))


def _actor(actor: Document) -> str:
    kind = actor.get("kind")
    return "" if kind in {None, "engine"} else str(actor.get("id") or kind)


def _impact(event: Document) -> str:
    impact = ((event.get("data") or {}).get("incident") or {}).get("impact") or {}
    said = plural(impact.get("reporters") or 0, "reporter")
    total = impact.get("locations_total") or 0
    if not total:
        return said
    return f"{said}, {impact.get('locations_failing') or 0} of {total} locations failing"


def _detail(event: Document) -> str:
    body = event.get("data") or {}
    note = body.get("note")
    if isinstance(note, dict):
        return str(note.get("text") or "")
    told = ", ".join(dict.fromkeys(part for part in _parts(event) if part))
    reason = str(body.get("reason") or "")
    reason = "" if reason in PLAIN_REASONS else _plain(reason)
    if reason in told:
        return told
    return f"{told} · {reason}" if told and reason else told or reason


def _parts(event: Document) -> list[str]:
    body = event.get("data") or {}
    incident, previous = body.get("incident") or {}, body.get("previous") or {}
    parts = []
    joined = event["type"] == "incident.advisory_linked"
    if event["type"].startswith("incident.advisory_"):
        linked = incident.get("advisories") or []
        parts = [f"{item['id']} {advisory_words(item)}" for item in linked]
    for field in body.get("changed") or []:
        was, new = previous.get(field), incident.get(field)
        if field in TOLD or (joined and field == "vendor_started_at"):
            continue
        if field == "impact":
            parts.append(_impact(event))
        elif field in SCALES and was and new:
            parts.append(f"{field} {_plain(was)} → {_plain(new)}")
        elif field in SCALES and new:
            parts.append(f"{field} {_plain(new)}")
        else:
            parts.append(FIELDS.get(field) or _plain(field.removesuffix("_at")))
    return parts


def _plain(value: str) -> str:
    return str(value).replace("_", " ")
