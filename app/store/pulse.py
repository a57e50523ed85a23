"""The pulse of PostgreSQL: whoever falls silent without hanging up is hung up on.

A server that is gone refuses, and a machine that is gone acknowledges nothing; both are noticed by
the connection. One that hangs, or a proxy before it that forwards no more, acknowledges every byte
and answers none: its connections look well for ever, and whoever waits on them waits as long.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from typing import Any

import psycopg

from app.store.engine import Database

log = logging.getLogger(__name__)

EVERY_SECONDS = 0.2  # between two beats
SILENCE_SECONDS = 0.6  # without a word on any connection, while we asked
CONNECT_SECONDS = 2.0  # the same, while we connect
GRACE_SECONDS = 0.1  # for what arrived while this process itself stood still


def shut(line: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """End a connection under whoever waits on it, on whatever thread."""
    with (
        contextlib.suppress(OSError, psycopg.Error),  # it has ended by itself
        socket.socket(fileno=os.dup(line.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)


class Pulse:
    """Asks again and again on a connection of its own, and tells the database what it finds."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._url = db.url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._own: psycopg.AsyncConnection[tuple[object, ...]] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until stopped."""
        try:
            while not stop.is_set():
                await self._beat()
                try:
                    async with asyncio.timeout(EVERY_SECONDS):
                        await stop.wait()
                except TimeoutError:
                    continue
        finally:
            await self._leave()

    async def _beat(self) -> None:
        patience = CONNECT_SECONDS if self._own is None else SILENCE_SECONDS
        asked = asyncio.create_task(self._ask())
        begun = time.monotonic()
        while not asked.done() and max(begun, self._db.heard_at) + patience > time.monotonic():
            await asyncio.wait({asked}, timeout=patience / 4)
        if not asked.done():  # the answer may be there, and only this process have slept
            await asyncio.wait({asked}, timeout=GRACE_SECONDS)
        if not asked.done():
            if not self._db.away:
                log.warning("database_silent")
            for line in self._db.went_away():
                shut(line)
            if self._own is None:
                asked.cancel()
            else:  # to cancel a query would be one more question to a server that is silent
                shut(self._own)
            await asyncio.gather(asked, return_exceptions=True)
            await self._leave()
        elif asked.exception() is not None:  # it refuses; the pool tells whoever needs it
            await self._leave()
        else:
            if self._db.away:
                log.info("database_back")
            self._db.came_back()

    async def _ask(self) -> None:
        if self._own is None:
            self._own = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
        await self._own.execute("SELECT 1")

    async def _leave(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            await own.close()
