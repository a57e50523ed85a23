"""Columns that the tables share: instants, long counters, indexes on some of the rows."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, MetaData, TypeDecorator, text
from sqlalchemy.engine import Dialect


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant; SQLite keeps it as naive text, PostgreSQL as timestamptz."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Bring to UTC on the way in; a naive instant is a bug and refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "a naive datetime reached the database"
            raise ValueError(msg)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value  # for literals

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Attach UTC on the way out."""
        del dialect
        if value is None:
            return None
        result: datetime = value
        return result.replace(tzinfo=UTC) if result.tzinfo is None else result.astimezone(UTC)

    # SQLite's own conversions, in a fifth of the time; hot paths read and write many of them.

    def bind_processor(self, dialect: Dialect) -> Any:
        """Write SQLite's text at once."""
        return _to_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Read SQLite's text at once."""
        return (
            _from_text if dialect.name == "sqlite" else super().result_processor(dialect, coltype)
        )


def _to_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is not UTC:
        if value.tzinfo is None:
            msg = "a naive datetime reached the database"
            raise ValueError(msg)
        value = value.astimezone(UTC)
    return value.isoformat(" ", "microseconds")[:26]  # without the offset, which is said to be 0


def _from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")


# SQLite counts up only an INTEGER primary key by itself; PostgreSQL needs 64 bits.
BIG = BigInteger().with_variant(Integer(), "sqlite")


def instant(*, nullable: bool = False, index: bool = False) -> Any:
    """Column of an instant."""
    return Column(Instant(), nullable=nullable, index=index)


def partial_index(name: str, *columns: str, where: str) -> Index:
    """An index on some of the rows; ``narrow_on_postgresql`` completes it there."""
    return Index(name, *columns, sqlite_where=text(where), info={"where": where})


def narrow_on_postgresql(metadata: MetaData) -> None:
    """Tell PostgreSQL's indexes their condition; said at once it would load the dialect always."""
    for table in metadata.tables.values():
        for index in table.indexes:
            if "where" in index.info:
                index.dialect_options["postgresql"]["where"] = text(index.info["where"])
