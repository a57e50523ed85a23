"""Leases: who does which recurring work, fenced by a token that grows with every change of hands.

A replica beats by one row of its own (``replica:ID``); what it holds is held while it beats. So a
beat costs one row, whatever the number of tenants. The token is asked for in the transaction of
each write, so a replica that slept through its end writes nothing any more.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from app.core.errors import LeaseLost
from app.core.lease import Holder, Standing
from app.store.tables import LeaseRow
from app.store.upserts import insert_into

T = LeaseRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

BEAT = "replica:"  # the names of beats begin so
NOBODY = ""
CHUNK = 500  # names per statement; SQLite takes a limited number of variables
FORGOTTEN = timedelta(hours=1)  # how long the beat of a replica that is gone can be seen


def present(c: Connection, wall: datetime) -> datetime:
    """The clock that all replicas share: that of PostgreSQL, else of the one machine."""
    if c.dialect.name != "postgresql":
        return wall
    found: datetime = c.execute(select(func.clock_timestamp())).scalar_one()
    return found


def beat(c: Connection, me: str, *, now: datetime, until: datetime) -> None:
    """Say that a replica is there until an instant; forget those that are long gone."""
    mine = T.c.name == BEAT + me
    if c.execute(update(T).where(mine).values(until=until)).rowcount == 0:
        c.execute(insert(T).values(name=BEAT + me, owner=me, token=1, until=until))
    gone = T.c.name.startswith(BEAT, autoescape=True) & (T.c.until < now - FORGOTTEN)
    c.execute(delete(T).where(gone))


def replicas(c: Connection, now: datetime) -> frozenset[str]:
    """The replicas that beat."""
    here = T.c.name.startswith(BEAT, autoescape=True) & (T.c.until > now)
    return frozenset(c.execute(select(T.c.owner).where(here)).scalars())


def standings(c: Connection, alive: Collection[str]) -> dict[str, Standing]:
    """Who holds what, by the name of the work."""
    query = select(T.c.name, T.c.owner, T.c.token)
    rows = c.execute(query.where(~T.c.name.startswith(BEAT, autoescape=True)))
    return {
        row.name: Standing(owner=row.owner, token=row.token, alive=row.owner in alive)
        for row in rows
    }


def holders(c: Connection, names: Collection[str], wall: datetime) -> dict[str, Holder]:
    """Who does which of these pieces of work; what nobody does is absent.

    Args:
        c: the transaction.
        names: of the work.
        wall: the time of day, which counts where there is one machine only.
    """
    alive = replicas(c, present(c, wall))
    query = select(T.c.name, T.c.owner, T.c.until).where(T.c.owner != NOBODY)
    return {
        row.name: Holder(replica=row.owner, since=row.until, alive=row.owner in alive)
        for part in _parts(sorted(names))
        for row in c.execute(query.where(T.c.name.in_(part)))
    }


def take(
    c: Connection, me: str, names: Sequence[str], *, former: Mapping[str, Standing], now: datetime
) -> dict[str, int]:
    """Take work that was free when ``former`` was read; gives the tokens of what was got.

    What another replica took meanwhile is left to it; what a running write still holds is passed
    over, and may be had the next time.
    """
    got: dict[str, int] = {}
    for part in _parts([name for name in names if name not in former]):
        rows = [{"name": name, "owner": me, "token": 1, "until": now} for name in part]
        made = insert_into(c, T).values(rows).on_conflict_do_nothing().returning(T.c.name)
        got |= dict.fromkeys(c.execute(made).scalars(), 1)
    for part in _parts([name for name in names if name in former]):
        locked = select(T.c.name, T.c.token).where(T.c.name.in_(part))
        still = [
            row.name
            for row in c.execute(locked.with_for_update(skip_locked=True))
            if row.token == former[row.name].token
        ]
        if still:
            values = {"owner": me, "token": T.c.token + 1, "until": now}
            moved = update(T).where(T.c.name.in_(still)).values(values)
            got |= {row.name: row.token for row in c.execute(moved.returning(T.c.name, T.c.token))}
    return got


def give(c: Connection, me: str, names: Sequence[str]) -> None:
    """Give work back, so that another replica may take it at once."""
    for part in _parts(names):
        mine = T.c.name.in_(part) & (T.c.owner == me)
        c.execute(update(T).where(mine).values(owner=NOBODY))


def leave(c: Connection, me: str) -> None:
    """Give everything back and beat no more."""
    c.execute(delete(T).where(T.c.name == BEAT + me))
    c.execute(update(T).where(T.c.owner == me).values(owner=NOBODY))


def check(c: Connection, name: str, token: int) -> None:
    """See that work has not changed hands; it cannot before the transaction that asks has ended.

    Raises:
        LeaseLost: another replica does it now.
    """
    query = select(T.c.token).where(T.c.name == name).with_for_update(read=True)
    if c.execute(query).scalar_one_or_none() != token:
        raise LeaseLost(name=name)


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + CHUNK] for start in range(0, len(names), CHUNK))
