"""A channel or mirror that fails is told once, shown while it does, and told once when it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.core.link import LinkState
from app.store import events, links
from app.store.engine import Database
from tests.flow.mirroring import MirrorWorld
from tests.flow.telling import TellingWorld
from tests.sinks.benches import SlackBench, slack
from tests.standins.channels.trouble import Trouble
from tests.standins.servicenow import Fault, Kind, User


@pytest.fixture
async def bench() -> AsyncIterator[SlackBench]:
    async with slack() as made:
        yield made


def told(world: TellingWorld | MirrorWorld) -> list[tuple[str, str]]:
    """Every news about channels: type and reason."""
    found = world.db.read_now(lambda c: events.after(c, world.tenant, 0, 1000))
    kinds = [(e.type.value, json.loads(e.body)["data"].get("cause")) for e in found]
    return [(kind, reason) for kind, reason in kinds if kind.startswith("channel.")]


def standing(world: TellingWorld | MirrorWorld, name: str) -> links.Standing:
    return world.db.read_now(lambda c: links.standings(c, world.tenant))[name]


async def test_a_refused_channel_is_told_once_and_its_end_too(
    database: Database, bench: SlackBench
) -> None:
    world = TellingWorld(database, bench.channel)
    bench.refuse(refuses=True)
    incident = await world.open()
    await world.open(title="Another")
    await asyncio.gather(world.run(), world.run(loop=world.replica()))
    await world.run(1800)
    assert told(world) == [("channel.failing", "refused")]
    at = standing(world, bench.channel.name)
    assert at.failing_since is not None
    assert "is_archived" in at.trouble
    bench.refuse(refuses=False)
    await world.run(1000)
    assert world.link(incident).state is LinkState.IN_STEP
    assert told(world)[1:] == [("channel.recovered", "worked")]
    assert standing(world, bench.channel.name).failing_since is None


async def test_one_that_does_not_answer_is_told_by_its_breaker_and_no_sooner(
    sqlite_database: Database, bench: SlackBench
) -> None:
    world = TellingWorld(sqlite_database, bench.channel)
    bench.door.troubles += [Trouble.THROTTLED] * 3
    await world.open()
    await world.run(60)
    assert told(world) == []
    bench.door.troubles += [Trouble.THROTTLED] * 6
    for number in range(6):
        await world.open(title=f"Number {number}")
    await world.run(3600)
    assert told(world) == [("channel.failing", "unreached"), ("channel.recovered", "worked")]


def forbid(world: MirrorWorld) -> None:
    world.instance.add_user(User(name="sextant", password="renewed"))


def sleep(world: MirrorWorld) -> None:
    world.instance.faults.append(Fault(kind=Kind.HIBERNATING, times=None))


@pytest.mark.parametrize(("what", "reason"), [(forbid, "refused"), (sleep, "unreached")])
async def test_a_mirror_that_is_not_let_in_or_not_answered_is_told(
    sqlite_database: Database, what: Any, reason: str
) -> None:
    world = MirrorWorld(sqlite_database)
    incident = await world.open()
    await world.run(300)
    what(world)
    await world.run(4000)
    assert told(world) == [("channel.failing", reason)]
    world.instance.add_user(User(name="sextant", password="pw"))
    world.instance.faults.clear()
    await world.run(1200)
    assert told(world)[1:] == [("channel.recovered", "worked")]
    assert world.link(incident).state is LinkState.IN_STEP


async def test_a_ticket_that_is_refused_makes_its_mirror_fail(sqlite_database: Database) -> None:
    world = MirrorWorld(sqlite_database)
    world.instance.tables["sys_choice"].clear()  # without close codes nothing can be resolved
    world.instance.close_codes = ()
    incident = await world.open()
    await world.run(300)
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run(300)
    assert world.link(incident).state is LinkState.FAILED
    assert told(world) == [("channel.failing", "refused")]
    assert "Resolution code" in standing(world, "snow").trouble
