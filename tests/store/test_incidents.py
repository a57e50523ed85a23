"""Incidents in the store: what many ended ones must not cost."""

from sqlalchemy import event

from app.store import incidents
from app.store.engine import Database
from tests.builders import TENANT


def test_the_living_are_found_without_a_look_at_the_ended(sqlite_database: Database) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []
    event.listen(
        sqlite_database.engine,
        "before_cursor_execute",
        lambda c, cursor, statement, values, *_: asked.append((statement, values)),
    )
    sqlite_database.read_now(lambda c: incidents.living(c, TENANT))
    statement, values = next(one for one in asked if "FROM incidents" in one[0])
    plan = sqlite_database.read_now(
        lambda c: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    )
    assert [row[3] for row in plan] == [
        "SEARCH incidents USING INDEX ix_incidents_living (tenant=?)"
    ]
