"""Wake-ups between replicas: heard by the others, coalesced, and taken up again after a cut."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from app.kit.wake import Bell
from app.store import notices
from app.store.engine import Database
from app.store.notices import CHANNEL, Notices

NAMES = ("intake", "feed", "deliver")


@asynccontextmanager
async def replica(url: str) -> AsyncIterator[dict[str, Bell]]:
    bells = {name: Bell() for name in NAMES}
    stop = asyncio.Event()
    task = asyncio.create_task(Notices(url, bells).run(stop))
    # It rings once when it listens, for what it may have missed.
    async with asyncio.timeout(20):
        for bell in bells.values():
            await bell.wait(20)
    yield bells
    stop.set()
    async with asyncio.timeout(20):
        await task


async def test_a_ring_is_heard_by_the_others_alone(postgresql_database: Database) -> None:
    url = postgresql_database.url
    async with replica(url) as here, replica(url) as there:
        here["deliver"].ring()
        assert await there["deliver"].wait(10)
        assert not await there["feed"].wait(0.3)
        assert await here["deliver"].wait(0.1)  # its own ring
        assert not await here["deliver"].wait(0.3)  # and no echo of it
        there["feed"].ring()
        assert await here["feed"].wait(10)


async def test_many_rings_are_few_messages(postgresql_database: Database) -> None:
    url = postgresql_database.url
    plain = url.replace("+psycopg", "")
    async with (
        replica(url) as here,
        await psycopg.AsyncConnection.connect(plain, autocommit=True) as observer,
    ):
        await observer.execute(f"LISTEN {CHANNEL}")
        for _ in range(500):
            here["deliver"].ring()
            here["feed"].ring()
            await asyncio.sleep(0)
        seen = [one.payload async for one in observer.notifies(timeout=1.0)]
    assert 1 <= len(seen) <= 4
    assert {name for one in seen for name in one.partition(" ")[2].split(",")} == {
        "deliver", "feed",
    }  # fmt: skip


async def test_a_cut_connection_is_made_again(
    postgresql_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "BACKOFF_SECONDS", 0.05)
    url = postgresql_database.url
    plain = url.replace("+psycopg", "")
    async with replica(url) as here, replica(url) as there:
        async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as admin:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await _until_heard(here["feed"].ring, there["feed"])
        await _until_heard(there["intake"].ring, here["intake"])


async def _until_heard(ring: Callable[[], Any], bell: Bell) -> None:
    async with asyncio.timeout(30):
        await bell.wait(5)  # that it listens again
        ring()
        while not await bell.wait(0.5):
            ring()
