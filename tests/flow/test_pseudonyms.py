"""Pseudonyms: people keep theirs for a month, change it one by one, and old keys are destroyed."""

import json
from datetime import timedelta

import pytest

from app.core.arrival import PERIOD_HOURS
from app.flow.pseudonyms import NAME, Pseudonyms
from app.kit.clock import FixedClock
from app.sources.client_report import ClientReportReader
from app.sources.symptom_table import load_symptom_table
from app.store import instance
from tests.builders import NOW, TENANT

PERIOD = timedelta(hours=PERIOD_HOURS)
CROWD = 4000


@pytest.fixture
def clock():
    return FixedClock(NOW)


def reader(pseudonyms):
    return ClientReportReader(load_symptom_table().classify, key=b"k", people=pseudonyms.of)


def actors(made, now, names):
    lines = b"\n".join(
        json.dumps({"service": "other", "code": "1", "reporter": name}).encode() for name in names
    )
    parsed = made.parse(TENANT, lines, "application/x-ndjson", now=now)
    return [report.actor for report in parsed.good]


NAMES = [f"person {number}" for number in range(CROWD)]


def test_a_count_of_people_stays_right_while_keys_change(sqlite_database, clock):
    pseudonyms = Pseudonyms(sqlite_database, clock)
    pseudonyms.load(NOW)
    made = reader(pseudonyms)
    hour = NOW.replace(minute=59)
    before = actors(made, hour, NAMES)
    after = actors(made, hour + timedelta(minutes=2), NAMES)
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    assert len(set(before)) == CROWD
    assert 0 < changed <= CROWD * 3 / PERIOD_HOURS  # one in 720 is expected


def test_everybody_changes_once_in_a_period_and_keeps_a_name_between(sqlite_database, clock):
    pseudonyms = Pseudonyms(sqlite_database, clock)
    made = reader(pseudonyms)
    seen = [set() for _ in range(50)]
    for day in range(61):
        now = NOW + timedelta(days=day)
        pseudonyms.load(now)
        for place, actor in enumerate(actors(made, now, NAMES[:50])):
            seen[place].add(actor)
    assert {len(names) for names in seen} <= {3, 4} | {2, 3}


async def test_a_key_that_nobody_uses_any_more_is_destroyed(database, clock):
    pseudonyms = Pseudonyms(database, clock)
    pseudonyms.load(NOW)
    before = actors(reader(pseudonyms), NOW, NAMES[:5])
    clock.at = NOW + 2 * PERIOD
    await pseudonyms.step()
    kept = database.read_now(lambda c: instance.names(c, NAME))
    assert len(kept) == 3
    again = Pseudonyms(database, clock)
    again.load(clock.at)
    after = actors(reader(again), clock.at, NAMES[:5])
    assert not set(before) & set(after)
    assert kept[0] > f"{NAME}{int(NOW.timestamp()) // 3600 // PERIOD_HOURS:06d}"


def test_replicas_and_restarts_give_the_same_names(sqlite_database, clock):
    one, other = Pseudonyms(sqlite_database, clock), Pseudonyms(sqlite_database, clock)
    one.load(NOW)
    other.load(NOW)
    assert actors(reader(one), NOW, NAMES[:9]) == actors(reader(other), NOW, NAMES[:9])


def test_a_secret_outside_makes_the_database_alone_worthless(sqlite_database, clock):
    inside = Pseudonyms(sqlite_database, clock)
    outside = Pseudonyms(sqlite_database, clock, outside="in a vault")
    inside.load(NOW)
    outside.load(NOW)
    assert not set(actors(reader(inside), NOW, NAMES[:9])) & set(
        actors(reader(outside), NOW, NAMES[:9])
    )
