"""Every n-th call of the database fails once: what is acknowledged stands, and all comes out alike.

In the gate every few calls of a short story; ``CHAOS_CALLS=1`` takes each of them.
"""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel

from app.core.errors import StorageUnavailable
from app.core.signal import Signal
from app.store import intake, states
from app.store.engine import Database
from tests.core.play import at
from tests.flow.tale import TENANT, Tale, signals

EVERY = int(os.environ.get("CHAOS_CALLS", "17"))
MINUTES = 3
FROM = at("06:05")
TRIES = 3  # one call fails, so the second try is well
STORY = [
    s for s in signals() if FROM < s.received_at <= FROM + timedelta(minutes=MINUTES)
]  # fmt: skip


@dataclass(eq=False)
class Calls:
    """Counts the calls of a database, and lets one of them fail."""

    bad: int = 0
    made: int = 0

    def __call__(self, *_: Any) -> None:
        self.made += 1
        if self.made == self.bad:
            raise OperationalError("a call", {}, OSError("I/O error"))


@contextmanager
def watched(db: Database, bad: int) -> Iterator[Calls]:
    calls = Calls(bad)
    for name in ("before_cursor_execute", "commit"):
        event.listen(db.engine, name, calls)
    yield calls
    for name in ("before_cursor_execute", "commit"):
        event.remove(db.engine, name, calls)


async def insist(tale: Tale, do: Callable[[], Awaitable[Any]], *, anew: bool) -> Any:
    """Do it again when the database could not; ``anew`` as a process that began again."""
    for _ in range(TRIES):
        try:
            return await do()
        except StorageUnavailable:
            if anew:
                tale.restart()
    raise AssertionError("it failed again although the database is well")


def due_at(now: datetime) -> list[Signal]:
    return [s for s in STORY if timedelta(0) <= now - s.received_at < timedelta(minutes=1)]


async def told(db: Database, bad: int) -> tuple[list[Any], int]:
    """What the story left behind, and how many calls it took."""
    tale = Tale(db)
    with watched(db, bad) as calls:
        tale.clock.at = FROM
        for minute in range(MINUTES):
            tale.clock.at = FROM + timedelta(minutes=minute + 1)
            due = due_at(tale.clock.at)
            await insist(tale, lambda due=due: tale.take(due), anew=bool(bad % 2))
            await insist(tale, tale.settle, anew=bool(bad % 2))
    records = db.read_now(lambda c: intake.after(c, TENANT, 0, 0, 1000))
    left = [
        [e.body for e in tale.events()],
        tale.incidents(),
        sorted(s.id for r in records for s in r.signals),
        db.read_now(lambda c: states.checkpoint(c, TENANT).sequence),
    ]
    assert calls.bad == 0 or calls.made > calls.bad
    return left, calls.made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[], Database]]:
    empty, made = tmp_path / "empty.db", list[Database]()
    first = Database(f"sqlite:///{empty}")
    SQLModel.metadata.create_all(first.engine)
    first.close()

    def make() -> Database:
        place = tmp_path / f"{len(made)}.db"
        copyfile(empty, place)
        made.append(Database(f"sqlite:///{place}"))
        return made[-1]

    yield make
    for db in made:
        db.close()


async def test_a_call_that_fails_changes_nothing_of_what_comes_out(
    fresh: Callable[[], Database],
) -> None:
    calm, calls = await told(fresh(), 0)
    assert len(calm[0]) >= 1
    assert calls > 30, calls
    print(f"{calls} calls")
    for bad in range(1, calls + 1, EVERY):
        left, _ = await told(fresh(), bad)
        assert left == calm, f"call {bad} of {calls}"
