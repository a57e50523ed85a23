"""Looks: who is folded now; leaving the others alone changes nothing that anybody is told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import SQLModel

from app.core.pace import CALM, TICK
from app.core.signal import Signal
from app.core.types import Status, TenantId
from app.flow.looks import Looks
from app.store.engine import Database
from tests.builders import an_incident
from tests.core.play import advisory, at
from tests.flow.tale import END, TENANT, Tale, a_note, signals

IDLE = TenantId("idle")
STORY = signals()


@pytest.fixture
def tale(sqlite_database: Database) -> Tale:
    return Tale(sqlite_database)


async def look(tale: Tale) -> list[TenantId]:
    """Fold whoever is due, as the loop does; gives who it was."""
    due = await tale.fold.due()
    for tenant in due:
        while await tale.fold.step(tenant):
            pass
    return due


async def run(
    tale: Tale, until: datetime, *, all_of_them: bool, story: Sequence[Signal] = STORY
) -> int:
    """Play a story with a look at every tick; gives how many steps were made."""
    waiting, steps = [s for s in story if s.received_at > tale.clock.at], 0
    while tale.clock.at < until:
        tale.clock.at += TICK
        due = [s for s in waiting if s.received_at <= tale.clock.at]
        waiting = waiting[len(due) :]
        await tale.take(due)
        if all_of_them:
            await tale.settle()
            steps += 1
        else:
            steps += (await look(tale)).count(TENANT)
    return steps


async def test_looking_only_when_due_tells_the_very_same(tale: Tale, tmp_path: Any) -> None:
    busy_database = Database(f"sqlite:///{tmp_path}/busy.db")
    SQLModel.metadata.create_all(busy_database.engine)
    try:
        busy = Tale(busy_database)
        end = END + timedelta(minutes=60)
        always = await run(busy, end, all_of_them=True)
        sometimes = await run(tale, end, all_of_them=False)
        for one in (busy, tale):
            one.clock.at += timedelta(hours=73)
            await look(one)
        assert [e.body for e in tale.events()] == [e.body for e in busy.events()]
        assert tale.incidents() == busy.incidents()
        assert [i.status for i in tale.incidents()] == [Status.CLOSED]
        assert sometimes < always - 300  # of the hour after the story almost all looks are spared
    finally:
        busy_database.close()


async def test_the_vendors_word_is_told_at_once_and_needs_no_look_after(
    tale: Tale, tmp_path: Any
) -> None:
    busy_database = Database(f"sqlite:///{tmp_path}/busy.db")
    SQLModel.metadata.create_all(busy_database.engine)
    said = [(1, "06:05", "investigating"), (2, "06:06", "serviceDegradation"),
            (3, "06:20", "restoringService")]  # fmt: skip
    posts = (("06:04", "We see it"), ("06:06", "Scope of impact: users in Germany"))
    story = [advisory(n, when, word, posts=posts[:n]) for n, when, word in said]
    story.append(replace(advisory(4, "06:25", "serviceRestored", resolved=True), title="Over"))
    story.append(replace(advisory(5, "06:27", "serviceRestored", resolved=True), withdrawn=True))
    try:
        busy = Tale(busy_database)
        always = await run(busy, END, all_of_them=True, story=story)
        sometimes = await run(tale, END, all_of_them=False, story=story)
        for one in (busy, tale):
            one.clock.at += timedelta(hours=73)
            await look(one)
        assert [e.body for e in tale.events()] == [e.body for e in busy.events()]
        assert [i.status for i in tale.incidents()] == [Status.CLOSED]
        assert sometimes < always / 10
    finally:
        busy_database.close()


async def test_an_idle_tenant_is_left_alone_until_something_comes_in(tale: Tale) -> None:
    assert await look(tale) == [TENANT, IDLE]
    tale.clock.at += TICK
    assert await look(tale) == []
    await tale.take([s for s in STORY if s.received_at <= at("06:02")])
    assert await look(tale) == [TENANT]
    assert await look(tale) == []


async def test_what_another_replica_folded_or_a_command_changed_is_looked_at(tale: Tale) -> None:
    await run(tale, at("06:08"), all_of_them=False)
    (incident,) = tale.incidents()
    assert await look(tale) == []
    await tale.fold.command(TENANT, a_note(incident.id, 1))
    assert await look(tale) == [TENANT]
    await tale.another().command(TENANT, a_note(incident.id, 2))
    assert await look(tale) == [TENANT]
    assert await look(tale) == []


def test_own_evidence_is_weighed_at_each_tick_and_the_vendors_word_is_waited_for() -> None:
    now, looks = at("06:00"), Looks()
    own = an_incident(detected_at=now, status=Status.CONFIRMED)
    vendors = an_incident(detected_at=None, status=Status.CONFIRMED)
    over = an_incident(detected_at=now, status=Status.RESOLVED)
    for incidents, wait in (([own, vendors], TICK), ([vendors, over], CALM), ([], CALM)):
        looks.note(TENANT, 1, [], now=now - CALM, bad=False)
        looks.note(TENANT, 2, incidents, now=now, bad=False)
        stood = {TENANT: (2, False)}
        assert not looks.is_due(TENANT, stood, now + wait - timedelta(seconds=1))
        assert looks.is_due(TENANT, stood, now + wait)
