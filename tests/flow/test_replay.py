"""Replay: the same policy gives the past byte for byte, another one says what differs."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core.errors import InvalidInput, NotFound
from app.core.events import EventType
from app.core.policy import DEFAULT_POLICY, Policy
from app.core.types import Origin, Resolution, Status
from app.flow.differ import difference, document, sentences
from app.flow.replay import Replayed, fold_again, policy_with
from app.store import journal, retention
from app.store.engine import Database
from tests.builders import NOW, an_incident
from tests.core.play import PROFILE, at
from tests.flow.tale import BEGIN, END, RENDER, TENANT, Tale, a_note, signals

STORY = signals()
STRICT = replace(DEFAULT_POLICY, quorum_groups=50)  # no fault has so many independent groups
SLOW = replace(DEFAULT_POLICY, probe_down_after=6, false_incidents_per_week=1e-60)


async def again(tale: Tale, policy: Policy = DEFAULT_POLICY, **window: datetime) -> Replayed:
    return await fold_again(tale.db, PROFILE, since=window.get("since", BEGIN),
                            until=window.get("until", END), policy=policy,
                            render=RENDER)  # fmt: skip


@pytest.fixture
async def tale(database: Database) -> Tale:
    """The whole outage with a note of a person, news of a source and a restart in it."""
    made = Tale(database)

    async def at_each(now: datetime) -> None:
        if now == at("06:09"):
            await made.fold.command(TENANT, a_note(made.incidents()[0].id))
            facts = {"source": "graph", "kind": "advisory"}
            await made.fold.news(TENANT, EventType.SOURCE_STALE, facts, actor="graph",
                                 reason="no_answer")  # fmt: skip
        if now == at("06:10"):
            made.restart()

    await made.tell(STORY, at_each=at_each)
    return made


async def test_the_same_policy_gives_the_past_exactly(tale: Tale) -> None:
    told = await again(tale)
    assert told.same_policy
    assert told.reproduced
    assert told.found.is_empty
    assert list(told.incidents) == tale.incidents()  # every field and figure
    assert told.signals == len([s for s in STORY if s.received_at > BEGIN]) + 2
    assert told.began_at is None  # the very start is still kept
    assert len(told.found.same) == 1


async def test_a_replay_writes_nothing(tale: Tale) -> None:
    before = (tale.incidents(), [e.body for e in tale.events()])
    await again(tale, STRICT)
    assert (tale.incidents(), [e.body for e in tale.events()]) == before


async def test_a_stricter_policy_says_what_would_have_been_missed(tale: Tale) -> None:
    told = await again(tale, STRICT)
    (stored,) = tale.incidents()
    assert not told.same_policy
    assert told.reproduced is None
    changed = {one.id for one, _, _ in told.found.changed}
    missed = {one.id for one in told.found.missed}
    late = {one.id for one, _ in told.found.later}
    assert stored.id in missed | late | changed
    assert any("Looks of ten seconds" in note for note in told.notes)


async def test_a_slower_policy_says_how_much_later(tale: Tale) -> None:
    told = await again(tale, SLOW)
    (pair,) = told.found.later
    (stored,) = tale.incidents()
    assert pair[0] == stored
    document = told.document()
    (shift,) = document["later"]
    assert shift["seconds"] > 0
    assert shift["stored"]["id"] == stored.id
    assert document["commands_passed_over"] == told.passed
    assert any(text.startswith("later") for text in sentences(document))


async def test_a_policy_that_changes_back_is_exact_again(tale: Tale) -> None:
    base = policy_with(DEFAULT_POLICY, {"probe_down_after": 3, "null_inflation": 1.5})
    told = await again(tale, base)
    assert base == DEFAULT_POLICY
    assert told.reproduced


async def test_a_window_in_the_middle_begins_at_the_last_mark_before_it(tale: Tale) -> None:
    told = await again(tale, since=at("06:12"), until=at("06:20"))
    assert told.reproduced
    assert told.found.is_empty
    early = await again(tale, since=BEGIN, until=at("06:04"))
    assert early.reproduced
    assert early.incidents == ()


async def test_a_mark_carries_what_the_fold_carried(tale: Tale) -> None:
    """A day later a second mark is taken; a replay from it needs nothing of before."""
    tale.clock.at = BEGIN + journal.MARK_EVERY + timedelta(minutes=30)
    await tale.settle()
    after = tale.clock.at
    tale.clock.at += timedelta(minutes=1, seconds=1)
    await tale.settle()
    tale.db.write_now(lambda c: journal.forget(c, TENANT, before=after - timedelta(hours=1)))
    retention_cut = after - timedelta(minutes=1)

    def forget(c: Any) -> int:
        old = retention.old_intake(c, TENANT, before=retention_cut)
        return retention.forget(c, old) if old is not None else 0

    assert tale.db.write_now(forget) > 0
    told = await again(tale, since=after, until=tale.clock.at)
    assert told.began_at == after
    assert told.reproduced
    assert [i.id for i in told.incidents] == [] or told.found.is_empty
    longer = await again(tale, since=BEGIN, until=tale.clock.at)
    assert any("no longer kept" in note for note in longer.notes)


async def test_what_is_older_than_the_intake_cannot_be_replayed(tale: Tale) -> None:
    tale.db.write_now(lambda c: journal.forget(c, TENANT, before=END + timedelta(days=1)))
    with pytest.raises(NotFound, match="no longer kept"):
        await again(tale)


async def test_an_installation_that_never_folded_has_no_past(database: Database) -> None:
    with pytest.raises(NotFound, match="Nothing was folded"):
        await again(Tale(database))
    with pytest.raises(NotFound):
        await again(Tale(database), until=BEGIN - timedelta(days=3))


async def test_events_that_are_gone_are_not_called_reproduced(tale: Tale) -> None:
    old = retention.old_events(at("06:10"))
    assert tale.db.write_now(lambda c: retention.forget(c, old)) > 0
    told = await again(tale)
    assert told.reproduced is False
    assert told.found.is_empty
    assert any("events of the window are no longer kept" in note for note in told.notes)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [({"no_such": 1}, "/policy/no_such"), ({"probe_down_after": 1.5}, "/policy/probe_down_after"),
     ({"null_inflation": "high"}, "/policy/null_inflation"),
     ({"quorum_actors": True}, "/policy/quorum_actors"),
     ({"power_nats": -1}, "/policy/power_nats")],
)  # fmt: skip
def test_a_threshold_that_is_none_is_refused_by_name(changes: Any, pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        policy_with(DEFAULT_POLICY, changes)
    assert [e["pointer"] for e in caught.value.facts["errors"]] == [pointer]


def at_minute(number: float) -> datetime:
    return NOW + timedelta(minutes=number)


def test_incidents_are_paired_by_place_and_time_not_by_id() -> None:
    stored = an_incident(id="inc_a", detected_at=NOW, confirmed_at=NOW)
    other = replace(stored, id="inc_b", detected_at=at_minute(-2), confirmed_at=at_minute(-2))
    found = difference([stored], [other], until=at_minute(60))
    assert found.earlier == ((stored, other),)
    assert not found.opened
    assert not found.missed


def test_what_is_elsewhere_was_opened_or_missed() -> None:
    stored = an_incident(id="inc_a", detected_at=NOW, confirmed_at=NOW)
    other = replace(stored, id="inc_b", services=("microsoft-teams",))
    found = difference([stored], [other], until=at_minute(60))
    assert found.opened == (other,)
    assert found.missed == (stored,)
    ended = replace(stored, resolved_at=at_minute(10))
    later = replace(stored, id="inc_c", onset_at=at_minute(30), detected_at=at_minute(30))
    assert difference([ended], [later], until=at_minute(60)).opened == (later,)


def test_two_that_became_one_were_merged_otherwise() -> None:
    one = an_incident(id="inc_a", detected_at=NOW, confirmed_at=NOW)
    two = replace(one, id="inc_b", services=("microsoft-teams",))
    both = replace(one, services=("exchange-online", "microsoft-teams"))
    found = difference([one, two], [both], until=at_minute(60))
    assert found.regrouped == (((one, two), (both,)),)
    assert not found.missed
    merged = replace(two, status=Status.MERGED, merged_into="inc_a")
    told = difference([one, merged], [one, two], until=at_minute(60))
    assert told.regrouped == (((one,), (one, two)),)


def test_another_origin_is_a_change() -> None:
    stored = an_incident(id="inc_a", detected_at=NOW, confirmed_at=NOW)
    other = replace(stored, origin=Origin.THIRD_PARTY)
    found = difference([stored], [other], until=at_minute(60))
    assert found.changed == ((stored, other, ("origin",)),)
    assert not found.is_empty


def test_a_false_alarm_is_counted_on_either_side() -> None:
    """What a person dismissed is false under any policy; what was not told is none."""
    stored = an_incident(id="inc_a", detected_at=NOW, confirmed_at=NOW, status=Status.DISMISSED)
    again = replace(stored, id="inc_b", status=Status.CONFIRMED)
    withdrawn = replace(
        stored, id="inc_c", services=("intune",), status=Status.CLOSED,
        resolution=Resolution.FALSE_POSITIVE,
    )  # fmt: skip
    found = difference([stored], [again, withdrawn], until=at_minute(60))
    assert found.false == ((stored,), (again, withdrawn))
    assert difference([stored], [], until=at_minute(60)).false == ((stored,), ())
    told = document(found)["false"]
    assert [one["id"] for one in told["replayed"]] == ["inc_b", "inc_c"]
