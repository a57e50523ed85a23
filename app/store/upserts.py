"""Upserts: the insert of the dialect in use, which knows ``ON CONFLICT``."""

from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection, Table

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert


def insert_into(c: Connection, table: Table) -> "Insert":
    """Begin an insert with ``on_conflict_do_nothing`` and ``on_conflict_do_update``.

    Both dialects spell it alike. Only the one in use is loaded: the other costs a start a tenth.
    """
    if c.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite  # noqa: PLC0415 - see above

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - see above

    return cast("Insert", postgresql.insert(table))
