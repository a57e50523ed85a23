"""The database keeps its word on both engines."""

import asyncio
import threading
import time

import pytest
from sqlalchemy import Connection, func, insert, select

from app.core.errors import StorageUnavailable
from app.store.engine import Database, normalize
from app.store.tables import InstanceRow

T = InstanceRow.__table__


def put(key: str) -> object:
    def work(c: Connection) -> str:
        c.execute(insert(T).values(key=key, value="x"))
        return key

    return work


def total(c: Connection) -> int:
    return c.execute(select(func.count()).select_from(T)).scalar_one()


async def test_what_was_written_can_be_read(database: Database) -> None:
    assert await database.write(put("a")) == "a"
    assert await database.read(total) == 1


async def test_many_writers_at_once_lose_nothing(database: Database) -> None:
    await asyncio.gather(*(database.write(put(f"k{n}")) for n in range(300)))
    assert await database.read(total) == 300


async def test_one_bad_unit_is_rolled_back_alone(database: Database) -> None:
    def bad(c: Connection) -> None:
        put("half")(c)
        raise KeyError("a bug")

    units = [database.write(put(f"k{n}")) for n in range(20)]
    results = await asyncio.gather(*units, database.write(bad), return_exceptions=True)
    assert isinstance(results[-1], KeyError)
    assert results[:-1] == [f"k{n}" for n in range(20)]
    assert await database.read(total) == 20


def test_synchronous_code_may_write_and_read(database: Database) -> None:
    database.write_now(put("a"))
    assert database.read_now(total) == 1


def test_sqlite_is_durable_by_default(sqlite_database: Database) -> None:
    def pragmas(c: Connection) -> tuple[object, object]:
        return (
            c.exec_driver_sql("PRAGMA journal_mode").scalar_one(),
            c.exec_driver_sql("PRAGMA synchronous").scalar_one(),
        )

    assert sqlite_database.read_now(pragmas) == ("wal", 2)


def test_an_unreachable_database_is_a_sentence_not_a_driver_error(tmp_path) -> None:
    database = Database(f"sqlite:///{tmp_path}/no/such/folder/x.db")
    with pytest.raises(StorageUnavailable):
        database.read_now(total)
    database.close()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_the_shipped_driver_is_named(scheme: str) -> None:
    assert normalize(f"{scheme}://u@h/d") == "postgresql+psycopg://u@h/d"
    assert normalize("sqlite:///x.db") == "sqlite:///x.db"


async def test_a_writer_whose_caller_has_gone_goes_on(sqlite_database: Database) -> None:
    gate = threading.Event()
    first = asyncio.ensure_future(sqlite_database.write(lambda _: gate.wait(10)))
    await asyncio.sleep(0)
    gone = asyncio.ensure_future(sqlite_database.write(lambda _: 1))
    await asyncio.sleep(0)
    gone.cancel()
    gate.set()
    assert await first
    async with asyncio.timeout(5):
        assert await sqlite_database.write(lambda _: 2) == 2


async def test_a_closed_database_is_unavailable(database: Database) -> None:
    database.close()
    with pytest.raises(StorageUnavailable):
        await database.read(total)


async def test_a_unit_that_stood_still_too_long_was_cut_off_and_may_be_tried_again(
    postgresql_database: Database,
) -> None:
    def slow(c: Connection) -> int:
        c.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
        put("late")(c)  # type: ignore[operator]
        time.sleep(0.5)
        return total(c)

    with pytest.raises(StorageUnavailable):
        await postgresql_database.write(slow)
    assert await postgresql_database.read(total) == 0
