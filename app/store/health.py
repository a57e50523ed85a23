"""Whether the database takes writes: one row that is written again and again."""

from datetime import datetime

from sqlalchemy import Connection, insert, update

from app.store.tables import InstanceRow

T = InstanceRow.__table__  # type: ignore[attr-defined]  # set by SQLModel when it builds the class

KEY = "last_write_probe"


def write_probe(c: Connection, *, now: datetime) -> None:
    """Write the probe's row."""
    value = now.isoformat()
    if c.execute(update(T).where(T.c.key == KEY).values(value=value)).rowcount == 0:
        c.execute(insert(T).values(key=KEY, value=value))
