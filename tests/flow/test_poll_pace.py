"""The pace of polling: jitter, spread, hot and calm, lanes that fail apart, a witness."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from app.core.ports import SourceUnreadable
from app.core.types import Client, Outcome, Symptom
from app.flow.marks import Marks
from app.store import incidents, probes
from app.store.engine import Database
from tests.builders import NOW, TENANT, a_probe_result, an_incident, minutes
from tests.flow.polling import HOT, Rig, Source, served

SECOND = timedelta(seconds=1)


@pytest.fixture
def rig(sqlite_database: Database) -> Rig:
    return Rig(sqlite_database, Source(served()))


async def reads_at(rig: Rig, *, seconds: int) -> list[int]:
    """Step as the loop does, each time after the wait that was given; seconds of the reads."""
    at, end = [], rig.clock.at + seconds * SECOND
    while rig.clock.at < end:
        before = len(rig.source.reads)
        wait = await rig.poll.step()
        if len(rig.source.reads) > before:
            at.append(round((rig.clock.at - NOW).total_seconds()))
        rig.clock.at += max(wait, SECOND / 10)
    return at


@pytest.mark.parametrize(("luck", "gap"), [(0.0, 57), (0.5, 60), (1.0, 63)])
async def test_waits_differ_by_a_twentieth(rig: Rig, luck: float, gap: int) -> None:
    rig.luck = luck
    at = await reads_at(rig, seconds=330)
    assert {later - earlier for earlier, later in pairwise(at)} == {gap}


@pytest.mark.parametrize(("luck", "first"), [(0.0, 0), (0.5, 20), (1.0, 40)])
async def test_first_reads_are_spread(rig: Rig, luck: float, first: int) -> None:
    rig.luck, rig.spread = luck, 40 * SECOND
    rig.poll = rig.build()
    assert (await reads_at(rig, seconds=50))[0] == first


async def test_an_advisory_that_stands_still_for_long_does_not_keep_us_hot(rig: Rig) -> None:
    rig.source.advisories = [served(at=NOW - minutes(60 * 24 * 30))]
    at = await reads_at(rig, seconds=1000)
    assert at[:2] == [0, 60]  # what the first read brought is looked at once more
    assert {later - earlier for earlier, later in pairwise(at[1:])} == {300}
    rig.source.advisories = [served(at=rig.clock.at, title="It moves again")]
    at = await reads_at(rig, seconds=900)
    assert {later - earlier for earlier, later in pairwise(at[1:])} == {60}


async def test_an_incident_of_our_own_makes_it_hot_and_an_old_one_does_not(rig: Rig) -> None:
    rig.source.advisories = []
    await rig.step(after=0)
    await rig.db.write(lambda c: incidents.put(c, [an_incident(at=NOW - minutes(60 * 24))]))
    assert len(await reads_at(rig, seconds=590)) == 1
    await rig.db.write(lambda c: incidents.put(c, [an_incident(at=rig.clock.at)]))
    assert len(await reads_at(rig, seconds=600)) >= 9


async def test_while_reading_everything_fails_the_open_ones_are_still_read(rig: Rig) -> None:
    await rig.step(after=0)
    rig.source.trouble_in_full = SourceUnreadable("timeout", "too much at once")
    for _ in range(60):
        await rig.step()
    lanes = [full for _, full in rig.source.reads]
    assert lanes.count(False) > 40
    assert 3 <= lanes[1:].count(True) <= 8  # put off for longer each time
    assert rig.told == []
    marks = Marks.read((await rig.standing()).checkpoint)
    assert marks.read_at("all") == NOW
    assert rig.clock.at - (marks.read_at("open") or NOW) < minutes(6)
    rig.source.trouble_in_full = None
    for _ in range(17):
        await rig.step()
    assert Marks.read((await rig.standing()).checkpoint).read_at("all") != NOW


async def test_the_first_contact_reads_everything_or_nothing(rig: Rig) -> None:
    rig.source.trouble_in_full = SourceUnreadable("timeout", "too much at once")
    for _ in range(10):
        await rig.step()
    assert {full for _, full in rig.source.reads} == {True}
    assert rig.handed == []


async def test_an_older_stamp_is_believed_when_it_is_seen_again(rig: Rig) -> None:
    new = served(status="serviceRestored", is_resolved=True, at=NOW + minutes(30))
    old = served(at=NOW)
    rig.source.advisories = [new]
    await rig.step()
    rig.take()
    for shown in (old, new, old, new):  # two of the vendor's front ends, one of them behind
        rig.source.advisories = [shown]
        await rig.step(after=5)
    assert rig.take() == []
    rig.poll = rig.build()  # another replica remembers
    rig.source.advisories = [old]
    await rig.step(after=5)
    assert rig.take() == []
    await rig.step(after=5)
    (back,) = rig.take()
    assert not back.is_resolved


async def test_a_withdrawn_advisory_comes_back_under_any_stamp(rig: Rig) -> None:
    await rig.step()
    kept, rig.source.advisories = rig.source.advisories, []
    await rig.step()
    await rig.step()
    assert [a.withdrawn for a in rig.take()] == [False, True]
    rig.source.advisories = [replace(kept[0], last_modified_at=NOW - minutes(99))]
    await rig.step(after=5)
    (back,) = rig.take()
    assert not back.withdrawn


async def test_what_cannot_be_read_is_named_until_it_can(rig: Rig) -> None:
    rig.source.unreadable_ids = ("EX2", "EX3")
    await rig.step()
    rig.source.unreadable_ids = ("EX3",)
    rig.source.advisories = [served(), served("EX2")]
    await rig.step()
    record = await rig.standing()
    assert record.unreadable == 1
    assert Marks.read(record.checkpoint).unreadable == {"EX3": "malformed"}
    rig.source.unreadable_ids = ()  # the lane of open ones does not look at it
    await rig.step()
    assert (await rig.standing()).unreadable == 1
    for _ in range(16):
        await rig.step()
    assert (await rig.standing()).unreadable == 0


def test_marks_survive_their_checkpoint() -> None:
    assert Marks.read(None) == Marks()
    assert Marks.read({}) == Marks()


# -- the witness ---------------------------------------------------------------------------------


async def red(rig: Rig, **changes: Any) -> None:
    result = a_probe_result(at=rig.clock.at, **changes)
    await rig.db.write(lambda c: probes.record(c, TENANT, [result]))


@pytest.mark.parametrize(
    ("code", "service", "symptom"),
    [
        ("unavailable", "microsoft-365-admin", Symptom.HTTP_5XX),
        ("timeout", "microsoft-365-admin", Symptom.TIMEOUT),
        ("unreachable", "microsoft-365-admin", Symptom.CONNECTION_FAILED),
        ("odd_body", "microsoft-365-admin", Symptom.CONTENT_ERROR),
        ("token_unavailable", "entra-id", Symptom.AUTH_REJECTED),
    ],
)
async def test_a_reading_that_fails_while_probes_are_red_is_evidence(
    rig: Rig, code: str, service: str, symptom: Symptom
) -> None:
    await rig.step()
    await red(rig)
    rig.source.trouble = SourceUnreadable(code, "no answer")
    await rig.step()
    (result,) = rig.results
    assert (result.service, result.symptom, result.outcome) == (service, symptom, Outcome.FAILED)
    assert (result.client, result.error) == (Client.GRAPH_API, "no answer")
    rig.source.trouble = None
    for _ in range(9):
        await rig.step()
    assert [r.outcome for r in rig.results[1:]] == [Outcome.OK] * 3
    assert {(r.probe, r.location, r.service) for r in rig.results} == {
        (result.probe, "sextant", service)
    }
    assert len({r.id for r in rig.results}) == 4


@pytest.mark.parametrize("code", ["forbidden", "token_refused", "budget", "throttled", "endless"])
async def test_what_speaks_of_us_is_no_evidence(rig: Rig, code: str) -> None:
    await red(rig)
    rig.source.trouble = SourceUnreadable(code, "no")
    await rig.step(after=0)
    assert rig.results == []


@pytest.mark.parametrize(
    "changes", [{"outcome": Outcome.OK}, {"location": "sextant"}, {"at": NOW - minutes(60)}]
)
async def test_without_red_probes_a_failed_reading_is_a_stale_source_only(
    rig: Rig, changes: dict[str, Any]
) -> None:
    result = a_probe_result(**{"at": NOW, **changes})
    await rig.db.write(lambda c: probes.record(c, TENANT, [result]))
    rig.source.trouble = SourceUnreadable("unavailable", "503")
    await rig.step(after=0)
    assert rig.results == []


async def test_what_was_told_is_not_told_again_after_a_power_loss(rig: Rig) -> None:
    """The fact and the memory of having told it are one commit."""

    async def crash() -> None:
        rig.power_fails = True
        with pytest.raises(RuntimeError):
            await rig.step()
        rig.power_fails = False
        rig.poll = rig.build()

    await rig.step()
    rig.source.unknown = (("status", "x"),)
    rig.clock.at += HOT
    await crash()
    await rig.step()
    rig.source.trouble = SourceUnreadable("unavailable", "503")
    rig.clock.at += HOT * 20
    await crash()
    await rig.step()
    rig.source.trouble = None
    rig.clock.at += HOT * 5
    await crash()
    for _ in range(3):
        await rig.step()
    assert [kind.value for kind, _, _ in rig.told] == [
        "source.unknown_value", "source.stale", "source.recovered",
    ]  # fmt: skip


async def test_whoever_takes_over_keeps_the_step_of_who_read_before(rig: Rig) -> None:
    rig.source.advisories = [served(last_modified_at=NOW)]
    rig.spread = HOT
    await rig.poll.step()
    reads = len(rig.source.reads)
    rig.clock.at += HOT / 2
    rig.poll = rig.build()
    assert await rig.poll.step() == HOT / 2
    rig.clock.at += HOT * 60  # nobody read for an hour: all begin anew, each at its own moment
    rig.poll = rig.build()
    assert await rig.poll.step() == HOT / 2
    assert len(rig.source.reads) == reads
