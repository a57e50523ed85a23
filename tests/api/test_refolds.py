"""The doors of replays: a job is asked for, watched, listed, and is its tenant's own."""

from datetime import timedelta

import httpx
import pytest

from app.core.policy import DEFAULT_POLICY
from app.core.state import TenantProfile
from app.flow.refolds import Refolds
from app.formats.native_v1 import Renderer
from tests.api.conftest import OTHER, URL, Context, make_key
from tests.builders import NOW, TENANT

WINDOW = {"since": (NOW - timedelta(hours=1)).isoformat(), "until": NOW.isoformat()}


@pytest.fixture
def jobs(world: Context) -> Refolds:
    """The use cases, put where the routes find them."""
    made = Refolds(
        world.db, world.clock, render=Renderer(public_url=URL), policy=DEFAULT_POLICY,
        profile=lambda tenant: TenantProfile(id=tenant, users=500),
    )  # fmt: skip
    world.refolds = made
    return made


async def test_a_replay_is_asked_for_and_watched(
    client: httpx.AsyncClient, world: Context, jobs: Refolds, admin: dict[str, str]
) -> None:
    await world.fold.step(TENANT)
    asked = await client.post("/v1/replays", headers=admin, json=WINDOW)
    assert asked.status_code == 202
    body = asked.json()
    assert asked.headers["location"] == f"/v1/replays/{body['id']}"
    assert (body["state"], body["policy"], body["result"]) == ("queued", {}, None)
    await jobs.step()
    done = (await client.get(asked.headers["location"], headers=admin)).json()
    assert (done["state"], done["progress"]) == ("finished", 1.0)
    assert done["result"]["reproduced"] is True
    assert done["result"]["opened"] == []
    listed = (await client.get("/v1/replays", headers=admin)).json()
    assert listed == {"items": [done], "next": None}


async def test_thresholds_are_checked_by_name(
    client: httpx.AsyncClient, jobs: Refolds, admin: dict[str, str]
) -> None:
    body = {**WINDOW, "policy": {"no_such": 1}}
    refused = await client.post("/v1/replays", headers=admin, json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/policy/no_such"
    naive = await client.post("/v1/replays", headers=admin,
                              json={**WINDOW, "since": "2026-03-16T06:00:00"})  # fmt: skip
    assert naive.status_code == 422
    kept = await client.post("/v1/replays", headers=admin,
                             json={**WINDOW, "policy": {"quorum_actors": 5}})  # fmt: skip
    assert kept.json()["policy"] == {"quorum_actors": 5}


async def test_one_key_is_one_job(
    client: httpx.AsyncClient, jobs: Refolds, admin: dict[str, str]
) -> None:
    headers = {**admin, "idempotency-key": "once"}
    first = await client.post("/v1/replays", headers=headers, json=WINDOW)
    again = await client.post("/v1/replays", headers=headers, json=WINDOW)
    assert first.json() == again.json()
    assert len((await client.get("/v1/replays", headers=admin)).json()["items"]) == 1


async def test_a_cursor_leads_to_the_next_page(
    client: httpx.AsyncClient, world: Context, jobs: Refolds, admin: dict[str, str]
) -> None:
    for _ in range(3):
        await client.post("/v1/replays", headers=admin, json=WINDOW)
        world.clock.at += timedelta(seconds=1)
    first = (await client.get("/v1/replays?limit=2", headers=admin)).json()
    rest = (await client.get(f"/v1/replays?cursor={first['next']}", headers=admin)).json()
    ids = [one["id"] for one in (*first["items"], *rest["items"])]
    assert len(ids) == len(set(ids)) == 3
    assert rest["next"] is None


async def test_scopes_and_tenants_hold(
    client: httpx.AsyncClient, world: Context, jobs: Refolds, admin: dict[str, str]
) -> None:
    made = (await client.post("/v1/replays", headers=admin, json=WINDOW)).json()["id"]
    reader = await make_key(world, "incidents:read")
    stranger = await make_key(world, "admin", tenant=OTHER)
    assert (await client.post("/v1/replays", headers=reader, json=WINDOW)).status_code == 403
    assert (await client.get(f"/v1/replays/{made}", headers=reader)).status_code == 200
    assert (await client.get(f"/v1/replays/{made}", headers=stranger)).status_code == 404
    assert (await client.get("/v1/replays", headers=stranger)).json()["items"] == []
    assert (await client.get(f"/v1/replays/{made}")).status_code == 401
