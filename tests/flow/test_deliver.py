"""The delivery loop against a database of each kind and a scripted receiver."""

import asyncio
import json
from datetime import timedelta

import pytest

from app.core.events import EventType
from app.core.ports import AttemptOutcome
from app.core.retry import Standing
from app.flow.deliver import SHARE
from app.store import deliveries
from tests.builders import NOW, TENANT
from tests.flow.world import World, failing, ok, until
from tests.store.test_deliveries import emit, event


async def test_an_answered_ping_makes_a_subscription_active(world: World) -> None:
    made = await world.subscribed()
    assert made.state is Standing.UNVERIFIED
    emit(world.db, event(1))
    assert await world.deliver.step() == 1
    document = json.loads(world.receiver.bodies[0])
    assert document["type"] == "test.ping"
    assert document["data"]["subscription"]["id"] == made.id
    assert (await world.subscriptions.get(TENANT, made.id)).state is Standing.ACTIVE
    assert await world.deliver.step() == 0  # what came before activation is not sent
    emit(world.db, event(2))
    assert await world.deliver.step() == 1
    assert world.ids()[-1] == "evt_000002"


async def test_a_refused_ping_leaves_it_unverified_and_shows_nothing_of_the_answer(
    world: World,
) -> None:
    world.receiver.answer = lambda url, webhook_id: AttemptOutcome(
        outcome="refused", status=500, excerpt="internal page"
    )
    made = await world.subscribed()
    await world.deliver.step()
    assert (await world.subscriptions.get(TENANT, made.id)).state is Standing.UNVERIFIED
    [ping] = world.page()
    assert (ping.state, ping.due_at) == ("pending", NOW + timedelta(seconds=5))
    found = world.db.read_now(lambda c: deliveries.get(c, TENANT, ping.id))
    assert found is not None
    assert found[1][0].excerpt == ""


async def test_a_refused_delivery_comes_again_on_schedule_with_the_same_id_and_bytes(
    world: World,
) -> None:
    await world.active()
    world.receiver.answer = failing(503)
    emit(world.db, event(1))
    for wait in (5, 30, 120):
        assert await world.deliver.step() == 1
        world.clock.at += timedelta(seconds=wait - 1)
        assert await world.deliver.step() == 0
        world.clock.at += timedelta(seconds=1)
    world.receiver.answer = ok
    assert await world.deliver.step() == 1
    assert set(world.ids()) == {"evt_000001"}
    assert set(world.receiver.bodies[1:]) == {b'{"id":"evt_000001"}'}
    assert [h["sextant-attempt"] for _, _, h in world.receiver.got] == ["1", "2", "3", "4"]
    assert world.page(state="pending") == []


async def test_order_holds_while_the_head_is_refused_and_updates_coalesce(world: World) -> None:
    await world.active()
    world.receiver.answer = failing(500)
    emit(world.db, event(1))
    await world.deliver.step()
    emit(world.db, event(2, EventType.UPDATED))
    emit(world.db, event(3, EventType.UPDATED))
    emit(world.db, event(4, EventType.RESOLVED))
    assert await world.deliver.step() == 0
    world.receiver.answer = ok
    world.clock.at += timedelta(seconds=5)
    while await world.deliver.step():
        pass
    assert world.ids() == ["evt_000001", "evt_000001", "evt_000003", "evt_000004"]
    assert world.receiver.got[2][2]["sextant-superseded"] == "evt_000002"


async def test_four_failed_attempts_make_it_failing_and_one_success_recovers_it(
    world: World,
) -> None:
    made = await world.active()
    world.receiver.answer = failing(500)
    emit(world.db, event(1))
    for _ in range(4):
        await world.deliver.step()
        world.clock.at += timedelta(minutes=10)
    await world.upkeep.step()
    await world.upkeep.step()
    assert (await world.subscriptions.get(TENANT, made.id)).state is Standing.FAILING
    world.receiver.answer = ok
    await world.deliver.step()
    await world.upkeep.step()
    assert (await world.subscriptions.get(TENANT, made.id)).state is Standing.ACTIVE
    assert [kind.value for kind, _, _ in world.told] == [
        "subscription.failing",
        "subscription.recovered",
    ]
    failing_, recovered = (facts["subscription"] for _, facts, _ in world.told)
    assert (failing_["id"], failing_["state"], failing_["cause"]) == (
        made.id, "failing", "unreachable",
    )  # fmt: skip
    assert recovered["cause"] == "delivered"


async def test_410_disables_and_parks_what_waits(world: World) -> None:
    made = await world.active()
    emit(world.db, event(1), event(2, EventType.RESOLVED), event(3, incident="inc_2"))
    world.receiver.answer = failing(410)
    await world.deliver.step()
    assert (await world.subscriptions.get(TENANT, made.id)).state is Standing.DISABLED
    assert {d.event for d in world.page(state="parked")} == {
        "evt_000001",
        "evt_000002",
        "evt_000003",
    }
    await world.upkeep.step()
    assert [kind.value for kind, _, _ in world.told] == ["subscription.disabled"]
    assert await world.deliver.step() == 0
    world.receiver.answer = ok
    await world.subscriptions.test(TENANT, made.id, by="anna")
    await world.deliver.step()
    assert (await world.subscriptions.get(TENANT, made.id)).state is Standing.ACTIVE


async def test_five_days_without_success_disable(world: World) -> None:
    made = await world.active()
    world.receiver.answer = failing(500)
    emit(world.db, event(1))
    for _ in range(7):
        await world.deliver.step()
        world.clock.at += timedelta(days=1)
    assert (await world.subscriptions.get(TENANT, made.id)).state is Standing.DISABLED


async def test_a_blocked_address_is_parked_at_once_and_told(world: World) -> None:
    made = await world.active()
    world.receiver.answer = lambda url, webhook_id: AttemptOutcome(outcome="blocked")
    emit(world.db, event(1))
    await world.deliver.step()
    [parked] = world.page(state="parked")
    assert parked.reason == "blocked"
    assert (await world.subscriptions.get(TENANT, made.id)).state is Standing.FAILING


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_of_our_credentials_is_told_at_once_and_tried_again(
    world: World, status: int
) -> None:
    made = await world.active()
    world.receiver.answer = failing(status)
    emit(world.db, event(1))
    await world.deliver.step()
    [waiting] = world.page(state="pending")
    assert (waiting.reason, waiting.due_at) == ("unauthorized", NOW + timedelta(seconds=5))
    assert (await world.subscriptions.get(TENANT, made.id)).state is Standing.FAILING


@pytest.mark.parametrize(
    ("wish", "reason", "standing"),
    [
        ("abort-message", "aborted_by_receiver", Standing.ACTIVE),
        ("disable", "gone", Standing.DISABLED),
    ],
)
async def test_a_receiver_says_what_it_does_not_want(
    world: World, wish: str, reason: str, standing: Standing
) -> None:
    made = await world.active()
    world.receiver.answer = lambda url, webhook_id: AttemptOutcome(
        outcome="refused", status=500, wish=wish
    )
    emit(world.db, event(1))
    await world.deliver.step()
    assert [row.reason for row in world.page(state="parked")] == [reason]
    assert (await world.subscriptions.get(TENANT, made.id)).state is standing


async def test_a_hanging_receiver_slows_nobody_else(world: World) -> None:
    slow = await world.active(9000)
    await world.active(9001)
    world.receiver.hanging[slow.url] = asyncio.Event()
    stop = asyncio.Event()
    emit(world.db, *[event(n, incident=f"inc_{n}") for n in range(1, 41)])
    loop = asyncio.create_task(world.deliver.run(stop))
    await until(lambda: len(world.receiver.got) == 40)
    assert all(url != slow.url for url, _, _ in world.receiver.got)
    assert world.receiver.most[slow.url] <= SHARE + 1  # the ping was answered
    world.receiver.hanging.pop(slow.url).set()
    await until(lambda: not world.page(state="pending", subscription=slow.id))
    stop.set()
    world.bell.ring()
    await loop
    assert len(world.receiver.got) == 80


async def test_a_lease_that_lapsed_lets_another_replica_deliver(world: World) -> None:
    made = await world.active()
    emit(world.db, event(1))
    world.receiver.hanging[made.url] = asyncio.Event()
    first = asyncio.create_task(world.deliver.step())
    await asyncio.sleep(0.2)
    assert await world.deliver.step() == 0
    world.clock.at += timedelta(seconds=41)
    other = World(world.db)
    other.clock = world.clock
    other.deliver._clock = world.clock
    assert await other.deliver.step() == 1
    world.receiver.hanging.pop(made.url).set()
    await first
    [done] = world.page(state="delivered", incident="inc_1")
    assert done.attempts == 2


async def test_what_is_under_way_here_is_not_sent_again_however_late_it_is(world: World) -> None:
    made = await world.active()
    emit(world.db, event(1))
    gate = world.receiver.hanging[made.url] = asyncio.Event()
    sending = asyncio.create_task(world.deliver.step())
    await until(lambda: world.receiver.now.get(made.url, 0) == 1)
    world.clock.at += 2 * world.deliver._pace.lease  # the machine stood still, or so it seems
    emit(world.db, event(2, incident="inc_2"))
    again = asyncio.create_task(world.deliver.step())
    await until(lambda: world.receiver.now[made.url] == 2)  # the second event, not the first again
    gate.set()
    assert (await sending, await again) == (1, 1)
    assert sorted(world.ids()) == ["evt_000001", "evt_000002"]
    assert {(row.state, row.attempts) for row in world.page(incident="inc_1")} == {("delivered", 1)}
