"""A PostgreSQL that hangs without hanging up: nobody waits for it, and all goes on afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Connection, text

from app.core.errors import StorageUnavailable
from app.store.engine import READERS, Database
from app.store.pulse import CONNECT_SECONDS, SILENCE_SECONDS, Pulse
from tests.api.surface import furnish, served
from tests.postgres import Postgres
from tests.standins.proxy import Proxy

PATIENCE = 20.0  # seconds, on a machine that does much else


def behind(postgres: Postgres, proxy: Proxy, name: str) -> str:
    return f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}"


@asynccontextmanager
async def beating(db: Database) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(Pulse(db).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def until_back(db: Database) -> None:
    async with asyncio.timeout(PATIENCE):
        while db.away:  # noqa: ASYNC110 - a flag is all there is
            await asyncio.sleep(0.02)


def one(c: Connection) -> int:
    return int(c.execute(text("SELECT 1")).scalar_one())


async def test_whoever_waits_for_a_hanging_server_is_told_so_and_all_threads_come_free(
    postgres: Postgres,
) -> None:
    proxy = Proxy(postgres.socket)
    async with proxy.open():
        db = Database(behind(postgres, proxy, postgres.create()))
        async with beating(db):
            assert await db.read(one) == 1
            proxy.hang()
            async with asyncio.timeout(PATIENCE):
                waits = [db.read(one) for _ in range(READERS * 3)]
                met = await asyncio.gather(*waits, db.write(one), return_exceptions=True)
            assert {type(error) for error in met} == {StorageUnavailable}
            begun = time.monotonic()
            with pytest.raises(StorageUnavailable):
                await db.write(one)
            assert time.monotonic() - begun < SILENCE_SECONDS / 2  # it is not even asked
            proxy.go_on()
            await until_back(db)
            async with asyncio.timeout(PATIENCE):
                assert await asyncio.gather(*(db.read(one) for _ in range(READERS * 3)))
                assert await db.write(one) == 1
        await asyncio.to_thread(db.close)


async def test_a_server_that_never_speaks_again_holds_no_thread(postgres: Postgres) -> None:
    name = postgres.create()
    proxy = Proxy(postgres.socket)
    async with proxy.open():
        db = Database(behind(postgres, proxy, name))
        async with beating(db):
            assert await db.read(one) == 1
            proxy.hang()
            with pytest.raises(StorageUnavailable):
                await db.read(one)
        async with asyncio.timeout(PATIENCE):
            await asyncio.to_thread(db.close)  # waits for every thread


async def test_a_wait_that_its_caller_gives_up_is_given_up(postgres: Postgres) -> None:
    db = Database(postgres.url(postgres.create()))
    slow = text("SELECT pg_sleep(0.3)")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await db.read(lambda c: c.execute(slow).scalar_one())
    db.close()


async def test_a_slow_server_is_not_a_silent_one(postgres: Postgres) -> None:
    db = Database(postgres.url(postgres.create()))
    slow = text(f"SELECT pg_sleep({CONNECT_SECONDS})")
    async with beating(db):
        await db.read(lambda c: c.execute(slow).scalar_one())
        assert not db.away
    db.close()


async def test_requests_are_told_503_and_readiness_goes_while_liveness_stays(
    postgres: Postgres,
) -> None:
    name = postgres.create()
    first = await furnish(served(postgres.url(name)))
    first.db.close()
    proxy = Proxy(postgres.socket)
    async with proxy.open():  # on this very loop, so whoever waits for it must be on a thread
        surface = await asyncio.to_thread(served, behind(postgres, proxy, name))
        try:
            async with surface.client() as client, beating(surface.db):
                assert (await client.get("/readyz")).status_code == 200
                proxy.hang()
                async with asyncio.timeout(PATIENCE):
                    for path in ("/v1/incidents", "/v1/services", "/readyz"):
                        answer = await client.get(path, headers=first.admin)
                        assert answer.status_code == 503
                        assert answer.headers["retry-after"]
                        assert answer.headers["content-type"] == "application/problem+json"
                    assert (await client.get("/livez")).status_code == 200
                proxy.go_on()
                await until_back(surface.db)
                answer = await client.get("/v1/incidents", headers=first.admin)
                assert answer.status_code == 200
        finally:
            await asyncio.to_thread(surface.db.close)
