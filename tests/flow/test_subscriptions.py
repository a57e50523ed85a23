"""The use cases of subscriptions: secrets, addresses, changes, replays."""

from datetime import timedelta

import pytest

from app.core.errors import NotFound, PreconditionFailed, TargetRefused
from app.core.events import EventType
from app.core.ports import AttemptOutcome
from app.core.retry import Standing
from app.core.types import TenantId
from app.flow.subscriptions import Wish
from app.kit import signing
from app.store import subscriptions
from tests.builders import TENANT
from tests.flow.world import World, failing, ok
from tests.store.test_deliveries import emit, event


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
