"""Deleting what is no longer kept, on both databases."""

from datetime import timedelta

from sqlalchemy import Connection, func, insert, select

from app.core.incident import Incident
from app.core.types import IncidentId, Status, TenantId
from app.flow.acts import OPERATOR, Act
from app.flow.ingest import Intake
from app.flow.retention import Kept, Retention
from app.kit.clock import FixedClock
from app.store import evidence, incidents, states
from app.store.audit_tables import AuditRow
from app.store.engine import Database
from app.store.states import Checkpoint
from app.store.tables import DeliveryRow, EventRow, EvidenceRow, IncidentRow, IntakeRow
from tests.builders import NOW, a_report, an_incident

TENANT = TenantId("contoso")
OLD = NOW - timedelta(days=40)


def count(database: Database, row: type) -> int:
    table = row.__table__  # type: ignore[attr-defined]
    return database.read_now(lambda c: c.execute(select(func.count()).select_from(table)).scalar())


def a_retention(database: Database) -> Retention:
    days = timedelta(days=30)
    kept = Kept(intake=days, probe_results=days, events=days, incidents=days, audit=days)
    return Retention(database, FixedClock(NOW), tenants=lambda: [TENANT], kept=kept)


async def test_folded_reports_are_forgotten_and_waiting_ones_are_not(database: Database) -> None:
    intake = Intake(database)
    await intake.append_reports(TENANT, [a_report(at=OLD)], source="x", now=OLD)
    await a_retention(database).step()
    assert count(database, IntakeRow) == 1
    last = database.read_now(
        lambda c: c.execute(select(IntakeRow.__table__.c.tx, IntakeRow.__table__.c.seq)).one()
    )
    after = Checkpoint(revision=1, tx=last.tx, seq=last.seq)
    database.write_now(
        lambda c: states.swap(c, TENANT, Checkpoint(), after, body=b"", policy="p", now=NOW)
    )
    await intake.append_reports(TENANT, [a_report()], source="x", now=NOW)
    await a_retention(database).step()
    assert count(database, IntakeRow) == 1


def an_event(number: int) -> dict[str, object]:
    return {"tenant": TENANT, "sequence": number, "id": f"evt_{number}", "type": "incident.opened",
            "incident": None, "occurred_at": OLD, "body": b"{}"}  # fmt: skip


def a_delivery(number: int, state: str) -> dict[str, object]:
    return {"id": f"dlv_{number}", "tenant": TENANT, "subscription": "sub_1",
            "event": f"evt_{number}", "event_type": "incident.opened", "lane": "x",
            "position": number, "state": state, "reason": "wanted", "attempts": 0,
            "created_at": OLD, "due_at": OLD, "superseded": "[]"}  # fmt: skip


async def test_an_event_that_a_delivery_waits_for_is_kept(database: Database) -> None:
    events, deliveries = EventRow.__table__, DeliveryRow.__table__
    database.write_now(lambda c: c.execute(insert(events), [an_event(1), an_event(2)]))
    database.write_now(
        lambda c: c.execute(
            insert(deliveries), [a_delivery(1, "pending"), a_delivery(2, "delivered")]
        )
    )
    await a_retention(database).step()
    kept = database.read_now(lambda c: list(c.execute(select(events.c.id)).scalars()))
    assert kept == ["evt_1"]
    assert count(database, DeliveryRow) == 1


def ended(number: int, days: float) -> Incident:
    at = NOW - timedelta(days=days)
    return an_incident(
        id=IncidentId(f"inc_{number}"), status=Status.CLOSED, closed_at=at, updated_at=at
    )


async def test_a_dry_run_says_what_would_go_and_deletes_nothing(database: Database) -> None:
    def fill(c: Connection) -> None:
        incidents.put(c, [ended(1, 40), ended(2, 20)])
        evidence.put(c, TENANT, {"inc_1": b"{}", "inc_2": b"{}"})
        c.execute(insert(EventRow.__table__), [an_event(number) for number in range(5000)])
        for number in (1, 2, 3):
            Act(
                tenant=TENANT, actor=OPERATOR, action="x", now=NOW - timedelta(days=20 * number),
                request_id=None,
            ).record(c, "y")  # fmt: skip

    database.write_now(fill)
    retention = a_retention(database)
    due = {one.what: one.rows for one in await retention.due()}
    assert {what: rows for what, rows in due.items() if rows} == {
        "events": 5000,
        "incidents": 1,
        "audit": 2,
    }
    assert (count(database, EventRow), count(database, AuditRow)) == (5000, 3)
    await retention.step()
    left = {row: count(database, row) for row in (EventRow, IncidentRow, EvidenceRow, AuditRow)}
    assert list(left.values()) == [0, 1, 1, 1]
    assert {one.rows for one in await retention.due()} == {0}
