"""The schedule of a tenant's checks: when each runs and whether its place was sound."""

import asyncio
import hashlib
import logging
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias

from app.core.desync import Refusals, derive
from app.core.errors import AppError
from app.core.ports import ProbeCheck
from app.core.signal import ProbeResult
from app.core.types import Outcome, SelfCheck, TenantId
from app.kit.clock import Clock

log = logging.getLogger(__name__)

SOURCE = "probe:runner"
FLUSH_SECONDS = 1.0  # real seconds between two appends to the intake log
BATCH = 1_000  # results of one append
KEPT = 20_000  # results that wait while nothing can be stored; older ones are lost, thus unknown
CONCURRENCY = 1_000  # runs at once: 2,000 checks a minute, all of them hanging for their 15 s
SPREAD = 0.1  # of the interval, to either side of the slot: two runs are 0.8 to 1.2 intervals apart
RECENT = timedelta(seconds=5)  # a verdict on a place so young is taken again
NAP_SECONDS = 60.0  # longest real sleep, so that a step of the clock is noticed
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Record = Callable[[Sequence[ProbeResult]], Awaitable["Known"]]
Heartbeat = Callable[[datetime], Awaitable[None]]


class Past(Protocol):
    """What is known of a check from before."""

    @property
    def reached(self) -> bool:
        """Whether it was ever well at its location."""

    @property
    def learned(self) -> Mapping[str, tuple[str, ...]] | None:
        """Its healthy signature, once learned."""

    @property
    def usual_ms(self) -> float | None:
        """How long its answers usually take at this hour, once learned."""


Known: TypeAlias = Mapping[tuple[str, str], Past]


class ScheduledCheck(ProbeCheck, Protocol):
    """A check that may be the one that decides whether its location is sound."""

    control: bool

    def remember(
        self,
        *,
        reached: bool,
        learned: Mapping[str, tuple[str, ...]] | None,
        usual_ms: float | None,
    ) -> None:
        """Be told what is known from before."""
        ...


class ResultIntake(Protocol):
    """Where results become durable; ``flow.ingest.Intake`` is one."""

    async def append_probe_results(
        self, tenant: TenantId, signals: Sequence[ProbeResult], *, source: str, now: datetime
    ) -> object:
        """Append results; returns after the commit."""
        ...


@dataclass(slots=True)
class _Place:
    """One location: the verdict of its control checks, and when that was measured."""

    controls: tuple[ScheduledCheck, ...]
    interval: timedelta
    sound: bool | None = None
    measured_at: datetime = EPOCH
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: asyncio.Task[None] | None = None
    refusals: Refusals = field(default_factory=Refusals)


def offset_of(check: str, location: str, interval: timedelta) -> timedelta:
    """Where in its interval a check runs: spread by name, the same after every restart."""
    digest = hashlib.blake2b(f"{check}\x00{location}".encode(), digest_size=8).digest()
    return interval * (int.from_bytes(digest) / 2**64)


class ProbeSchedule:
    """Runs all checks of one tenant and hands their results to the intake log.

    A failure counts only with a verdict on its place that is at least as young as the failure: the
    control check is run again before such a result is stored, so that a network that has just
    broken is not taken for a broken service. A run that is missed stays missing, which is unknown.
    """

    def __init__(
        self,
        tenant: TenantId,
        checks: Sequence[ScheduledCheck],
        *,
        intake: ResultIntake,
        record: Record,
        heartbeat: Heartbeat,
        clock: Clock,
        jitter: Callable[[], float],
        pace: float = 1.0,
        concurrency: int = CONCURRENCY,
    ) -> None:
        """Plan the checks.

        Args:
            tenant: Whose checks they are.
            checks: All checks, control checks among them.
            intake: Takes the results, each second of real time.
            record: Told the results that were stored, oldest first; keeps what is known per
                check and gives it back. Called with none at the start.
            heartbeat: Told when results were last stored: the freshness of the source.
            clock: Story time.
            jitter: Draws from 0 to 1.
            pace: Story seconds per real second.
            concurrency: Most runs at once.
        """
        self._tenant = tenant
        self._all = {(check.name, check.location): check for check in checks}
        self._checks = [check for check in checks if not check.control]
        self._places = _places(checks)
        self._intake = intake
        self._record = record
        self._heartbeat = heartbeat
        self._clock = clock
        self._jitter = jitter
        self._pace = pace
        self._bound = asyncio.Semaphore(concurrency)
        self._outbox: list[ProbeResult] = []
        self.interval = min((check.interval for check in checks), default=timedelta(seconds=60))

    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop; what was measured is stored before it returns."""
        lanes: list[asyncio.Task[None]] = []
        self._remind(await self._record([]))
        try:
            async with asyncio.TaskGroup() as group:
                lanes += [
                    group.create_task(self._control(place))
                    for place in self._places.values()
                    if place.controls
                ]
                lanes += [group.create_task(self._repeat(check)) for check in self._checks]
                group.create_task(self._flush_until(stop))
                await stop.wait()
                for lane in lanes:
                    lane.cancel()
        finally:
            under_way = [p.under_way for p in self._places.values() if p.under_way is not None]
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            await self.flush()

    async def _repeat(self, check: ScheduledCheck) -> None:
        """One check, slot after slot; a run that lasts longer than its slot skips the next."""
        place = self._places[check.location]
        for due in self._slots(
            offset_of(check.name, check.location, check.interval), check.interval
        ):
            await self._sleep_until(due)
            if place.controls:
                await place.decided.wait()
            async with self._bound:
                result = await self._measure(check, location_sound=place.sound)
            if result is not None:
                self._take(place, await self._with_verdict(place, result))

    def _take(self, place: _Place, result: ProbeResult) -> None:
        """Keep a result for the next flush, and what it says together with those before it."""
        place.refusals, derived = derive(place.refusals, result)
        self._outbox += [result] if derived is None else [result, derived]

    async def _control(self, place: _Place) -> None:
        """The control checks of one place: at once, then as often as its most frequent check."""
        await self._settle(place)
        for due in self._slots(self._clock.now() - EPOCH, place.interval):
            await self._sleep_until(due)
            if self._clock.now() - place.measured_at > place.interval / 2:
                await self._settle(place)

    def _slots(self, offset: timedelta, interval: timedelta) -> Iterator[datetime]:
        """Instants to run at, without end: one per slot; slots that have passed are left out."""
        number = math.ceil((self._clock.now() - EPOCH - offset) / interval)
        while True:
            draw = 2 * self._jitter() - 1
            yield EPOCH + offset + interval * (number + SPREAD * draw)
            passed = math.ceil((self._clock.now() - EPOCH - offset) / interval)
            number = max(number + 1, passed)

    async def _sleep_until(self, due: datetime) -> None:
        while (left := (due - self._clock.now()).total_seconds()) > 0:  # noqa: ASYNC110 - only time
            await asyncio.sleep(min(left / self._pace, NAP_SECONDS))

    async def _measure(
        self, check: ScheduledCheck, *, location_sound: bool | None
    ) -> ProbeResult | None:
        """Run one check; a bug in it must not end the others, and its result stays unknown."""
        run = check.run(now=self._clock.now(), location_sound=location_sound)
        (met,) = await asyncio.gather(run, return_exceptions=True)
        if isinstance(met, BaseException):
            facts = {"tenant": self._tenant, "probe": check.name, "location": check.location}
            log.error("probe_broken", extra=facts, exc_info=met)
            return None
        return met

    async def _with_verdict(self, place: _Place, result: ProbeResult) -> ProbeResult:
        """Ask the control check again where the result and the verdict could be of two times."""
        is_doubtful = result.outcome is not Outcome.OK or place.sound is False
        if not place.controls or not is_doubtful or _has_own_fault(result):
            return result
        if place.measured_at < min(result.occurred_at, self._clock.now() - RECENT):
            await self._settle(place)
        return replace(result, self_check=_self_check(place.sound))

    async def _settle(self, place: _Place) -> None:
        """Measure a place anew; whoever asks meanwhile waits for the same measurement."""
        if place.under_way is None or place.under_way.done():
            place.under_way = asyncio.create_task(self._judge(place))
        await asyncio.shield(place.under_way)

    async def _judge(self, place: _Place) -> None:
        measured_at = self._clock.now()
        met = await asyncio.gather(
            *(self._measure(check, location_sound=None) for check in place.controls)
        )
        results = [result for result in met if result is not None]
        outcomes = {result.outcome for result in results}
        if outcomes & {Outcome.OK, Outcome.DEGRADED}:
            place.sound = True
        else:
            place.sound = False if Outcome.FAILED in outcomes else None
        place.measured_at = measured_at
        place.decided.set()
        self._outbox += results

    async def _flush_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await stop.wait()
            except TimeoutError:
                await self.flush()

    async def flush(self) -> None:
        """Store what was measured; what cannot be stored now waits for the next time."""
        while self._outbox:
            taken, self._outbox = self._outbox[:BATCH], self._outbox[BATCH:]
            now = self._clock.now()
            batch = [replace(result, received_at=max(now, result.occurred_at)) for result in taken]
            try:
                await self._intake.append_probe_results(self._tenant, batch, source=SOURCE, now=now)
            except AppError as error:
                self._outbox = (taken + self._outbox)[-KEPT:]
                facts = {"tenant": self._tenant, "waiting": len(self._outbox), "why": error.title}
                log.warning("probe_results_wait", extra=facts)
                return
            self._remind(await self._record(batch))
            await self._heartbeat(now)

    def _remind(self, known: Known) -> None:
        for key, past in known.items():
            check = self._all.get(key)
            if check is not None:
                check.remember(reached=past.reached, learned=past.learned, usual_ms=past.usual_ms)


def _places(checks: Sequence[ScheduledCheck]) -> dict[str, _Place]:
    names = sorted({check.location for check in checks})
    return {
        name: _Place(
            controls=tuple(c for c in checks if c.control and c.location == name),
            interval=min(c.interval for c in checks if c.location == name),
        )
        for name in names
    }


def _has_own_fault(result: ProbeResult) -> bool:
    """Whether the check itself found that the fault is ours, whatever its place is like."""
    return bool(result.diagnostics) and "fault" in (result.diagnostics or {})


def _self_check(sound: bool | None) -> SelfCheck:  # noqa: FBT001 - the one thing it is about
    if sound is None:
        return SelfCheck.NONE
    return SelfCheck.OK if sound else SelfCheck.FAILED
