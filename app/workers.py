"""The loops of one process: each survives a failed step, and all end when told to stop."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Protocol

from app.core.errors import StorageUnavailable
from app.core.pace import TICK
from app.core.types import TenantId
from app.flow.fold import Fold
from app.kit.wake import Bell

log = logging.getLogger(__name__)

LEAST_WAIT = 0.15  # real seconds between folds, so that a storm is folded in gulps
REST = 3.0  # times that a fold took: how long it then leaves the interpreter to a storm's intake
MOST_REST = 2.0  # real seconds that it rests at most
BACKOFF_SECONDS = 2.0  # real seconds after a step that failed
STOP_SECONDS = 25.0  # real seconds that a loop may take to end


Loop = Callable[[asyncio.Event], Awaitable[None]]


class Paced(Protocol):
    """Something that is done again after the time it says."""

    async def step(self) -> timedelta:
        """Do it once and say how long to wait, in time of the story."""
        ...


async def fold_loop(fold: Fold, bell: Bell, stop: asyncio.Event, *, speed: float) -> None:
    """Fold when something came in, and at every tick whoever time alone may tell of."""
    pause = max(TICK.total_seconds() / speed, LEAST_WAIT)
    while not stop.is_set():
        begun = time.monotonic()
        more = await _fold_due(fold, stop)
        if more and not bell.is_rung:
            continue
        wait = LEAST_WAIT
        if bell.is_rung:  # more came in meanwhile, from callers who wait for the same interpreter
            wait = min(max(REST * (time.monotonic() - begun), LEAST_WAIT), MOST_REST, pause)
        await asyncio.sleep(wait)
        await bell.wait(max(pause - wait, 0.01))


async def _fold_due(fold: Fold, stop: asyncio.Event) -> bool:
    """Fold the tenants that are due; True when there may be more."""
    more, tenant = False, TenantId("")
    try:
        for tenant in await fold.due():
            if stop.is_set():
                return False
            try:
                more = await fold.step(tenant) or more
            except StorageUnavailable:
                raise
            except Exception:  # a loop survives its step
                log.exception("fold_failed", extra={"tenant": tenant})
                await asyncio.sleep(BACKOFF_SECONDS)
    except StorageUnavailable:
        log.warning("fold_waits", extra={"tenant": tenant})
        await asyncio.sleep(BACKOFF_SECONDS)
    return more


async def paced_loop(name: str, work: Paced, stop: asyncio.Event, *, speed: float) -> None:
    """Do something again and again, at its own pace."""
    while not stop.is_set():
        try:
            wait = (await work.step()).total_seconds() / speed
        except StorageUnavailable:
            log.warning("step_waits", extra={"loop": name})
            wait = BACKOFF_SECONDS
        except Exception:  # a loop survives its step
            log.exception("step_failed", extra={"loop": name})
            wait = BACKOFF_SECONDS
        try:
            await asyncio.wait_for(stop.wait(), max(wait, 0.05))
        except TimeoutError:
            continue


async def guarded(name: str, run: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Start a loop anew when it dies, until told to stop."""
    while not stop.is_set():
        try:
            await run()
        except Exception:  # a loop survives its step
            log.exception("loop_died", extra={"loop": name})
            await asyncio.sleep(BACKOFF_SECONDS)


class Crew:
    """Loops by name, each told to stop on its own, so that they can come and go."""

    def __init__(self) -> None:
        self._members: dict[str, tuple[asyncio.Event, asyncio.Task[None]]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def start(self, name: str, loop: Loop) -> None:
        """Start a loop; it is started anew when it dies."""
        if name in self._members:
            raise ValueError(name)
        stop = asyncio.Event()
        task = asyncio.create_task(guarded(name, partial(loop, stop), stop), name=name)
        self._members[name] = (stop, task)

    async def end(self, names: Iterable[str] | None = None) -> None:
        """Tell loops to stop, all of them unless named, and wait until they have."""
        chosen = list(self._members) if names is None else list(names)
        ending = [self._members.pop(name) for name in chosen]
        for stop, _ in ending:
            stop.set()
        tasks = {task for _, task in ending}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                log.warning("loop_cancelled", extra={"loop": task.get_name()})
                task.cancel()
