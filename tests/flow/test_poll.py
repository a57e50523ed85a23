"""Polling: what changed goes on once, silence becomes stale, absence becomes withdrawn."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.core.events import EventType
from app.core.ports import SourceUnreadable
from app.core.types import SourceState
from app.flow.poll import Poll
from app.flow.poll_terms import Cadence
from app.store import incidents, sources
from app.store.engine import Database
from tests.builders import NOW, TENANT, a_post, an_incident, minutes
from tests.flow.polling import CALM, HOT, Rig, Source, served


@pytest.fixture
def rig(sqlite_database: Database) -> Rig:
    return Rig(sqlite_database, Source(served()))


async def test_the_first_complete_read_is_full_and_primes(rig: Rig) -> None:
    wait = await rig.step(after=0)
    assert wait == HOT
    assert rig.source.reads == [((), True)]
    (made,) = rig.take()
    assert made.primed
    assert made.id.startswith("adv_")
    assert rig.raw == [{"EX1": b"{}"}]
    record = await rig.standing()
    assert record.first_read_at == record.last_complete_at == NOW
    assert record.budget == {"used": 1}
    assert rig.told == []


async def test_a_repeat_a_moved_stamp_and_a_vanished_post_are_nothing(rig: Rig) -> None:
    await rig.step()
    rig.take()
    await rig.step()
    rig.source.advisories = [replace(served(), last_modified_at=NOW + minutes(9))]
    await rig.step()
    rig.source.advisories = [served(posts=())]
    await rig.step()
    assert rig.take() == []
    assert len(rig.source.reads) == 4


async def test_what_changed_goes_on_once_and_keeps_its_history(rig: Rig) -> None:
    await rig.step()
    (first,) = rig.take()
    second = a_post(id="EX1-2", created_at=NOW + minutes(5), text="Current status: reverted.")
    rig.source.advisories = [served(posts=(second,), status="restoringService")]
    await rig.step()
    await rig.step()
    (made,) = rig.take()
    assert not made.primed
    assert made.first_seen_at == first.first_seen_at
    assert [post.id for post in made.posts] == ["EX1-1", "EX1-2"]
    assert made.id != first.id
    assert made.understood.mitigation == "reverted."


async def test_a_return_to_an_earlier_text_is_a_new_signal(rig: Rig) -> None:
    ids = []
    for title in ("a", "b", "a"):
        rig.source.advisories = [served(title=title)]
        await rig.step()
        (made,) = rig.take()
        ids.append(made.id)
    assert len(set(ids)) == 3


async def test_a_new_advisory_after_the_first_read_is_not_primed(rig: Rig) -> None:
    await rig.step()
    rig.take()
    rig.source.advisories.append(served("EX2"))
    await rig.step()
    assert [(a.vendor_id, a.primed) for a in rig.take()] == [("EX2", False)]


async def test_the_open_lane_chases_what_was_open_and_all_is_read_on_a_period(rig: Rig) -> None:
    for _ in range(17):
        await rig.step()
    lanes = [full for _, full in rig.source.reads]
    assert lanes == [True, *[False] * 14, True, False]
    assert rig.source.reads[1] == (("EX1",), False)


async def test_calm_reads_seldom_and_notices_trouble_within_a_hot_interval(rig: Rig) -> None:
    rig.source.advisories = [served(is_resolved=True)]
    await rig.step()
    assert await rig.step() == HOT
    assert await rig.step(after=3.5) == timedelta(seconds=30)
    assert len(rig.source.reads) == 1
    await rig.db.write(lambda c: incidents.put(c, [an_incident()]))
    await rig.step(after=0.1)
    assert len(rig.source.reads) == 2


async def test_an_open_advisory_that_is_twice_absent_is_withdrawn_once(rig: Rig) -> None:
    await rig.step()
    rig.take()
    rig.source.advisories = []
    await rig.step()
    assert rig.take() == []
    rig.poll = rig.build()  # another replica goes on
    await rig.step()
    (gone,) = rig.take()
    assert gone.withdrawn
    assert gone.withdrawn_at == rig.clock.at
    assert gone.posts
    assert rig.raw[-1] == {}
    await rig.step()
    await rig.step(after=5)
    assert rig.take() == []
    rig.source.advisories = [served()]
    await rig.step(after=5)
    (back,) = rig.take()
    assert not back.withdrawn
    assert back.id != gone.id


async def test_one_absence_or_an_unreadable_record_is_no_withdrawal(rig: Rig) -> None:
    await rig.step()
    rig.take()
    kept, rig.source.advisories = rig.source.advisories, []
    await rig.step()
    rig.source.advisories = kept
    await rig.step()
    rig.source.advisories = []
    await rig.step()
    rig.source.unreadable_ids = ("EX1",)
    for _ in range(3):
        await rig.step()
    assert rig.take() == []
    assert (await rig.standing()).unreadable == 1


async def test_an_incomplete_read_neither_withdraws_nor_counts_as_read(rig: Rig) -> None:
    rig.source.complete = False
    await rig.step()
    assert [a.vendor_id for a in rig.take()] == ["EX1"]
    rig.source.advisories = []
    for _ in range(3):
        await rig.step()
    assert rig.take() == []
    assert await rig.db.read(lambda c: sources.get(c, TENANT, "graph")) is None


async def test_a_silent_source_goes_stale_once_and_recovers_once(rig: Rig) -> None:
    await rig.step()
    read_at = rig.clock.at
    rig.source.trouble = SourceUnreadable("unavailable", "503", remedy="wait")
    for _ in range(20):
        await rig.step(after=0.5)
    (stale,) = rig.told
    assert stale[0] is EventType.SOURCE_STALE
    assert stale[1]["source"] == "graph"
    assert stale[1]["kind"] == "advisory"
    assert stale[1]["last_complete_at"] == read_at.isoformat()
    assert stale[1]["error"] == {"code": "unavailable", "text": "503", "remedy": "wait"}
    assert stale[2] == "unavailable"
    assert sources.state_of(await rig.standing(), rig.clock.at) is SourceState.STALE
    rig.source.trouble = None
    for _ in range(12):
        await rig.step(after=0.5)
    assert [kind for kind, _, _ in rig.told] == [EventType.SOURCE_STALE, EventType.SOURCE_RECOVERED]
    assert sources.state_of(await rig.standing(), rig.clock.at) is SourceState.FRESH


async def test_a_short_failure_is_not_told(rig: Rig) -> None:
    await rig.step()
    rig.source.trouble = SourceUnreadable("timeout", "slow")
    await rig.step()
    assert sources.state_of(await rig.standing(), rig.clock.at) is SourceState.FAILING
    rig.source.trouble = None
    await rig.step()
    assert rig.told == []
    assert (await rig.standing()).last_error is not None


async def test_a_source_that_never_answers_goes_stale_too(rig: Rig) -> None:
    rig.source.trouble = SourceUnreadable("token_refused", "no", remedy="check the secret")
    for _ in range(20):
        await rig.step()
    assert [kind for kind, _, _ in rig.told] == [EventType.SOURCE_STALE]
    assert rig.told[0][1]["last_complete_at"] is None
    assert len(rig.source.reads) == 4  # a fault of the set-up is tried at the calm interval only


async def test_failures_back_off_and_a_retry_after_is_kept(rig: Rig) -> None:
    await rig.step()
    rig.source.trouble = SourceUnreadable("unavailable", "503")
    for _ in range(9):
        await rig.step()
    assert len(rig.source.reads) == 1 + 4  # after 1, 2, 4 minutes and then 4 again
    rig.source.trouble = SourceUnreadable("throttled", "429", retry_after=minutes(10))
    await rig.step(after=4)
    asked = len(rig.source.reads)
    for _ in range(9):
        assert await rig.step() <= HOT
    assert len(rig.source.reads) == asked
    rig.source.trouble = None
    await rig.step()
    assert len(rig.source.reads) == asked + 1


async def test_an_unknown_word_is_told_once_for_ever(rig: Rig) -> None:
    rig.source.unknown = (("status", "serviceSplendid"),)
    await rig.step()
    await rig.step()
    rig.poll = rig.build()
    rig.source.unknown = (("postType", "holo"), ("status", "serviceSplendid"))
    await rig.step()
    await rig.step()
    assert [(kind, facts["field"], facts["value"]) for kind, facts, _ in rig.told] == [
        (EventType.SOURCE_UNKNOWN_VALUE, "status", "serviceSplendid"),
        (EventType.SOURCE_UNKNOWN_VALUE, "postType", "holo"),
    ]


async def test_a_crash_before_the_note_repeats_harmlessly(rig: Rig) -> None:
    await rig.step()
    rig.take()
    rig.source.advisories = [served(title="changed")]
    rig.source.unknown = (("status", "x"),)
    rig.clock.at += HOT

    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("power loss")

    crashing = Poll(
        rig.db,
        rig.clock,
        rig.source,
        tenant=TENANT,
        append=rig.append,
        announce=broken,
        cadence=Cadence(hot=HOT, calm=CALM),
    )
    with pytest.raises(RuntimeError):
        await crashing.step()
    assert len(rig.take()) == 1
    await rig.step()
    assert rig.take() == []
    assert [kind for kind, _, _ in rig.told] == [EventType.SOURCE_UNKNOWN_VALUE]
