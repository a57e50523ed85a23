"""Events: past-tense facts about an incident or about Sextant itself; outgoing only."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.core.incident import Incident
from app.core.types import ActorKind, EventId, IncidentId, TenantId


class EventType(StrEnum):
    """The closed list of event types, with their wire names."""

    OPENED = "incident.opened"
    CONFIRMED = "incident.confirmed"
    UPDATED = "incident.updated"
    MITIGATING = "incident.mitigating"
    MONITORING = "incident.monitoring"
    RESOLVED = "incident.resolved"
    REOPENED = "incident.reopened"
    CLOSED = "incident.closed"
    DISMISSED = "incident.dismissed"
    MERGED = "incident.merged"
    SPLIT = "incident.split"
    ACKNOWLEDGED = "incident.acknowledged"
    NOTED = "incident.noted"
    ADVISORY_LINKED = "incident.advisory_linked"
    ADVISORY_UPDATED = "incident.advisory_updated"
    SOURCE_STALE = "source.stale"
    SOURCE_RECOVERED = "source.recovered"
    SOURCE_UNKNOWN_VALUE = "source.unknown_value"
    SUBSCRIPTION_FAILING = "subscription.failing"
    SUBSCRIPTION_DISABLED = "subscription.disabled"
    SUBSCRIPTION_RECOVERED = "subscription.recovered"
    SUBSCRIPTION_REPLAY_FINISHED = "subscription.replay_finished"
    LINK_CONFLICT = "link.conflict"
    TEST_PING = "test.ping"
    CHANNEL_FAILING = "channel.failing"
    CHANNEL_RECOVERED = "channel.recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who made it happen; ``id`` is a key name, a source or ``sextant``."""

    kind: ActorKind
    id: str


ENGINE = Actor(kind=ActorKind.ENGINE, id="sextant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact. ``incident`` is its state after the event; ``facts`` is extra ``data`` on the wire.

    ``sequence`` is per tenant, starts at 1 and has no gaps. ``occurred_at`` is when it was decided.
    ``changed`` lists wire names of incident fields, sorted; ``previous`` their former wire values.
    """

    id: EventId
    type: EventType
    tenant: TenantId
    sequence: int
    occurred_at: datetime
    actor: Actor
    reason: str
    incident: Incident | None = None
    changed: tuple[str, ...] = ()
    previous: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def incident_id(self) -> IncidentId | None:
        """The incident it is about, or None."""
        return None if self.incident is None else self.incident.id
