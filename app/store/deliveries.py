"""Deliveries as rows: planned with their event, claimed by lease, kept in order, never lost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from app.core.events import EventType
from app.core.retry import Why
from app.core.route import CLOSING, PlannedEvent, Subscription, recalled, route
from app.core.types import TenantId
from app.kit.ids import new_id
from app.store import subscriptions
from app.store.tables import AttemptRow, DeliveryRow, EventRow

T = DeliveryRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it
E = EventRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it
A = AttemptRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it

PENDING, DELIVERED, PARKED = "pending", "delivered", "parked"
SUPERSEDED = "superseded"  # inner state: shown as pending, until what stands for it is done
_WAITING = (PENDING, SUPERSEDED)
# Written out: a bound parameter would keep SQLite from its partial indexes.
IS_PENDING = T.c.state == literal_column("'pending'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try, as the log shows it; ``headers`` are the request's, ``phases`` milliseconds."""

    at: datetime
    status: int | None
    outcome: str
    duration_ms: float
    excerpt: str
    phases: Mapping[str, float] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one subscription; ``superseded`` are event ids that this one stands for."""

    id: str
    tenant: TenantId
    subscription: str
    event: str
    event_type: str
    incident: str | None
    lane: str
    position: int
    state: str
    reason: str
    attempts: int
    created_at: datetime
    due_at: datetime
    done_at: datetime | None
    superseded: tuple[str, ...]
    superseded_by: str | None
    replay: str | None


def plan(c: Connection, tenant: TenantId, events: Sequence[PlannedEvent], now: datetime) -> int:
    """Plan the deliveries of new events, in the transaction that stores them; gives how many."""
    receivers = subscriptions.receiving(c, tenant) if events else []
    if not receivers:
        return 0
    pairs = route(events, receivers, told_from(c, tenant, events, receivers))
    rows: dict[str, dict[str, Any]] = {}
    newest: dict[tuple[str, str], str] = {}
    for event, subscription in pairs:
        row = _row(event, subscription, now=now)
        rows[row["id"]] = row
        if event.type is EventType.UPDATED:
            _coalesce(rows, newest, row)
    if not rows:
        return 0
    for older in _queued_updates(c, list(newest), now):
        standing = rows[newest[(older.subscription, older.lane)]]
        covered = [*json.loads(older.superseded), older.event]
        standing["superseded"] = json.dumps([*covered, *json.loads(standing["superseded"])])
        standing["due_at"] = max(standing["due_at"], older.due_at)  # a receiver's pause holds
        _supersede(c, standing, covered)
    c.execute(insert(T), list(rows.values()))
    return len(rows)


def _coalesce(
    rows: dict[str, dict[str, Any]], newest: dict[tuple[str, str], str], row: dict[str, Any]
) -> None:
    lane = (row["subscription"], row["lane"])
    older = rows.get(newest.get(lane, ""))
    newest[lane] = row["id"]
    if older is None:
        return
    covered = [*json.loads(older["superseded"]), older["event"]]
    row["superseded"] = json.dumps(covered)
    for other in rows.values():
        if other["subscription"] == row["subscription"] and other["event"] in covered:
            other |= {
                "state": SUPERSEDED, "reason": Why.SUPERSEDED.value, "superseded_by": row["id"],
                "superseded": "[]",
            }  # fmt: skip


def _queued_updates(
    c: Connection, lanes: Sequence[tuple[str, str]], now: datetime
) -> Sequence[Any]:
    """Waiting updates of these lanes that nobody is sending, newest first; locked."""
    if not lanes:
        return []
    return c.execute(
        select(T.c.subscription, T.c.lane, T.c.event, T.c.superseded, T.c.due_at)
        .where(tuple_(T.c.subscription, T.c.lane).in_(lanes))
        .where(IS_PENDING, T.c.event_type == EventType.UPDATED.value)
        .where(T.c.replay.is_(None), free(now))
        .order_by(T.c.position.desc())  # the nearest first: lists grow from the front
        .with_for_update(skip_locked=True)
    ).all()


def _supersede(c: Connection, standing: Mapping[str, Any], covered: Sequence[str]) -> None:
    c.execute(
        update(T)
        .where(T.c.subscription == standing["subscription"], T.c.event.in_(covered))
        .where(T.c.state.in_(_WAITING), T.c.replay.is_(None))
        .values(
            state=SUPERSEDED, reason=Why.SUPERSEDED, superseded_by=standing["id"], superseded="[]"
        )
    )


def free(now: datetime | BindParameter[Any]) -> ColumnElement[bool]:
    """Condition on a delivery's row: nobody is sending it."""
    return or_(T.c.lease_until.is_(None), T.c.lease_until <= now)


def told_from(
    c: Connection,
    tenant: TenantId,
    events: Sequence[PlannedEvent],
    receivers: Sequence[Subscription],
) -> dict[tuple[str, str], int]:
    """Since which sequence each (subscription, incident) is told, where these events end it."""
    ending = {event.incident for event in events if event.type in CLOSING and event.incident}
    if not ending:
        return {}
    of_these = select(E.c.id).where(E.c.tenant == tenant, E.c.incident.in_(sorted(ending)))
    rows = c.execute(
        select(T.c.subscription, T.c.incident, func.min(T.c.position).label("first"))
        .where(T.c.subscription.in_([subscription.id for subscription in receivers]))
        .where(T.c.event.in_(of_these))
        .group_by(T.c.subscription, T.c.incident)
    )
    return {(row.subscription, row.incident): row.first for row in rows}


def _row(
    event: PlannedEvent, subscription: Subscription, *, now: datetime, replay: str | None = None
) -> dict[str, Any]:
    return {
        "id": new_id("dlv"),
        "tenant": subscription.tenant,
        "subscription": subscription.id,
        "event": event.id,
        "event_type": event.type.value,
        "incident": event.incident,
        "lane": event.incident or event.id,
        "position": event.sequence,
        "state": PENDING,
        "reason": Why.QUEUED.value,
        "attempts": 0,
        "created_at": now,
        "due_at": now,
        "superseded": "[]",
        "superseded_by": None,
        "replay": replay,
        "body": None,
    }


def ping(
    c: Connection, subscription: Subscription, *, event: str, body: bytes, now: datetime
) -> str:
    """Plan a ``test.ping``, which is in no log and has its own body; gives the delivery's id."""
    planned = PlannedEvent(id=event, type=EventType.TEST_PING, sequence=0)
    row = {**_row(planned, subscription, now=now), "body": body}
    c.execute(insert(T).values(**row))
    return str(row["id"])


def replay(
    c: Connection,
    subscription: Subscription,
    events: Sequence[PlannedEvent],
    *,
    name: str,
    now: datetime,
) -> int:
    """Plan events of the past again, under their own ids; gives how many."""
    rows = [_row(event, subscription, now=now, replay=name) for event in events]
    if rows:
        c.execute(insert(T), rows)
    return len(rows)


def delivery(row: RowMapping) -> Delivery:
    """Turn a row into a delivery; what is superseded still waits, as far as others can see."""
    return Delivery(
        id=row["id"],
        tenant=TenantId(row["tenant"]),
        subscription=row["subscription"],
        event=row["event"],
        event_type=row["event_type"],
        incident=row["incident"],
        lane=row["lane"],
        position=row["position"],
        state=PENDING if row["state"] == SUPERSEDED else row["state"],
        reason=row["reason"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        due_at=row["due_at"],
        done_at=row["done_at"],
        superseded=() if row["superseded"] == "[]" else tuple(json.loads(row["superseded"])),
        superseded_by=row["superseded_by"],
        replay=row["replay"],
    )


def park_all(c: Connection, subscription: str, *, reason: Why, now: datetime) -> int:
    """Park whatever waits for a subscription that takes nothing any more, in plain sight."""
    done = c.execute(
        update(T)
        .where(T.c.subscription == subscription, T.c.state.in_(_WAITING))
        .values(state=PARKED, reason=reason.value, done_at=now, lease_token=None, lease_until=None)
    )
    return int(done.rowcount)


def withdraw(c: Connection, name: str, *, now: datetime) -> int:
    """Park what of a replay waits and nobody is sending; gives how many."""
    done = c.execute(
        update(T)
        .where(T.c.replay == name, T.c.state.in_(_WAITING), free(now))
        .values(state=PARKED, reason=Why.CANCELLED.value, done_at=now, lease_token=None)
    )
    return int(done.rowcount)


def redeliver(c: Connection, tenant: TenantId, identity: str, *, now: datetime) -> Delivery | None:
    """Queue one again from the first attempt on, at its place in its lane; None if unknown.

    What is waiting already is made due at once.
    """
    mine = and_(T.c.tenant == tenant, T.c.id == identity)
    c.execute(update(T).where(mine, IS_PENDING, free(now)).values(due_at=now))
    c.execute(update(T).where(mine, T.c.state.in_((DELIVERED, PARKED))).values(**_afresh(now)))
    row = c.execute(select(T).where(mine)).mappings().first()
    return None if row is None else delivery(row)


def _afresh(now: datetime) -> dict[str, Any]:
    return {
        "state": PENDING,
        "reason": Why.QUEUED.value,
        "attempts": 0,
        "due_at": now,
        "done_at": None,
        "superseded_by": None,
    }


def revive(
    c: Connection, subscription: str, events: Sequence[str], *, name: str, now: datetime
) -> int:
    """Queue what was parked of these events again; gives how many."""
    done = c.execute(
        update(T)
        .where(T.c.subscription == subscription, T.c.event.in_(events), T.c.state == PARKED)
        .values(**_afresh(now), replay=name)
    )
    return int(done.rowcount)


def known(c: Connection, subscription: str, events: Sequence[str]) -> dict[str, str]:
    """Which of these events have a delivery for the subscription: event id to its state."""
    rows = c.execute(
        select(T.c.event, T.c.state)
        .where(T.c.subscription == subscription, T.c.event.in_(events))
        .order_by(T.c.id)
    )
    return {row.event: row.state for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent:
    """An event of the log, as a replay reads it."""

    id: str
    type: str
    sequence: int
    incident: str | None
    body: bytes

    def planned(self) -> PlannedEvent:
        """What routing needs of it."""
        return recalled(
            self.id, self.type, sequence=self.sequence, incident=self.incident, body=self.body
        )


def past(
    c: Connection,
    tenant: TenantId,
    *,
    since: datetime,
    until: datetime,
    after: int,
    limit: int,
) -> list[PastEvent]:
    """List events that occurred from ``since`` to before ``until``, from after a sequence on."""
    statement = (
        select(E.c.id, E.c.type, E.c.sequence, E.c.incident, E.c.body)
        .where(E.c.tenant == tenant, E.c.sequence > after)
        .where(E.c.occurred_at >= since, E.c.occurred_at < until)
        .order_by(E.c.sequence)
        .limit(limit)
    )
    return [PastEvent(**row) for row in c.execute(statement).mappings()]


def page(
    c: Connection,
    tenant: TenantId | None,
    *,
    subscription: str | None = None,
    state: str | None = None,
    incident: str | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> list[Delivery]:
    """List the newest first, from after ``(created_at, id)`` on. Without a tenant: of all."""
    statement = select(T).order_by(T.c.created_at.desc(), T.c.id.desc()).limit(limit)
    wanted = {"tenant": tenant, "subscription": subscription, "incident": incident}
    for name, value in wanted.items():
        if value is not None:
            statement = statement.where(T.c[name] == value)
    if state is not None:
        statement = statement.where(T.c.state.in_(_WAITING if state == PENDING else (state,)))
    if after is not None:
        at, identity = after
        statement = statement.where(
            or_(T.c.created_at < at, and_(T.c.created_at == at, T.c.id < identity))
        )
    return [delivery(row) for row in c.execute(statement).mappings()]


def get(
    c: Connection, tenant: TenantId | None, identity: str
) -> tuple[Delivery, list[Attempt]] | None:
    """Read one with its attempts, oldest first. Without a tenant: whosever it is."""
    statement = select(T).where(T.c.id == identity)
    if tenant is not None:
        statement = statement.where(T.c.tenant == tenant)
    row = c.execute(statement).mappings().first()
    return None if row is None else (delivery(row), attempts(c, [identity]).get(identity, []))


def attempts(c: Connection, identities: Sequence[str]) -> dict[str, list[Attempt]]:
    """Read the attempts of several deliveries, oldest first, by delivery id."""
    found: dict[str, list[Attempt]] = {}
    for row in c.execute(select(A).where(A.c.delivery.in_(identities)).order_by(A.c.id)):
        found.setdefault(row.delivery, []).append(
            Attempt(
                at=row.at,
                status=row.status,
                outcome=row.outcome,
                duration_ms=row.duration_ms,
                excerpt=row.excerpt,
                phases=json.loads(row.phases or "{}"),
                headers=json.loads(row.headers or "{}"),
            )
        )
    return found
