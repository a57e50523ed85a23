"""The live stream says that something changed, and no more."""

import asyncio
from collections.abc import Iterator
from itertools import count as count_from

from app.core.errors import StorageUnavailable
from app.kit.wake import Bell
from app.web import live


async def collected(marks: Iterator[object], rounds: int, last: str | None = None) -> list[str]:
    left = iter(range(rounds))

    async def mark() -> object:
        value = next(marks)
        if isinstance(value, Exception):
            raise value
        return value

    async def is_gone() -> bool:
        return next(left, None) is None

    count = count_from(0)

    async def rings(known: int, seconds: float) -> int:
        return next(count)

    told = live.stream(mark, rings, is_gone=is_gone, last=last, pause_seconds=0)
    return [word async for word in told]


async def test_it_speaks_once_per_change() -> None:
    words = await collected(iter([1, 1, 2, 2, 3]), 4)
    assert words == [live.RETRY, live.here(1), live.changed(2), live.changed(3)]


async def test_it_outlives_a_database_that_cannot_be_reached() -> None:
    words = await collected(iter([1, StorageUnavailable(), 1, 2]), 3)
    assert words == [live.RETRY, live.here(1), live.changed(2)]


async def test_who_comes_back_is_told_what_was_missed_and_nothing_else() -> None:
    known = live.identity((3, 4))
    assert known == live.identity((3, 4))
    assert await collected(iter([(3, 4)]), 0, known) == [live.RETRY, live.here((3, 4))]
    assert await collected(iter([(3, 5)]), 0, known) == [live.RETRY, live.changed((3, 5))]


async def test_it_looks_at_the_database_only_when_the_bell_was_rung() -> None:
    bell = Bell()
    looks = iter(range(100))
    rounds = iter((False, True, False, False, None))

    async def mark() -> object:
        return next(looks)

    async def is_gone() -> bool:
        ring = next(rounds)
        if ring:
            bell.ring()
        return ring is None

    told = [
        word async for word in live.stream(mark, quickly(bell), is_gone=is_gone, pause_seconds=0)
    ]
    assert told == [live.RETRY, live.here(0), live.changed(1)]


def quickly(bell: Bell) -> live.Rings:
    """The bell without the wait."""

    async def rings(known: int, seconds: float) -> int:
        return await bell.beyond(known, 0)

    return rings


async def test_every_listener_hears_every_ring() -> None:
    bell = Bell()
    listening = [asyncio.create_task(bell.beyond(0, 10)) for _ in range(3)]
    await asyncio.sleep(0)
    bell.ring()
    assert await asyncio.gather(*listening) == [1, 1, 1]
    assert await bell.beyond(0, 10) == 1
