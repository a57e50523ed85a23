"""The loops of one process: each survives a failed step, and all end when told to stop."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Protocol

from app.core.errors import LeaseLost, StorageUnavailable
from app.core.lease import FOLD
from app.core.pace import TICK
from app.core.ports import IncidentPictures
from app.core.types import IncidentId, TenantId
from app.flow.fold import Fold
from app.flow.leases import Lease, Leases
from app.kit.wake import Bell

log = logging.getLogger(__name__)

LEAST_WAIT = 0.15  # real seconds between folds, so that a storm is folded in gulps
REST = 4.0  # times that a fold took: how long it then leaves the interpreter to a storm's intake
MOST_REST = 2.0  # real seconds that it rests at most
BACKOFF_SECONDS = 2.0  # real seconds after a step that failed
STOP_SECONDS = 25.0  # real seconds that a loop may take to end


Loop = Callable[[asyncio.Event], Awaitable[None]]
Starter = Callable[[Lease], Loop]  # makes the loop that does what a lease is for
Mine = Callable[[], Mapping[TenantId, Lease]]  # the tenants that this replica folds
BEATING = "leases"  # the loop that is ended last


class Paced(Protocol):
    """Something that is done again after the time it says."""

    async def step(self) -> timedelta:
        """Do it once and say how long to wait, in time of the story."""
        ...


@dataclass(frozen=True, slots=True)
class Spared:
    """Pictures that fail by themselves: whatever is wrong with one, its message goes out."""

    pictures: IncidentPictures

    async def draw(
        self, tenant: TenantId, incident: IncidentId, form: str, *, outside: bool = False
    ) -> bytes | None:
        """Draw one; see ``core.ports.IncidentPictures``. None also where that fails."""
        try:
            return await self.pictures.draw(tenant, incident, form, outside=outside)
        except StorageUnavailable:  # told of by whoever looks after the database
            log.info("picture_left_out", extra={"incident": str(incident)})
            return None
        except Exception:
            log.exception("picture_failed", extra={"incident": str(incident)})
            return None


async def fold_loop(
    fold: Fold, bell: Bell, stop: asyncio.Event, *, mine: Mine, speed: float
) -> None:
    """Fold when something came in, and at every tick whoever time alone may tell of."""
    pause = max(TICK.total_seconds() / speed, LEAST_WAIT)
    while not stop.is_set():
        begun = time.monotonic()
        more = await _fold_due(fold, mine(), stop)
        if more and not bell.is_rung:
            continue
        wait = LEAST_WAIT
        if bell.is_rung:  # more came in meanwhile, from callers who wait for the same interpreter
            wait = min(max(REST * (time.monotonic() - begun), LEAST_WAIT), MOST_REST, pause)
        await asyncio.sleep(wait)
        await _rung_or_stopped(bell, stop, max(pause - wait, 0.01))


async def _rung_or_stopped(bell: Bell, stop: asyncio.Event, seconds: float) -> None:
    """Wait for a ring, at most so long; not at all once told to stop."""
    ringing = asyncio.create_task(bell.wait(seconds))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({ringing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (ringing, stopping):
        task.cancel()


async def _fold_due(fold: Fold, mine: Mapping[TenantId, Lease], stop: asyncio.Event) -> bool:
    """Fold those of our tenants that are due; True when there may be more."""
    more, tenant = False, TenantId("")
    try:
        for tenant in await fold.due(mine.keys()):
            if stop.is_set():
                return False
            try:
                more = await fold.step(tenant, mine[tenant]) or more
            except StorageUnavailable:
                raise
            except LeaseLost:
                log.info("lease_lost", extra={"lease": mine[tenant].name})
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
        except LeaseLost:  # whoever started this loop will end it
            log.info("lease_lost", extra={"loop": name})
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
        except Exception as error:  # a loop survives its step
            if _is_storage(error):
                log.warning("loop_waits", extra={"loop": name})
            else:
                log.exception("loop_died", extra={"loop": name})
            await asyncio.sleep(BACKOFF_SECONDS)


def _is_storage(error: Exception) -> bool:
    """Whether nothing is wrong but that the database is away."""
    if isinstance(error, ExceptionGroup):
        return error.split(StorageUnavailable)[1] is None
    return isinstance(error, StorageUnavailable)


class Crew:
    """Loops by name, each told to stop on its own, so that they can come and go."""

    def __init__(self) -> None:
        self._members: dict[str, tuple[asyncio.Event, asyncio.Task[None]]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

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
        # Whoever stops all of them may have been faster than a lease that was lost meanwhile.
        ending = [self._members.pop(name) for name in chosen if name in self._members]
        for stop, _ in ending:
            stop.set()
        tasks = {task for _, task in ending}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                log.warning("loop_cancelled", extra={"loop": task.get_name()})
                task.cancel()


class Shifts:
    """Runs those loops of a crew whose leases are ours, and gives the others up."""

    def __init__(self, crew: Crew, leases: Leases, wake: Callable[[], None] = lambda: None) -> None:
        self._crew = crew
        self._leases = leases
        self._wake = wake
        self._wanted: dict[str, Starter | None] = {}
        self._running: dict[str, int] = {}  # tokens by name
        self._ending: set[asyncio.Task[None]] = set()

    def want(self, work: Mapping[str, Starter | None]) -> None:
        """Add work to be done by some replica; without a starter its lease alone matters."""
        self._wanted |= work

    async def drop(self, names: Iterable[str]) -> None:
        """End work that is wanted no more, and give its leases back."""
        gone = [name for name in names if name in self._wanted]
        for name in gone:
            del self._wanted[name]
        await self._hand_over(gone)

    async def settle(self) -> None:
        """Look what is ours now: start what came, end what went without waiting for its end."""
        before = set(self._leases.held)
        above = await self._leases.tend(self._wanted)
        held = {lease.name: lease for lease in self._leases.held}
        if set(held.values()) - before:
            self._wake()
        lost = {n for n, token in self._running.items()
                if n not in held or held[n].token != token}  # fmt: skip
        if lost or above:
            task = asyncio.create_task(self._hand_over(lost | set(above), give=above))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            await asyncio.sleep(0)  # what has ended can be started under its new lease
        for name, lease in held.items():
            starter = self._wanted.get(name)
            if name not in self._running and starter is not None:
                self._running[name] = lease.token
                self._crew.start(name, starter(lease))

    async def _hand_over(self, names: Iterable[str], give: Iterable[str] | None = None) -> None:
        gone = list(names)
        running = [name for name in gone if self._running.pop(name, None) is not None]
        await self._crew.end(running)
        await self._leases.give(gone if give is None else list(give))

    async def run(self, stop: asyncio.Event) -> None:
        """Settle again and again, until told to stop."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(self._leases.rhythm.every.total_seconds()):
                    await stop.wait()
            except TimeoutError:
                await self.settle()

    async def leave(self) -> None:
        """Give everything back when all loops have ended."""
        await asyncio.gather(*self._ending)
        await self._leases.leave()

    def folded(self) -> Mapping[TenantId, Lease]:
        """The tenants whose fold is ours; one loop folds them all, so it has no starter."""
        mark = f"{FOLD}:"
        return {
            TenantId(lease.name.removeprefix(mark)): lease
            for lease in self._leases.held
            if lease.name.startswith(mark)
        }
