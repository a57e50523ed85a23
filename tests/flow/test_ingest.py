"""Intake: acknowledged is durable, repetitions are told apart, and groups fail as one."""

import asyncio
import threading
from datetime import timedelta

import pytest

from app.core.errors import Overloaded, StorageUnavailable
from app.core.types import TenantId
from app.flow.ingest import Intake
from app.kit.wake import Bell
from app.store import intake as store
from app.store.engine import Database
from tests.builders import NOW, TENANT, a_command, a_probe_result, a_report, an_advisory

OTHER = TenantId("fabrikam")


class Breaking:
    """A database whose next writes fail, or wait for a gate."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, work):
        return await self._database.read(work)

    async def write(self, work):
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise StorageUnavailable
        return await self._database.write(work)


def stored(database: Database, tenant=TENANT) -> list[str]:
    rows = database.read_now(lambda c: store.after(c, tenant, 0, 0, 1000))
    return [signal.id for row in rows for signal in row.signals]


def rows(database: Database) -> int:
    return len(database.read_now(lambda c: store.after(c, TENANT, 0, 0, 1000)))


def reports(*numbers: int):
    return [a_report(id=f"{number:016x}") for number in numbers]


def ids(*numbers: int) -> list[str]:
    return [f"{number:016x}" for number in numbers]


async def send(intake: Intake, *numbers: int, tenant=TENANT, now=NOW, source="s"):
    receipt = await intake.append_reports(tenant, reports(*numbers), source=source, now=now)
    return receipt.accepted, receipt.duplicates


async def test_what_is_acknowledged_is_stored(database: Database):
    bell = Bell()
    intake = Intake(database, bell=bell)
    receipt = await intake.append_reports(TENANT, reports(1, 2), source="s", now=NOW)
    assert (receipt.accepted, receipt.duplicates) == (2, 0)
    assert stored(database) == ids(1, 2)
    assert await bell.wait(0.01)
    (row,) = database.read_now(lambda c: store.after(c, TENANT, 0, 0, 9))
    assert (row.intake_id, row.source, row.count) == (receipt.intake_id, "s", 2)


async def test_a_repetition_is_counted_and_not_stored(database: Database):
    bell = Bell()
    intake = Intake(database, bell=bell)
    assert await send(intake, 1, 1, 2) == (2, 1)
    await bell.wait(0.01)
    assert await send(intake, 2, 3) == (1, 1)
    await bell.wait(0.01)
    assert await send(intake, 1, 2, 3) == (0, 3)
    assert not await bell.wait(0.01)
    assert stored(database) == ids(1, 2, 3)


async def test_tenants_and_kinds_do_not_repeat_each_other(database: Database):
    intake = Intake(database)
    assert await send(intake, 1) == (1, 0)
    assert await send(intake, 1, tenant=OTHER) == (1, 0)
    results = [a_probe_result(id="probe-1")]
    first = await intake.append_probe_results(TENANT, results, source="p", now=NOW)
    again = await intake.append_probe_results(TENANT, results, source="p", now=NOW)
    assert (first.accepted, again.duplicates) == (1, 1)


async def test_repetitions_are_known_after_a_restart(database: Database):
    assert await send(Intake(database), 1, 2) == (2, 0)
    assert await send(Intake(database), 2, 3) == (1, 1)


async def test_a_repetition_after_the_window_is_new(database: Database):
    intake = Intake(database, window=timedelta(hours=24))
    assert await send(intake, 1) == (1, 0)
    assert await send(intake, 1, now=NOW + timedelta(hours=23)) == (0, 1)
    assert await send(intake, 2, now=NOW + timedelta(hours=26)) == (1, 0)
    assert await send(intake, 1, now=NOW + timedelta(hours=26)) == (1, 0)
    assert await send(Intake(database), 2, now=NOW + timedelta(hours=60)) == (1, 0)


async def test_requests_that_come_together_share_a_row(database: Database):
    intake = Intake(database)
    answers = await asyncio.gather(*(send(intake, n, n + 1) for n in range(0, 80, 2)))
    assert answers == [(2, 0)] * 40
    assert sorted(stored(database)) == ids(*range(80))
    assert rows(database) <= 3


async def test_the_same_report_sent_at_once_is_taken_once(database: Database):
    intake = Intake(database)
    answers = await asyncio.gather(*(send(intake, 7) for _ in range(20)))
    assert sum(new for new, _ in answers) == 1
    assert sum(old for _, old in answers) == 19
    assert stored(database) == ids(7)


async def test_sources_keep_their_own_rows(database: Database):
    intake = Intake(database)
    await asyncio.gather(send(intake, 1, source="a"), send(intake, 2, source="b"))
    found = database.read_now(lambda c: store.after(c, TENANT, 0, 0, 9))
    assert sorted((row.source, row.count) for row in found) == [("a", 1), ("b", 1)]


async def test_a_failed_commit_fails_its_requests_and_forgets_nothing(database: Database):
    broken = Breaking(database)
    intake = Intake(broken)
    assert await send(intake, 1) == (1, 0)
    broken.failures = 1
    outcomes = await asyncio.gather(send(intake, 2), send(intake, 2, 3), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 2
    assert intake.waiting == 0
    assert await send(intake, 1, 2, 3) == (2, 1)
    assert stored(database) == ids(1, 2, 3)


class Silent(Breaking):
    """A database that gives its next write up, which goes on all the same until it fails."""

    async def write(self, work):
        if not self.failures:
            return await super().write(work)
        self.failures -= 1
        self.late = asyncio.create_task(super().write(lambda c: (work(c), 1 / 0)))
        raise StorageUnavailable


async def test_a_write_that_goes_on_after_it_was_given_up_leaves_nothing(database: Database):
    silent = Silent(database)
    intake = Intake(silent)
    assert await send(intake, 1) == (1, 0)
    silent.failures = 1
    with pytest.raises(StorageUnavailable):
        await send(intake, 2, 3)
    with pytest.raises(ZeroDivisionError):
        await silent.late
    assert await send(intake, 1, 2, 3) == (2, 1)  # what was not stored is no repetition
    assert stored(database) == ids(1, 2, 3)


async def test_too_much_waiting_is_shed(database: Database):
    broken = Breaking(database)
    intake = Intake(broken, waiting_limit=3)
    broken.gate.clear()
    waiting = [asyncio.create_task(send(intake, 1, 2)), asyncio.create_task(send(intake, 3))]
    await asyncio.sleep(0.01)
    with pytest.raises(Overloaded) as caught:
        await send(intake, 4)
    assert caught.value.facts["retry_after_seconds"] > 0
    results = [a_probe_result(id="probe-1")]
    probe = asyncio.create_task(intake.append_probe_results(TENANT, results, source="p", now=NOW))
    await asyncio.sleep(0)
    broken.gate.set()
    assert await asyncio.gather(*waiting) == [(2, 0), (1, 0)]
    assert (await probe).accepted == 1
    assert await send(intake, 4) == (1, 0)


async def test_whoever_would_wait_is_told_before_the_body_is_read(database: Database):
    broken = Breaking(database)
    intake = Intake(broken, waiting_limit=2)
    intake.see_that_there_is_room()
    broken.gate.clear()
    waiting = asyncio.create_task(send(intake, 1, 2))
    await asyncio.sleep(0.01)
    with pytest.raises(Overloaded):
        intake.see_that_there_is_room()
    broken.gate.set()
    await waiting
    intake.see_that_there_is_room()


async def test_large_bodies_are_read_one_at_a_time_and_not_without_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.flow.ingest.BODIES_LIMIT", 3)
    intake, at_once, most, gate = Intake(database), 0, 0, threading.Event()

    def read() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        gate.wait(20)
        at_once -= 1

    reading = [asyncio.create_task(intake.apart(read)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        intake.see_that_there_is_room()
    gate.set()
    await asyncio.gather(*reading)
    assert most == 1
    intake.see_that_there_is_room()


async def test_one_batch_may_be_larger_than_the_limit(database: Database):
    assert await send(Intake(database, waiting_limit=2), 1, 2, 3) == (3, 0)


async def test_a_caller_that_goes_away_harms_nobody(database: Database):
    broken = Breaking(database)
    intake = Intake(broken)
    broken.gate.clear()
    gone, stays = (asyncio.create_task(send(intake, number)) for number in (1, 2))
    await asyncio.sleep(0.01)
    gone.cancel()
    broken.gate.set()
    assert await stays == (1, 0)
    assert stored(database) == ids(1, 2)
    assert intake.waiting == 0


async def test_two_replicas_take_a_report_once(postgresql_database: Database):
    other = Database(postgresql_database.url)
    left, right = Intake(postgresql_database), Intake(other)
    assert await send(left, 1000) == (1, 0)
    assert await send(right, 1000) == (0, 1)
    for number in range(15):
        answers = await asyncio.gather(send(left, number), send(right, number))
        assert sum(new for new, _ in answers) == 1
    other.close()
    assert sorted(stored(postgresql_database)) == ids(*range(15), 1000)


async def test_an_empty_batch_is_nothing(database: Database):
    assert await send(Intake(database)) == (0, 0)
    assert rows(database) == 0


async def test_advisories_are_stored_as_often_as_they_are_brought(database: Database):
    intake = Intake(database)
    advisory = an_advisory()
    for _ in range(2):
        receipt = await intake.append_advisories(
            TENANT, [advisory], {"EX1": b"{}"}, source="graph", now=NOW
        )
        assert receipt.accepted == 1
    found = database.read_now(lambda c: store.after(c, TENANT, 0, 0, 9))
    assert [row.signals for row in found] == [(advisory,)] * 2
    assert store.raw_of(found[0].codec, found[0].body) == {"EX1": b"{}"}
    nothing = await intake.append_advisories(TENANT, [], source="graph", now=NOW)
    assert nothing.accepted == 0


def test_a_command_waits_for_the_fold_unless_it_was_folded_with_its_row(database: Database):
    command = a_command()
    for intake_id, folded in (("int_1", False), ("int_2", True)):
        database.write_now(
            lambda c, intake_id=intake_id, folded=folded: store.append_signals(
                c,
                TENANT,
                [command],
                source="api",
                intake_id=intake_id,
                received_at=NOW,
                folded=folded,
            )
        )
    (waiting,) = database.read_now(lambda c: store.after(c, TENANT, 0, 0, 9))
    assert (waiting.intake_id, waiting.signals) == ("int_1", (command,))
