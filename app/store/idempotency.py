"""Idempotency keys: the answer that was given under a key, stored with what it answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, select

from app.store.tables import IdempotencyRow
from app.store.upserts import insert_into

T = IdempotencyRow.__table__  # type: ignore[attr-defined]  # set by SQLModel when it builds the class


class Taken(Exception):  # noqa: N818 - not an error: an equal request was first
    """Raised in a transaction whose key was answered already, so that it comes to nothing."""


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
    """What is kept of an earlier request."""

    fingerprint: str
    status: int
    body: bytes


def find(c: Connection, wanted: Claim, *, since: datetime) -> Kept | None:
    """What was answered under this key at ``since`` or later; None when nothing was."""
    where = and_(_where(wanted), T.c.created_at >= since)
    row = c.execute(select(T.c.fingerprint, T.c.status, T.c.body).where(where)).one_or_none()
    if row is None:
        return None
    return Kept(fingerprint=row.fingerprint, status=row.status, body=row.body)


def keep(
    c: Connection, wanted: Claim, *, status: int, body: bytes, now: datetime, since: datetime
) -> None:
    """Keep the answer to a request, in the transaction of its effect.

    Of two transactions under one key the second waits for the first, and comes to nothing.

    Raises:
        Taken: an equal request was answered at ``since`` or later.
    """
    c.execute(delete(T).where(_where(wanted), T.c.created_at < since))
    values: dict[str, Any] = {
        "tenant": wanted.tenant,
        "principal": wanted.principal,
        "route": wanted.route,
        "key": wanted.key,
        "fingerprint": wanted.fingerprint,
        "status": status,
        "body": body,
        "created_at": now,
    }
    statement = insert_into(c, T).values(values).on_conflict_do_nothing().returning(T.c.key)
    if c.execute(statement).first() is None:
        raise Taken


def _where(wanted: Claim) -> ColumnElement[bool]:
    return and_(
        T.c.tenant == wanted.tenant,
        T.c.principal == wanted.principal,
        T.c.route == wanted.route,
        T.c.key == wanted.key,
    )
