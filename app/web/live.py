"""The live stream of the console: it only says that something changed; the page reads again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from app.core.errors import StorageUnavailable

LOOK_SECONDS = 1.5  # how often we look, and so the least time between two words
KEEP_ALIVE_SECONDS = 15.0  # proxies close a stream that is silent for longer
REFRESH_SECONDS = 30.0  # so that ages on the page do not grow old themselves
RETRY = "retry: 3000\n\n"
CHANGED = "event: changed\ndata: {}\n\n"

Mark = Callable[[], Awaitable[object]]


async def stream(
    mark: Mark,
    *,
    is_gone: Callable[[], Awaitable[bool]],
    look_seconds: float = LOOK_SECONDS,
) -> AsyncIterator[str]:
    """Yield server-sent events: ``changed`` whenever ``mark`` gives another value.

    Args:
        mark: reads a value that differs when anything shown may have changed.
        is_gone: whether the reader has left.
        look_seconds: pause between two looks.
    """
    yield RETRY
    known = await _look(mark, None)
    spoken = silent = 0.0
    while not await is_gone():
        await asyncio.sleep(look_seconds)
        spoken += look_seconds
        silent += look_seconds
        seen = await _look(mark, known)
        if seen != known or spoken >= REFRESH_SECONDS:
            known = seen
            spoken = silent = 0.0
            yield CHANGED
        elif silent >= KEEP_ALIVE_SECONDS:
            silent = 0.0
            yield ": here\n\n"


async def _look(mark: Mark, known: object) -> object:
    try:
        return await mark()
    except StorageUnavailable:
        return known  # the page says so itself when it reads again
