"""Replays as rows: a window of the past that is sent again, and how far that has come."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from app.core.types import TenantId
from app.store import deliveries
from app.store.deliveries import DELIVERED, PARKED, PENDING, SUPERSEDED
from app.store.tables import ReplayRow

T = ReplayRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it
D = deliveries.T

PLANNING, SENDING, FINISHED, CANCELLED = "planning", "sending", "finished", "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A window that is sent again: what ``failed``, is ``missing``, or ``all`` of it.

    ``position`` is the sequence of the last event that was looked at, ``planned`` how many
    deliveries came of it.
    """

    id: str
    tenant: TenantId
    subscription: str
    chosen: str
    since: datetime
    until: datetime
    created_by: str
    created_at: datetime
    next_at: datetime
    state: str = PLANNING
    position: int = 0
    planned: int = 0
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How the deliveries of a replay stand."""

    delivered: int = 0
    parked: int = 0
    pending: int = 0


def add(c: Connection, replay: Replay) -> None:
    """Store a new one."""
    c.execute(insert(T).values(**{name: getattr(replay, name) for name in T.c.keys()}))  # noqa: SIM118 - of columns


def get(c: Connection, subscription: str, identity: str) -> Replay | None:
    """Read one of a subscription."""
    mine = select(T).where(T.c.id == identity, T.c.subscription == subscription)
    row = c.execute(mine).mappings().first()
    return None if row is None else _replay(row)


def page(c: Connection, subscription: str, *, after: str | None, limit: int) -> list[Replay]:
    """List those of a subscription, newest first, from after one on; ids sort by time."""
    statement = select(T).where(T.c.subscription == subscription)
    if after is not None:
        statement = statement.where(T.c.id < after)
    rows = c.execute(statement.order_by(T.c.id.desc()).limit(limit)).mappings()
    return [_replay(row) for row in rows]


def due(c: Connection, now: datetime) -> Replay | None:
    """Take one whose time has come, locked until the transaction ends; one per subscription."""
    earlier = T.alias("earlier")
    behind = (
        select(earlier.c.id)
        .where(earlier.c.subscription == T.c.subscription, earlier.c.finished_at.is_(None))
        .where(earlier.c.id < T.c.id)
        .exists()
    )
    row = (
        c.execute(
            select(T)
            .where(T.c.finished_at.is_(None), T.c.next_at <= now, ~behind)
            .order_by(T.c.next_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        .mappings()
        .first()
    )
    return None if row is None else _replay(row)


def next_at(c: Connection) -> datetime | None:
    """When the next one has something to do; None when there is none."""
    found: datetime | None = c.execute(
        select(T.c.next_at).where(T.c.finished_at.is_(None)).order_by(T.c.next_at).limit(1)
    ).scalar()
    return found


def move(
    c: Connection, replay: Replay, *, state: str, position: int, planned: int, next_at: datetime
) -> None:
    """Store how far one has come; the caller holds it by ``due``."""
    c.execute(
        update(T)
        .where(T.c.id == replay.id)
        .values(state=state, position=position, planned=planned, next_at=next_at)
    )


def end(c: Connection, replay: Replay, state: str, *, now: datetime) -> bool:
    """Store that one is over; False when it was already."""
    done = c.execute(
        update(T)
        .where(T.c.id == replay.id, T.c.finished_at.is_(None))
        .values(state=state, finished_at=now)
    )
    return done.rowcount == 1


def cancel(c: Connection, replay: Replay, *, now: datetime) -> bool:
    """End one by a person's word, and park what of it waits; False when it was over already.

    What is being sent at that moment ends as it ends; if that fails, it is parked as well.
    """
    cancelled = end(c, replay, CANCELLED, now=now)
    if cancelled:
        deliveries.withdraw(c, replay.id, now=now)
    return cancelled


def withdraw_cancelled(c: Connection, names: Collection[str], *, now: datetime) -> None:
    """Park what waits again of those of these replays that were cancelled meanwhile."""
    over = select(T.c.id).where(T.c.id.in_(sorted(names)), T.c.state == CANCELLED)
    for name in c.execute(over).scalars().all():
        deliveries.withdraw(c, name, now=now)


def tally(c: Connection, identity: str) -> Tally:
    """Count the deliveries of a replay by how they stand."""
    query = select(D.c.state, func.count().label("number")).where(D.c.replay == identity)
    counts = {row.state: row.number for row in c.execute(query.group_by(D.c.state))}
    return Tally(
        delivered=counts.get(DELIVERED, 0),
        parked=counts.get(PARKED, 0),
        pending=counts.get(PENDING, 0) + counts.get(SUPERSEDED, 0),
    )


def waiting(c: Connection, identity: str, most: int) -> int:
    """Count the deliveries of a replay that wait, up to ``most``."""
    waits = (
        select(D.c.id)
        .where(D.c.replay == identity)
        .where(or_(D.c.state == PENDING, D.c.state == SUPERSEDED))
        .limit(most)
    )
    return int(c.execute(select(func.count()).select_from(waits.subquery())).scalar_one())


def _replay(row: Mapping[Any, Any]) -> Replay:
    return Replay(**{**row, "tenant": TenantId(row["tenant"])})
