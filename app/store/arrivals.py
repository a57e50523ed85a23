"""When something last came in at a door."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from app.core.types import SignalKind, TenantId
from app.store.tables import IntakeRow

T = IntakeRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

LOOK_BACK = 5000  # newest rows of the intake log that are looked at, so that looking stays cheap


def last_arrival(c: Connection, tenant: TenantId, kind: SignalKind) -> datetime | None:
    """When the newest signal of a kind came in; None when none did lately."""
    newest = select(func.max(T.c.seq)).scalar_subquery()
    query = (
        select(T.c.received_at)
        .where(T.c.seq > newest - LOOK_BACK, T.c.tenant == tenant, T.c.kind == kind.value)
        .order_by(T.c.seq.desc())
        .limit(1)
    )
    found: datetime | None = c.execute(query).scalar_one_or_none()
    return found
