"""Whether the database takes writes: one row that is written again and again."""

from datetime import UTC, datetime

from sqlalchemy import Connection, func, insert, select, update

from app.store.tables import InstanceRow

T = InstanceRow.__table__  # type: ignore[attr-defined]  # set by SQLModel when it builds the class

KEY = "last_write_probe"


def write_probe(c: Connection, *, now: datetime) -> None:
    """Write the probe's row."""
    value = now.isoformat()
    if c.execute(update(T).where(T.c.key == KEY).values(value=value)).rowcount == 0:
        c.execute(insert(T).values(key=KEY, value=value))


def instant(c: Connection) -> datetime | None:
    """The time of the database's own machine, UTC; None where it has no clock but ours."""
    if c.dialect.name != "postgresql":
        return None
    found: datetime = c.execute(select(func.clock_timestamp())).scalar_one()
    return found.astimezone(UTC)
