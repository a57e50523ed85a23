"""One event of every type, as the engine and the loops emit them; the golden files are of these.

Run ``python -m tests.formats.golden`` to write the files anew after a change that is meant.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from app.core.events import Actor, Event, EventType
from app.core.incident import EvidenceSummary, Impact, LinkedAdvisory, Reason
from app.core.types import (
    ActorKind,
    Client,
    Disagreement,
    EventId,
    ImpactLevel,
    IncidentId,
    Resolution,
    Status,
)
from app.formats.cloudevents_v1 import CloudEventsV1
from app.formats.native import NativeV1
from app.formats.native_v1 import Renderer
from tests.builders import NOW, an_event, an_incident

FOLDER = Path(__file__).parent / "golden"
RENDER = Renderer(public_url="https://sextant.example")
WIRES = (NativeV1(), CloudEventsV1())
LATER = NOW + timedelta(minutes=9)

ADVISORY = LinkedAdvisory(
    id="EX1253275", title="Users can't open mailboxes", classification="incident",
    status="serviceDegradation", condition="degraded", published_at=NOW, started_at=NOW,
    is_resolved=False,
)  # fmt: skip
FULL: dict[str, Any] = {
    "revision": 7,
    "features": ("outlook-web",),
    "clients": (Client.OUTLOOK_WEB, Client.OUTLOOK_DESKTOP),
    "regions": ("de",),
    "impact": Impact(
        level=ImpactLevel.MANY, reporters=412, reports=1893, locations_failing=3, locations_total=3
    ),
    "confidence": 0.97,
    "evidence": {
        "probe": EvidenceSummary(count=9, first_at=NOW, last_at=LATER, weight=4.5),
        "client_report": EvidenceSummary(count=1893, first_at=NOW, last_at=LATER, weight=21.0),
    },
    "explanation": (
        Reason(reason="burst", effect="+", weight=21.0, text="1,893 reports where 4 are usual",
               source="client_report", at=NOW),
    ),
    "advisories": (ADVISORY,),
    "vendor_published_at": LATER,
    "labels": {"team": "mail"},
}  # fmt: skip
PERSON = Actor(kind=ActorKind.PERSON, id="anna")
SOURCE = Actor(kind=ActorKind.SOURCE, id="graph")
SEXTANT = Actor(kind=ActorKind.SOURCE, id="sextant")
FAILING = {"id": "sub_1", "description": "ops", "cause": "unreachable"}
GRAPH = {"source": "graph", "kind": "advisory"}

# Type → what is special about it: of the incident, and of the event.
INCIDENTS: dict[EventType, tuple[dict[str, Any], dict[str, Any]]] = {
    EventType.OPENED: ({"status": Status.SUSPECTED}, {"facts": {"advisory": "EX1253275"}}),
    EventType.CONFIRMED: ({}, {"changed": ("status",), "previous": {"status": "suspected"}}),
    EventType.UPDATED: (
        {}, {"changed": ("severity",), "previous": {"severity": "minor"},
             "reason": "evidence_changed"},
    ),
    EventType.MITIGATING: ({"status": Status.MITIGATING, "mitigated_at": LATER}, {}),
    EventType.MONITORING: ({"status": Status.MONITORING}, {}),
    EventType.RESOLVED: (
        {"status": Status.RESOLVED, "resolved_at": LATER, "resolution": Resolution.VENDOR_FIX},
        {"reason": "quiet", "changed": ("resolved_at", "status")},
    ),
    EventType.REOPENED: ({"disagreement": Disagreement.VENDOR_AHEAD}, {"reason": "relapse"}),
    EventType.CLOSED: ({"status": Status.CLOSED, "closed_at": LATER}, {}),
    EventType.DISMISSED: (
        {"status": Status.DISMISSED, "resolution": Resolution.FALSE_POSITIVE}, {"actor": PERSON},
    ),
    EventType.MERGED: (
        {"status": Status.MERGED, "merged_into": IncidentId("inc_2")}, {"actor": PERSON},
    ),
    EventType.SPLIT: (
        {}, {"actor": PERSON, "facts": {"split_into": "inc_2", "evidence": ["cell_1"]}},
    ),
    EventType.ACKNOWLEDGED: (
        {"acknowledged_by": "anna", "acknowledged_at": LATER}, {"actor": PERSON},
    ),
    EventType.NOTED: (
        {}, {"actor": PERSON, "facts": {"note": {"text": "Größe", "visibility": "public"}}},
    ),
    EventType.ADVISORY_LINKED: (
        {}, {"changed": ("advisories",), "facts": {"advisory": "EX1253275"}},
    ),
    EventType.ADVISORY_UPDATED: (
        {}, {"changed": ("advisories",), "facts": {"advisory": "EX1253275"}},
    ),
}  # fmt: skip
OTHERS: dict[EventType, dict[str, Any]] = {
    EventType.SOURCE_STALE: {
        "actor": SOURCE,
        "facts": {
            **GRAPH, "last_complete_at": "2026-03-16T06:20:00+00:00",
            "error": {"code": "forbidden", "text": "No.", "remedy": "Grant it."},
        },
    },
    EventType.SOURCE_RECOVERED: {
        "actor": SOURCE, "facts": {**GRAPH, "stale_since": "2026-03-16T06:20:00+00:00"},
    },
    EventType.SOURCE_UNKNOWN_VALUE: {
        "actor": SOURCE, "facts": {**GRAPH, "field": "status", "value": "onFire"},
    },
    EventType.SUBSCRIPTION_FAILING: {
        "actor": SEXTANT, "facts": {"subscription": {**FAILING, "state": "failing"}},
    },
    EventType.SUBSCRIPTION_DISABLED: {
        "actor": SEXTANT,
        "facts": {"subscription": {**FAILING, "state": "disabled", "cause": "gone"}},
    },
    EventType.SUBSCRIPTION_RECOVERED: {
        "actor": SEXTANT,
        "facts": {"subscription": {**FAILING, "state": "active", "cause": "delivered"}},
    },
    EventType.SUBSCRIPTION_REPLAY_FINISHED: {
        "actor": SEXTANT,
        "facts": {
            "subscription": {"id": "sub_1"},
            "replay": {
                "id": "rpl_1", "select": "missing", "planned": 3, "delivered": 2, "parked": 1,
            },
        },
    },
    EventType.LINK_CONFLICT: {
        "actor": Actor(kind=ActorKind.MIRROR, id="servicenow"),
        "facts": {"link": {"id": "lnk_1", "incident": "inc_1", "system": "servicenow"}},
    },
    EventType.CHANNEL_FAILING: {
        "actor": Actor(kind=ActorKind.MIRROR, id="chat"),
        "facts": {"channel": "chat", "kind": "teams", "failing_since": "2026-03-16T06:20:00+00:00",
                  "cause": "refused", "why": "The workflow answered 404. Make it anew."},
    },
    EventType.CHANNEL_RECOVERED: {
        "actor": Actor(kind=ActorKind.MIRROR, id="chat"),
        "facts": {"channel": "chat", "kind": "teams", "failing_since": "2026-03-16T06:20:00+00:00",
                  "cause": "worked", "why": ""},
    },
    EventType.TEST_PING: {
        "actor": PERSON, "sequence": 0, "reason": "test",
        "facts": {"subscription": {"id": "sub_1", "description": "ops"}},
    },
}  # fmt: skip


def an_event_of(kind: EventType) -> Event:
    """The event of a type."""
    number = list(EventType).index(kind) + 1
    base: dict[str, Any] = {
        "id": EventId(f"evt_{number:04d}"), "type": kind, "sequence": number, "reason": kind.value,
    }  # fmt: skip
    if kind in OTHERS:
        return an_event(**{**base, "incident": None, **OTHERS[kind]})
    about, more = INCIDENTS[kind]
    return an_event(**{**base, "incident": an_incident(**{**FULL, **about}), **more})


def bodies(kind: EventType) -> Iterator[tuple[str, bytes]]:
    """Every body of a type: name of its golden file and its bytes."""
    stored = RENDER(an_event_of(kind))
    for wire in WIRES:
        for detail in ("full", "thin"):
            body = wire.encode(stored, detail=detail)
            yield f"{kind.value}.{wire.name}.{detail}.json", body.content


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in EventType:
        for name, content in bodies(each):
            (FOLDER / name).write_text(content.decode() + "\n", "utf-8")
