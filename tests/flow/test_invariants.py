"""Invariants of the house: they hold for what the engine makes, and planted breaches are found."""

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from app.core.types import IncidentId, Status
from app.flow.invariants import Invariants
from app.kit.clock import FixedClock
from app.kit.metrics import Registry
from app.store import incidents, invariants
from app.store.engine import Database
from app.store.tables import (
    DeliveryRow,
    EventRow,
    FoldStateRow,
    IncidentRow,
    IntakeRow,
    SubscriptionRow,
)
from tests.api.surface import Surface, furnish, served
from tests.builders import NOW, TENANT, an_incident
from tests.flow.mirroring import MirrorWorld

EVENTS: Any = EventRow.__table__  # type: ignore[attr-defined]
STATES: Any = FoldStateRow.__table__  # type: ignore[attr-defined]
INCIDENTS: Any = IncidentRow.__table__  # type: ignore[attr-defined]
DELIVERIES: Any = DeliveryRow.__table__  # type: ignore[attr-defined]
INTAKE: Any = IntakeRow.__table__  # type: ignore[attr-defined]


def found(db: Database) -> dict[str, int]:
    counted = {
        name: db.read_now(lambda c, ask=ask: ask(c, NOW + timedelta(minutes=1)))
        for name, ask in invariants.INVARIANTS.items()
    }
    return {name: count for name, count in counted.items() if count}


def lose_an_event(c: Connection) -> None:
    c.execute(delete(EVENTS).where(EVENTS.c.tenant == TENANT, EVENTS.c.sequence == 2))


def lose_the_newest(c: Connection) -> None:
    newest = c.execute(select(STATES.c.sequence).where(STATES.c.tenant == TENANT)).scalar_one()
    c.execute(delete(EVENTS).where(EVENTS.c.tenant == TENANT, EVENTS.c.sequence == newest))


def change_in_silence(c: Connection) -> None:
    incidents.put(c, [an_incident(id=IncidentId("inc_silent"), number="INC-2026-9999")])


def fold_what_never_came(c: Connection) -> None:
    c.execute(update(STATES).values(tx=STATES.c.tx + 10**6, seq=STATES.c.seq + 10**6))


def merge_in_a_circle(c: Connection) -> None:
    first, second = c.execute(select(INCIDENTS.c.id).limit(2)).scalars()
    for one, other in ((first, second), (second, first)):
        c.execute(
            update(INCIDENTS)
            .where(INCIDENTS.c.id == one)
            .values(status=Status.MERGED.value, merged_into=other, updated_at=NOW)
        )


def merge_into_nothing(c: Connection) -> None:
    one = c.execute(select(INCIDENTS.c.id).limit(1)).scalar_one()
    changed = {"status": Status.MERGED.value, "merged_into": "inc_gone", "updated_at": NOW}
    c.execute(update(INCIDENTS).where(INCIDENTS.c.id == one).values(**changed))


def wait_for_nobody(c: Connection) -> None:
    row = {
        "id": "dlv_lost", "tenant": TENANT, "subscription": "sub_gone", "event": "evt_x",
        "event_type": "incident.opened", "lane": "x", "position": 1, "state": "pending",
        "reason": "", "attempts": 0, "created_at": NOW, "due_at": NOW, "superseded": "[]",
    }  # fmt: skip
    c.execute(insert(DELIVERIES).values(**row))


def lose_a_delivery(c: Connection) -> None:
    """The newest event comes to nobody, and the subscription is old enough to have wanted it."""
    subscribed = SubscriptionRow.__table__  # type: ignore[attr-defined]
    long_ago = NOW - timedelta(hours=1)
    standing = {"state": "active", "verified_at": long_ago, "updated_at": long_ago}
    c.execute(update(subscribed).values(**standing, event_types='["*"]'))
    log = EVENTS.c.tenant == TENANT
    newest = c.execute(
        select(EVENTS.c.id).where(log).order_by(EVENTS.c.sequence.desc()).limit(1)
    ).scalar_one()
    others = select(EVENTS.c.id).where(log, EVENTS.c.id != newest)
    c.execute(delete(EVENTS).where(EVENTS.c.id.in_(others)))


def lose_a_linked_incident(c: Connection) -> None:
    from app.store.link_tables import LinkRow  # noqa: PLC0415 - only here

    links: Any = LinkRow.__table__  # type: ignore[attr-defined]
    c.execute(update(links).values(incident="inc_gone"))


PLANTED: list[tuple[str, Callable[[Connection], None], int]] = [
    ("sequences_have_no_gaps", lose_an_event, 1),
    ("log_ends_where_the_engine_does", lose_the_newest, 1),
    ("changes_have_events", change_in_silence, 1),
    ("checkpoints_lie_in_the_log", fold_what_never_came, 1),
    ("merges_lead_somewhere", merge_in_a_circle, 2),
    ("merges_lead_somewhere", merge_into_nothing, 1),
    ("events_have_deliveries", lose_a_delivery, 1),
    ("deliveries_have_receivers", wait_for_nobody, 1),
    ("links_have_incidents", lose_a_linked_incident, 1),
]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_all_hold_after_work_and_each_planted_breach_is_found(
    kind: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    url = f"sqlite:///{tmp_path}/house.db"
    if kind != "sqlite":
        url = request.getfixturevalue("postgres").create_plain()
    surface: Surface = served(url)
    try:
        await furnish(surface)
        assert found(surface.db) == {}
        for name, plant, count in PLANTED:
            with pytest.raises(_Undone):
                surface.db.write_now(partial(_try, plant=plant, name=name, count=count))
        assert {name for name, _, _ in PLANTED} == set(invariants.INVARIANTS)
    finally:
        surface.db.close()


class _Undone(Exception):  # noqa: N818 - rolls a planted breach back
    pass


def _try(c: Connection, *, plant: Callable[[Connection], None], name: str, count: int) -> None:
    plant(c)
    assert invariants.INVARIANTS[name](c, NOW + timedelta(minutes=1)) == count, name
    raise _Undone


async def test_a_tenant_of_whom_only_people_spoke_breaks_nothing(
    sqlite_database: Database,
) -> None:
    await MirrorWorld(sqlite_database).open()
    assert found(sqlite_database) == {}


async def test_what_is_found_is_counted_and_logged(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Registry()
    clock = FixedClock(NOW + timedelta(minutes=3))
    asked = Invariants(sqlite_database, clock, metrics=metrics, speed=1.0)
    assert await asked.step() == timedelta(minutes=1)
    line = 'sextant_invariant_violations_total{invariant="deliveries_have_receivers"}'
    assert f"{line} 0.0" in metrics.render().decode()
    sqlite_database.write_now(wait_for_nobody)
    sqlite_database.write_now(change_in_silence)
    caplog.set_level(logging.ERROR)
    await asked.step()
    shown = metrics.render().decode()
    assert f"{line} 1.0" in shown
    assert "sextant_incidents_open 1.0" in shown
    assert "sextant_deliveries_pending 1.0" in shown
    assert "sextant_deliveries_overdue_seconds 180.0" in shown
    named = {one.invariant for one in caplog.records if one.message == "invariant_violated"}
    assert named == {"deliveries_have_receivers", "changes_have_events"}
