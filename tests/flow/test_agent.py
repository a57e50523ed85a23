"""An agent's results are durable before they are sent, sent in order, and deleted when taken."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from app.core.ports import Posted, PostVerdict
from app.core.types import TenantId
from app.flow.agent import BATCH, IDLE_SECONDS, WAITS, Courier, Spool
from app.kit.wake import Bell
from app.store import spool
from app.store.engine import Database
from tests.builders import NOW, a_probe_result, minutes

AGENT = TenantId("agent")
TAKEN, LATER = Posted(verdict=PostVerdict.TAKEN), Posted(verdict=PostVerdict.LATER)


@dataclass
class Upstream:
    """Says what it is told to, and remembers what it was given."""

    verdicts: list[Posted] = field(default_factory=list)
    given: list[list[bytes]] = field(default_factory=list)

    async def post(self, lines: Sequence[bytes]) -> Posted:
        self.given.append(list(lines))
        return self.verdicts.pop(0) if self.verdicts else TAKEN


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    db = Database(f"sqlite:///{tmp_path / 'spool.db'}")
    await db.write(spool.prepare)
    yield db
    db.close()


async def filled(db: Database, count: int, *, most: int = 10_000) -> Spool:
    kept = Spool(db, encode=lambda r: r.occurred_at.isoformat().encode(), bell=Bell(), most=most)
    results = [a_probe_result(at=NOW + minutes(n)) for n in range(count)]
    for start in range(0, count, 100):
        some = results[start : start + 100]
        await kept.append_probe_results(AGENT, some, source="probe:runner", now=NOW)
    return kept


def courier(db: Database, upstream: Upstream, *, draw: float = 0.5) -> Courier:
    return Courier(db, upstream, bell=Bell(), jitter=lambda: draw)


async def waiting(db: Database) -> int:
    return await db.read(spool.waiting)


async def test_results_go_oldest_first_and_are_deleted_when_taken(file: Database) -> None:
    await filled(file, BATCH + 20)
    upstream = Upstream()
    working = courier(file, upstream)
    waits = [await working.step() for _ in range(3)]
    assert waits == [0.0, 0.0, IDLE_SECONDS]
    assert [len(lines) for lines in upstream.given] == [BATCH, 20]
    lines = [line for some in upstream.given for line in some]
    assert lines == sorted(lines)
    assert await waiting(file) == 0


async def test_nothing_is_deleted_before_it_was_taken(file: Database) -> None:
    await filled(file, 3)
    upstream = Upstream([LATER, LATER, LATER])
    working = courier(file, upstream)
    assert [await working.step() for _ in range(4)] == [*WAITS[:3], 0.0]
    assert upstream.given == [upstream.given[0]] * 4
    assert await waiting(file) == 0


async def test_waits_grow_to_a_minute_are_spread_and_heed_what_was_asked(file: Database) -> None:
    await filled(file, 1)
    asked = Posted(verdict=PostVerdict.LATER, retry_after=timedelta(seconds=90))
    upstream = Upstream([LATER] * 9 + [asked])
    early, late = courier(file, upstream, draw=0.0), courier(file, upstream, draw=1.0)
    assert [await early.step() for _ in range(8)][-2:] == [48.0, 48.0]
    assert await late.step() == 1.2
    assert await late.step() == 90.0


async def test_what_is_refused_as_a_whole_does_not_block_the_rest(file: Database) -> None:
    await filled(file, BATCH + 1)
    upstream = Upstream([Posted(verdict=PostVerdict.UNREADABLE)])
    working = courier(file, upstream)
    assert [await working.step() for _ in range(2)] == [0.0, 0.0]
    assert (await waiting(file), len(upstream.given[1])) == (0, 1)


async def test_a_batch_that_is_too_large_is_halved(file: Database) -> None:
    await filled(file, 8)
    large = Posted(verdict=PostVerdict.TOO_LARGE)
    upstream = Upstream([large] * 10)
    working = courier(file, upstream)
    while await waiting(file) == 8:
        await working.step()
    sizes = [len(lines) for lines in upstream.given]
    assert sizes[-1] == 1  # one that is too large by itself is given up
    assert sizes == sorted(sizes, reverse=True)
    while await waiting(file):
        await working.step()
    assert len(upstream.given[len(sizes)]) == 1


async def test_a_full_spool_gives_up_the_oldest(file: Database) -> None:
    await filled(file, 300, most=120)
    left = await file.read(lambda c: spool.oldest(c, 1000))
    assert len(left) == 120
    assert left[0].line == (NOW + minutes(180)).isoformat().encode()


async def test_a_new_result_ends_the_idling(file: Database) -> None:
    bell, stop, upstream = Bell(), asyncio.Event(), Upstream()
    working = Courier(file, upstream, bell=bell, jitter=lambda: 0.5)
    task = asyncio.create_task(working.run(stop))
    kept = Spool(file, encode=lambda r: r.id.encode(), bell=bell, most=10)
    async with asyncio.timeout(3):
        while not upstream.given:
            await kept.append_probe_results(AGENT, [a_probe_result()], source="p", now=NOW)
            await asyncio.sleep(0.02)
        stop.set()
        await task
