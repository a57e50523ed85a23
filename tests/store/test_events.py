"""The event log: what an incident's page reads of it."""

from app.core.events import EventType
from app.store import events
from app.store.engine import Database
from tests import builders
from tests.builders import TENANT


def test_the_newest_events_of_a_long_incident_come_with_those_that_tell_more(
    database: Database,
) -> None:
    kinds = [EventType.OPENED, *[EventType.UPDATED] * 50, EventType.MITIGATING]
    kinds += [EventType.UPDATED] * 50
    log = [
        (builders.an_event(sequence=number, type=kind, id=f"evt_{number}"), b"{}")
        for number, kind in enumerate(kinds, 1)
    ]
    database.write_now(lambda c: events.append(c, log))
    incident = str(log[0][0].incident.id)
    found = database.read_now(lambda c: events.newest_of_incident(c, TENANT, incident, 10))
    assert [event.sequence for event in found] == [1, 52, *range(93, 103)]
