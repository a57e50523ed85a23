"""The doors for other people's programs: who may, what is answered, what is stored."""

import json
from pathlib import Path

import pytest

from app.doors import open_doors
from app.settings import Settings
from app.store import intake as store
from app.store import sources, standing
from tests.api.conftest import make_key
from tests.builders import NOW, TENANT

FOLDER = Path("tests/fixtures/monitors")
ISSUES = Path("tests/fixtures/graph/issues_in_v1_shape.json").read_bytes()
MAPPER = {
    "name": "cake",
    "body": "form",
    "fields": [
        {"to": "probe", "path": "/Name"},
        {"to": "outcome", "path": "/Status", "map": {"Up": "ok", "Down": "failed"}},
    ],
}


@pytest.fixture
def world(world):
    settings = Settings.model_validate({"mappers": [MAPPER]})
    doors = open_doors(
        settings, world.db, world.clock, identity=b"k", bell=None, maintenance=lambda _: ()
    )
    world.intake, world.doors = doors.intake, doors
    return world


@pytest.fixture
async def sender(world):
    return await make_key(world, "intake:write")


def stored(world):
    rows = world.db.read_now(lambda c: store.after(c, TENANT, 0, 0, 1000))
    return [(row.source, signal) for row in rows for signal in row.signals]


async def post(client, headers, kind, body, media="application/json"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(
        f"/v1/intake/{kind}", content=body, headers={**headers, "content-type": media}
    )


async def test_a_call_is_durable_stands_and_its_source_is_listed(world, client, sender):
    body = (FOLDER / "alertmanager_v4_probe_failure_0_34.json").read_bytes()
    answer = await post(client, sender, "alertmanager", body)
    assert answer.status_code == 202, answer.text
    assert answer.json()["accepted"] == 1
    (source, result), *_ = stored(world)
    assert (source, result.location) == ("intake:alertmanager", "eu-west")
    assert result.service == "exchange-online"
    (word,) = world.db.read_now(standing.listing)
    assert word.result.probe == result.probe
    (heard,) = world.db.read_now(lambda c: sources.listing(c, TENANT))
    assert (heard.id, heard.last_complete_at) == ("intake:alertmanager", NOW)
    again = await post(client, sender, "alertmanager", body)
    assert (again.json()["accepted"], again.json()["duplicates"]) == (0, 1)


async def test_good_records_are_kept_and_bad_ones_named(world, client, sender):
    call = json.loads((FOLDER / "alertmanager_v4_probe_failure_0_34.json").read_bytes())
    call["alerts"].insert(0, {"status": "odd"})
    answer = (await post(client, sender, "alertmanager", call)).json()
    assert answer["accepted"] == 1
    assert [one["index"] for one in answer["rejected"]] == [0]
    call["alerts"].pop()
    assert (await post(client, sender, "alertmanager", call)).status_code == 422


async def test_what_the_address_says_is_used_and_checked(world, client, sender):
    body = (FOLDER / "uptime_kuma_down.json").read_bytes()
    await post(client, sender, "uptime-kuma?location=berlin&service=Microsoft%20Teams", body)
    (_, result), *_ = stored(world)
    assert (result.location, result.service) == ("berlin", "microsoft-teams")
    answer = await post(client, sender, "uptime-kuma?service=nonsense", body)
    assert answer.status_code == 422
    assert "/services" in answer.text
    assert (await post(client, sender, "uptime-kuma?x=1", body)).status_code == 400


async def test_a_test_message_is_taken_and_stores_nothing(world, client, sender):
    body = (FOLDER / "uptime_kuma_test.json").read_bytes()
    answer = await post(client, sender, "uptime-kuma", body)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 0)
    assert stored(world) == []


async def test_a_mapper_of_the_settings_has_its_own_address(world, client, sender):
    form = b"Name=EXO+OWA&Status=Down"
    media = "application/x-www-form-urlencoded"
    answer = await post(client, sender, "generic/cake", form, media)
    assert answer.json()["accepted"] == 1
    assert (await post(client, sender, "generic/cake", {})).status_code == 415
    assert (await post(client, sender, "generic/none", {})).status_code == 404


async def test_strangers_formats_scopes_and_bodies_are_refused(world, client, sender):
    assert (await post(client, {}, "alertmanager", {})).status_code == 401
    other = await make_key(world, "reports:write", name="other")
    assert (await post(client, other, "alertmanager", {})).status_code == 403
    unknown = await post(client, sender, "nagios", {})
    assert unknown.status_code == 404
    assert "alertmanager" in unknown.json()["detail"]
    assert (await post(client, sender, "alertmanager", b"{")).status_code == 400
    assert (await post(client, sender, "alertmanager", {}, "text/plain")).status_code == 415


async def test_advisories_of_another_collector_are_stored_once(world, client, sender):
    whole = json.loads(ISSUES)
    issues = whole["value"] if isinstance(whole, dict) else whole
    answer = (await post(client, sender, "graph", issues)).json()
    assert answer["accepted"] == len(issues)
    await world.fold.step(TENANT)
    again = (await post(client, sender, "graph", {"value": issues})).json()
    assert (again["accepted"], again["duplicates"]) == (0, len(issues))


async def test_a_tool_with_only_an_address_sends_its_key_as_password(world, client, sender):
    secret = sender["authorization"].removeprefix("Bearer ")
    body = (FOLDER / "pingdom_http_down.json").read_bytes()
    for password, status in ((secret, 202), ("wrong", 401), ("", 401)):
        answer = await client.post(
            "/v1/intake/pingdom",
            content=body,
            headers={"content-type": "application/json"},
            auth=("sextant", password),
        )
        assert answer.status_code == status
    odd = await post(client, {"authorization": "Basic %%%"}, "pingdom", body)
    assert odd.status_code == 401


async def test_what_pushes_to_gatus_can_push_here(world, client, sender):
    path = "/v1/intake/gatus/api/v1/endpoints/m365_owa/external"
    query = "?success=false&error=503&duration=1.5s&location=berlin&service=exchange-online"
    answer = await client.post(path + query, headers=sender)
    assert answer.json()["accepted"] == 1, answer.text
    (_, result), *_ = stored(world)
    assert (result.probe, result.location, result.latency_ms) == ("m365_owa", "berlin", 1500.0)
    assert (result.outcome, result.service) == ("failed", "exchange-online")
    assert (await client.post(path + "?success=maybe", headers=sender)).status_code == 422
    assert (
        await client.post(f"{path}?success=true&duration=1h", headers=sender)
    ).status_code == 422
