"""Event Management: one alert per incident by its key, closed when the incident ends."""

from datetime import timedelta

import httpx
import pytest

from app.clients.servicenow import Basic, ServiceNowClient
from app.core.link import LinkState
from app.flow.alarms import AlarmLoop
from app.sinks.servicenow.event import ServiceNowEvents
from app.store import links
from app.store.engine import Database
from tests.flow.mirroring import BASE, Breaking, MirrorWorld
from tests.standins.servicenow import Fault, Kind, User


@pytest.fixture
def world(sqlite_database: Database) -> MirrorWorld:
    return MirrorWorld(sqlite_database, mode="event")


def feeding(world: MirrorWorld, user: str = "sextant") -> AlarmLoop:
    client = httpx.AsyncClient(transport=Breaking(world.instance), base_url=BASE)
    door = ServiceNowEvents(ServiceNowClient(client, Basic(user, "pw")), world.settings)
    return AlarmLoop(world.db, world.clock, door, world.terms, "http://x", announce=world.fold.news)


async def test_an_incident_is_one_alert_that_ends_with_it(world: MirrorWorld) -> None:
    loop = feeding(world)
    incident = await world.open(severity="critical")
    await loop.step()
    await world.do("severity", incident, severity="major", reason="fewer")
    await loop.step()
    (alert,) = world.instance.rows("em_alert")
    assert alert["message_key"] == f"sextant:{incident.id}"
    assert (alert["severity"], alert["state"]) == ("2", "Open")
    await world.do("resolve", incident, resolution="vendor_fix")
    await loop.step()
    assert alert["state"] == "Closed"
    assert {e["state"] for e in world.instance.rows("em_event")} == {"Processed"}
    link = world.db.read_now(lambda c: links.newest(c, "snow:event", str(incident.id)))
    assert link is not None
    assert link.state is LinkState.ENDED


async def test_what_was_not_taken_is_sent_again_and_stays_one(world: MirrorWorld) -> None:
    loop = feeding(world)
    await world.open()
    world.instance.faults += [Fault(kind=Kind.COMMIT_ERROR), Fault(kind=Kind.HIBERNATING)]
    for _ in range(3):
        world.clock.at += timedelta(minutes=1)
        await loop.step()
    (alert,) = world.instance.rows("em_alert")
    assert alert["events"] == "2"


async def test_a_missing_role_is_said(world: MirrorWorld) -> None:
    world.instance.add_user(User(name="poor", password="pw", roles=frozenset({"itil"})))
    incident = await world.open()
    await feeding(world, "poor").step()
    link = world.db.read_now(lambda c: links.newest(c, "snow:event", str(incident.id)))
    assert link is not None
    assert link.state is LinkState.FAILED
    assert "Check user name" in link.explanation
