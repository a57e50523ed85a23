"""Retention: deletes what is older than it is kept for, in small steps, never what still waits."""

from datetime import datetime

from sqlalchemy import Connection, Table, and_, delete, exists, select

from app.core.types import TenantId
from app.store.tables import (
    AttemptRow,
    DeliveryRow,
    EventRow,
    FoldStateRow,
    IntakeRow,
)

STEP = 2_000  # rows of one transaction, so that no writer waits long

_INTAKE: Table = IntakeRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
_STATES: Table = FoldStateRow.__table__  # type: ignore[attr-defined]  # the same
_EVENTS: Table = EventRow.__table__  # type: ignore[attr-defined]  # the same
_DELIVERIES: Table = DeliveryRow.__table__  # type: ignore[attr-defined]  # the same
_ATTEMPTS: Table = AttemptRow.__table__  # type: ignore[attr-defined]  # the same


def forget_intake(c: Connection, tenant: TenantId, *, before: datetime) -> int:
    """Delete folded rows of the intake log; a row that the fold has not reached is kept."""
    folded = select(_STATES.c.tx, _STATES.c.seq).where(_STATES.c.tenant == tenant)
    row = c.execute(folded).one_or_none()
    if row is None:
        return 0
    old = (
        select(_INTAKE.c.seq)
        .where(_INTAKE.c.tenant == tenant, _INTAKE.c.received_at < before)
        .where((_INTAKE.c.tx < row.tx) | and_(_INTAKE.c.tx == row.tx, _INTAKE.c.seq <= row.seq))
        .limit(STEP)
    )
    return c.execute(delete(_INTAKE).where(_INTAKE.c.seq.in_(old))).rowcount


def forget_events(c: Connection, *, before: datetime) -> int:
    """Delete events that no delivery waits for any more."""
    waiting = exists().where(_DELIVERIES.c.event == _EVENTS.c.id, _DELIVERIES.c.state == "pending")
    old = select(_EVENTS.c.id).where(_EVENTS.c.occurred_at < before, ~waiting).limit(STEP)
    return c.execute(delete(_EVENTS).where(_EVENTS.c.id.in_(old))).rowcount


def forget_deliveries(c: Connection, *, before: datetime) -> int:
    """Delete finished deliveries with their attempts."""
    old = (
        select(_DELIVERIES.c.id)
        .where(_DELIVERIES.c.state != "pending", _DELIVERIES.c.created_at < before)
        .limit(STEP)
    )
    ids = list(c.execute(old).scalars())
    if not ids:
        return 0
    c.execute(delete(_ATTEMPTS).where(_ATTEMPTS.c.delivery.in_(ids)))
    return c.execute(delete(_DELIVERIES).where(_DELIVERIES.c.id.in_(ids))).rowcount
