"""What a ticket is told: events as lines of a work note."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.absorb import mark_of
from app.core.document import rfc3339
from app.core.incident import Incident

STATUS_EVENTS = frozenset(
    {"incident.opened", "incident.confirmed", "incident.mitigating", "incident.monitoring",
     "incident.resolved", "incident.reopened", "incident.dismissed", "incident.merged"}
)  # fmt: skip
LONGEST_POST = 1500  # characters of a vendor's post in a note


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event as it lies in the log; ``document`` is its native v1 JSON."""

    id: str
    sequence: int
    type: str
    document: Mapping[str, Any]


def _status(data: Mapping[str, Any]) -> str:
    incident = data["incident"]
    return (
        f"{incident['status'].capitalize()}: {incident['title']} (severity {incident['severity']})"
    )


def _updated(data: Mapping[str, Any]) -> str:
    incident, previous = data["incident"], data.get("previous") or {}
    lines = [
        f"{name}: {_words(previous[name])} → {_words(incident[name])}"
        for name in ("severity", "services", "regions", "origin", "disagreement")
        if name in previous and previous[name] != incident[name]
    ]
    level = (previous.get("impact") or {}).get("level")
    if level is not None and level != incident["impact"]["level"]:
        lines.append(f"impact: {level} → {incident['impact']['level']}")
    return "\n".join(lines)


def _words(value: Any) -> str:
    return ", ".join(str(v) for v in value) or "none" if isinstance(value, list) else str(value)


def _noted(data: Mapping[str, Any]) -> str:
    return f"Note by {data['actor']['id']}: {(data.get('note') or {}).get('text', '')}"


def _acknowledged(data: Mapping[str, Any]) -> str:
    return f"Acknowledged by {data['actor']['id']}."


def _advisory(data: Mapping[str, Any]) -> str:
    known = {a["id"]: a for a in data["incident"]["advisories"]}
    found = known.get(str(data.get("advisory")))
    return f"Microsoft {found['id']} ({found['status']}): {found['title']}" if found else ""


_LINES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    **dict.fromkeys(STATUS_EVENTS, _status),
    "incident.updated": _updated,
    "incident.noted": _noted,
    "incident.acknowledged": _acknowledged,
    "incident.advisory_linked": _advisory,
    "incident.advisory_updated": _advisory,
}


def line_of(event: Told, *, mirror: str) -> str:
    """What a ticket hears of one event; nothing of what came from that ticket itself."""
    data = event.document["data"]
    actor = data["actor"]
    if actor["kind"] == "mirror" and actor["id"] == mirror:
        return ""
    say = _LINES.get(event.type)
    return say(data) if say is not None else ""


def note_of(events: Sequence[Told], *, mirror: str, posts: Mapping[str, str]) -> str:
    """One work note from events, oldest first, marked with the last of them; empty for nothing.

    Args:
        events: what the ticket has not heard.
        mirror: whose ticket it is.
        posts: vendor id → the text of the newest post, told where its advisory changed.
    """
    lines = [line for event in events if (line := line_of(event, mirror=mirror))]
    if not lines:
        return ""
    changed = dict.fromkeys(
        str(event.document["data"].get("advisory"))
        for event in events
        if event.type.startswith("incident.advisory")
    )
    lines += [f"{vendor}: {posts[vendor][:LONGEST_POST]}" for vendor in changed if vendor in posts]
    return "\n".join([*dict.fromkeys(lines), mark_of(events[-1].id)])


def ending_of(incident: Incident) -> str:
    """How it ended, for the ticket's closing notes."""
    if incident.merged_into is not None:
        return f"{incident.number} was merged into another incident of Sextant."
    last = incident.explanation[-1].text if incident.explanation else incident.status_reason
    how = incident.resolution.value if incident.resolution is not None else "unknown"
    at = rfc3339(incident.resolved_at) or "now"
    return f"{incident.number} {incident.status.value} at {at} ({how}): {last}"
