"""Wake-ups between the replicas on one PostgreSQL; a hint only, for polling is the truth.

``NOTIFY`` inside a transaction takes a lock of the whole database until the commit, so it is sent
after it, on a connection of its own, and many rings within ``EVERY_SECONDS`` are one message.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

import psycopg

from app.kit.ids import new_id
from app.kit.wake import Bell
from app.store.engine import NETWORK

log = logging.getLogger(__name__)

CHANNEL = "sextant"
EVERY_SECONDS = 0.05  # at most one message of this replica in so long
LOOK_SECONDS = 1.0  # how long a wait lasts before it looks whether to stop
BACKOFF_SECONDS = 1.0  # after the connection was lost


class Notices:
    """Tells the other replicas which bells were rung here, and rings ours when they tell."""

    def __init__(self, url: str, bells: Mapping[str, Bell]) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._bells = dict(bells)
        self._me = new_id("rep")
        self._rung: set[str] = set()
        self._some = asyncio.Event()
        for name, bell in self._bells.items():
            bell.follow(partial(self._note, name))

    def _note(self, name: str) -> None:
        self._rung.add(name)
        self._some.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Tell and listen until stopped; a lost connection is made again."""
        while not stop.is_set():
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._listen(stop))
                    group.create_task(self._tell(stop))
            except* (psycopg.Error, OSError):
                log.warning("notices_lost")
                await asyncio.sleep(BACKOFF_SECONDS)

    async def _connect(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(self._url, autocommit=True, **NETWORK)

    async def _listen(self, stop: asyncio.Event) -> None:
        async with await self._connect() as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            for bell in self._bells.values():
                bell.ring(here=False)  # whatever was told before we listened
            while not stop.is_set():
                async for notice in connection.notifies(timeout=LOOK_SECONDS):
                    self._hear(notice.payload)
                    if stop.is_set():
                        return

    def _hear(self, text: str) -> None:
        sender, _, names = text.partition(" ")
        if sender == self._me:
            return
        for name in names.split(","):
            if name in self._bells:
                self._bells[name].ring(here=False)

    async def _tell(self, stop: asyncio.Event) -> None:
        async with await self._connect() as connection:
            while not stop.is_set():
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._some.wait()
                except TimeoutError:
                    continue
                self._some.clear()
                names, self._rung = ",".join(sorted(self._rung)), set()
                message = f"{self._me} {names}"
                await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, message))
                await asyncio.sleep(EVERY_SECONDS)
