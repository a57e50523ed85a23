"""Checks run when they should, and a broken place is not taken for a broken service."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice, pairwise

import pytest

from app.core.errors import StorageUnavailable
from app.core.signal import ProbeResult
from app.core.types import Outcome, SelfCheck, SignalId
from app.flow.probe import SOURCE, ProbeSchedule, offset_of
from app.kit.clock import FixedClock, ScaledClock
from app.store.probes import Remembered
from tests.builders import NOW, TENANT, a_probe_result

PACE = 2_000.0  # story seconds per real second
TOKEN = {"token": "issued"}
Verdict = Callable[[datetime], Outcome]


def always(outcome: Outcome) -> Verdict:
    return lambda _now: outcome


WELL = always(Outcome.OK)


@dataclass
class Check:
    """A check that says what it is told to."""

    name: str = "owa"
    location: str = "berlin"
    interval: timedelta = timedelta(seconds=60)
    control: bool = False
    verdict: Verdict = WELL
    seconds: float = 0.0
    runs: list[datetime] = field(default_factory=list)
    told: list[bool | None] = field(default_factory=list)
    fault: str | None = None
    token: bool = False
    known: list[tuple[bool, object]] = field(default_factory=list)

    def remember(
        self,
        *,
        reached: bool,
        learned: Mapping[str, tuple[str, ...]] | None,
        usual_ms: float | None,
    ) -> None:
        self.known.append((reached, learned))

    async def run(self, *, now: datetime, location_sound: bool | None) -> ProbeResult:
        self.runs.append(now)
        self.told.append(location_sound)
        await asyncio.sleep(self.seconds)
        outcome = self.verdict(now)
        sound = outcome is Outcome.OK if self.control else location_sound
        word = {True: SelfCheck.OK, False: SelfCheck.FAILED, None: SelfCheck.NONE}[sound]
        return a_probe_result(
            id=SignalId(f"{self.name}-{self.location}-{now.isoformat()}"), probe=self.name,
            location=self.location, at=now, outcome=outcome,
            self_check=SelfCheck.FAILED if self.fault else word,
            diagnostics={"fault": self.fault} if self.fault else TOKEN if self.token else None,
        )  # fmt: skip


@dataclass
class Log:
    """An intake that remembers, and refuses while it is told to."""

    stored: list[ProbeResult] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    recorded: list[ProbeResult] = field(default_factory=list)
    beats: list[datetime] = field(default_factory=list)
    refuses: bool = False

    async def append_probe_results(
        self, tenant: str, signals: Sequence[ProbeResult], *, source: str, now: datetime
    ) -> None:
        assert (tenant, source) == (TENANT, SOURCE)
        if self.refuses:
            raise StorageUnavailable
        self.stored += signals
        self.batches.append(len(signals))

    async def record(self, results: Sequence[ProbeResult]) -> dict[tuple[str, str], Remembered]:
        self.recorded += results
        return {(r.probe, r.location): Remembered(reached=True) for r in results}

    async def beat(self, at: datetime) -> None:
        self.beats.append(at)

    def of(self, probe: str) -> list[ProbeResult]:
        return [result for result in self.stored if result.probe == probe]


@asynccontextmanager
async def running(log: Log, *checks: Check, jitter: Callable[[], float] = lambda: 0.5, **changes):
    clock = ScaledClock(start=NOW, speed=PACE)
    schedule = ProbeSchedule(
        TENANT, checks, intake=log, record=log.record, heartbeat=log.beat, clock=clock,
        jitter=jitter, pace=PACE, **changes,
    )  # fmt: skip
    stop = asyncio.Event()
    task = asyncio.create_task(schedule.run(stop))
    yield schedule
    stop.set()
    await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - watches what has no event
            await asyncio.sleep(0.002)


def test_a_check_runs_once_per_interval_around_its_offset() -> None:
    draws = iter([0.0, 1.0] * 100)
    schedule = ProbeSchedule(
        TENANT, [], intake=Log(), record=Log().record, heartbeat=Log().beat,
        clock=FixedClock(NOW), jitter=lambda: next(draws),
    )  # fmt: skip
    offset, minute = timedelta(seconds=7), timedelta(seconds=60)
    slots = list(islice(schedule._slots(offset, minute), 4))
    seconds = [(slot - NOW - offset).total_seconds() for slot in slots]
    assert seconds == pytest.approx([-6, 66, 114, 186])  # gaps from 48 to 72 s


def test_offsets_are_spread_over_the_interval_and_stay() -> None:
    minute = timedelta(seconds=60)
    offsets = sorted(offset_of(f"check-{n}", "berlin", minute) for n in range(200))
    assert all(timedelta(0) <= offset < minute for offset in offsets)
    assert max(b - a for a, b in pairwise(offsets)) < timedelta(seconds=4)
    assert offset_of("a", "x", minute) == offset_of("a", "x", minute) != offset_of("a", "y", minute)


async def test_results_are_stored_recorded_and_told_to_the_freshness() -> None:
    check, log = Check(), Log()
    async with running(log, check):
        await until(lambda: len(check.runs) >= 3)
    assert len(log.stored) >= 3
    assert [r.id for r in log.recorded] == [r.id for r in log.stored]
    assert log.beats
    assert all(r.received_at >= r.occurred_at for r in log.stored)
    assert {r.self_check for r in log.stored} == {SelfCheck.NONE}


async def test_the_control_check_comes_first_and_as_often_as_the_others() -> None:
    control = Check(name="control", control=True, interval=timedelta(hours=1), seconds=0.02)
    check, log = Check(interval=timedelta(seconds=30)), Log()
    async with running(log, control, check):
        await until(lambda: len(check.runs) >= 8)
    assert control.runs[0] < check.runs[0]
    assert set(check.told) == {True}
    assert len(control.runs) >= 3


async def test_checks_of_an_unsound_place_abstain_and_others_do_not() -> None:
    broken = always(Outcome.FAILED)
    checks = [
        Check(name="control", control=True, verdict=broken),
        Check(verdict=broken),
        Check(name="control", location="paris", control=True),
        Check(name="other", location="paris", verdict=broken),
    ]
    log = Log()
    async with running(log, *checks):
        await until(lambda: all(len(check.runs) >= 3 for check in checks))
    assert {r.self_check for r in log.of("owa")} == {SelfCheck.FAILED}
    assert {r.self_check for r in log.of("other")} == {SelfCheck.OK}


async def test_a_place_that_breaks_between_two_control_checks_is_noticed_at_once() -> None:
    breaks_at = NOW + timedelta(minutes=5)

    def verdict(now: datetime) -> Outcome:
        return Outcome.OK if now < breaks_at else Outcome.FAILED

    # Checked far more often than its control check would be by itself.
    hourly = timedelta(hours=1)
    control = Check(name="control", control=True, verdict=verdict, interval=hourly)
    check, log = Check(verdict=verdict, interval=hourly), Log()
    clock = FixedClock(breaks_at + timedelta(minutes=1))
    schedule = ProbeSchedule(
        TENANT, [control, check], intake=log, record=log.record, heartbeat=log.beat, clock=clock,
        jitter=lambda: 0.5,
    )  # fmt: skip
    place = schedule._places["berlin"]
    place.sound, place.measured_at = True, NOW
    seen = replace(await check.run(now=clock.now(), location_sound=True))
    assert seen.self_check is SelfCheck.OK
    assert (await schedule._with_verdict(place, seen)).self_check is SelfCheck.FAILED
    assert len(control.runs) == 1
    await schedule._with_verdict(place, seen)  # the verdict is young enough now
    assert len(control.runs) == 1


async def test_a_fault_of_ours_weighs_nothing_however_sound_the_place_is() -> None:
    checks = [
        Check(name="control", control=True),
        Check(verdict=always(Outcome.UNKNOWN), fault="credential"),
    ]
    log = Log()
    async with running(log, *checks):
        await until(lambda: len(checks[1].runs) >= 3)
    assert {r.self_check for r in log.of("owa")} == {SelfCheck.FAILED}
    assert {r.self_check for r in log.of("control")} == {SelfCheck.OK}


async def test_a_mailbox_that_refuses_fresh_tokens_is_told_as_a_signal_of_its_own() -> None:
    heals_at = NOW + timedelta(minutes=6)

    def verdict(now: datetime) -> Outcome:
        return Outcome.FAILED if now < heals_at else Outcome.OK

    mailbox, log = Check(name="mailbox", verdict=verdict, token=True), Log()
    async with running(log, Check(name="control", control=True), mailbox):
        await until(lambda: len(mailbox.runs) >= 9)
    derived = log.of("auth-mailbox-desync")
    failed = sum(1 for at in mailbox.runs if at < heals_at)
    told = [result.outcome for result in derived]
    assert told[: failed - 1] == [Outcome.FAILED] * (failed - 1)  # not at the first refusal
    assert set(told[failed - 1 :]) == {Outcome.OK}
    assert {result.self_check for result in derived} == {SelfCheck.OK}


async def test_a_check_is_told_what_is_known_of_it() -> None:
    check, log = Check(), Log()
    async with running(log, check) as schedule:
        await until(lambda: bool(check.runs))
        await schedule.flush()
        assert check.known[-1] == (True, None)


async def test_a_place_that_has_healed_speaks_again_at_once() -> None:
    control = Check(name="control", control=True)
    log = Log()
    schedule = ProbeSchedule(
        TENANT, [control, Check()], intake=log, record=log.record, heartbeat=log.beat,
        clock=FixedClock(NOW), jitter=lambda: 0.5,
    )  # fmt: skip
    place = schedule._places["berlin"]
    place.sound, place.measured_at = False, NOW - timedelta(seconds=30)
    well = a_probe_result(outcome=Outcome.OK, self_check=SelfCheck.FAILED)
    assert (await schedule._with_verdict(place, well)).self_check is SelfCheck.OK


async def test_a_run_that_lasts_longer_than_its_interval_skips_slots() -> None:
    check = Check(seconds=0.1)  # 200 s of the story
    async with running(Log(), check):
        await until(lambda: len(check.runs) >= 4)
    assert all(b - a >= timedelta(seconds=190) for a, b in pairwise(check.runs))


async def test_a_check_with_a_bug_ends_nothing_and_stays_unknown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def bug(_now: datetime) -> Outcome:
        raise KeyError("a bug")

    broken, check, log = Check(name="broken", verdict=bug), Check(), Log()
    with caplog.at_level(logging.ERROR):
        async with running(log, broken, check):
            await until(lambda: len(check.runs) >= 3 and len(broken.runs) >= 3)
    assert log.of("broken") == []
    assert len(log.of("owa")) >= 3
    assert {record.message for record in caplog.records} == {"probe_broken"}


async def test_a_control_check_with_a_bug_leaves_the_place_undecided() -> None:
    def bug(_now: datetime) -> Outcome:
        raise KeyError("a bug")

    control, check, log = Check(name="control", control=True, verdict=bug), Check(), Log()
    async with running(log, control, check):
        await until(lambda: len(check.runs) >= 2)
    assert {r.self_check for r in log.of("owa")} == {SelfCheck.NONE}


async def test_results_wait_while_nothing_can_be_stored_and_are_not_doubled() -> None:
    check, log = Check(), Log(refuses=True)
    async with running(log, check) as schedule:
        await until(lambda: len(check.runs) >= 3)
        await schedule.flush()
        assert (log.stored, log.beats) == ([], [])
        log.refuses = False
        await schedule.flush()
        assert len(log.stored) >= 2
    assert len({r.id for r in log.stored}) == len(log.stored) >= len(check.runs) - 1


async def test_no_more_runs_at_once_than_allowed() -> None:
    at_once, most = 0, 0

    @dataclass
    class Counted(Check):
        async def run(self, *, now: datetime, location_sound: bool | None) -> ProbeResult:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            try:
                return await super().run(now=now, location_sound=location_sound)
            finally:
                at_once -= 1

    checks = [Counted(name=f"check-{n}", seconds=0.01) for n in range(30)]
    async with running(Log(), *checks, concurrency=4):
        await until(lambda: all(check.runs for check in checks))
    assert most == 4


async def test_checks_that_are_under_way_at_the_end_are_left() -> None:
    check, log = Check(seconds=60), Log()
    began = time.monotonic()
    async with running(log, check):
        await until(lambda: bool(check.runs))
    assert time.monotonic() - began < 5
    assert log.stored == []


async def test_two_thousand_checks_a_minute_keep_their_slots() -> None:
    checks = [Check(name=f"check-{n}") for n in range(300)]  # 10,000 a second of real time
    log = Log()
    cpu = time.process_time()
    clock = ScaledClock(start=NOW, speed=60)
    schedule = ProbeSchedule(
        TENANT, checks, intake=log, record=log.record, heartbeat=log.beat, clock=clock,
        jitter=lambda: 0.5, pace=60,
    )  # fmt: skip
    stop = asyncio.Event()
    task = asyncio.create_task(schedule.run(stop))
    await until(lambda: sum(len(check.runs) for check in checks) >= 400)
    stop.set()
    await task
    assert max(log.batches) <= 1_000
    assert (time.process_time() - cpu) / len(log.stored) < 0.03  # 2,000 a minute allow 0.03 s each
    assert schedule.interval == timedelta(seconds=60)
