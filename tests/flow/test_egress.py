"""The corpus of hostile addresses at every door to a receiver: nothing is ever dialled."""

from collections.abc import AsyncIterator, Callable

import pytest

from app.core.errors import TargetRefused
from app.core.retry import Standing
from app.core.route import Subscription
from app.flow.subscriptions import Subscriptions, Wish
from app.kit.egress import Egress
from app.kit.guarded import GuardedPoster
from app.sinks.webhook import WebhookSender
from app.store import deliveries, subscriptions
from app.store.engine import Database
from tests.builders import TENANT
from tests.core.test_route import a_subscription
from tests.flow.world import World
from tests.kit.test_http import HOSTILE, NAMES, Recorder
from tests.store.test_deliveries import emit, event

# What a resolver takes for an address without being asked for one.
NUMBERS = {
    "0": ["0.0.0.0"], "2852039166": ["169.254.169.254"], "017700000001": ["127.0.0.1"],
}  # fmt: skip


class Yielding(Recorder):
    """Resolves as generously as a system may."""

    async def resolve(self, host: str, port: int) -> list[str]:
        if host in NUMBERS:
            self.asked.append(host)
            return NUMBERS[host]
        return list(await super().resolve(host, port))


@pytest.fixture
def recorder() -> Yielding:
    return Yielding()


@pytest.fixture
async def world(sqlite_database: Database, recorder: Yielding) -> AsyncIterator[World]:
    made = World(sqlite_database)
    egress = Egress(resolve=recorder.resolve)
    made.subscriptions = Subscriptions(
        made.db, made.clock, egress=egress, vault=made.vault, bell=made.bell
    )
    poster = GuardedPoster(egress, open_socket=recorder.open)
    made.deliver._sender = WebhookSender(poster, deadline_seconds=3)
    yield made
    await poster.aclose()


def stored(world: World, state: Standing) -> list[Subscription]:
    """Subscriptions to hostile addresses, as if they had been let in once."""
    sealed = world.vault.seal("whsec_" + "A" * 43 + "=")
    made = [
        a_subscription(id=f"sub_{number:03d}", url=url, state=state, secret=sealed)
        for number, url in enumerate(HOSTILE)
    ]
    world.db.write_now(lambda c: [subscriptions.add(c, one) for one in made])
    return made


async def test_at_creation(world: World, recorder: Yielding) -> None:
    for url in HOSTILE:
        with pytest.raises(TargetRefused):
            await world.subscriptions.create(TENANT, Wish(url=url), by="anna")
    assert recorder.dials == []
    assert world.page() == []


async def test_at_a_change(world: World, recorder: Yielding) -> None:
    made, _ = await world.subscriptions.create(
        TENANT, Wish(url="https://public.example/"), by="anna"
    )
    for url in HOSTILE:
        with pytest.raises(TargetRefused):
            await world.subscriptions.change(TENANT, made.id, {"url": url}, revision=1, by="anna")
    assert (await world.subscriptions.get(TENANT, made.id)).url == "https://public.example/"
    assert recorder.dials == []


async def _delivered_to_nobody(world: World, recorder: Yielding, planned: int) -> None:
    await world.drain()
    assert recorder.dials == []
    rows = world.page(limit=500)
    assert len(rows) == planned
    for row in rows:
        found = world.db.read_now(lambda c, row=row: deliveries.get(c, TENANT, row.id))
        assert found is not None
        [attempt] = found[1]
        assert attempt.outcome in {"blocked", "dns_failure"}, row.subscription
        assert (attempt.status, attempt.excerpt) == (None, "")


async def test_at_a_ping(world: World, recorder: Yielding) -> None:
    for one in stored(world, Standing.UNVERIFIED):
        await world.subscriptions.test(TENANT, one.id, by="anna")
    await _delivered_to_nobody(world, recorder, len(HOSTILE))
    states = world.db.read_now(lambda c: subscriptions.page(c, TENANT, after=None, limit=500))
    assert {one.state for one in states} == {Standing.UNVERIFIED}


async def test_at_a_delivery(world: World, recorder: Yielding) -> None:
    stored(world, Standing.ACTIVE)
    assert emit(world.db, event(1)) == len(HOSTILE)
    await _delivered_to_nobody(world, recorder, len(HOSTILE))


REBINDING: dict[str, Callable[[Yielding], None]] = {
    "to loopback": lambda r: r.answers.update({"re.example": [["93.184.215.14"], ["127.0.0.1"]]}),
    "to a mixture": lambda r: r.answers.update(
        {"re.example": [["93.184.215.14"], ["93.184.215.14", "10.0.0.1"]]}
    ),
    "to metadata": lambda r: r.answers.update(
        {"re.example": [["93.184.215.14"], ["169.254.169.254"]]}
    ),
}


@pytest.mark.parametrize("how", REBINDING)
async def test_a_name_that_changes_between_creation_and_delivery(
    world: World, recorder: Yielding, how: str
) -> None:
    REBINDING[how](recorder)
    await world.subscriptions.create(TENANT, Wish(url="https://re.example/"), by="anna")
    assert await world.deliver.step() == 1
    assert recorder.dials == []
    assert [row.reason for row in world.page(state="parked")] == ["blocked"]


def test_the_corpus_is_no_smaller_than_the_reference() -> None:
    assert len(set(HOSTILE)) >= 49
    assert {"mixed.example", "nat64.example"} <= set(NAMES)
