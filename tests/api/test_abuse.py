"""Abuse through the public doors: volume is no evidence, and neither is saying it again."""

from datetime import timedelta

import pytest

from app.api.app import create_api
from app.bootstrap import build
from app.flow import keys
from app.kit.clock import FixedClock
from app.settings import Settings
from app.store import intake as store
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


async def test_three_people_who_meet_it_do_open(world, client, bearer):
    def people(minute, number):
        return [
            report(id=f"{minute}-{number}-{n}", reporter=f"r{minute % 4}-{n}") for n in range(5)
        ]

    await rage(world, client, [(REPORTS, bearer)], people)
    assert [status for status, _ in told(world)] in (["suspected"], ["confirmed"])
    assert (await send(client, REPORTS, [report(id="0-0-0", reporter="r0-0")], bearer))[
        "duplicates"
    ]
