"""Routing: which subscriptions an event goes to, and why."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.core.events import Event, EventType
from app.core.retry import Standing
from app.core.types import Severity, Status, TenantId, severity_of

ALL = "*"
FAMILIES = ("incident.*", "source.*", "subscription.*", "link.*", "channel.*")
CLOSING = frozenset(
    {
        EventType.RESOLVED,
        EventType.CLOSED,
        EventType.DISMISSED,
        EventType.MERGED,
        EventType.REOPENED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What of an incident a subscription wants; an empty tuple or None wants everything.

    ``labels`` are names and values that the incident must all have. ``announced`` wants the end
    of an incident only where an earlier event of it was sent.
    """

    services: tuple[str, ...] = ()
    min_severity: Severity | None = None
    statuses: tuple[Status, ...] = ()
    regions: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    announced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A standing wish: filter and address. ``secret`` and ``secret_previous`` are sealed."""

    id: str
    tenant: TenantId
    revision: int
    url: str
    event_types: tuple[str, ...]
    filter: Filter
    format: str
    detail: str
    signing: str
    description: str
    state: Standing
    secret: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    secret_previous: str | None = None
    previous_until: datetime | None = None
    verified_at: datetime | None = None
    failing_since: datetime | None = None
    consecutive_failures: int = 0
    open_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What routing knows of an event's incident."""

    services: tuple[str, ...] = ()
    severity: Severity = Severity.UNKNOWN
    status: Status = Status.CONFIRMED
    regions: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEvent:
    """An event as routing needs it. ``subject`` is the subscription that its news is about."""

    id: str
    type: EventType
    sequence: int
    incident: str | None = None
    facts: Facts | None = None
    subject: str | None = None


class Verdict(StrEnum):
    """Why an event goes to a subscription, or does not."""

    WANTED = "wanted"
    WAS_TOLD = "was_told"
    TYPE = "type"
    OWN_NEWS = "own_news"
    SERVICE = "service"
    SEVERITY = "severity"
    STATUS = "status"
    REGION = "region"
    LABEL = "label"
    NOT_ANNOUNCED = "not_announced"

    @property
    def goes(self) -> bool:
        """Whether the event goes out."""
        return self in {Verdict.WANTED, Verdict.WAS_TOLD}


def planned(event: Event) -> PlannedEvent:
    """Take from an event what routing needs."""
    incident = event.incident
    subject = event.facts.get("subscription")
    return PlannedEvent(
        id=event.id,
        type=event.type,
        sequence=event.sequence,
        incident=event.incident_id,
        facts=None
        if incident is None
        else Facts(
            services=incident.services,
            severity=incident.severity,
            status=incident.status,
            regions=incident.regions,
            labels=tuple(sorted(dict(incident.labels).items())),
        ),
        subject=str(subject["id"]) if isinstance(subject, dict) and "id" in subject else None,
    )


def recalled(
    identity: str, kind: str, *, sequence: int, incident: str | None, body: bytes
) -> PlannedEvent:
    """Take from a stored event what routing needs; ``body`` is its frozen document."""
    data = json.loads(body).get("data") or {}
    about, subject = data.get("incident"), data.get("subscription")
    facts = None
    if isinstance(about, dict):
        facts = Facts(
            services=tuple(about.get("services", ())),
            severity=severity_of(about["severity"]),
            status=Status(about["status"]),
            regions=tuple(about.get("regions", ())),
            labels=tuple(sorted(about.get("labels", {}).items())),
        )
    return PlannedEvent(
        id=identity,
        type=EventType(kind),
        sequence=sequence,
        incident=incident,
        facts=facts,
        subject=str(subject["id"]) if isinstance(subject, dict) and "id" in subject else None,
    )


def judge(subscription: Subscription, event: PlannedEvent, *, already_told: bool) -> Verdict:
    """Say whether an event goes to a subscription.

    What ends or revives an incident goes to whoever was told of it before, whatever the filter
    says of the state it is in now.
    """
    types = subscription.event_types
    named = event.type in types
    family = f"{event.type.partition('.')[0]}.*" in types
    if event.type is EventType.TEST_PING or not (named or family or ALL in types):
        return Verdict.TYPE
    if event.subject == subscription.id and not named:
        return Verdict.OWN_NEWS
    if event.facts is None:
        return Verdict.WANTED
    refusal = _refusal(subscription.filter, event.facts)
    if event.type in CLOSING and already_told:
        return Verdict.WANTED if refusal is None else Verdict.WAS_TOLD
    if event.type in CLOSING and subscription.filter.announced:
        return Verdict.NOT_ANNOUNCED
    return refusal or Verdict.WANTED


def _refusal(wanted: Filter, facts: Facts) -> Verdict | None:
    if wanted.services and not set(wanted.services) & set(facts.services):
        return Verdict.SERVICE
    if wanted.min_severity is not None and facts.severity < wanted.min_severity:
        return Verdict.SEVERITY
    if wanted.statuses and facts.status not in wanted.statuses:
        return Verdict.STATUS
    # An incident without a known region may be anywhere.
    if wanted.regions and facts.regions and not set(wanted.regions) & set(facts.regions):
        return Verdict.REGION
    if not set(wanted.labels) <= set(facts.labels):
        return Verdict.LABEL
    return None


def route(
    events: Sequence[PlannedEvent],
    subscriptions: Sequence[Subscription],
    told: Collection[tuple[str, str]],
) -> list[tuple[PlannedEvent, Subscription]]:
    """Pair events with the subscriptions that they go to, in the order of the events.

    ``told`` holds pairs of subscription id and incident id of which an event was sent before.
    """
    known = set(told)
    pairs = []
    for event in events:
        for subscription in subscriptions:
            about = (subscription.id, event.incident or "")
            if judge(subscription, event, already_told=about in known).goes:
                pairs.append((event, subscription))
                known.add(about)
    return pairs
