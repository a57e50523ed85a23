"""The live stream of the console: it only says that something changed; the page reads again."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from app.core.errors import StorageUnavailable
from app.kit.wake import Bell

PAUSE_SECONDS = 1.0  # the least time between two words, so that a storm is told of once
SLICE_SECONDS = 1.0  # how soon it is seen that a reader has left
KEEP_ALIVE_SECONDS = 15.0  # proxies close a stream that is silent for longer
REFRESH_SECONDS = 30.0  # so that ages on the page do not grow old themselves
RETRY = "retry: 3000\n\n"

Mark = Callable[[], Awaitable[object]]
Rings = Callable[[int, float], Awaitable[int]]


class BellsLike(Protocol):
    """The bells, as far as the live pages hear them."""

    @property
    def feed(self) -> Bell:
        """Rung when a fold was committed, here or on another replica."""


async def stream(
    mark: Mark,
    rings: Rings,
    *,
    is_gone: Callable[[], Awaitable[bool]],
    last: str | None = None,
    look_seconds: float = KEEP_ALIVE_SECONDS,
    pause_seconds: float = PAUSE_SECONDS,
) -> AsyncIterator[str]:
    """Yield server-sent events: ``changed`` whenever ``mark`` gives another value.

    The bell of the event log says when to look. Each event carries an id that stands for the
    value. A reader that comes back with the last one is told at once if it missed anything, and
    nothing if it did not.

    Args:
        mark: reads a value that differs when anything shown may have changed.
        rings: waits until the bell was rung more often than so, at most so many seconds, and
            gives how often it was.
        is_gone: whether the reader has left.
        last: the id that a reader who comes back was given last.
        look_seconds: a look without a ring, for what rings no bell here.
        pause_seconds: least time between two words.
    """
    clock = asyncio.get_running_loop().time
    heard = await rings(-1, 0)
    yield RETRY
    known = await _look(mark, None)
    yield here(known) if last in {None, identity(known)} else changed(known)
    looked = spoken = said = clock()
    while not await is_gone():
        rung = await rings(heard, min(SLICE_SECONDS, look_seconds))
        woken, heard, now = rung != heard, rung, clock()
        if woken or now - looked >= look_seconds:
            looked = now
            seen = await _look(mark, known)
            if seen != known or now - spoken >= REFRESH_SECONDS:
                known, spoken, said = seen, now, now
                yield changed(known)
                await asyncio.sleep(pause_seconds)
        if now - said >= KEEP_ALIVE_SECONDS:
            said = now
            yield ": here\n\n"


def identity(mark: object) -> str:
    """The id of a value: the same in every process and after every start."""
    return hashlib.sha256(repr(mark).encode()).hexdigest()[:16]


def changed(mark: object) -> str:
    """Say that something changed."""
    return f"id: {identity(mark)}\nevent: changed\ndata: {{}}\n\n"


def here(mark: object) -> str:
    """Say where the stream stands; nothing changed."""
    return f"id: {identity(mark)}\nevent: here\ndata: {{}}\n\n"


async def _look(mark: Mark, known: object) -> object:
    try:
        return await mark()
    except StorageUnavailable:
        return known  # the page says so itself when it reads again
