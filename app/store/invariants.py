"""What must always hold between the tables, as queries that count where it does not.

Each looks only at what is recent, open or waiting, so its cost does not grow with the history.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, exists, func, not_, select, tuple_

from app.core.route import PlannedEvent, Subscription, judge, recalled
from app.core.types import TenantId
from app.store import deliveries, subscriptions
from app.store.intake import FOLDED_TX
from app.store.link_tables import LinkRow, MirrorRow
from app.store.tables import (
    DeliveryRow,
    EventRow,
    FoldStateRow,
    IncidentRow,
    IntakeRow,
    SubscriptionRow,
)

RECENT = timedelta(hours=24)
NEWEST = 100  # events of a tenant whose deliveries are looked for; more would be read each minute
SETTLED = timedelta(minutes=5)  # far longer than a transaction takes
MOST_MERGES = 1_000  # incidents merged lately whose pointers are followed
ENDED = "ended"  # the state of a link whose ticket is finished

Counted = Callable[[Connection, datetime], int]


def _table(row: Any) -> Any:
    return row.__table__  # SQLModel adds it at run time


_DELIVERIES, _EVENTS, _STATES = _table(DeliveryRow), _table(EventRow), _table(FoldStateRow)
_INCIDENTS, _INTAKE, _LINKS = _table(IncidentRow), _table(IntakeRow), _table(LinkRow)
_MIRRORS = _table(MirrorRow)
_SUBSCRIPTIONS = _table(SubscriptionRow)


def _number(c: Connection, query: Select[Any]) -> int:
    return int(c.execute(query).scalar_one())


def gaps(c: Connection, now: datetime) -> int:
    """Sequences that are missing among the events of the last day."""
    first, last = func.min(_EVENTS.c.sequence), func.max(_EVENTS.c.sequence)
    query = select(first, last, func.count()).where(_EVENTS.c.occurred_at > now - RECENT)
    rows = c.execute(query.group_by(_EVENTS.c.tenant))
    return sum(high - low + 1 - count for low, high, count in rows)


def ends_apart(c: Connection, now: datetime) -> int:
    """Tenants whose newest event is another than the one that the engine made last."""
    del now
    newest = (
        select(func.max(_EVENTS.c.sequence))
        .where(_EVENTS.c.tenant == _STATES.c.tenant)
        .scalar_subquery()
    )
    return _number(c, select(func.count()).where(newest != _STATES.c.sequence))


def silent(c: Connection, now: datetime) -> int:
    """Incidents that changed within the last day and of which no event tells."""
    told = exists().where(
        _EVENTS.c.tenant == _INCIDENTS.c.tenant, _EVENTS.c.incident == _INCIDENTS.c.id
    )
    recent = _INCIDENTS.c.is_open.is_(True) & (_INCIDENTS.c.updated_at > now - RECENT)
    return _number(c, select(func.count()).select_from(_INCIDENTS).where(recent, not_(told)))


def ahead(c: Connection, now: datetime) -> int:
    """Tenants whose engine has folded more than was ever taken in."""
    del now
    found = 0
    for tenant, tx, seq in c.execute(select(_STATES.c.tenant, _STATES.c.tx, _STATES.c.seq)):
        newest = (
            select(_INTAKE.c.tx, _INTAKE.c.seq)
            # A command was folded in the transaction that stored it; no checkpoint is ahead of it.
            .where(_INTAKE.c.tenant == tenant, _INTAKE.c.tx != FOLDED_TX)
            .order_by(_INTAKE.c.tx.desc(), _INTAKE.c.seq.desc())
            .limit(1)
        )
        head = c.execute(newest).one_or_none()
        if head is not None and (tx, seq) > (head.tx, head.seq):
            found += 1
    return found


def astray(c: Connection, now: datetime) -> int:
    """Incidents merged within the last day whose pointer leads nowhere, or round in a circle."""
    merged = select(_INCIDENTS.c.tenant, _INCIDENTS.c.id, _INCIDENTS.c.merged_into).where(
        _INCIDENTS.c.status == "merged", _INCIDENTS.c.updated_at > now - RECENT
    )
    return sum(
        not _arrives(c, tenant, identity, into)
        for tenant, identity, into in c.execute(merged.limit(MOST_MERGES)).all()
    )


def _arrives(c: Connection, tenant: str, identity: str, into: str | None) -> bool:
    passed = {identity}
    while into is not None and into not in passed:
        passed.add(into)
        query = select(_INCIDENTS.c.status, _INCIDENTS.c.merged_into).where(
            _INCIDENTS.c.tenant == tenant, _INCIDENTS.c.id == into
        )
        row = c.execute(query).one_or_none()
        if row is None:
            return False
        if row.status != "merged":
            return True
        into = row.merged_into
    return False


def unplanned(c: Connection, now: datetime) -> int:
    """Newest events that a subscription wants, and for which it has no delivery.

    Asked of subscriptions that were active and unchanged a while before the event, because the
    instants of an event and of a change are taken before they are stored.
    """
    newest = _EVENTS.c.sequence > _STATES.c.sequence - NEWEST
    rows = c.execute(
        select(*(_EVENTS.c[name] for name in ("id", "type", "sequence", "incident", "body")))
        .add_columns(_EVENTS.c.tenant, _EVENTS.c.occurred_at)
        .join(_STATES, _STATES.c.tenant == _EVENTS.c.tenant)
        .where(newest, _EVENTS.c.occurred_at > now - RECENT)
        .order_by(_EVENTS.c.sequence)
    )
    by_tenant: dict[str, list[tuple[PlannedEvent, datetime]]] = {}
    for *stored, tenant, occurred_at in rows:
        identity, kind, sequence, incident, body = stored
        event = recalled(identity, kind, sequence=sequence, incident=incident, body=body)
        by_tenant.setdefault(tenant, []).append((event, occurred_at))
    return sum(_unplanned(c, TenantId(tenant), found) for tenant, found in by_tenant.items())


def _unplanned(
    c: Connection, tenant: TenantId, found: Sequence[tuple[PlannedEvent, datetime]]
) -> int:
    receivers = subscriptions.receiving(c, tenant)
    events = [event for event, _ in found]
    told = deliveries.told_from(c, tenant, events, receivers) if receivers else {}
    missing = 0
    for one in receivers:
        settled = max(one.updated_at, one.verified_at or one.updated_at) + SETTLED
        wanted = [
            event.id
            for event, at in found
            if at > settled and _wants(one, event, told.get((one.id, event.incident or "")))
        ]
        missing += len(set(wanted) - deliveries.known(c, one.id, wanted).keys())
    return missing


def _wants(one: Subscription, event: PlannedEvent, told: int | None) -> bool:
    return judge(one, event, already_told=told is not None and told < event.sequence).goes


def unaddressed(c: Connection, now: datetime) -> int:
    """Deliveries that wait for a receiver that does not exist."""
    del now
    known = exists().where(_SUBSCRIPTIONS.c.id == _DELIVERIES.c.subscription)
    waiting = _DELIVERIES.c.state == "pending"
    return _number(c, select(func.count()).select_from(_DELIVERIES).where(waiting, not_(known)))


def unlinked(c: Connection, now: datetime) -> int:
    """Tickets kept in step with an incident that does not exist."""
    del now
    known = exists().where(
        _INCIDENTS.c.tenant == _LINKS.c.tenant, _INCIDENTS.c.id == _LINKS.c.incident
    )
    live = _LINKS.c.incident.is_not(None) & (_LINKS.c.state != ENDED)
    return _number(c, select(func.count()).select_from(_LINKS).where(live, not_(known)))


INVARIANTS: Mapping[str, Counted] = {
    "sequences_have_no_gaps": gaps,
    "log_ends_where_the_engine_does": ends_apart,
    "changes_have_events": silent,
    "checkpoints_lie_in_the_log": ahead,
    "merges_lead_somewhere": astray,
    "events_have_deliveries": unplanned,
    "deliveries_have_receivers": unaddressed,
    "links_have_incidents": unlinked,
}


def open_incidents(c: Connection) -> int:
    """Incidents that are open, of all tenants."""
    query = select(func.count()).select_from(_INCIDENTS).where(_INCIDENTS.c.is_open.is_(True))
    return _number(c, query)


def pending(c: Connection) -> tuple[int, datetime | None]:
    """Deliveries that wait, and since when the one that is longest due has been."""
    query = select(func.count(), func.min(_DELIVERIES.c.due_at))
    count, since = c.execute(query.where(_DELIVERIES.c.state == "pending")).one()
    return int(count), since


def links_by_state(c: Connection) -> dict[str, int]:
    """How many tickets and announcements there are, by the state of their link."""
    query = select(_LINKS.c.state, func.count()).group_by(_LINKS.c.state)
    return {str(state): int(count) for state, count in c.execute(query)}


def failing_ways(c: Connection) -> int:
    """Channels and mirrors that fail."""
    query = select(func.count()).select_from(_MIRRORS)
    return _number(c, query.where(_MIRRORS.c.failing_since.is_not(None)))


def unpolled_since(c: Connection) -> datetime | None:
    """When the mirror that was not asked for longest was; None without one."""
    found: datetime | None = c.execute(select(func.min(_MIRRORS.c.polled_at))).scalar_one()
    return found


def unfolded_since(c: Connection) -> datetime | None:
    """When the oldest record came in that no engine has folded; None when all are."""
    behind = tuple_(_INTAKE.c.tx, _INTAKE.c.seq) > tuple_(_STATES.c.tx, _STATES.c.seq)
    query = select(func.min(_INTAKE.c.received_at)).select_from(_INTAKE.join(
        _STATES, _INTAKE.c.tenant == _STATES.c.tenant
    ))  # fmt: skip
    found: datetime | None = c.execute(query.where(behind)).scalar_one()
    return found
