"""A monitor that speaks twice, when it fails and when it is well, makes an incident and ends it."""

from datetime import timedelta

import pytest

from app.api.app import create_api
from app.bootstrap import build
from app.flow import keys
from app.kit.clock import FixedClock
from app.settings import Settings
from app.store import incidents
from tests.api.storm import send
from tests.builders import NOW, TENANT


@pytest.fixture
def world(database):
    tenants = [{"id": TENANT, "name": "Contoso", "users": 500}]
    made = build(Settings.model_validate({"tenants": tenants}), database)
    made.clock = made.fold._clock = FixedClock(NOW)
    made.doors.foreign._clock = made.doors.standing._clock = made.clock
    return made


@pytest.fixture
def api(world):
    return create_api(world)


def call(status, at, location):
    labels = {
        "alertname": "ProbeFailure", "instance": "https://outlook.office365.com/owa/",
        "location": location, "severity": "critical",
    }  # fmt: skip
    entry = {
        "status": status, "labels": labels, "fingerprint": location,
        "startsAt": NOW.isoformat(), "endsAt": at.isoformat(),
        "annotations": {"summary": "probe_success is 0"},
    }  # fmt: skip
    return {"version": "4", "alerts": [entry]}


async def test_two_calls_from_two_places_make_an_incident_and_end_it(world, client):
    made = await keys.create(world.db, tenant=TENANT, name="k", scopes=["intake:write"], now=NOW)
    bearer = {"authorization": f"Bearer {made.secret}"}
    seen = {}
    for minute in range(40):
        world.clock.at = NOW + timedelta(minutes=minute)
        if minute in {1, 12}:
            status = "firing" if minute == 1 else "resolved"
            for location in ("berlin", "vienna"):
                body = call(status, world.clock.at, location)
                await send(client, "/v1/intake/alertmanager", body, bearer)
        await world.doors.standing.step()
        await world.fold.step(TENANT)
        found = world.db.read_now(lambda c: incidents.living(c, TENANT))
        for incident in found:
            seen.setdefault(incident.status.value, minute)
    assert len(found) == 1
    assert seen["confirmed"] <= 4
    assert 12 + 10 <= seen["resolved"] <= 12 + 20
    assert found[0].impact.locations_total == 2
