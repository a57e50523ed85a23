"""Maintenance windows over HTTP, and what they do to results that come in."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.flow.ingest import Intake
from app.flow.maintenance import Maintenance
from app.sources.probe_result import ProbeResultReader
from app.sources.symptom_table import load_symptom_table
from app.store import intake, maintenance
from app.store.engine import Database
from tests.api.conftest import Context
from tests.builders import NOW, TENANT

WINDOWS = "/v1/maintenance-windows"
HOUR = timedelta(hours=1)


@pytest.fixture
def world(world: Context) -> Context:
    world.maintenance = Maintenance(world.db, world.clock)
    world.intake = Intake(world.db, maintenance=world.maintenance.of)
    world.result_reader = ProbeResultReader(load_symptom_table().classify, key=b"k")
    return world


def wish(**changes: Any) -> dict[str, Any]:
    return {"title": "Patch day", "ends_at": (NOW + HOUR).isoformat(), **changes}


async def test_a_window_is_made_read_changed_and_ended(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    made = await client.post(WINDOWS, headers=admin, json=wish(locations=["berlin"]))
    assert (made.status_code, made.json()["state"]) == (201, "running")
    where = made.headers["location"]
    read = await client.get(where, headers=admin)
    assert read.json() == made.json()
    listed = (await client.get(WINDOWS, headers=admin)).json()
    assert (listed["items"], listed["next"]) == ([made.json()], None)
    match = {**admin, "if-match": read.headers["etag"]}
    assert (await client.patch(where, headers=admin, json={"title": "x"})).status_code == 428
    changed = await client.patch(
        where, headers=match, json={"starts_at": (NOW + HOUR / 2).isoformat()}
    )
    assert (changed.status_code, changed.json()["state"]) == (200, "planned")
    assert (await client.delete(where, headers=match)).status_code == 412
    match["if-match"] = changed.headers["etag"]
    assert (await client.delete(where, headers=match)).status_code == 204
    assert (await client.get(where, headers=admin)).json()["state"] == "ended"
    assert (await client.get(f"{WINDOWS}/mw_none", headers=admin)).status_code == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"ends_at": (NOW - HOUR).isoformat()},
        {"starts_at": (NOW + 2 * HOUR).isoformat()},
        {"ends_at": (NOW + timedelta(days=32)).isoformat()},
        {"title": ""},
        {"unknown": 1},
    ],
)
async def test_a_window_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str], changes: dict[str, Any]
) -> None:
    answer = await client.post(WINDOWS, headers=admin, json=wish(**changes))
    assert answer.status_code == 422
    assert world.db.read_now(lambda c: maintenance.page(c, None, after=None, limit=9)) == []


async def test_results_inside_a_window_weigh_nothing(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    made = await client.post(WINDOWS, headers=admin, json=wish(locations=["berlin"]))
    results = [
        {"probe": "owa", "outcome": "failed", "location": place, "occurred_at": at.isoformat()}
        for place, at in (
            ("berlin", NOW), ("paris", NOW), ("berlin", NOW - timedelta(minutes=1)),
        )
    ]  # fmt: skip
    answer = await client.post("/v1/probe-results", headers=admin, json=results)
    assert answer.json()["accepted"] == 3
    rows = world.db.read_now(lambda c: intake.after(c, TENANT, 0, 0, 10))
    kept = [signal for row in rows for signal in row.signals]
    assert [(k.location, k.self_check, k.diagnostics) for k in kept] == [
        ("berlin", "failed", {"maintenance": made.json()["id"]}),
        ("paris", "none", None),
        ("berlin", "none", None),
    ]
    again = await client.post("/v1/probe-results", headers=admin, json=results)
    assert again.json()["duplicates"] == 3
    await world.fold.step(TENANT)
    shown = (await client.get("/v1/probes", headers=admin)).json()["items"]
    assert [(item["location"], item["state"]) for item in shown] == [
        ("berlin", "maintenance"), ("paris", "unknown"),
    ]  # fmt: skip


async def test_another_replica_knows_a_window_after_it_has_read(
    world: Context, client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    other = Maintenance(world.db, world.clock)
    await client.post(WINDOWS, headers=admin, json=wish())
    assert other.of(TENANT) == ()
    await other.step()
    assert [w.title for w in other.of(TENANT)] == ["Patch day"]
    world.clock.at = NOW + timedelta(days=3)
    await other.step()
    assert other.of(TENANT) == ()


async def test_windows_are_kept_on_both_databases(database: Database, clock: Any) -> None:
    windows = Maintenance(database, clock)
    made = await windows.create(
        TENANT, title="x", starts_at=None, ends_at=NOW + HOUR, probes=["owa"], by="me"
    )
    assert await windows.get(None, made.id) == made
    changed = await windows.change(made, {"title": "y"})
    assert (changed.revision, (await windows.get(TENANT, made.id)).title) == (2, "y")
    ended = await windows.end(changed)
    assert (ended.ends_at, windows.of(TENANT)) == (NOW, (ended,))
    assert await windows.end(ended) == ended
