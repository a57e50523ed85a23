"""Retention: deletes what is older than it is kept for, in small steps, never what still waits."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    exists,
    func,
    select,
    tuple_,
)

from app.core.types import TenantId
from app.store.audit_tables import AuditRow
from app.store.journal_tables import RefoldRow
from app.store.refolds import FAILED, FINISHED
from app.store.tables import (
    AttemptRow,
    DeliveryRow,
    EventRow,
    EvidenceRow,
    FoldStateRow,
    IdempotencyRow,
    IncidentRow,
    IntakeRow,
    ProbeRow,
    UnmappedRow,
)

STEP = 2_000  # rows of one transaction, so that no writer waits long


def _table(row: type) -> Table:
    found: Table = row.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    return found


_INTAKE, _STATES, _EVENTS = _table(IntakeRow), _table(FoldStateRow), _table(EventRow)
_DELIVERIES, _ATTEMPTS = _table(DeliveryRow), _table(AttemptRow)
_INCIDENTS, _EVIDENCE, _AUDIT = _table(IncidentRow), _table(EvidenceRow), _table(AuditRow)
_REFOLDS, _IDEMPOTENCY = _table(RefoldRow), _table(IdempotencyRow)
_UNMAPPED, _PROBES = _table(UnmappedRow), _table(ProbeRow)


@dataclass(frozen=True, slots=True)
class Old:
    """Rows of one table that are kept no longer."""

    table: Table
    where: ColumnElement[bool]


def count(c: Connection, old: Old) -> int:
    """How many rows there are; nothing is deleted."""
    return int(c.execute(select(func.count()).select_from(old.table).where(old.where)).scalar_one())


def forget(c: Connection, old: Old) -> int:
    """Delete some of them, at most ``STEP``; gives how many."""
    keys = tuple(old.table.primary_key.columns)
    found = [tuple(row) for row in c.execute(select(*keys).where(old.where).limit(STEP))]
    if not found:
        return 0
    if old.table is _DELIVERIES:  # their attempts go with them
        ids = [row[0] for row in found]
        c.execute(delete(_ATTEMPTS).where(_ATTEMPTS.c.delivery.in_(ids)))
    return c.execute(delete(old.table).where(tuple_(*keys).in_(found))).rowcount


def old_intake(c: Connection, tenant: TenantId, *, before: datetime) -> Old | None:
    """Folded rows of the intake log; a row that the fold has not reached is kept."""
    folded = select(_STATES.c.tx, _STATES.c.seq).where(_STATES.c.tenant == tenant)
    row = c.execute(folded).one_or_none()
    if row is None:
        return None
    reached = (_INTAKE.c.tx < row.tx) | and_(_INTAKE.c.tx == row.tx, _INTAKE.c.seq <= row.seq)
    return Old(_INTAKE, and_(_INTAKE.c.tenant == tenant, _INTAKE.c.received_at < before, reached))


def old_events(before: datetime) -> Old:
    """Events that no delivery waits for any more."""
    waiting = exists().where(_DELIVERIES.c.event == _EVENTS.c.id, _DELIVERIES.c.state == "pending")
    return Old(_EVENTS, and_(_EVENTS.c.occurred_at < before, ~waiting))


def old_deliveries(before: datetime) -> Old:
    """Finished deliveries, with their attempts."""
    done = _DELIVERIES.c.state != "pending"
    return Old(_DELIVERIES, and_(done, _DELIVERIES.c.created_at < before))


def old_incidents(before: datetime) -> Old:
    """Incidents that ended for good."""
    ended = func.coalesce(_INCIDENTS.c.closed_at, _INCIDENTS.c.updated_at) < before
    return Old(_INCIDENTS, and_(_INCIDENTS.c.is_open.is_(False), ended))


def old_evidence() -> Old:
    """Evidence whose incident is gone."""
    there = exists().where(
        _INCIDENTS.c.tenant == _EVIDENCE.c.tenant, _INCIDENTS.c.id == _EVIDENCE.c.incident
    )
    return Old(_EVIDENCE, ~there)


def old_audit(before: datetime) -> Old:
    """Entries of the audit log."""
    return Old(_AUDIT, _AUDIT.c.at < before)


def old_replays(before: datetime) -> Old:
    """Finished replays of the engine."""
    done = _REFOLDS.c.state.in_((FINISHED, FAILED))
    return Old(_REFOLDS, and_(done, _REFOLDS.c.created_at < before))


def old_answers(before: datetime) -> Old:
    """Answers that were kept under an Idempotency-Key."""
    return Old(_IDEMPOTENCY, _IDEMPOTENCY.c.created_at < before)


def old_codes(before: datetime) -> Old:
    """Unknown codes that nobody has met since."""
    return Old(_UNMAPPED, _UNMAPPED.c.last_at < before)


def old_probes(before: datetime) -> Old:
    """Checks that have been silent since."""
    return Old(_PROBES, _PROBES.c.occurred_at < before)
