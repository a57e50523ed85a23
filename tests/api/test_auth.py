"""Keys and scopes: who gets in, generated from the OpenAPI document for every operation."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from app.api.auth import KeyRing
from app.api.deps import Principal
from app.api.openapi import operations
from app.core.errors import InvalidInput, NotFound, Unauthenticated
from app.core.types import TenantId
from app.flow import keys
from app.flow.keys import SCOPES
from app.kit.keys import digest, is_wellformed, make_key
from app.store import keys as store
from tests.api.conftest import OTHER, Context
from tests.api.conftest import make_key as key_for
from tests.builders import TENANT

# Who asks need not say who he is, or proves it by a signature.
OPEN = {
    "/livez",
    "/readyz",
    "/metrics",
    "/.well-known/webhook-keys.json",
    "/v1/mirrors/{name}/hints",
    "/v1/channels/{name}/deliveries",
}


def test_a_key_can_be_told_from_a_typing_error() -> None:
    key = make_key("key")
    assert is_wellformed(key, "key")
    assert key.startswith("sxt_key_")
    for wrong in (key[:-1], key + "0", key.replace("sxt", "sxu"), key.swapcase(), "", "ä" * 40):
        assert not is_wellformed(wrong, "key")
    assert not is_wellformed(key, "public")
    assert make_key("key") != key


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Basic YTpi",
        pytest.param(f"Bearer {make_key('key')}", id="a key of nobody"),
        pytest.param(f"Bearer {make_key('public')}", id="a public key of nobody"),
        "Bearer sxt_key_000000000000000000000000000000_000000",
    ],
)
async def test_without_a_valid_key_nobody_gets_in(
    client: httpx.AsyncClient, header: str | None
) -> None:
    headers = {} if header is None else {"authorization": header}
    answer = await client.get("/v1/incidents", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_every_operation_keeps_out_who_lacks_its_scope(
    api: FastAPI, client: httpx.AsyncClient, world: Context
) -> None:
    holders = {scope: await key_for(world, scope) for scope in SCOPES}
    implied = {"incidents:write": {"incidents:read"}, "admin": set(SCOPES)}
    cells = 0
    for path, method, operation in operations(api.openapi()):
        if path in OPEN:
            continue
        needed = {scope for way in operation["security"] for scope in way.get("apiKey", ())}
        address = path.replace("{", "").replace("}", "")
        if path.endswith("/stream"):
            address += "?after=no-cursor"  # an open stream would never end
        nobody = await client.request(method, address)
        assert nobody.status_code == 401, (method, path)
        for scope, headers in holders.items():
            answer = await client.request(method, address, headers=headers)
            allowed = not needed.isdisjoint({scope, *implied.get(scope, set())})
            assert (answer.status_code != 403) is allowed, (method, path, scope, answer.text)
            assert answer.status_code != 401
            cells += 1
    assert cells > 100


def test_scopes_imply_what_the_contract_says() -> None:
    def caller(*scopes: str) -> Principal:
        return Principal(
            tenant=TenantId("t"), key_id="k", name="n", scopes=frozenset(scopes), operator=False
        )

    assert caller("incidents:write").may("incidents:read")
    assert not caller("incidents:read").may("incidents:write")
    assert all(caller("admin").may(scope) for scope in SCOPES)
    assert not caller("subscriptions:write").may("incidents:read")


async def test_a_key_is_made_listed_used_and_revoked(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    body = {"name": "robot", "scopes": ["incidents:read"], "expires_in_days": 1}
    made = await client.post("/v1/keys", headers=admin, json=body)
    assert made.status_code == 201, made.text
    key = made.json()
    assert made.headers["cache-control"] == "no-store"
    robot = {"authorization": f"Bearer {key['key']}"}
    assert (await client.get("/v1/incidents", headers=robot)).status_code == 200
    listed = (await client.get("/v1/keys", headers=admin)).json()["items"]
    assert [item["name"] for item in listed] == ["robot", "anna"]
    assert "key" not in listed[0]
    assert listed[0]["last_used_at"] is not None
    gone = await client.delete(f"/v1/keys/{key['id']}", headers=admin)
    assert gone.status_code == 204
    assert (await client.get("/v1/incidents", headers=robot)).status_code == 401
    again = await client.delete(f"/v1/keys/{key['id']}", headers=admin)
    assert again.status_code == 204
    theirs = await key_for(world, "admin", tenant=OTHER)
    assert (await client.delete(f"/v1/keys/{key['id']}", headers=theirs)).status_code == 404
    assert (await client.get("/v1/keys", headers=theirs)).json()["items"][0]["tenant"] == OTHER
    own = listed[1]["id"]
    assert (await client.delete(f"/v1/keys/{own}", headers=admin)).status_code == 403


async def test_keys_are_paged(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    for number in range(4):
        await key_for(world, "admin", name=f"key-{number}")
        await asyncio.sleep(0.002)  # ids of one millisecond have no order
    names: list[str] = []
    cursor = ""
    while True:
        page = (await client.get(f"/v1/keys?limit=2{cursor}", headers=admin)).json()
        names += [item["name"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert names == ["key-3", "key-2", "key-1", "key-0", "anna"]


async def test_an_expired_key_opens_nothing(world: Context) -> None:
    now = world.clock.now()
    made = await keys.create(
        world.db,
        tenant=TENANT,
        name="short",
        scopes=["admin"],
        now=now,
        expires_in=timedelta(hours=1),
    )
    ring = KeyRing(world)
    assert (await ring.find(made.secret)).id == made.key.id
    world.clock.at = now + timedelta(hours=1)
    with pytest.raises(Unauthenticated):
        await ring.find(made.secret)


@pytest.mark.parametrize(
    ("name", "scopes"), [("x", []), ("x", ["root"]), ("", ["admin"]), ("y" * 101, ["admin"])]
)
async def test_a_key_that_cannot_be_meant_is_not_made(
    world: Context, name: str, scopes: list[str]
) -> None:
    with pytest.raises(InvalidInput):
        await keys.create(world.db, tenant=TENANT, name=name, scopes=scopes, now=world.clock.now())
    with pytest.raises(NotFound):
        await keys.revoke(world.db, tenant=TENANT, key_id="key_no", now=world.clock.now())


async def test_only_the_digest_of_a_key_is_stored(world: Context) -> None:
    made = await keys.create(
        world.db, tenant=TENANT, name="n", scopes=["admin"], now=world.clock.now()
    )
    rows = await world.db.read(lambda c: [tuple(row) for row in c.execute(store.T.select())])
    assert made.secret not in str(rows)
    assert digest(made.secret) in str(rows)
