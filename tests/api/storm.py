"""A storm of reports over some minutes, through a public door, folded as it comes."""

import json
from datetime import timedelta

from app.store import events, incidents
from tests.builders import NOW, TENANT


def told(world):
    """The living incidents: status and reporters."""
    found = world.db.read_now(lambda c: incidents.living(c, TENANT))
    return [(i.status.value, i.impact.reporters) for i in found]


def event_bytes(world):
    """Every event that was emitted, as it is sent."""
    return [event.body for event in world.db.read_now(lambda c: events.after(c, TENANT, 0, 1000))]


async def send(client, path, reports, headers=None):
    answer = await client.post(
        path,
        content=json.dumps(reports).encode(),
        headers={"content-type": "application/json", **(headers or {})},
    )
    assert answer.status_code == 202, answer.text
    return answer.json()


async def rage(world, client, doors, make, *, minutes=12):
    """Send what ``make(minute, number)`` gives to each door, every minute, and fold it.

    Args:
        world: the wired context.
        client: of its application.
        doors: (path, headers) pairs.
        make: gives the reports of one call.
        minutes: how long.
    """
    for minute in range(minutes):
        world.clock.at = NOW + timedelta(minutes=minute)
        for path, headers in doors:
            for number in range(4):
                await send(client, path, make(minute, number), headers)
        await world.fold.step(TENANT)
    world.clock.at += timedelta(minutes=1)
    while await world.fold.step(TENANT):
        pass
