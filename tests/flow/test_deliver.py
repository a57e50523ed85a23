"""The delivery loop against a database of each kind and a scripted receiver."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core.errors import NotFound, PreconditionFailed, TargetRefused
from app.core.events import EventType
from app.core.ports import AttemptOutcome, Body
from app.core.retry import Standing
from app.core.route import Subscription
from app.core.types import TenantId
from app.flow.deliver import SHARE, Deliver
from app.flow.subscriptions import Subscriptions, Wish
from app.formats.native import NativeV1
from app.kit import signing
from app.kit.clock import FixedClock
from app.kit.egress import Egress
from app.kit.vault import Vault
from app.kit.wake import Bell
from app.store import deliveries, subscriptions
from app.store.deliveries import Delivery
from app.store.engine import Database
from tests.builders import NOW, TENANT
from tests.store.test_deliveries import emit, event

Answer = Callable[[str, str], AttemptOutcome]


def ok(url: str, webhook_id: str) -> AttemptOutcome:
    return AttemptOutcome(outcome="delivered", status=204, excerpt="fine")


def failing(status: int) -> Answer:
    def answer(url: str, webhook_id: str) -> AttemptOutcome:
        return AttemptOutcome(outcome="gone" if status == 410 else "refused", status=status)

    return answer


async def nowhere(host: str, port: int) -> Sequence[str]:
    return []


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 - what is awaited is a row in the database
            await asyncio.sleep(0.01)


class Receiver:
    """Stands in for the sender: keeps what it was handed and answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, str]]] = []
        self.secrets: list[tuple[str, ...]] = []
        self.bodies: list[bytes] = []
        self.answer: Answer = ok
        self.hanging: dict[str, asyncio.Event] = {}
        self.most: dict[str, int] = {}
        self.now: dict[str, int] = {}

    async def send(
        self, url: str, body: Body, *, webhook_id: str, secrets: Sequence[str], now: datetime,
        headers: dict[str, str],
    ) -> AttemptOutcome:  # fmt: skip
        self.now[url] = self.now.get(url, 0) + 1
        self.most[url] = max(self.most.get(url, 0), self.now[url])
        if url in self.hanging:
            await self.hanging[url].wait()
        self.now[url] -= 1
        self.got.append((url, webhook_id, headers))
        self.secrets.append(tuple(secrets))
        self.bodies.append(body.content)
        return self.answer(url, webhook_id)


class World:
    """Everything around the loop."""

    def __init__(self, database: Database) -> None:
        self.db = database
        self.clock = FixedClock(NOW)
        self.receiver = Receiver()
        self.bell = Bell()
        self.vault = Vault("key")
        self.told: list[tuple[EventType, dict[str, Any], str]] = []
        egress = Egress.of([{"cidr": "127.0.0.0/8"}], resolve=nowhere)
        self.subscriptions = Subscriptions(
            database, self.clock, egress=egress, vault=self.vault, bell=self.bell
        )
        self.deliver = Deliver(
            database,
            self.clock,
            sender=self.receiver,
            formats={"native": NativeV1()},
            vault=self.vault,
            news=self.news,
            draw=lambda: 0.5,
            bell=self.bell,
        )

    async def news(
        self, tenant: TenantId, kind: EventType, facts: dict[str, Any], *, actor: str, reason: str
    ) -> None:
        self.told.append((kind, facts, reason))

    async def subscribed(self, port: int = 9000, **wish: Any) -> Subscription:
        made, _ = await self.subscriptions.create(
            TENANT, Wish(url=f"http://127.0.0.1:{port}/", **wish), by="anna"
        )
        return made

    async def active(self, port: int = 9000, **wish: Any) -> Subscription:
        made = await self.subscribed(port, **wish)
        await self.deliver.step()
        self.receiver.got.clear()
        return await self.subscriptions.get(TENANT, made.id)

    def page(self, **more: Any) -> list[Delivery]:
        return self.db.read_now(lambda c: deliveries.page(c, TENANT, **more))

    def ids(self) -> list[str]:
        return [webhook_id for _, webhook_id, _ in self.receiver.got]


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


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
    assert (await world.subscriptions.get(TENANT, made.id)).state is Standing.FAILING
    world.receiver.answer = ok
    await world.deliver.step()
    assert (await world.subscriptions.get(TENANT, made.id)).state is Standing.ACTIVE
    assert [kind.value for kind, _, _ in world.told] == [
        "subscription.failing",
        "subscription.recovered",
    ]
    assert world.told[0][1]["subscription"]["id"] == made.id


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


async def test_a_hanging_receiver_slows_nobody_else(world: World) -> None:
    slow = await world.active(9000)
    await world.active(9001)
    world.receiver.hanging[slow.url] = asyncio.Event()
    stop = asyncio.Event()
    emit(world.db, *[event(n, incident=f"inc_{n}") for n in range(1, 41)])
    loop = asyncio.create_task(world.deliver.run(stop))
    await until(lambda: len(world.receiver.got) == 40)
    assert all(url != slow.url for url, _, _ in world.receiver.got)
    assert world.receiver.most[slow.url] <= 2 * SHARE
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


async def test_both_secrets_sign_for_a_day_after_rotation(world: World) -> None:
    made = await world.active()
    _, secret = await world.subscriptions.rotate(TENANT, made.id)
    emit(world.db, event(1))
    await world.deliver.step()
    assert world.receiver.secrets[-1][0] == secret
    assert len(world.receiver.secrets[-1]) == 2
    world.clock.at += timedelta(hours=24)
    emit(world.db, event(2, EventType.RESOLVED), now=world.clock.at)
    await world.deliver.step()
    assert world.receiver.secrets[-1] == (secret,)


async def test_of_a_key_pair_only_the_public_half_is_shown(world: World) -> None:
    made, secret = await world.subscriptions.create(
        TENANT, Wish(url="http://127.0.0.1:9000/", signing="v1a"), by="anna"
    )
    assert secret.startswith("whpk_")
    assert await world.subscriptions.public_keys() == [(made.id, secret)]
    await world.deliver.step()
    assert signing.public_key(world.receiver.secrets[0][0]) == secret
    stored = world.db.read_now(lambda c: subscriptions.get(c, TENANT, made.id))
    assert stored is not None
    assert "whsk" not in stored.secret


async def test_a_new_address_is_verified_before_it_gets_anything(world: World) -> None:
    made = await world.active()
    changed = await world.subscriptions.change(
        TENANT, made.id, {"url": "http://127.0.0.1:9009/"}, revision=1, by="anna"
    )
    assert (changed.state, changed.revision) == (Standing.UNVERIFIED, 2)
    emit(world.db, event(1))
    world.receiver.answer = failing(500)
    await world.deliver.step()
    assert len(world.receiver.got) == 1  # the ping alone
    world.receiver.answer = ok
    world.clock.at += timedelta(seconds=5)
    while await world.deliver.step():
        pass
    assert {url for url, _, _ in world.receiver.got} == {"http://127.0.0.1:9009/"}
    assert world.ids()[-1] == "evt_000001"


async def test_changes_need_the_present_revision_and_a_permitted_address(world: World) -> None:
    made = await world.active()
    with pytest.raises(PreconditionFailed):
        await world.subscriptions.change(
            TENANT, made.id, {"description": "x"}, revision=7, by="anna"
        )
    with pytest.raises(TargetRefused):
        await world.subscriptions.change(
            TENANT, made.id, {"url": "http://10.0.0.1/"}, revision=1, by="anna"
        )
    with pytest.raises(TargetRefused):
        await world.subscriptions.create(TENANT, Wish(url="http://example.com/"), by="anna")
    with pytest.raises(NotFound):
        await world.subscriptions.get(TenantId("fabrikam"), made.id)
    changed = await world.subscriptions.change(
        TENANT, made.id, {"description": "x"}, revision=1, by="anna"
    )
    assert (changed.description, changed.state) == ("x", Standing.ACTIVE)


async def test_a_deleted_subscription_gets_nothing_more(world: World) -> None:
    made = await world.active()
    emit(world.db, event(1))
    await world.subscriptions.delete(TENANT, made.id, revision=1)
    assert await world.deliver.step() == 0
    assert [d.reason for d in world.page(state="parked")] == ["subscription_deleted"]
    assert emit(world.db, event(2)) == 0


async def test_a_window_can_be_replayed_with_the_same_ids(world: World) -> None:
    emit(world.db, event(1, facts=None, incident=None, type_=EventType.SOURCE_STALE))
    made = await world.active()
    emit(world.db, event(2, facts=None, incident=None, type_=EventType.SOURCE_STALE))
    world.receiver.answer = failing(400)
    for _ in range(3):
        await world.deliver.step()
        world.clock.at += timedelta(hours=1)
    assert [d.event for d in world.page(state="parked")] == ["evt_000002"]
    world.receiver.answer = ok
    world.receiver.got.clear()
    window: dict[str, Any] = {"since": NOW, "until": NOW + timedelta(hours=1)}
    missing = await world.subscriptions.replay(TENANT, made.id, select="missing", **window)
    failed = await world.subscriptions.replay(TENANT, made.id, select="failed", **window)
    assert (missing.planned, failed.planned) == (1, 1)
    while await world.deliver.step():
        pass
    assert sorted(world.ids()) == ["evt_000001", "evt_000002"]
    everything = await world.subscriptions.replay(TENANT, made.id, select="all", **window)
    assert everything.planned == 2
    while await world.deliver.step():
        pass
    assert len(world.ids()) == 4


async def test_a_parked_delivery_can_be_delivered_again(world: World) -> None:
    await world.active()
    world.receiver.answer = lambda url, webhook_id: AttemptOutcome(outcome="blocked")
    emit(world.db, event(1))
    await world.deliver.step()
    world.receiver.answer = ok
    [parked] = world.page(state="parked")
    await world.subscriptions.redeliver(TENANT, parked.id)
    await world.deliver.step()
    assert world.page(state="parked") == []
    with pytest.raises(NotFound):
        await world.subscriptions.redeliver(TENANT, "dlv_none")
