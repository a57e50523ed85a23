"""Standing words: a monitor that speaks on change is heard every minute, and not for ever."""

from datetime import timedelta

import pytest

from app.core.types import Outcome
from app.flow.ingest import Intake
from app.flow.standing import WELL_FOR, Standing, Word
from app.kit.clock import FixedClock
from app.store import intake, standing
from tests.builders import NOW, TENANT, a_probe_result, minutes

HOLD = timedelta(hours=5)


@pytest.fixture
def clock():
    return FixedClock(NOW)


@pytest.fixture
def words(database, clock):
    return Standing(database, clock, Intake(database))


def word(**changes):
    return Word(source="alertmanager", result=a_probe_result(**changes), hold=HOLD)


def told(database):
    rows = database.read_now(lambda c: intake.after(c, TENANT, 0, 0, 1000))
    return [(r.occurred_at - NOW, r.outcome) for row in rows for r in row.signals]


async def test_a_word_is_repeated_every_minute_until_it_is_taken_back(database, clock, words):
    await words.take(TENANT, [word(at=NOW - minutes(1))], NOW)
    for number in (1, 2):
        clock.at = NOW + minutes(number)
        await words.step()
    clock.at = NOW + minutes(3)
    await words.take(TENANT, [word(outcome=Outcome.OK, at=NOW + minutes(2.5))], clock.now())
    clock.at = NOW + minutes(4)
    await words.step()
    assert told(database) == [
        (minutes(0), Outcome.FAILED),
        (minutes(1), Outcome.FAILED),
        (minutes(2), Outcome.FAILED),
        (minutes(4), Outcome.OK),
    ]


async def test_replicas_repeat_a_word_once(database, clock, words):
    other = Standing(database, clock, Intake(database))
    await words.take(TENANT, [word(at=NOW - minutes(1))], NOW)
    clock.at = NOW + minutes(1)
    await words.step()
    await other.step()
    assert len(told(database)) == 2


async def test_a_word_that_nobody_renewed_ends_as_unknown(database, clock, words):
    await words.take(TENANT, [word(at=NOW - minutes(1))], NOW)
    clock.at = NOW + HOLD
    await words.step()
    assert told(database)[-1] == (HOLD, Outcome.UNKNOWN)
    clock.at = NOW + HOLD + minutes(1)
    await words.step()
    assert len(told(database)) == 2


async def test_health_is_repeated_long_enough_to_resolve_on(database, clock, words):
    await words.take(TENANT, [word(outcome=Outcome.OK, at=NOW - minutes(1))], NOW)
    for number in range(1, 30):
        clock.at = NOW + minutes(number)
        await words.step()
    assert len(told(database)) == WELL_FOR / minutes(1)
    assert {outcome for _, outcome in told(database)} == {Outcome.OK}


async def test_an_older_word_that_comes_late_changes_nothing(database, clock, words):
    await words.take(TENANT, [word(outcome=Outcome.OK, at=NOW)], NOW)
    await words.take(TENANT, [word(at=NOW - minutes(3))], NOW)
    kept = database.read_now(standing.listing)
    assert [one.result.outcome for one in kept] == [Outcome.OK]
    assert told(database) == []
