"""What a key is bound to: an address, a time, tenants; and how it is followed by another."""

from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from app.core.errors import AlreadyRotated, NotFound
from app.flow import keys
from app.store.keys import Bounds
from tests.api.conftest import OTHER, URL, Context
from tests.builders import TENANT


def at(api: FastAPI, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(api, client=(address, 5000))
    return httpx.AsyncClient(transport=transport, base_url=URL)


async def made(world: Context, tenant: str = TENANT, **more: object) -> dict[str, str]:
    key = await keys.create(
        world.db, tenant=tenant, name="a", scopes=["admin"], now=world.clock.now(), **more
    )
    return {"authorization": f"Bearer {key.secret}"}


@pytest.mark.parametrize(
    ("address", "status"),
    [("192.0.2.9", 200), ("192.0.3.9", 403), ("2001:db8::1", 200), ("2001:db8::2", 403), ("", 403)],
)
async def test_a_key_is_used_from_its_networks_alone(
    api: FastAPI, world: Context, address: str, status: int
) -> None:
    headers = await made(world, bounds=Bounds(networks=("192.0.2.0/24", "2001:db8::1")))
    async with at(api, address) as client:
        assert (await client.get("/v1/incidents", headers=headers)).status_code == status


async def test_wrong_keys_are_slowed_down_by_address(api: FastAPI, world: Context) -> None:
    good = await made(world)
    wrong = {"authorization": "Bearer sxt_key_wrong"}
    async with at(api, "192.0.2.1") as client, at(api, "192.0.2.2") as other:
        told = [(await client.get("/v1/keys", headers=wrong)).status_code for _ in range(22)]
        assert told == [401] * 20 + [429] * 2
        late = await client.get("/v1/keys", headers=wrong)
        assert late.headers["retry-after"]
        assert (await client.get("/v1/keys", headers=good)).status_code == 200
        assert (await other.get("/v1/keys", headers=wrong)).status_code == 401


async def test_two_keys_are_valid_while_one_follows_the_other(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    body = {"name": "robot", "scopes": ["incidents:read"], "networks": ["127.0.0.0/8"]}
    first = (await client.post("/v1/keys", headers=admin, json=body)).json()
    path = f"/v1/keys/{first['id']}/rotate"
    second = await client.post(path, headers=admin, json={"overlap_hours": 2})
    assert second.status_code == 201, second.text
    following = second.json()
    assert following["client"] == first["client"]
    assert following["networks"] == first["networks"] == ["127.0.0.0/8"]
    third = await client.post(path, headers=admin)
    assert third.status_code == 409
    assert third.json()["type"].endswith("/problems/already-rotated")

    async def opens(key: str) -> bool:
        headers = {"authorization": f"Bearer {key}"}
        return (await client.get("/v1/incidents", headers=headers)).is_success

    assert await opens(first["key"])
    assert await opens(following["key"])
    world.clock.at += timedelta(hours=3)
    assert not await opens(first["key"])
    assert await opens(following["key"])
    assert (await client.post(path, headers=admin)).status_code == 404
    again = await client.post(f"/v1/keys/{following['id']}/rotate", headers=admin)
    assert again.status_code == 201


async def test_an_operator_of_some_tenants_sees_no_other(
    client: httpx.AsyncClient, world: Context
) -> None:
    both = await made(world, f"{TENANT},{OTHER}")
    for tenant in (TENANT, OTHER):
        opened = await client.post(
            "/v1/incidents",
            headers={**both, "sextant-tenant": tenant},
            json={"title": tenant, "services": ["viva"], "severity": "minor"},
        )
        assert opened.status_code == 201, opened.text
    listed = (await client.get("/v1/incidents", headers=both)).json()["items"]
    assert {one["tenant"] for one in listed} == {TENANT, OTHER}
    stranger = await made(world, f"{OTHER},third")
    listed = (await client.get("/v1/incidents", headers=stranger)).json()["items"]
    assert {one["tenant"] for one in listed} == {OTHER}
    for path in ("/v1/incidents", "/v1/keys"):
        named = await client.get(path, params={"tenant": TENANT}, headers=stranger)
        assert named.status_code == 400
    assert (await client.get("/v1/keys", headers=stranger)).status_code == 400  # names none
    refused = await client.post(
        "/v1/incidents", headers={**stranger, "sextant-tenant": TENANT}, json={}
    )
    assert refused.status_code in {400, 422}
    told = (await client.get("/v1/audit", headers=stranger)).json()["items"]
    assert {entry["tenant"] for entry in told} == {OTHER}


async def test_what_is_no_valid_key_is_not_rotated(world: Context) -> None:
    now = world.clock.now()
    key = await keys.create(
        world.db, tenant=TENANT, name="a", scopes=["admin"], now=now, expires_in=timedelta(days=1)
    )
    with pytest.raises(NotFound):
        await keys.rotate(world.db, tenant=OTHER, key_id=key.key.id, now=now)
    following = await keys.rotate(world.db, tenant=None, key_id=key.key.id, now=now)
    assert following.key.expires_at == now + timedelta(days=1)
    with pytest.raises(AlreadyRotated):
        await keys.rotate(world.db, tenant=TENANT, key_id=following.key.id, now=now)
    with pytest.raises(NotFound):
        await keys.rotate(world.db, tenant=TENANT, key_id=key.key.id, now=now + timedelta(days=2))
