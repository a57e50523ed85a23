"""Facts of this installation: secrets that are made once, at the first start."""

import secrets
from contextlib import suppress

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from app.store.engine import Database
from app.store.tables import InstanceRow

T = InstanceRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

SECRET_BYTES = 32


def _read(c: Connection, key: str) -> str | None:
    value: str | None = c.execute(select(T.c.value).where(T.c.key == key)).scalar_one_or_none()
    return value


def names(c: Connection, prefix: str) -> list[str]:
    """The names of secrets that begin so, sorted."""
    query = select(T.c.key).where(T.c.key.startswith(prefix, autoescape=True)).order_by(T.c.key)
    return list(c.execute(query).scalars())


def forget(c: Connection, prefix: str, *, before: str) -> int:
    """Destroy the secrets whose names begin so and sort before ``before``; returns how many."""
    here = (T.c.key.startswith(prefix, autoescape=True), T.c.key < before)
    return c.execute(delete(T).where(*here)).rowcount


def secret(db: Database, key: str) -> str:
    """The secret of that name; made when it is asked for the first time, by whichever replica."""
    known = db.read_now(lambda c: _read(c, key))
    if known is not None:
        return known
    fresh = secrets.token_urlsafe(SECRET_BYTES)

    def unit(c: Connection) -> None:
        if _read(c, key) is None:
            c.execute(insert(T).values(key=key, value=fresh))

    with suppress(IntegrityError):  # another replica was first; its secret is the one
        db.write_now(unit)
    made = db.read_now(lambda c: _read(c, key))
    return made or fresh
