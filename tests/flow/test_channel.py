"""The flow of a channel: replicas, budget, gaps, who is held back and what follows later."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta

import pytest

from app.core.announce import ChannelFacts, Hold, Send, Updates, Verdict
from app.core.incident import Incident
from app.core.link import LinkState
from app.core.types import OPEN_STATUSES
from app.flow.channel import BREAKS_AFTER
from app.store.engine import Database
from tests.flow.telling import TellingWorld
from tests.sinks.benches import SlackBench, slack
from tests.standins.channels.trouble import Trouble


@pytest.fixture
async def bench() -> AsyncIterator[SlackBench]:
    async with slack() as made:
        yield made


async def test_two_replicas_tell_each_thing_once(database: Database, bench: SlackBench) -> None:
    world = TellingWorld(database, bench.channel)
    other = world.replica()
    for number in range(3):
        await world.open(title=f"Number {number}")
    for _ in range(8):
        await asyncio.gather(world.loop.step(), other.step())
    await world.run(1)
    assert bench.firsts() == 3


async def test_the_thread_tells_what_happened_and_the_message_how_it_stands(
    sqlite_database: Database, bench: SlackBench
) -> None:
    world = TellingWorld(sqlite_database, bench.channel)
    incident = await world.open()
    await world.run()
    await world.do("notes", incident, text="we look", visibility="internal")
    await world.do("severity", incident, severity="critical", reason="worse")
    await world.run()
    (message,) = bench.door.of_channel()
    (reply,) = bench.door.replies(message.ts)  # both went out together
    assert "we look" in reply.text
    assert "severity: major → critical" in reply.text
    assert "critical" in message.text
    assert message.edits == 1


async def test_updates_within_the_gap_go_out_together(
    sqlite_database: Database, bench: SlackBench
) -> None:
    world = TellingWorld(sqlite_database, bench.channel, gap=900, updates=Updates.MILESTONES)
    incident = await world.open()
    await world.run()
    for severity in ("critical", "minor", "critical"):
        await world.do("severity", incident, severity=severity, reason="r")
        await world.run(60)
    assert len(bench.door.messages) == 1
    await world.run(900)
    assert len(bench.door.messages) == 2
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run()  # the end does not wait
    assert world.link(incident).remote_state == "resolved"


async def test_beyond_the_budget_a_notice_is_held_and_follows(
    sqlite_database: Database, bench: SlackBench
) -> None:
    world = TellingWorld(sqlite_database, bench.channel, budget=2)
    made = [await world.open(title=f"Number {n}") for n in range(4)]
    await world.run(60)
    states = [world.link(one).state for one in made]
    assert sorted(states) == sorted([LinkState.IN_STEP] * 2 + [LinkState.HELD] * 2)
    assert "budget" in next(
        world.link(o).explanation for o in made if world.link(o).state is LinkState.HELD
    )
    await world.run(3700)
    assert bench.firsts() == 4


def unless_down(
    incident: Incident, living: Sequence[Incident], plan: Sequence[ChannelFacts]
) -> Mapping[str, Verdict]:
    """Hold every channel while an incident of Exchange is open; afterwards say that it is late."""
    down = any("exchange-online" in i.services and i.status in OPEN_STATUSES for i in living)
    verdict = Hold(why="Exchange Online is down.") if down else Send(mark="Late: mail was down.")
    return {one.name: verdict for one in plan}


async def test_what_was_held_back_is_told_once_when_the_way_is_well_again(
    sqlite_database: Database, bench: SlackBench
) -> None:
    world = TellingWorld(sqlite_database, bench.channel, choose=unless_down)
    incident = await world.open()
    await world.run(300)
    link = world.link(incident)
    assert (link.state, link.explanation) == (LinkState.HELD, "Exchange Online is down.")
    assert bench.calls() == 0
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run(60)
    assert (bench.firsts(), world.link(incident).remote_state) == (1, "resolved")
    assert "Late: mail was down." in bench.shown()[0]


async def test_after_some_failures_one_telling_alone_tries_the_other_side(
    sqlite_database: Database, bench: SlackBench
) -> None:
    world = TellingWorld(sqlite_database, bench.channel)
    bench.door.troubles += [Trouble.THROTTLED] * 8
    for number in range(12):
        await world.open(title=f"Number {number}")
    await world.run(60)
    assert bench.calls() <= BREAKS_AFTER + 6
    await world.run(600)
    assert bench.firsts() == 12


async def test_a_message_that_somebody_deleted_is_not_posted_anew(
    sqlite_database: Database, bench: SlackBench
) -> None:
    world = TellingWorld(sqlite_database, bench.channel)
    incident = await world.open()
    await world.run()
    bench.door.messages.clear()
    await world.do("notes", incident, text="more", visibility="internal")
    await world.run()
    assert (world.link(incident).state, bench.door.messages) == (LinkState.GONE, [])


async def test_without_the_right_to_look_a_lost_answer_doubles_one_message_at_most(
    sqlite_database: Database, bench: SlackBench
) -> None:
    bench.door.scopes.discard("channels:history")
    world = TellingWorld(sqlite_database, bench.channel)
    bench.door.troubles += [Trouble.COMMITTED, Trouble.CUT, Trouble.CUT]
    incident = await world.open()
    await world.run(timedelta(minutes=5).total_seconds())
    assert bench.firsts() <= 2
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run(60)  # the end is told all the same
    assert world.link(incident).remote_state == "resolved"


async def test_an_incident_that_ends_before_its_debounce_is_not_told(
    sqlite_database: Database, bench: SlackBench
) -> None:
    world = TellingWorld(sqlite_database, bench.channel, debounce=timedelta(seconds=60))
    incident = await world.open()
    await world.run(10)
    await world.do("dismiss", incident, resolution="false_positive", reason="a drill")
    await world.run(120)
    assert (bench.calls(), world.link(incident).state) == (0, LinkState.ENDED)
