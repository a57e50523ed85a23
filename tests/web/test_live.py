"""The live stream says that something changed, and no more."""

from collections.abc import Iterator

from app.core.errors import StorageUnavailable
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

    return [word async for word in live.stream(mark, is_gone=is_gone, last=last, look_seconds=0)]


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
