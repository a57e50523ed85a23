"""Replays as jobs that survive whatever comes, and news that is told exactly once."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, update

from app.core.errors import IllegalTransition, NotFound
from app.core.events import EventType
from app.core.retry import BREAKS_AFTER, PROBE_EVERY, Standing
from app.core.route import Facts, Filter, PlannedEvent, Subscription
from app.core.types import Severity
from app.flow.upkeep import AHEAD, Rhythm, Upkeep
from app.store import deliveries, replays, subscriptions
from app.store.replays import FINISHED, PLANNING, SENDING, Replay
from tests.builders import NOW, TENANT
from tests.flow.world import World, failing, ok, until
from tests.store.queue import EVENTS
from tests.store.test_deliveries import emit, event

WINDOW: dict[str, Any] = {"since": NOW - timedelta(days=1), "until": NOW + timedelta(days=1)}
ALONE: dict[str, Any] = {"facts": None, "incident": None, "type_": EventType.SOURCE_STALE}


async def ask(world: World, made: Subscription, select: str = "all") -> Replay:
    window = {**WINDOW, "until": world.clock.at + timedelta(days=1)}
    world.clock.at += timedelta(seconds=1)
    return await world.subscriptions.replay(TENANT, made.id, select=select, by="anna", **window)


def job(world: World, wanted: Replay) -> Replay:
    found = world.db.read_now(lambda c: replays.get(c, wanted.subscription, wanted.id))
    assert found is not None
    return found


async def carry(world: World, *, steps: int = 50) -> None:
    """Let upkeep and deliveries work until neither has anything to do, or so many seconds pass."""
    for _ in range(steps):
        await world.upkeep.step()
        await world.drain()
        world.clock.at += timedelta(seconds=1)


async def test_a_window_is_replayed_with_the_same_ids(world: World) -> None:
    emit(world.db, event(1, **ALONE))
    made = await world.active()
    emit(world.db, event(2, **ALONE))
    world.receiver.answer = failing(400)
    for _ in range(3):
        await world.deliver.step()
        world.clock.at += timedelta(hours=1)
    assert [d.event for d in world.page(state="parked")] == ["evt_000002"]
    world.receiver.answer = ok
    world.receiver.got.clear()
    missing, failed = await ask(world, made, "missing"), await ask(world, made, "failed")
    await carry(world, steps=9)
    assert (job(world, missing).planned, job(world, failed).planned) == (1, 1)
    assert sorted(world.ids()) == ["evt_000001", "evt_000002"]
    assert {h["sextant-replay"] for _, _, h in world.receiver.got} == {missing.id, failed.id}
    everything = await ask(world, made)
    await carry(world, steps=5)
    assert len(world.ids()) == 4
    told = [facts for kind, facts, _ in world.told if kind.value == "subscription.replay_finished"]
    assert [facts["replay"]["id"] for facts in told] == [missing.id, failed.id, everything.id]
    assert told[-1]["replay"] == {
        "id": everything.id, "select": "all", "planned": 2, "delivered": 2, "parked": 0,
    }  # fmt: skip


def happen(world: World, *events: PlannedEvent) -> None:
    """Emit events whose documents tell of their incident."""
    emit(world.db, *events)

    def unit(c: Connection) -> None:
        for one in events:
            assert one.facts is not None
            about = {"severity": one.facts.severity.name.lower(), "status": one.facts.status}
            body = json.dumps({"id": one.id, "data": {"incident": about}}).encode()
            c.execute(update(EVENTS).where(EVENTS.c.id == one.id).values(body=body))

    world.db.write_now(unit)


@pytest.mark.parametrize("select", ["missing", "all"])
async def test_a_replay_ends_only_what_it_announced(world: World, select: str) -> None:
    grave, slight = Facts(severity=Severity.MAJOR), Facts(severity=Severity.MINOR)
    quiet, loud = {"incident": "inc_quiet"}, {"incident": "inc_loud"}
    happen(
        world, event(1, facts=slight, **quiet), event(2, facts=grave, **loud),
        event(3, EventType.RESOLVED, facts=slight, **quiet),
        event(4, EventType.RESOLVED, facts=slight, **loud),  # graver when it was told
    )  # fmt: skip
    made = await world.active(filter=Filter(min_severity=Severity.MAJOR))
    wanted = await ask(world, made, select)
    await carry(world, steps=9)
    assert job(world, wanted).state == FINISHED
    assert world.ids() == ["evt_000002", "evt_000004"]


async def test_an_end_that_failed_is_sent_though_its_announcement_is_no_longer_kept(
    world: World,
) -> None:
    made = await world.active(filter=Filter(min_severity=Severity.MAJOR))
    happen(world, event(1, facts=Facts(severity=Severity.MAJOR)))
    await world.drain()
    happen(world, event(2, EventType.RESOLVED, facts=Facts(severity=Severity.MINOR)))
    world.receiver.answer = failing(410)
    await world.drain()

    def forget(c: Connection) -> None:
        c.execute(delete(deliveries.T).where(deliveries.T.c.event == "evt_000001"))

    world.db.write_now(forget)
    world.receiver.answer = ok
    await world.subscriptions.test(TENANT, made.id, by="anna")
    await world.drain()
    wanted = await ask(world, made, "failed")
    await carry(world, steps=9)
    assert (job(world, wanted).planned, world.ids()[-1]) == (1, "evt_000002")


async def test_a_replay_goes_on_after_whoever_carried_it_died(world: World) -> None:
    made = await world.active()
    count = AHEAD + 30
    emit(world.db, *[event(n, **ALONE) for n in range(1, count + 1)])
    await world.drain()
    world.receiver.got.clear()
    wanted = await ask(world, made)
    await world.upkeep.step()
    half = job(world, wanted)
    assert (half.state, half.planned) == (PLANNING, AHEAD)
    other = World(world.db)  # nothing of the first one's memory
    other.clock.at = world.clock.at
    await carry(other, steps=20)
    assert job(world, wanted).state == FINISHED
    assert sorted(other.ids()) == [f"evt_{n:06d}" for n in range(1, count + 1)]
    assert len(other.told) == 1
    assert world.told == []


async def test_a_replay_holds_its_pace_and_never_more_than_its_share_waits(world: World) -> None:
    made = await world.active()
    emit(world.db, *[event(n, **ALONE) for n in range(1, 3 * AHEAD + 1)])
    await world.drain()
    world.upkeep = Upkeep(
        world.db, world.clock, news=world.news, bell=world.bell, rhythm=Rhythm(per_second=10)
    )
    wanted = await ask(world, made)
    await world.upkeep.step()
    await world.upkeep.step()
    assert job(world, wanted).planned == AHEAD
    await world.drain()
    world.clock.at += timedelta(seconds=AHEAD / 10 - 1)
    await world.upkeep.step()
    assert job(world, wanted).planned == AHEAD  # sent already, but its time has not come
    world.clock.at += timedelta(seconds=1)
    await world.upkeep.step()
    assert job(world, wanted).planned == 2 * AHEAD
    world.clock.at += timedelta(seconds=60)
    await world.upkeep.step()
    assert job(world, wanted).planned == 2 * AHEAD  # nothing was sent meanwhile


async def test_one_replay_of_a_subscription_waits_for_the_one_before(world: World) -> None:
    made = await world.active()
    emit(world.db, *[event(n, **ALONE) for n in range(1, AHEAD + 20)])
    await world.drain()
    first, second = await ask(world, made), await ask(world, made)
    await world.upkeep.step()
    assert (job(world, first).planned, job(world, second).planned) == (AHEAD, 0)
    await carry(world, steps=20)
    assert job(world, second).state == FINISHED


async def test_a_replay_for_a_disabled_subscription_waits_and_of_a_deleted_one_ends(
    world: World,
) -> None:
    made = await world.active()
    emit(world.db, event(1, **ALONE))
    await world.drain()
    disabled = Standing.DISABLED
    world.db.write_now(lambda c: subscriptions.stand(c, made.id, disabled, reason="gone"))
    wanted = await ask(world, made)
    await world.upkeep.step()
    assert (job(world, wanted).state, job(world, wanted).planned) == (PLANNING, 0)
    await world.subscriptions.delete(TENANT, made.id, revision=1)
    world.clock.at += timedelta(minutes=2)
    await world.upkeep.step()
    assert job(world, wanted).state == "cancelled"
    assert [kind.value for kind, _, _ in world.told] == ["subscription.disabled"]


async def test_a_cancelled_replay_parks_what_waits_and_lets_the_next_one_go_on(
    world: World,
) -> None:
    made = await world.active()
    emit(world.db, *[event(n, **ALONE) for n in range(1, AHEAD + 20)])
    await world.drain()
    world.receiver.got.clear()
    first, second = await ask(world, made), await ask(world, made, "missing")
    await world.upkeep.step()
    emit(world.db, event(900, **ALONE))  # what is new is none of the replay's
    cancelled, _ = await world.subscriptions.cancel_replay(TENANT, made.id, first.id)
    assert (cancelled.state, cancelled.finished_at) == ("cancelled", world.clock.at)
    again, _ = await world.subscriptions.cancel_replay(TENANT, made.id, first.id)
    assert again == cancelled
    parked = [d for d in world.page(state="parked", limit=500) if d.replay == first.id]
    assert len(parked) == AHEAD
    assert {d.reason for d in parked} == {"replay_cancelled"}
    await carry(world, steps=9)
    assert world.ids() == ["evt_000900"]
    assert (job(world, first).state, job(world, second).state) == ("cancelled", FINISHED)
    with pytest.raises(IllegalTransition):
        await world.subscriptions.cancel_replay(TENANT, made.id, second.id)
    with pytest.raises(NotFound):
        await world.subscriptions.cancel_replay(TENANT, made.id, "rpl_none")
    assert (await world.subscriptions.redeliver(TENANT, parked[0].id))[0].state == "pending"


@pytest.mark.parametrize(("status", "state"), [(204, "delivered"), (503, "parked")])
async def test_what_is_being_sent_at_a_cancellation_ends_as_it_ends(
    world: World, status: int, state: str
) -> None:
    made = await world.active()
    emit(world.db, event(1, **ALONE))
    await world.drain()
    wanted = await ask(world, made)
    await world.upkeep.step()
    world.receiver.answer = ok if status == 204 else failing(status)
    gate = world.receiver.hanging[made.url] = asyncio.Event()
    sending = asyncio.create_task(world.deliver.step())
    await until(lambda: world.receiver.now.get(made.url, 0) == 1)
    await world.subscriptions.cancel_replay(TENANT, made.id, wanted.id)
    gate.set()
    await sending
    replayed = [d for d in world.page() if d.replay == wanted.id]
    assert [(d.state, d.attempts) for d in replayed] == [(state, 1)]
    world.clock.at += timedelta(days=1)
    assert await world.deliver.step() == 0


async def test_the_end_is_told_once_whoever_is_killed_around_it(world: World) -> None:
    made = await world.active()
    wanted = await ask(world, made)

    async def dies(*_: Any, **__: Any) -> None:
        raise ConnectionResetError

    world.upkeep._news = dies  # type: ignore[assignment]  # a crash before anything was stored
    with pytest.raises(ConnectionResetError):
        await world.upkeep.step()
    assert job(world, wanted).state == SENDING
    first, second = (
        Upkeep(world.db, world.clock, news=world.news, bell=world.bell) for _ in range(2)
    )
    stale = job(world, wanted)
    world.clock.at += timedelta(seconds=2)
    await first.step()
    await second._finish(stale)  # another replica that had read it before
    assert len(world.told) == 1
    assert job(world, wanted).state == FINISHED


async def test_a_standing_is_told_after_a_crash_and_only_once(world: World) -> None:
    made = await world.active()
    failed = Standing.FAILING
    world.db.write_now(lambda c: subscriptions.stand(c, made.id, failed, reason="unreachable"))
    [untold] = world.db.read_now(lambda c: subscriptions.untold(c, 9))
    await World(world.db).upkeep.step()
    await world.upkeep._tell(untold)
    assert world.told == []
    assert world.db.read_now(lambda c: subscriptions.untold(c, 9)) == []


async def test_a_breaker_opens_after_ten_failures_and_lets_one_through_a_minute(
    world: World,
) -> None:
    made = await world.active()
    emit(world.db, *[event(n, incident=f"inc_{n}") for n in range(1, 31)])
    world.receiver.answer = failing(503)
    while (await world.subscriptions.get(TENANT, made.id)).consecutive_failures < BREAKS_AFTER:
        assert await world.deliver.step()
    tried = len(world.receiver.got)
    assert tried <= BREAKS_AFTER + 16  # what was under way when it opened
    world.clock.at += PROBE_EVERY - timedelta(seconds=1)
    assert await world.deliver.step() == 0
    for _ in range(3):
        world.clock.at += PROBE_EVERY
        assert await world.deliver.step() == 1
        assert await world.deliver.step() == 0
    waiting = world.page(state="pending", limit=99)
    assert sum(one.attempts for one in waiting) == tried + 3  # waiting burns no attempts
    await world.subscriptions.test(TENANT, made.id, by="anna")
    assert await world.deliver.step() == 1  # a ping passes
    world.receiver.answer = ok
    world.clock.at += PROBE_EVERY
    assert await world.deliver.step() == 1
    assert (await world.subscriptions.get(TENANT, made.id)).open_until is None
    world.clock.at += timedelta(hours=1)
    await world.drain()
    assert world.page(state="pending") == []


async def test_two_replicas_share_the_one_trial_of_an_open_breaker(world: World) -> None:
    made = await world.active()
    emit(world.db, *[event(n, incident=f"inc_{n}") for n in range(1, 31)])
    world.receiver.answer = failing(503)
    while (await world.subscriptions.get(TENANT, made.id)).consecutive_failures < BREAKS_AFTER:
        await world.deliver.step()
    other = World(world.db)
    world.clock.at += PROBE_EVERY
    other.clock.at = world.clock.at
    assert await world.deliver.step() + await other.deliver.step() == 1
