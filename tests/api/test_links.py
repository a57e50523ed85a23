"""Links by the API: lists, a look at once, and hints that only wake."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.api.app import create_api
from app.core.link import Link, LinkState
from app.flow.links import Links
from app.kit import signing
from app.store import links
from tests.api.conftest import URL, Context, make_key, put
from tests.builders import NOW, TENANT, an_incident

SECRET = signing.new_secret()
BODY = b'{"sys_id":"x"}'


def a_link(**changes: Any) -> Link:
    values: dict[str, Any] = {
        "id": "lnk_1", "tenant": TENANT, "mirror": "snow", "system": "servicenow",
        "subject": "inc_1", "incident": "inc_1", "generation": 1, "state": LinkState.IN_STEP,
        "explanation": "In step.", "correlation": "sextant:inc_1", "number": "INC0010001",
        "created_at": NOW, "due_at": NOW + timedelta(hours=6),
    }  # fmt: skip
    return Link(**{**values, **changes})


@pytest.fixture
def mirrored(world: Context) -> Context:
    world.links = Links(world.db, world.clock, wall=world.clock, secrets=lambda: {"snow": SECRET})
    world.db.write_now(
        lambda c: links.standing(c, "snow", TENANT, now=NOW + timedelta(hours=1), position=0)
    )
    return world


@pytest.fixture
async def caller(mirrored: Context) -> Any:
    transport = httpx.ASGITransport(create_api(mirrored), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield client


async def test_links_are_listed_and_stand_beside_their_incident(
    caller: httpx.AsyncClient, mirrored: Context
) -> None:
    incident = an_incident()
    put(mirrored, incident)
    mirrored.db.write_now(lambda c: links.add(c, a_link(subject=incident.id, incident=incident.id)))
    key = await make_key(mirrored, "incidents:read")
    listed = await caller.get("/v1/links", params={"incident": incident.id}, headers=key)
    (one,) = listed.json()["items"]
    assert (one["number"], one["state"], one["generation"]) == ("INC0010001", "in_step", 1)
    shown = await caller.get(f"/v1/incidents/{incident.id}", headers=key)
    assert shown.json()["links"] == [
        {"system": "servicenow", "number": "INC0010001", "url": None, "state": "in_step"}
    ]
    other = await make_key(mirrored, "incidents:read", tenant="fabrikam")
    assert (await caller.get("/v1/links", headers=other)).json()["items"] == []


async def test_a_resync_makes_a_link_due_now(caller: httpx.AsyncClient, mirrored: Context) -> None:
    mirrored.db.write_now(lambda c: links.add(c, a_link()))
    key = await make_key(mirrored, "incidents:write")
    answer = await caller.post("/v1/links/lnk_1/resync", headers=key)
    assert answer.status_code == 202
    found = mirrored.db.read_now(lambda c: links.get(c, None, "lnk_1"))
    assert found is not None
    assert found.due_at == mirrored.clock.now()
    assert (await caller.post("/v1/links/lnk_0/resync", headers=key)).status_code == 404


async def test_a_hint_wakes_once_and_only_with_the_right_signature(
    caller: httpx.AsyncClient, mirrored: Context
) -> None:
    now = mirrored.clock.now()
    good = signing.headers([SECRET], message_id="msg_1", at=now, body=BODY)
    wrong = signing.headers([signing.new_secret()], message_id="msg_2", at=now, body=BODY)
    late = signing.headers([SECRET], message_id="msg_3", at=now - timedelta(minutes=6), body=BODY)
    path = "/v1/mirrors/snow/hints"
    for headers in (wrong, late, {}):
        assert (await caller.post(path, content=BODY, headers=headers)).status_code == 401
    answers = [await caller.post(path, content=BODY, headers=good) for _ in range(2)]
    assert [a.status_code for a in answers] == [202, 401]
    other = await caller.post("/v1/mirrors/none/hints", content=BODY, headers=good)
    assert other.status_code == 401
    place = mirrored.db.read_now(lambda c: links.known(c, "snow"))
    assert place is not None
    assert place.poll_at == now
