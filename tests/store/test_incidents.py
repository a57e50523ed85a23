"""Incidents in the store: what many ended ones must not cost."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, event

from app.core.signal import ClientReport
from app.core.types import SignalKind, Status
from app.flow.ingest import Intake
from app.store import incidents
from app.store.arrivals import Arrivals
from app.store.engine import Database
from app.store.incidents import Filters
from tests.builders import NOW, TENANT, a_report, an_incident


def plan_of(db: Database, read: Callable[[Connection], object]) -> list[str]:
    """How SQLite goes about what is read of incidents."""
    asked: list[tuple[str, tuple[str, ...]]] = []
    event.listen(
        db.engine,
        "before_cursor_execute",
        lambda c, cursor, statement, values, *_: asked.append((statement, values)),
    )
    db.read_now(read)
    statement, values = next(one for one in asked if "FROM incidents" in one[0])
    plan = db.read_now(lambda c: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all())
    return [row[3] for row in plan]


def test_the_living_are_found_without_a_look_at_the_ended(sqlite_database: Database) -> None:
    plan = plan_of(sqlite_database, lambda c: incidents.living(c, TENANT))
    assert plan == ["SEARCH incidents USING INDEX ix_incidents_living (tenant=?)"]


@pytest.mark.parametrize(
    "filters",
    [Filters(open=True), Filters(statuses=(Status.SUSPECTED, Status.CONFIRMED))],
    ids=["open", "statuses that are open"],
)
def test_the_open_are_listed_without_a_look_at_the_ended(
    sqlite_database: Database, filters: Filters
) -> None:
    for after in (None, (NOW, "inc_1")):
        plan = plan_of(
            sqlite_database, lambda c, after=after: incidents.page(c, TENANT, filters, after, 50)
        )
        assert plan[0] == "SEARCH incidents USING INDEX ix_incidents_open (tenant=? AND is_open=?)"


def test_the_list_of_the_open_is_in_its_order(database: Database) -> None:
    told = [
        an_incident(id=f"inc_{n}", at=NOW + timedelta(minutes=n % 3), status=status)
        for n, status in enumerate([Status.CONFIRMED, Status.CLOSED, Status.SUSPECTED] * 3)
    ]
    database.write_now(lambda c: incidents.put(c, told))
    opened = [i for i in told if i.status is not Status.CLOSED]
    wanted = sorted(opened, key=lambda i: (i.opened_at, i.id), reverse=True)
    pages, after = [], None
    while found := database.read_now(
        lambda c, after=after: incidents.page(c, TENANT, Filters(open=True), after, 2)
    ):
        pages += found
        after = (found[-1].opened_at, found[-1].id)
    assert [i.id for i in pages] == [i.id for i in wanted]
    ended = database.read_now(lambda c: incidents.page(c, TENANT, Filters(open=False), None, 50))
    assert {i.status for i in ended} == {Status.CLOSED}


def test_a_door_is_remembered_and_each_row_looked_at_once(database: Database) -> None:
    arrivals, kinds = Arrivals(), (SignalKind.CLIENT_REPORT, SignalKind.PROBE_RESULT)

    def last() -> list[datetime | None]:
        return [database.read_now(lambda c, k=k: arrivals.last(c, TENANT, k)) for k in kinds]

    async def came(signal: ClientReport, at: datetime) -> None:
        await Intake(database).append_reports(TENANT, [signal], source="a", now=at)

    assert last() == [None, None]
    for minute in range(3):
        at = NOW + timedelta(minutes=minute)
        asyncio.run(came(a_report(at=at), at))
        assert last() == [at, None]
        assert last() == [at, None]
