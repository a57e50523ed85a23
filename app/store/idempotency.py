"""Idempotency keys: the claim on a key, and the answer that was given under it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.store.tables import IdempotencyRow

T = IdempotencyRow.__table__  # type: ignore[attr-defined]  # set by SQLModel when it builds the class

RUNNING = 0  # the status of a claim whose answer is not there yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Which request: whose, to which route, under which key (its digest, never the key itself)."""

    tenant: str
    principal: str
    route: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of an earlier request; ``status`` is ``RUNNING`` while it is being answered."""

    fingerprint: str
    status: int
    body: bytes


def claim(
    c: Connection, wanted: Claim, *, now: datetime, kept_since: datetime, running_since: datetime
) -> Kept | None:
    """Claim a key; None when it is ours now, else what is kept of the request that has it.

    What is older than ``kept_since`` is forgotten; a claim older than ``running_since`` without
    an answer belonged to a process that died, and is taken over.
    """
    where = _where(wanted)
    c.execute(delete(T).where(where, T.c.created_at < kept_since))
    c.execute(delete(T).where(where, T.c.status == RUNNING, T.c.created_at < running_since))
    if _insert(c, wanted, now):
        return None
    row = c.execute(select(T.c.fingerprint, T.c.status, T.c.body).where(where)).one()
    return Kept(fingerprint=row.fingerprint, status=row.status, body=row.body)


def keep(c: Connection, wanted: Claim, *, status: int, body: bytes) -> None:
    """Keep the answer to a claimed request."""
    c.execute(update(T).where(_where(wanted)).values(status=status, body=body))


def release(c: Connection, wanted: Claim) -> None:
    """Let go of a claim whose request had no effect."""
    c.execute(delete(T).where(_where(wanted), T.c.status == RUNNING))


def forget(c: Connection, *, before: datetime) -> int:
    """Delete what was kept before an instant; returns how many."""
    return c.execute(delete(T).where(T.c.created_at < before)).rowcount


def _insert(c: Connection, wanted: Claim, now: datetime) -> bool:
    values: dict[str, Any] = {
        "tenant": wanted.tenant,
        "principal": wanted.principal,
        "route": wanted.route,
        "key": wanted.key,
        "fingerprint": wanted.fingerprint,
        "status": RUNNING,
        "body": b"",
        "created_at": now,
    }
    insert = sqlite.insert if c.dialect.name == "sqlite" else postgresql.insert
    statement = insert(T).values(values).on_conflict_do_nothing().returning(T.c.key)
    return c.execute(statement).first() is not None


def _where(wanted: Claim) -> ColumnElement[bool]:
    return and_(
        T.c.tenant == wanted.tenant,
        T.c.principal == wanted.principal,
        T.c.route == wanted.route,
        T.c.key == wanted.key,
    )
