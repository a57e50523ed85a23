"""Labels: set by persons through the intake log, told by events, filtered by subscriptions."""

from collections import Counter
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.core.route import Filter
from app.core.types import IncidentId
from app.store import deliveries, incidents, intake
from app.store.tables import IntakeRow
from tests.api.conftest import Context
from tests.builders import TENANT
from tests.store.queue import subscribe

FIELDS = {"title": "Mail is down", "services": ["exchange-online"], "severity": "major"}


@pytest.fixture
def world(world: Context) -> Context:
    """One whose fold plans deliveries, as in production."""
    world.fold._plan = deliveries.plan
    return world


async def opened(client: httpx.AsyncClient, admin: dict[str, str], **more: Any) -> httpx.Response:
    return await client.post("/v1/incidents", headers=admin, json={**FIELDS, **more})


async def label(
    client: httpx.AsyncClient, admin: dict[str, str], before: httpx.Response, **labels: Any
) -> httpx.Response:
    address = f"/v1/incidents/{before.json()['id']}"
    headers = {**admin, "if-match": before.headers["etag"]}
    return await client.patch(address, headers=headers, json={"labels": labels})


async def test_labels_are_set_changed_and_taken_off(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    first = await opened(client, admin, labels={"team": "mail", "cost": "42"})
    assert first.json()["labels"] == {"cost": "42", "team": "mail"}
    second = await label(client, admin, first, team="web", cost=None, site="berlin")
    assert (second.status_code, second.json()["labels"]) == (200, {"site": "berlin", "team": "web"})
    told = (await client.get(f"{first.headers['location']}/timeline", headers=admin)).json()
    newest = told["items"][-1]
    assert (newest["type"], newest["data"]["changed"]) == ("incident.updated", ["labels"])
    assert newest["data"]["previous"] == {"labels": {"cost": "42", "team": "mail"}}
    assert newest["data"]["actor"] == {"kind": "person", "id": "anna"}
    log = IntakeRow.__table__
    rows = world.db.read_now(lambda c: c.execute(select(log).order_by(log.c.seq)).all())
    names = [one.name for row in rows for one in intake.decode(row.kind, row.codec, row.body)]
    assert names == ["open", "label"]


async def test_labels_need_the_revision_that_was_read_and_words(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    first = await opened(client, admin)
    address = first.headers["location"]
    wanted = {"labels": {"team": "mail"}}
    assert (await client.patch(address, headers=admin, json=wanted)).status_code == 428
    stale = {**admin, "if-match": '"r9"'}
    assert (await client.patch(address, headers=stale, json=wanted)).status_code == 412
    right = {**admin, "if-match": first.headers["etag"]}
    for bad in ({}, {"labels": {}}, {"labels": {"": "x"}}, {"labels": {"a": 1}}, {"title": "x"}):
        assert (await client.patch(address, headers=right, json=bad)).status_code == 422
    many = {f"l{n}": "x" for n in range(20)}
    full = await client.patch(address, headers=right, json={"labels": many})
    assert full.status_code == 200
    over = await label(client, admin, full, one_more="x")
    assert (over.status_code, over.json()["errors"][0]["pointer"]) == (422, "/labels")
    swapped = await label(client, admin, full, one_more="x", l0=None)
    assert swapped.status_code == 200


async def test_who_filters_by_a_label_hears_of_an_incident_once_it_has_it(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    mail, every = "sub_mail", "sub_every"
    subscribe(world.db, mail, filter=Filter(labels=(("team", "mail"),)))
    subscribe(world.db, every)
    first = await opened(client, admin)
    second = await label(client, admin, first, team="mail")
    address = f"/v1/incidents/{first.json()['id']}"
    await client.post(f"{address}/notes", headers=admin, json={"text": "a note"})
    current = await client.get(address, headers=admin)
    assert second.json()["labels"] == {"team": "mail"}
    await label(client, admin, current, team=None)
    await client.post(f"{address}/notes", headers=admin, json={"text": "another"})
    ended = {"resolution": "self_restored"}
    await client.post(f"{address}/resolve", headers=admin, json=ended)
    planned = world.db.read_now(lambda c: deliveries.page(c, TENANT, limit=100))
    heard = Counter((one.subscription, one.event_type) for one in planned)
    assert heard == {
        (every, "incident.opened"): 1,
        (every, "incident.updated"): 2,
        (every, "incident.noted"): 2,
        (every, "incident.resolved"): 1,
        (mail, "incident.updated"): 1,  # the one that set it
        (mail, "incident.noted"): 1,
        (mail, "incident.resolved"): 1,  # it was told of the incident before
    }


async def test_the_survivor_of_a_merger_keeps_its_labels_and_gains_the_others(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    gone = (await opened(client, admin, labels={"team": "web", "site": "berlin"})).json()["id"]
    into = (await opened(client, admin, labels={"team": "mail"})).json()["id"]
    await client.post(f"/v1/incidents/{gone}/merge", headers=admin, json={"into": into})
    survivor = world.db.read_now(lambda c: incidents.get(c, TENANT, IncidentId(into)))
    assert survivor is not None
    assert survivor.labels == {"team": "mail", "site": "berlin"}
