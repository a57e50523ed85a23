"""The live stream of the console: it only says that something changed; the page reads again."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

from app.core.errors import StorageUnavailable

LOOK_SECONDS = 1.5  # how often we look, and so the least time between two words
KEEP_ALIVE_SECONDS = 15.0  # proxies close a stream that is silent for longer
REFRESH_SECONDS = 30.0  # so that ages on the page do not grow old themselves
RETRY = "retry: 3000\n\n"

Mark = Callable[[], Awaitable[object]]


async def stream(
    mark: Mark,
    *,
    is_gone: Callable[[], Awaitable[bool]],
    last: str | None = None,
    look_seconds: float = LOOK_SECONDS,
) -> AsyncIterator[str]:
    """Yield server-sent events: ``changed`` whenever ``mark`` gives another value.

    Each carries an id that stands for the value. A reader that comes back with the last one is
    told at once if it missed anything, and nothing if it did not.

    Args:
        mark: reads a value that differs when anything shown may have changed.
        is_gone: whether the reader has left.
        last: the id that a reader who comes back was given last.
        look_seconds: pause between two looks.
    """
    yield RETRY
    known = await _look(mark, None)
    yield here(known) if last in {None, identity(known)} else changed(known)
    spoken = silent = 0.0
    while not await is_gone():
        await asyncio.sleep(look_seconds)
        spoken += look_seconds
        silent += look_seconds
        seen = await _look(mark, known)
        if seen != known or spoken >= REFRESH_SECONDS:
            known = seen
            spoken = silent = 0.0
            yield changed(known)
        elif silent >= KEEP_ALIVE_SECONDS:
            silent = 0.0
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
