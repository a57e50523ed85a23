"""One advisory of many tenants is shown once, and to nobody who may not see it."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.core.signal import Advisory
from app.core.types import TenantId
from app.store import advisories, vendor_events
from app.store.engine import Database
from tests.api.conftest import OTHER, Context, make_key
from tests.builders import NOW, TENANT, a_post, an_advisory, minutes


def put(db: Database, tenant: str, advisory: Advisory, revision: int = 1) -> None:
    db.write_now(lambda c: advisories.upsert(c, TenantId(tenant), advisory, None, revision))


@pytest.fixture
async def operator(world: Context) -> dict[str, str]:
    return await make_key(world, "incidents:read", tenant="*")


@pytest.fixture
def shared(world: Context) -> None:
    """EX1 in both tenants, the other's copy newer and resolved; EX2 in the other alone."""
    put(world.db, TENANT, an_advisory(vendor_id="EX1", title="old words"))
    newer: dict[str, Any] = {"at": NOW + minutes(9), "is_resolved": True, "status": "resolved"}
    post = a_post(text="It is over.")
    put(world.db, OTHER, an_advisory(vendor_id="EX1", title="new", posts=(post,), **newer), 4)
    put(world.db, OTHER, an_advisory(vendor_id="EX2", at=NOW - minutes(9)))


@pytest.mark.usefixtures("shared")
async def test_an_operator_sees_each_once_with_every_tenant(
    client: httpx.AsyncClient, operator: dict[str, str]
) -> None:
    answer = await client.get("/v1/vendor-events", headers=operator)
    first, second = answer.json()["items"]
    assert (first["id"], first["title"], first["status"]) == ("EX1", "new", "resolved")
    assert not first["is_resolved"]  # one tenant still has it open
    assert (first["tenants_affected"], first["tenants_open"]) == (2, 1)
    assert [(t["tenant"], t["is_resolved"], t["revision"]) for t in first["tenants"]] == [
        (TENANT, False, 1),
        (OTHER, True, 4),
    ]
    assert (second["id"], second["tenants_affected"]) == ("EX2", 1)
    one = (await client.get("/v1/vendor-events/EX1", headers=operator)).json()
    assert [post["text"] for post in one["posts"]] == ["It is over."]
    narrowed = await client.get("/v1/vendor-events", params={"tenant": OTHER}, headers=operator)
    assert [i["tenants_affected"] for i in narrowed.json()["items"]] == [1, 1]


@pytest.mark.usefixtures("shared")
async def test_a_tenants_key_sees_its_own_copy_alone(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    (only,) = (await client.get("/v1/vendor-events", headers=admin)).json()["items"]
    assert (only["id"], only["title"]) == ("EX1", "old words")
    assert [t["tenant"] for t in only["tenants"]] == [TENANT]
    assert (await client.get("/v1/vendor-events/EX2", headers=admin)).status_code == 404


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("resolved", "ids"), [("false", ["EX1", "EX2"]), ("true", ["EX3"])])
async def test_open_for_any_is_open(
    client: httpx.AsyncClient, world: Context, operator: dict[str, str], resolved: str,
    ids: list[str],
) -> None:  # fmt: skip
    put(world.db, TENANT, an_advisory(vendor_id="EX3", is_resolved=True))
    answer = await client.get(
        "/v1/vendor-events", params={"is_resolved": resolved}, headers=operator
    )
    assert [item["id"] for item in answer.json()["items"]] == ids


async def test_pages_give_each_once(
    client: httpx.AsyncClient, world: Context, operator: dict[str, str]
) -> None:
    for number in range(11):
        at = NOW + timedelta(minutes=number // 3)
        for tenant in (TENANT, OTHER):
            put(world.db, tenant, an_advisory(vendor_id=f"EX{number:02}", at=at))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/vendor-events", params=query, headers=operator)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 11
    assert seen[:2] == ["EX09", "EX10"]


def test_both_databases_group_alike(database: Database) -> None:
    tenants = [TenantId(f"t{number}") for number in range(4)]
    for position, tenant in enumerate(tenants):
        put(database, tenant, an_advisory(vendor_id="EX1", at=NOW + minutes(position)), position)
        put(database, tenant, an_advisory(vendor_id=f"EX{position + 2}", is_resolved=True))
    found = database.read_now(lambda c: vendor_events.page(c, tenants[:3], limit=9))
    assert [(e.newest.vendor_id, len(e.sights)) for e in found] == [
        ("EX1", 3), ("EX2", 1), ("EX3", 1), ("EX4", 1),
    ]  # fmt: skip
    assert found[0].last_modified_at == NOW + minutes(2)
    still = database.read_now(lambda c: vendor_events.page(c, tenants, limit=9, is_resolved=False))
    assert [e.newest.vendor_id for e in still] == ["EX1"]
