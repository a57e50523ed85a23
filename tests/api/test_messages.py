"""Messages to people: previewed by everybody who may read, let out by a person."""

from dataclasses import replace
from datetime import UTC
from typing import Any

import httpx
import pytest

from app.core.message import Reader
from app.core.signal import Understood
from app.core.types import IncidentId
from app.flow.messages import Messages
from app.formats.messages import Writer
from app.store import advisories, evidence, incidents
from tests.api.conftest import Context
from tests.builders import NOW, TENANT, an_advisory, an_incident, minutes
from tests.formats.golden import ADVISORY

FIELDS = {"title": "Mail <b>is</b> down", "services": ["exchange-online"], "severity": "major"}


@pytest.fixture
def world(world: Context) -> Context:
    """One that words messages."""
    reader = Reader(tenant="Contoso", zone=UTC, public_url=world.public_url)
    world.messages = Messages(world.db, Writer(), lambda _: reader)
    return world


async def opened(client: httpx.AsyncClient, admin: dict[str, str]) -> str:
    made = await client.post("/v1/incidents", headers=admin, json=FIELDS)
    return f"/v1/incidents/{made.json()['id']}"


async def approve(
    client: httpx.AsyncClient, admin: dict[str, str], address: str, **body: Any
) -> httpx.Response:
    return await client.post(f"{address}/messages", headers=admin, json=body)


async def test_each_audience_has_its_message_in_the_first_language(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    address = await opened(client, admin)
    answer = await client.get(f"{address}/messages", headers=admin)
    items = answer.json()["items"]
    assert [i["audience"] for i in items] == ["users", "help_desk", "executives", "soc"]
    assert {(i["language"], i["phase"], i["holds"]) for i in items} == {("en", "first", True)}
    assert items[0]["title"] == "Disturbance: e-mail and calendar (Outlook)"
    assert "Beware of fraud" in items[0]["text"]
    again = await client.get(f"{address}/messages", headers=admin)
    assert again.content == answer.content


async def test_one_is_asked_for_by_audience_language_and_phase(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    address = await opened(client, admin)
    query = {"audience": "soc", "language": "de", "phase": "resolved"}
    (item,) = (await client.get(f"{address}/messages", params=query, headers=admin)).json()["items"]
    assert (item["audience"], item["language"], item["phase"]) == ("soc", "de", "resolved")
    assert item["holds"] is False
    for wrong in ({"language": "fr"}, {"audience": "press"}, {"phase": "later"}):
        answer = await client.get(f"{address}/messages", params=wrong, headers=admin)
        assert answer.status_code == 422, wrong


async def test_a_person_lets_a_message_out_and_it_is_recorded_with_its_words(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    address = await opened(client, admin)
    shown = (await client.get(f"{address}/messages?audience=users", headers=admin)).json()
    answer = await approve(client, admin, address, audience="users")
    assert answer.status_code == 200
    timeline = (await client.get(f"{address}/timeline", headers=admin)).json()["items"]
    event = timeline[-1]
    assert (event["type"], event["data"]["reason"]) == ("incident.noted", "message_approved")
    assert event["data"]["actor"] == {"kind": "person", "id": "anna"}
    said = event["data"]["announcement"]
    assert (said["title"], said["text"]) == (
        shown["items"][0]["title"], shown["items"][0]["text"],
    )  # fmt: skip
    assert event["data"]["note"]["visibility"] == "internal"
    found = world.db.read_now(lambda c: incidents.get(c, TENANT, IncidentId(address[14:])))
    assert found is not None
    (approval,) = found.approvals
    assert (approval.audience, approval.phase, approval.by) == ("users", "first", "anna")
    # From now on an update is due for users, and still a first notice for the others.
    items = (await client.get(f"{address}/messages", headers=admin)).json()["items"]
    assert [i["phase"] for i in items] == ["update", *["first"] * 3]
    trail = (await client.get("/v1/audit", headers=admin)).json()["items"]
    assert "approve_message" in {entry["action"] for entry in trail}


async def test_what_is_not_so_cannot_be_let_out(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    address = await opened(client, admin)
    answer = await approve(client, admin, address, audience="users", phase="resolved")
    assert answer.status_code == 409
    assert "not true" in answer.json()["detail"]
    stale = await client.post(
        f"{address}/messages", headers={**admin, "if-match": '"99"'}, json={"audience": "users"}
    )
    assert stale.status_code == 412
    assert (
        await approve(client, admin, address, audience="users", language="fr")
    ).status_code == 422
    assert (await approve(client, admin, address)).status_code == 422


async def test_the_message_knows_the_evidence_and_the_promise_of_the_vendor(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    advisory = an_advisory(understood=Understood(next_update_at=NOW + minutes(90)))
    linked = an_incident(advisories=(replace(ADVISORY, id=advisory.vendor_id),))
    body = evidence.encode(
        {"cells": [{"source": "client_report", "reporters": 9, "series": [],
                    "exemplars": [{"code": "0x8004011D"}]}]}
    )  # fmt: skip

    def store(c: Any) -> None:
        advisories.put(c, TENANT, [(advisory, None, 1)])
        incidents.put(c, [linked])
        evidence.put(c, TENANT, {linked.id: body})

    world.db.write_now(store)
    answer = await client.get(f"/v1/incidents/{linked.id}/messages", headers=admin)
    users, desk, *_ = answer.json()["items"]
    assert "Microsoft has announced more for 16 March, 08:00 (UTC)" in users["text"]
    assert "0x8004011D" in desk["text"]
    assert "0x8004011D" not in users["text"]
