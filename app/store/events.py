"""The event log: ordered per tenant, without gaps, each event with its frozen bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from app.core.events import Event, EventType
from app.core.types import TenantId
from app.store.tables import EventRow

T = EventRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One event as it lies in the log; ``body`` is the native v1 document."""

    sequence: int
    id: str
    type: EventType
    incident: str | None
    occurred_at: datetime
    body: bytes


_COLUMNS = (T.c.sequence, T.c.id, T.c.type, T.c.incident, T.c.occurred_at, T.c.body)


def _stored(row: Any) -> StoredEvent:
    return StoredEvent(
        sequence=row.sequence,
        id=row.id,
        type=EventType(row.type),
        incident=row.incident,
        occurred_at=row.occurred_at,
        body=row.body,
    )


def append(c: Connection, events: Sequence[tuple[Event, bytes]]) -> None:
    """Append events with their bytes; the caller holds the tenant's fold."""
    if not events:
        return
    rows = [
        {
            "tenant": event.tenant,
            "sequence": event.sequence,
            "id": event.id,
            "type": event.type.value,
            "incident": event.incident_id,
            "occurred_at": event.occurred_at,
            "body": body,
        }
        for event, body in events
    ]
    c.execute(insert(T), rows)


def after(c: Connection, tenant: TenantId, sequence: int, limit: int) -> list[StoredEvent]:
    """Events that follow a sequence, oldest first; safe as a cursor on both databases."""
    query = select(*_COLUMNS).where(T.c.tenant == tenant, T.c.sequence > sequence)
    return [_stored(row) for row in c.execute(query.order_by(T.c.sequence).limit(limit))]


def of_incident(
    c: Connection, tenant: TenantId, incident: str, after: int, limit: int
) -> list[StoredEvent]:
    """Events about one incident that follow a sequence, oldest first."""
    query = select(*_COLUMNS).where(
        T.c.tenant == tenant, T.c.incident == incident, T.c.sequence > after
    )
    return [_stored(row) for row in c.execute(query.order_by(T.c.sequence).limit(limit))]


def newest_of_incident(
    c: Connection, tenant: TenantId, incident: str, limit: int
) -> list[StoredEvent]:
    """The newest events about one incident, oldest first.

    The newest of those that tell of more than moved figures are among them, because an incident
    that lasts for a month has thousands of the others.
    """
    query = select(*_COLUMNS).where(T.c.tenant == tenant, T.c.incident == incident)
    query = query.order_by(T.c.sequence.desc()).limit(limit)
    telling = query.where(T.c.type != EventType.UPDATED.value)
    found = {row.sequence: row for part in (query, telling) for row in c.execute(part)}
    return [_stored(found[sequence]) for sequence in sorted(found)]


def bounds(c: Connection, tenant: TenantId) -> tuple[int, int]:
    """The oldest and the newest sequence that are kept; (0, 0) when there is none."""
    query = select(func.min(T.c.sequence), func.max(T.c.sequence)).where(T.c.tenant == tenant)
    oldest, newest = c.execute(query).one()
    return oldest or 0, newest or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """That an event of a kind happened to an incident, without its body."""

    id: str
    type: EventType
    incident: str
    occurred_at: datetime


def moments(
    c: Connection, tenant: TenantId, incidents: Sequence[str], types: Sequence[EventType]
) -> list[Moment]:
    """Events of some kinds about some incidents, oldest first; none of their bodies is read."""
    query = select(T.c.id, T.c.type, T.c.incident, T.c.occurred_at).where(
        T.c.tenant == tenant,
        T.c.incident.in_(list(incidents)),
        T.c.type.in_([one.value for one in types]),
    )
    return [
        Moment(
            id=row.id,
            type=EventType(row.type),
            incident=row.incident,
            occurred_at=row.occurred_at,
        )
        for row in c.execute(query.order_by(T.c.sequence))
    ]


def bodies(c: Connection, tenant: TenantId, ids: Sequence[str]) -> dict[str, bytes]:
    """The documents of some events, by id."""
    query = select(T.c.id, T.c.body).where(T.c.tenant == tenant, T.c.id.in_(list(ids)))
    return {row.id: row.body for row in c.execute(query)}
