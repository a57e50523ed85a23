"""The spool of an agent: results that wait for delivery, in a SQLite file of its own.

It also holds the table of newest results, in which a check's signature and course are kept; the
tables are made when the file is opened, for an agent has no migrations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    delete,
    func,
    insert,
    select,
)

from app.store.tables import ProbeRow

T = Table(
    "spool",
    MetaData(),
    Column("seq", Integer, primary_key=True),
    Column("line", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One result that waits: its place in the order, and its line on the wire."""

    seq: int
    line: bytes


def prepare(c: Connection) -> None:
    """Make the tables that are missing."""
    T.create(c, checkfirst=True)
    ProbeRow.__table__.create(c, checkfirst=True)  # type: ignore[attr-defined]  # SQLModel adds it


def append(c: Connection, lines: Sequence[bytes], *, most: int) -> int:
    """Add results at the end; beyond ``most`` the oldest go. Returns how many were lost so."""
    if lines:
        c.execute(insert(T), [{"line": line} for line in lines])
    last = c.execute(select(func.max(T.c.seq))).scalar() or 0
    return c.execute(delete(T).where(T.c.seq <= last - most)).rowcount


def oldest(c: Connection, limit: int) -> list[Waiting]:
    """The results that are due next, in the order in which they were measured."""
    rows = c.execute(select(T.c.seq, T.c.line).order_by(T.c.seq).limit(limit))
    return [Waiting(row.seq, row.line) for row in rows]


def forget(c: Connection, up_to: int) -> None:
    """Delete what was taken, up to and including a place."""
    c.execute(delete(T).where(T.c.seq <= up_to))


def waiting(c: Connection) -> int:
    """How many wait."""
    return c.execute(select(func.count()).select_from(T)).scalar_one()
