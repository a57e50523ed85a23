"""The clock of the machine is set an hour forward, an hour back, a day forward: what then?

Nothing is lost, doubled or told out of order. A wait that is under way is cut short or drawn out by
the step itself; new ones are as long as ever.
"""

from datetime import timedelta

import pytest

from app.core.types import Status
from app.store.engine import Database
from tests.core.play import at
from tests.flow.tale import BEGIN, Tale, signals
from tests.flow.world import World, failing, ok
from tests.store.test_deliveries import emit, event

STEPS = [timedelta(hours=1), timedelta(hours=-1), timedelta(hours=24)]


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_each_delivery_is_made_once_and_in_order(
    sqlite_database: Database, step: timedelta
) -> None:
    world = World(sqlite_database)
    await world.active()
    world.receiver.answer = failing(503)
    emit(world.db, event(1))
    emit(world.db, event(2))
    await world.drain()  # the head was refused; the second of its incident waits behind it
    world.clock.at += step
    world.receiver.answer = ok
    emit(world.db, event(3), now=world.clock.at)
    told = [i for i in world.ids() if i != "evt_000001"]
    for _ in range(8):  # what the step put off comes when its time has come again
        await world.drain()
        world.clock.at += timedelta(minutes=10)
    assert told == []
    assert world.ids() == ["evt_000001", "evt_000001", "evt_000002", "evt_000003"]
    assert world.page(state="pending") == []
    assert [d.state for d in world.page()] == ["delivered"] * 4  # with the ping


@pytest.mark.parametrize("step", STEPS[:2], ids=str)
async def test_the_fold_goes_on_and_tells_each_change_once(
    sqlite_database: Database, step: timedelta
) -> None:
    tale, story = Tale(sqlite_database), signals()
    await tale.tell(story, until=at("06:08"))
    assert [i.status for i in tale.incidents()] == [Status.CONFIRMED]
    here = tale.clock.at
    tale.clock.at = here + step  # and set right again after some steps
    for _ in range(4):
        await tale.settle()
        tale.clock.at += timedelta(seconds=30)
    tale.clock.at = here
    await tale.tell(story)
    told = tale.events()
    assert [e.sequence for e in told] == list(range(1, len(told) + 1))
    assert len({e.id for e in told}) == len(told)
    (incident,) = tale.incidents()
    assert incident.opened_at >= BEGIN
    assert incident.status in {Status.RESOLVED, Status.CLOSED}
    assert tale.planned == [e.id for e in told]
