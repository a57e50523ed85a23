"""Native v1: the bytes of an event, made once when it is emitted and never again."""

from typing import Any

import msgspec

from app.core.document import incident_document, rfc3339
from app.core.events import Event

LIMIT = 20_000  # bytes on the wire (design section 6)
EXPLANATIONS = 6  # lines of the explanation that are kept when an event must be cut
TEXT = 300  # characters of long texts when an event must be cut

__all__ = ["Renderer", "event_document", "incident_document"]


def event_document(event: Event, *, public_url: str) -> dict[str, Any]:
    """Make the envelope of section 6 as a dictionary."""
    data: dict[str, Any] = {}
    if event.incident is not None:
        data["incident"] = incident_document(event.incident, public_url=public_url)
        data["changed"] = list(event.changed)
        data["previous"] = event.previous
    data |= event.facts
    data["reason"] = event.reason
    data["actor"] = {"kind": event.actor.kind.value, "id": event.actor.id}
    return {
        "id": event.id,
        "type": event.type.value,
        "version": 1,
        "occurred_at": rfc3339(event.occurred_at),
        "tenant": event.tenant,
        "sequence": event.sequence,
        "data": data,
    }


def _shorten(document: dict[str, Any]) -> dict[str, Any]:
    """Cut what is long, so that any event fits the wire; says so with ``truncated``."""
    data = document["data"]
    incident = data.get("incident")
    if incident is not None:
        incident["summary"] = incident["summary"][:TEXT]
        incident["title"] = incident["title"][:TEXT]
        lines = incident["explanation"][-EXPLANATIONS:]
        incident["explanation"] = [{**r, "text": r["text"][:TEXT]} for r in lines]
        incident["advisories"] = [
            {**a, "title": a["title"][:TEXT]} for a in incident["advisories"][:EXPLANATIONS]
        ]
        if incident["cause"] is not None:
            incident["cause"]["text"] = incident["cause"]["text"][:TEXT]
        incident["merged_from"] = incident["merged_from"][:EXPLANATIONS]
        incident["labels"] = {}
        data["previous"] = {k: v for k, v in data["previous"].items() if len(str(v)) <= TEXT}
    for name in ("note", "announcement"):
        said = data.get(name)
        if isinstance(said, dict):
            data[name] = {k: v[:TEXT] if isinstance(v, str) else v for k, v in said.items()}
    data["truncated"] = True
    return document


class Renderer:
    """Renders events for one installation."""

    def __init__(self, *, public_url: str) -> None:
        self.public_url = public_url.rstrip("/")

    def __call__(self, event: Event) -> bytes:
        """Render one event as UTF-8 JSON of at most 20 kB."""
        body = msgspec.json.encode(event_document(event, public_url=self.public_url))
        if len(body) <= LIMIT:
            return body
        return msgspec.json.encode(_shorten(event_document(event, public_url=self.public_url)))
