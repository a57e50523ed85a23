"""A database on one thread and lives that end at any await, so that a seed replays to the byte.

In the product a replica is cut by SIGKILL anywhere; what can be seen of that from outside is where
it stood between two effects: before or after a commit, before a request or before its answer. Those
are the points of a life here. ``mirror_kills`` does the same with processes and SIGKILL.
"""

import asyncio
import random
from typing import Any

import httpx
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool
from sqlmodel import SQLModel

import app.store.tables  # noqa: F401 - the tables register themselves with the metadata
from app.kit import ids
from app.store.engine import Database, Fenced, T, Work, _begin_sqlite


class Killed(Exception):  # noqa: N818 - what happens to a process
    """The replica dies at this point."""


class Inline(Database):
    """A SQLite database in memory whose units run at once, on the thread that asks."""

    def __init__(self) -> None:
        super().__init__("sqlite://")
        SQLModel.metadata.create_all(self.engine)

    def clear(self) -> None:
        """Forget everything; what was compiled for the statements stays."""

        def unit(c: Connection) -> None:
            for table in reversed(SQLModel.metadata.sorted_tables):
                c.execute(table.delete())

        self.write_now(unit)

    def _create(self) -> Engine:
        engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    async def read(self, work: Work[T]) -> T:
        return self.read_now(work)

    async def write(self, work: Work[T]) -> T:
        return self.write_now(work)

    def write_now(self, work: Work[T]) -> T:
        return self._transact(work)


def _prepare(connection: Any, _: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")


class Life:
    """One life of a replica. ``left`` is how many points it still passes; None: it goes on."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.left: int | None = None

    async def point(self, _: object = None) -> None:
        """Between two effects others may have their turn, and here a life may end.

        Raises:
            Killed: it has ended; nothing of it gets past a point any more.
        """
        if self._chance.random() < 0.5:
            await asyncio.sleep(0)
        if self.left is not None:
            if self.left <= 0:
                raise Killed
            self.left -= 1

    async def request(self, _: httpx.Request) -> None:
        """A request, or its answer, is such a point."""
        await self.point()


class Mortal(Fenced):
    """The same database, as one life sees it: it may end before a unit, or after its commit."""

    def __init__(self, inner: Database, life: Life) -> None:
        super().__init__(inner, lambda _: None)
        self._life = life

    async def read(self, work: Work[T]) -> T:
        await self._life.point()
        return await self._inner.read(work)

    async def write(self, work: Work[T]) -> T:
        await self._life.point()
        result = await self._inner.write(work)
        await self._life.point()
        return result


NUMBERS = [f"{number:016x}" for number in range(20_000, 0, -1)]  # more than a run needs


def number_ids() -> None:
    """Let ids be made in their order, so that what is sorted by id does not depend on chance."""
    ids._drawn[:] = NUMBERS
