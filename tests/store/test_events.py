"""The event log as the status page reads it: moments without bodies, and bodies by id."""

from datetime import timedelta

from app.core.events import EventType
from app.core.types import TenantId
from app.store import events
from app.store.engine import Database
from tests import builders
from tests.builders import NOW, TENANT

WANTED = (EventType.OPENED, EventType.RESOLVED)


async def test_moments_of_some_incidents_and_kinds_come_oldest_first(database: Database) -> None:
    found = [
        builders.an_event(
            id=f"evt_{tenant}_{number}", sequence=number, tenant=TenantId(tenant), type=kind,
            occurred_at=NOW + timedelta(minutes=number),
            incident=builders.an_incident(id=incident, tenant=TenantId(tenant)),
        )
        for tenant in (TENANT, "fabrikam")
        for number, kind, incident in (
            (3, EventType.RESOLVED, "inc_1"),
            (1, EventType.OPENED, "inc_1"),
            (2, EventType.UPDATED, "inc_1"),
            (4, EventType.OPENED, "inc_2"),
            (5, EventType.OPENED, "inc_3"),
        )
    ]  # fmt: skip
    await database.write(
        lambda c: events.append(c, [(event, event.id.encode()) for event in found])
    )
    told = await database.read(lambda c: events.moments(c, TENANT, ["inc_1", "inc_2"], WANTED))
    assert [(one.id, one.type, one.incident) for one in told] == [
        ("evt_contoso_1", EventType.OPENED, "inc_1"),
        ("evt_contoso_3", EventType.RESOLVED, "inc_1"),
        ("evt_contoso_4", EventType.OPENED, "inc_2"),
    ]
    assert told[0].occurred_at == NOW + timedelta(minutes=1)
    assert await database.read(lambda c: events.moments(c, TENANT, [], WANTED)) == []
    bodies = await database.read(
        lambda c: events.bodies(c, TENANT, ["evt_contoso_3", "evt_fabrikam_3", "evt_none"])
    )
    assert bodies == {"evt_contoso_3": b"evt_contoso_3"}
