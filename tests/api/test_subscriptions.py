"""Subscriptions and deliveries over HTTP: made, verified, changed, listed, delivered again."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api import problems
from app.api.auth import KeyRing
from app.api.v1 import deliveries, replays, subscriptions
from app.flow import keys
from app.store.engine import Database
from tests.builders import NOW, TENANT
from tests.flow.test_deliver import World, failing
from tests.store.test_deliveries import emit, event

URL = "http://127.0.0.1:9000/"
TAG = re.compile(r'"r1\.[0-9a-f]{8}"')


@pytest.fixture
def world(sqlite_database: Database) -> World:
    return World(sqlite_database)


async def caller(world: World, *scopes: str, tenant: str = TENANT) -> dict[str, str]:
    made = await keys.create(
        world.db, tenant=tenant, name="anna", scopes=list(scopes), now=NOW, expires_in=None
    )
    return {"authorization": f"Bearer {made.secret}"}


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    tenants = [SimpleNamespace(id="contoso", name="Contoso"), SimpleNamespace(id="fabrikam")]
    context = SimpleNamespace(
        db=world.db,
        clock=world.clock,
        subscriptions=world.subscriptions,
        secret=b"secret",
        public_url="http://test",
        settings=SimpleNamespace(tenants=tenants),
    )
    api = FastAPI()
    api.state.context = context
    api.state.key_ring = KeyRing(context)  # type: ignore[arg-type]
    problems.install(api, public_url="http://test")
    for router in (subscriptions.router, replays.router, deliveries.router):
        api.include_router(router)
    api.include_router(subscriptions.well_known)
    headers = await caller(world, "subscriptions:write")
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers
    ) as client:
        yield client


async def make(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post("/v1/subscriptions", json={"url": URL, **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_subscription_is_made_with_a_secret_that_is_shown_once(
    http: httpx.AsyncClient, world: World
) -> None:
    answer = await http.post("/v1/subscriptions", json={"url": URL})
    made = answer.json()
    assert (answer.status_code, made["state"]) == (201, "unverified")
    assert made["secret"].startswith("whsec_")
    assert TAG.fullmatch(answer.headers["etag"])
    assert answer.headers["cache-control"] == "no-store"
    await world.deliver.step()
    read = await http.get(answer.headers["location"])
    assert (read.json()["state"], "secret" in read.json()) == ("active", False)
    assert TAG.fullmatch(read.headers["etag"])
    assert read.headers["etag"] != answer.headers["etag"]  # another representation
    again = await http.get(answer.headers["location"])
    assert again.headers["etag"] == read.headers["etag"]
    # Yet the settings are those that were seen: what moves by itself is in nobody's way.
    early = {"if-match": answer.headers["etag"]}
    changed = await http.patch(read.url.path, json={"description": "x"}, headers=early)
    assert (changed.status_code, changed.json()["revision"]) == (200, 2)
    listed = (await http.get("/v1/subscriptions")).json()
    assert ([one["id"] for one in listed["items"]], listed["next"]) == ([made["id"]], None)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"url": "http://10.0.0.1/"}, {"url": "https://169.254.169.254/"}, {"url": "x"},
        {"url": URL, "event_types": []}, {"url": URL, "event_types": ["incident.exploded"]},
        {"url": URL, "event_types": ["test.ping"]}, {"url": URL, "more": 1},
        {"url": URL, "filter": {"colour": "red"}}, {"url": URL, "format": "xml"},
        {"url": URL, "filter": {"min_severity": "dire"}}, {"url": URL, "state": "active"},
    ],
)  # fmt: skip
async def test_a_bad_wish_is_a_problem(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await http.post("/v1/subscriptions", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await http.get("/v1/subscriptions")).json()["items"] == []


async def test_a_change_needs_the_tag_that_was_read(http: httpx.AsyncClient) -> None:
    wanted = {"services": ["intune"], "min_severity": "major", "labels": {"team": "mail"}}
    made = await make(http, filter={**wanted, "announced": True})
    path = f"/v1/subscriptions/{made['id']}"
    patch: dict[str, Any] = {"description": "ops", "filter": {"min_severity": None}}
    assert (await http.patch(path, json=patch)).status_code == 428
    wrong = await http.patch(path, json=patch, headers={"if-match": '"r7"'})
    assert wrong.status_code == 412
    done = await http.patch(path, json=patch, headers={"if-match": '"r1"'})
    assert (done.status_code, done.headers["etag"][:4]) == (200, '"r2.')
    assert done.json()["filter"] == {
        "services": ["intune"], "min_severity": None, "statuses": [], "regions": [],
        "labels": {"team": "mail"}, "announced": True,
    }  # fmt: skip
    tag = {"if-match": '"r2"'}
    for bad in ({"url": None}, {"signing": "v1a"}, {"url": "https://10.0.0.1/"}):
        assert (await http.patch(path, json=bad, headers=tag)).status_code == 422
    assert (await http.delete(path)).status_code == 428
    assert (await http.delete(path, headers=tag)).status_code == 204
    assert (await http.get(path)).status_code == 404


async def test_another_tenant_and_another_scope_see_nothing(
    http: httpx.AsyncClient, world: World
) -> None:
    made = await make(http)
    path = f"/v1/subscriptions/{made['id']}"
    stranger = await caller(world, "admin", tenant="fabrikam")
    assert (await http.get(path, headers=stranger)).status_code == 404
    assert (await http.post(f"{path}/test", headers=stranger)).status_code == 404
    assert (await http.get("/v1/deliveries", headers=stranger)).json()["items"] == []
    reader = await caller(world, "incidents:read")
    assert (await http.get(path, headers=reader)).status_code == 403
    operator = await caller(world, "admin", tenant="*")
    assert (await http.get(path, headers=operator)).status_code == 200


async def test_the_delivery_log_tells_each_attempt(http: httpx.AsyncClient, world: World) -> None:
    made = await make(http)
    await world.deliver.step()
    world.receiver.answer = failing(400)
    emit(world.db, event(1), event(2, incident="inc_2"))
    for seconds in (6, 3600, 0):
        await world.deliver.step()
        world.clock.at += timedelta(seconds=seconds)
    parked = (await http.get("/v1/deliveries?state=parked&limit=1")).json()
    assert len(parked["items"]) == 1
    assert [a["status"] for a in parked["items"][0]["attempts"]] == [400, 400, 400]
    assert parked["items"][0]["attempts"][0]["phases"] == {
        "dns_ms": None, "connect_ms": None, "tls_ms": None, "first_byte_ms": 3.0, "body_ms": None,
    }  # fmt: skip
    assert parked["items"][0]["attempts"][0]["request_headers"] == {
        "webhook-id": parked["items"][0]["event"]
    }
    following = await http.get(f"/v1/deliveries?state=parked&limit=1&cursor={parked['next']}")
    assert following.json()["next"] is None
    assert (await http.get(f"/v1/deliveries?cursor={parked['next']}")).status_code == 400
    assert (await http.get("/v1/deliveries?colour=red")).status_code == 400
    identity = parked["items"][0]["id"]
    again = await http.post(f"/v1/deliveries/{identity}/redeliver")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    assert (await http.post("/v1/deliveries/dlv_none/redeliver")).status_code == 404
    assert (await http.get("/v1/deliveries/dlv_none")).status_code == 404
    of_one = await http.get(f"/v1/deliveries?subscription={made['id']}&incident=inc_1")
    assert len(of_one.json()["items"]) == 1


async def test_secrets_rotate_and_windows_are_replayed(
    http: httpx.AsyncClient, world: World
) -> None:
    made = await make(http, signing="v1a")
    assert made["public_keys"] == [made["secret"]]
    path = f"/v1/subscriptions/{made['id']}"
    rotated = (await http.post(f"{path}/rotate-secret")).json()
    assert rotated["public_keys"] == [rotated["secret"], made["secret"]]
    assert rotated["previous_secret_until"] is not None
    keys_shown = (await http.get("/.well-known/webhook-keys.json")).json()["keys"]
    assert [k["key"] for k in keys_shown] == rotated["public_keys"]
    emit(world.db, event(1))
    window = {"since": "2026-03-16T00:00:00Z", "until": "2026-03-17T00:00:00Z", "select": "all"}
    bad = {**window, "until": "2026-03-15T00:00:00Z"}
    assert (await http.post(f"{path}/replays", json=bad)).status_code == 422
    ended = (await http.post(f"{path}/replays", json=window)).json()
    cancelled = await http.post(f"{path}/replays/{ended['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert (await http.post(f"{path}/replays/rpl_none/cancel")).status_code == 404
    job = await http.post(f"{path}/replays", json={**window, "select": "failed"})
    assert (job.status_code, job.json()["state"]) == (202, "planning")
    read = (await http.get(job.headers["location"])).json()
    assert read == job.json()
    for _ in range(2):
        await world.upkeep.step()
        world.clock.at += timedelta(seconds=1)
    assert (await http.get(job.headers["location"])).json()["state"] == "finished"
    listed = (await http.get(f"{path}/replays")).json()
    assert [one["id"] for one in listed["items"]] == [job.json()["id"], ended["id"]]
    late = await http.post(f"{job.headers['location']}/cancel")
    assert (late.status_code, late.headers["content-type"]) == (409, "application/problem+json")
    assert (await http.get(f"{path}/replays/rpl_none")).status_code == 404
    assert (await http.get("/v1/subscriptions/sub_none/replays")).status_code == 404
    ping = await http.post(f"{path}/test")
    assert (ping.status_code, ping.json()["event_type"]) == (202, "test.ping")
