"""Abuse through the public doors: volume is no evidence, and neither is saying it again."""

from datetime import timedelta

import pytest

from app.api.app import create_api
from app.bootstrap import build
from app.flow import keys
from app.kit.clock import FixedClock
from app.settings import Settings
from app.store import intake as store
from app.store.keys import Bounds
from tests.api.storm import event_bytes, rage, send, told
from tests.builders import NOW, TENANT

REPORTS = "/v1/client-reports"


@pytest.fixture
def world(sqlite_database):
    tenants = [{"id": TENANT, "name": "Contoso", "users": 500}]
    made = build(Settings.model_validate({"tenants": tenants}), sqlite_database)
    made.clock = made.fold._clock = FixedClock(NOW)
    made.doors.foreign._clock = made.doors.standing._clock = made.clock
    return made


@pytest.fixture
def api(world):
    return create_api(world)


@pytest.fixture
async def bearer(world):
    scopes = ["reports:write", "intake:write"]
    made = await keys.create(world.db, tenant=TENANT, name="k", scopes=scopes, now=NOW)
    return {"authorization": f"Bearer {made.secret}"}


def report(**changes):
    return {"service": "exchange-online", "http_status": 503, "region": "de", **changes}


def stored(world):
    rows = world.db.read_now(lambda c: store.after(c, TENANT, 0, 0, 10_000))
    return sum(row.count for row in rows)


def one_person(minute, number):
    """Two hundred errors of one person at one machine, each with a huge count."""
    return [
        report(id=f"{minute}-{number}-{n}", reporter="anna", device="laptop-7", count=1_000_000,
               network="berlin", code=f"0xDEAD{n:04X}")
        for n in range(200)
    ]  # fmt: skip


async def test_one_noisy_client_opens_nothing(world, client, bearer):
    await rage(world, client, [(REPORTS, bearer)], one_person, minutes=20)
    assert stored(world) == 20 * 4 * 200
    assert (told(world), event_bytes(world)) == ([], [])


async def test_one_client_without_a_name_is_one_however_many_it_claims(world, client, bearer):
    def nameless(minute, number):
        return [report(id=f"{minute}-{number}-{n}", count=1000) for n in range(200)]

    await rage(world, client, [(REPORTS, bearer)], nameless)
    assert (told(world), event_bytes(world)) == ([], [])


async def test_many_devices_of_one_person_are_one_person(world, client, bearer):
    def devices(minute, number):
        return [
            report(id=f"{minute}-{number}-{n}", reporter=" ANNA ", device=f"d{n}", network=f"n{n}")
            for n in range(100)
        ]

    await rage(world, client, [(REPORTS, bearer)], devices)
    assert told(world) == []


@pytest.mark.parametrize("named", [True, False])
async def test_a_batch_that_is_replayed_for_an_hour_counts_once(world, client, bearer, named):
    batch = [
        report(reporter=f"r{n}", code=f"c{n}", **({"id": f"x{n}"} if named else {}))
        for n in range(2)
    ]
    await rage(world, client, [(REPORTS, bearer)], lambda *_: batch, minutes=60)
    assert stored(world) == 2
    assert told(world) == []


async def test_a_batch_of_yesterday_that_is_replayed_today_opens_nothing(world, client, bearer):
    batch = [
        report(reporter=f"r{n}", id=f"x{n}", occurred_at=(NOW - timedelta(hours=30)).isoformat())
        for n in range(500)
    ]
    await rage(world, client, [(REPORTS, bearer)], lambda *_: batch, minutes=5)
    assert stored(world) == 500
    assert told(world) == []


async def test_a_monitor_that_repeats_itself_is_one_witness(world, client, bearer):
    """Alertmanager that fires the same rule again and again, under new ids, from one place."""

    def call(minute, number):
        at = (NOW + timedelta(minutes=minute, seconds=number)).isoformat()
        labels = {"alertname": "Owa", "instance": "https://outlook.office365.com/owa/"}
        entry = {"status": "firing", "labels": labels, "startsAt": at, "endsAt": None}
        return {"version": "4", "alerts": [{**entry, "fingerprint": f"{minute}{number}"}]}

    await rage(world, client, [("/v1/intake/alertmanager", bearer)], call)
    assert "confirmed" not in {status for status, _ in told(world)}


def invented(minute, number):
    """What a thief of a trusted key would send: new people at many sites, of several services."""
    services = ("exchange-online", "microsoft-teams", "sharepoint-online", "entra-id")
    return [
        report(id=f"{minute}-{number}-{n}", reporter=f"r{minute}-{number}-{n}", device=f"d{n}",
               network=f"site-{n % 40}", service=services[n % 4], count=1000)
        for n in range(40)
    ]  # fmt: skip


async def a_key(world, scopes, **bounds):
    made = await keys.create(
        world.db, tenant=TENANT, name="b", scopes=scopes, now=NOW, bounds=Bounds(**bounds)
    )
    return {"authorization": f"Bearer {made.secret}"}


@pytest.mark.parametrize("path", [REPORTS, "/v1/intake/browser"])
async def test_a_stolen_key_with_few_voices_opens_nothing(world, client, path):
    held = await a_key(world, ["reports:write", "intake:write"], voices=2)
    await rage(world, client, [(path, held)], invented)
    assert stored(world) == 12 * 4 * 40
    assert (told(world), event_bytes(world)) == ([], [])


@pytest.mark.parametrize("path", [REPORTS, "/v1/intake/browser"])
async def test_no_key_that_may_only_bring_evidence_opens_anything_alone(
    world, client, bearer, path
):
    await rage(world, client, [(path, bearer)], invented)
    assert stored(world) == 12 * 4 * 40
    assert (told(world), event_bytes(world)) == ([], [])


@pytest.mark.parametrize(
    ("scopes", "bounds"), [(["reports:write"], {"voices": 0}), (["admin"], {})]
)
async def test_a_collector_and_who_may_open_incidents_anyway_are_believed(
    world, client, scopes, bounds
):
    held = await a_key(world, scopes, **bounds)
    await rage(world, client, [(REPORTS, held)], invented, minutes=6)
    assert told(world)


async def test_the_settings_may_let_every_key_speak_for_all(world, client, bearer):
    limits = world.settings.limits.model_copy(update={"key_voices": 0})
    world.settings = world.settings.model_copy(update={"limits": limits})
    await rage(world, client, [(REPORTS, bearer)], invented, minutes=6)
    assert told(world)


async def test_a_bounded_key_cannot_speak_for_the_vendor(world, client, bearer):
    now = NOW.isoformat()
    issue = {
        "id": "EX900001", "title": "All is lost", "impactDescription": "Nobody can read mail",
        "service": "Exchange Online", "status": "serviceInterruption", "isResolved": False,
        "classification": "incident", "origin": "microsoft", "startDateTime": now,
        "lastModifiedDateTime": now, "feature": "E-Mail", "featureGroup": "E-Mail",
        "posts": [], "details": [],
    }  # fmt: skip
    refused = await client.post("/v1/intake/graph", json=issue, headers=bearer)
    assert refused.status_code == 422
    assert "may not speak for the vendor" in refused.json()["errors"][0]["detail"]
    await world.fold.step(TENANT)
    assert event_bytes(world) == []
    collector = await a_key(world, ["intake:write"], voices=0)
    await send(client, "/v1/intake/graph", issue, collector)
    await world.fold.step(TENANT)
    assert told(world)


async def test_two_keys_with_few_voices_who_agree_do_open(world, client):
    held = [(REPORTS, await a_key(world, ["reports:write"], voices=2)) for _ in range(2)]
    await rage(world, client, held, invented)
    assert [status for status, _ in told(world)]


async def test_a_key_with_few_voices_cannot_take_the_id_of_anothers_report(world, client):
    bearer = await a_key(world, ["reports:write"], voices=0)
    held = await a_key(world, ["reports:write"], voices=1)
    await send(client, REPORTS, report(id="mine", reporter="thief"), held)
    assert (await send(client, REPORTS, report(id="mine", reporter="anna"), held))["duplicates"]
    assert (await send(client, REPORTS, report(id="mine", reporter="anna"), bearer))["accepted"]


async def test_an_agents_key_brings_results_of_its_own_location_alone(world, client):
    held = await a_key(world, ["probes:write", "intake:write"], locations=("berlin",))
    results = [
        {"probe": "owa", "outcome": "great"},
        *(
            {"probe": "owa", "outcome": "failed", "location": x}
            for x in ("paris", "berlin", "rome")
        ),
    ]
    answer = await send(client, "/v1/probe-results", results, held)
    assert (answer["accepted"], [r["index"] for r in answer["rejected"]]) == (1, [0, 1, 3])
    assert {r["pointer"] for r in answer["rejected"]} == {"/outcome", "/location"}
    alone = await client.post("/v1/probe-results", json=results[1], headers=held)
    assert alone.status_code == 422

    def fire(place, identity):
        labels = {"alertname": "Owa", "instance": "https://outlook.office365.com/owa/",
                  "location": place}  # fmt: skip
        return {"status": "firing", "labels": labels, "startsAt": NOW.isoformat(),
                "endsAt": None, "fingerprint": identity}  # fmt: skip

    call = {"version": "4", "alerts": [fire("paris", "1"), fire("berlin", "2")]}
    answer = await send(client, "/v1/intake/alertmanager", call, held)
    assert (answer["accepted"], [r["index"] for r in answer["rejected"]]) == (1, [0])
    world.clock.at = NOW + timedelta(minutes=2)
    await world.doors.standing.step()
    rows = world.db.read_now(lambda c: store.after(c, TENANT, 0, 0, 100))
    assert {s.location for row in rows for s in row.signals} == {"berlin"}


async def test_a_key_may_be_used_from_its_networks_alone(world, client):
    near = await a_key(world, ["reports:write", "intake:write"], networks=("127.0.0.0/8",))
    far = await a_key(world, ["reports:write", "intake:write"], networks=("10.0.0.0/8", "::1"))
    for path in (REPORTS, "/v1/intake/browser"):
        await send(client, path, report(), near)
        refused = await client.post(path, json=report(), headers=far)
        assert refused.status_code == 403
    assert Bounds(networks=("10.0.0.0/8",)).admits("::ffff:10.1.2.3")
    assert not Bounds(networks=("10.0.0.0/8",)).admits("nonsense")


@pytest.mark.parametrize(
    ("scopes", "bounds", "pointer"),
    [
        (["reports:write"], {"networks": ["10.0.0.1/8"]}, "/networks/0"),
        (["reports:public"], {"voices": 1}, "/voices"),
        (["probes:write"], {"locations": [" "]}, "/locations/0"),
    ],
)
async def test_bounds_that_cannot_be_meant_are_refused(world, client, scopes, bounds, pointer):
    admin = await a_key(world, ["admin"])
    body = {"name": "x", "scopes": scopes, **bounds}
    answer = await client.post("/v1/keys", json=body, headers=admin)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_bounds_are_shown_with_the_key(world, client):
    admin = await a_key(world, ["admin"])
    body = {"name": "x", "scopes": ["reports:write"], "voices": 2, "networks": ["10.0.0.0/8"],
            "locations": ["berlin"]}  # fmt: skip
    made = await client.post("/v1/keys", json=body, headers=admin)
    listed = (await client.get("/v1/keys", headers=admin)).json()["items"]
    for shown in (made.json(), listed[0]):
        assert {name: shown[name] for name in ("voices", "networks", "locations")} == {
            name: body[name] for name in ("voices", "networks", "locations")
        }


async def test_three_people_who_meet_it_do_open(world, client):
    bearer = await a_key(world, ["reports:write"], voices=0)

    def people(minute, number):
        return [
            report(id=f"{minute}-{number}-{n}", reporter=f"r{minute % 4}-{n}") for n in range(5)
        ]

    await rage(world, client, [(REPORTS, bearer)], people)
    assert [status for status, _ in told(world)] in (["suspected"], ["confirmed"])
    assert (await send(client, REPORTS, [report(id="0-0-0", reporter="r0-0")], bearer))[
        "duplicates"
    ]
