"""Leases between replicas: shared out, taken over in time, and fenced where it counts."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection

from app.core.errors import LeaseLost, StorageUnavailable
from app.core.events import EventType
from app.flow.leases import ALONE, SHARED, Lease, Leases, Rhythm
from app.flow.poll import Poll
from app.flow.poll_terms import Cadence
from app.kit.clock import FixedClock
from app.kit.metrics import Registry
from app.store import advisories, intake, states
from app.store import leases as store
from app.store.engine import Database
from tests.builders import NOW
from tests.flow.polling import Source, served
from tests.flow.tale import TENANT, Tale

WORK = ("fold:a", "fold:b", "graph:a", "graph:b")


def replica(db: Database, clock: FixedClock, rhythm: Rhythm = SHARED) -> Leases:
    def present(_: Connection, wall: datetime) -> datetime:
        return wall  # a clock that can be turned, also on PostgreSQL

    return Leases(db, clock, rhythm=rhythm, present=present)


def names(leases: Leases) -> list[str]:
    return [lease.name for lease in leases.held]


async def test_two_replicas_share_and_the_one_that_stays_takes_over_in_time(
    database: Database,
) -> None:
    clock = FixedClock(NOW)
    one, two = replica(database, clock), replica(database, clock)
    assert await one.tend(WORK) == ()
    assert names(one) == list(WORK)
    await two.tend(WORK)
    assert names(two) == []  # nothing is free yet
    above = await one.tend(WORK)
    assert len(above) == 2
    assert set(names(one)).isdisjoint(above)
    await two.tend(WORK)
    assert names(two) == []  # not before the loops of the other have ended
    await one.give(above)
    await two.tend(WORK)
    assert names(two) == list(above)
    assert [lease.token for lease in two.held] == [2, 2]
    passed = timedelta()
    while names(one) != list(WORK):  # two is killed
        clock.at += SHARED.every
        passed += SHARED.every
        await one.tend(WORK)
    assert passed <= timedelta(seconds=10)
    with pytest.raises(LeaseLost):
        await database.write(two.held[0].check)


async def test_whoever_leaves_is_replaced_at_once(database: Database) -> None:
    clock = FixedClock(NOW)
    one, two = replica(database, clock), replica(database, clock)
    await one.tend(WORK)
    await one.leave()
    await two.tend(WORK)
    assert names(two) == list(WORK)
    assert names(one) == []


async def test_a_process_that_is_alone_takes_all_at_once_and_fences_the_former(
    database: Database,
) -> None:
    clock = FixedClock(NOW)
    former, fresh = (replica(database, clock, ALONE) for _ in range(2))
    await former.tend(WORK)
    await fresh.tend(WORK)
    assert names(fresh) == list(WORK)
    with pytest.raises(LeaseLost):
        await database.write(former.held[0].check)
    await former.tend(WORK)
    assert names(former) == []


async def test_who_does_what_can_be_seen_and_counted(database: Database) -> None:
    clock, metrics = FixedClock(NOW), Registry()
    one = Leases(database, clock, rhythm=SHARED, present=lambda _, wall: wall, metrics=metrics)
    two = replica(database, clock)
    await one.tend([*WORK, "new-kind:x"])
    await two.tend(WORK)
    held = database.read_now(lambda c: store.holders(c, [*WORK, "graph:c"], NOW))
    assert sorted(held) == list(WORK)
    assert held["graph:a"].replica == one.me
    assert held["graph:a"].since == NOW
    clock.at += SHARED.every
    await one.give(await one.tend(WORK))
    await two.tend(WORK)
    said = metrics.render().decode().splitlines()
    assert 'sextant_leases_held{kind="graph"} 1.0' in said
    assert 'sextant_leases_held{kind="other"} 0.0' in said
    assert 'sextant_lease_changes_total{change="given",kind="fold"} 1.0' in said
    assert 'sextant_lease_changes_total{change="taken",kind="graph"} 2.0' in said
    assert "sextant_replicas 2.0" in said
    await two.leave()
    held = database.read_now(lambda c: store.holders(c, WORK, NOW))
    assert {holder.replica for holder in held.values()} == {one.me}


async def test_a_replica_that_is_gone_is_shown_as_such(sqlite_database: Database) -> None:
    metrics = Registry()
    leases = Leases(sqlite_database, FixedClock(NOW), metrics=metrics)
    await leases.tend(["graph:a"])
    later = NOW + ALONE.lasts
    for at, alive in ((NOW, True), (later, False)):
        held = sqlite_database.read_now(lambda c, at=at: store.holders(c, ["graph:a"], at))
        assert held["graph:a"].alive is alive
    await Leases(sqlite_database, FixedClock(later)).tend(["graph:a"])
    await leases.tend(["graph:a"])
    said = metrics.render().decode()
    assert 'sextant_lease_changes_total{change="lost",kind="graph"} 1.0' in said


async def test_without_the_database_work_goes_on_until_the_last_beat_ends(
    sqlite_database: Database,
) -> None:
    class Away(Database):
        """A database that can be taken away."""

        away = False

        async def write(self, work):  # type: ignore[no-untyped-def]
            if self.away:
                raise StorageUnavailable
            return await super().write(work)

    db = Away(sqlite_database.url)
    leases = replica(db, FixedClock(NOW), Rhythm(lasts=timedelta(hours=1)))
    await leases.tend(WORK)
    db.away = True
    assert await leases.tend(WORK) == ()
    assert names(leases) == list(WORK)
    leases.rhythm = Rhythm(lasts=timedelta())
    await leases.tend(WORK)
    assert names(leases) == []
    db.away = False
    await leases.tend(WORK)
    assert names(leases) == list(WORK)
    db.close()


async def test_the_clock_of_postgresql_is_the_one_that_counts(
    postgresql_database: Database,
) -> None:
    ahead, behind = (FixedClock(NOW + timedelta(hours=h)) for h in (1, -1))
    one, two = Leases(postgresql_database, ahead), Leases(postgresql_database, behind)
    await one.tend(WORK)
    await two.tend(WORK)
    assert names(two) == []  # an hour's step of a replica's clock takes nothing from the other
    await one.tend(WORK)
    assert len(names(one)) == 2


@pytest.fixture
async def stale(database: Database) -> Lease:
    """A lease of work that another replica does by now."""
    clock = FixedClock(NOW)
    former, fresh = (replica(database, clock, ALONE) for _ in range(2))
    await former.tend(["work"])
    await fresh.tend(["work"])
    return former.held[0]


async def test_a_fold_that_lost_its_lease_stores_nothing(database: Database, stale: Lease) -> None:
    tale = Tale(database)
    with pytest.raises(LeaseLost):
        await tale.fold.step(TENANT, stale)
    assert database.read_now(lambda c: states.checkpoint(c, TENANT)).revision == 0
    with pytest.raises(LeaseLost):
        await tale.fold.news(
            TENANT, EventType.SOURCE_STALE, {"source": "graph"}, actor="graph", reason="silent",
            also=stale.check,
        )  # fmt: skip
    assert tale.events() == []
    await tale.settle()
    assert database.read_now(lambda c: states.checkpoint(c, TENANT)).revision == 1


async def test_a_poll_that_lost_its_lease_stores_nothing(database: Database, stale: Lease) -> None:
    tale = Tale(database)

    async def append(*given: object, **named: object) -> object:
        return await tale.intake.append_advisories(*given, **named, lease=stale)  # type: ignore[arg-type]

    poll = Poll(
        stale.fence(database), tale.clock, Source(served()), tenant=TENANT, append=append,
        announce=tale.fold.news, cadence=Cadence(),
    )  # fmt: skip
    with pytest.raises(LeaseLost):
        await poll.step()
    assert database.read_now(lambda c: intake.after(c, TENANT, 0, 0, 10)) == []
    assert database.read_now(lambda c: advisories.open_ids(c, TENANT)) == ()
