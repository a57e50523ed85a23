"""The catalogue over HTTP: how errors are read, and which codes nobody knows yet."""

import pytest

from app.doors import open_doors
from app.settings import Settings
from app.store import retention, unmapped
from app.store.unmapped import CODES_KEPT, REST, Unmapped
from tests.api.conftest import make_key
from tests.builders import NOW, TENANT

TIERS = {"network", "front_end", "auth", "directory", "mailbox", "transport", "collaboration"}
KINDS = {"outage_like", "user_config", "security", "ours", "ambiguous", "neutral"}


@pytest.fixture
def world(world):
    doors = open_doors(
        Settings(), world.db, world.clock, identity=b"k", bell=None, maintenance=lambda _: ()
    )
    world.intake, world.report_reader = doors.intake, doors.reports
    world.doors = doors
    world.fold._knows = doors.symptoms.knows
    return world


@pytest.fixture
async def reader(world):
    return await make_key(world, "incidents:read", name="reader")


async def test_every_rule_has_a_tier_a_class_a_weight_and_a_source(client, reader):
    body = (await client.get("/v1/symptoms", headers=reader)).json()
    assert body["version"] == 3
    assert len(body["items"]) == 236
    assert {rule["tier"] for rule in body["items"]} == TIERS
    assert {rule["kind"] for rule in body["items"]} == KINDS
    assert all(0 <= rule["weight"] <= 1 for rule in body["items"])
    assert {rule["source"] for rule in body["items"]} <= set(body["sources"])


async def read(client, reader, **error):
    answer = await client.post("/v1/symptoms/read", json=error, headers=reader)
    return answer.json()


async def test_an_error_says_which_rules_it_matched_and_on_which_words(client, reader):
    found = await read(
        client, reader, http_status=503, message="Trying to connect... (AADSTS50196) st: 401"
    )
    assert found["symptom"] == "auth_loop"
    told = [(match["rule"], match["words"]) for match in found["matches"]]
    assert told[0] == ("aadsts.50196", "AADSTS50196")
    assert ("http.401", "st: 401") in told
    assert ("http.503", "503") in told
    assert told[-1] == ("text.trying_to_connect", "Trying to connect")


async def test_a_token_that_the_mailbox_refuses_is_a_desync(client, reader):
    for error in (
        {"code": "AADSTS50196"},
        {"message": "Need Password"},
        {"code": "2000001"},
        {"message": "NO [UNAVAILABLE] User is authenticated but not connected."},
    ):
        assert (await read(client, reader, **error))["matches"][0]["desync"], error
    assert not (await read(client, reader, code="503"))["matches"][0]["desync"]


async def test_our_own_fault_is_told_apart(client, reader):
    assert (await read(client, reader, code="AADSTS80002"))["matches"][0]["kind"] == "ours"
    assert (await read(client, reader, code="AADSTS7000222"))["matches"][0]["kind"] == "ours"


async def test_what_matches_nothing_is_other_and_nothing_at_all_is_refused(client, reader):
    assert await read(client, reader, message="it is slow today") == {
        "symptom": "other", "matches": []
    }  # fmt: skip
    assert (await client.post("/v1/symptoms/read", json={}, headers=reader)).status_code == 422


async def test_unknown_codes_are_kept_counted_and_listed(world, client, reader):
    sender = await make_key(world, "reports:write", name="sender")
    reports = [
        {"service": "exchange-online", "code": code, "message": "from anna@contoso.example",
         "client": "outlook_desktop", "reporter": f"r{number}"}
        for number, code in enumerate(["0xDEAD0001"] * 3 + ["ZZ-9"] + ["AADSTS90033"] * 5)
    ]  # fmt: skip
    await client.post("/v1/client-reports", json=reports, headers=sender)
    await world.fold.step(TENANT)
    await client.post("/v1/client-reports", json=[{**reports[0], "id": "again"}], headers=sender)
    await world.fold.step(TENANT)
    items = (await client.get("/v1/symptoms/unmapped", headers=reader)).json()["items"]
    assert [(item["code"], item["count"]) for item in items] == [("0xDEAD0001", 4), ("ZZ-9", 1)]
    assert items[0]["sample"] == "from <mail>"
    operator = await make_key(world, "admin", tenant="*", name="operator")
    seen = await client.get("/v1/symptoms/unmapped", headers=operator)
    assert seen.json()["items"] == []  # fewer than five stay within the tenant
    one = await client.get("/v1/symptoms/unmapped?limit=1", headers=reader)
    assert len(one.json()["items"]) == 1


def met(code, count=1, **changes):
    values = {"client": "other", "service": "other", "first_at": NOW, "last_at": NOW}
    return Unmapped(code=code, count=count, **{**values, **changes})


def test_made_up_codes_cannot_fill_the_table(database):
    flood = [met(f"c{number:05d}") for number in range(CODES_KEPT + 500)]
    database.write_now(lambda c: unmapped.add(c, TENANT, flood))
    database.write_now(lambda c: unmapped.add(c, TENANT, [met("c00000", 7), met("late")]))
    found = database.read_now(lambda c: unmapped.top(c, [TENANT], 5000))
    counts = {one.code: one.count for _, one in found}
    assert len(counts) == CODES_KEPT + 1
    assert counts["c00000"] == 8
    assert counts[REST] == 501
    assert database.write_now(lambda c: retention.forget(c, retention.old_codes(NOW))) == 0
