"""When something last came in at a door."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from app.core.types import SignalKind, TenantId
from app.store.tables import IntakeRow

T = IntakeRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

LOOK_BACK = 5000  # newest rows of the intake log that are looked at first
OVERLAP = 200  # rows looked at again: on PostgreSQL a row may be committed after a later one


class Arrivals:
    """Looks at each row of the intake log once, and knows what it saw.

    Looking through thousands of rows at every read of the board cost more than all else of it.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[TenantId, SignalKind], tuple[int, datetime | None]] = {}

    def last(self, c: Connection, tenant: TenantId, kind: SignalKind) -> datetime | None:
        """When the newest signal of a kind came in; None when none did lately."""
        newest: int = c.execute(select(func.max(T.c.seq))).scalar_one_or_none() or 0
        seen, known = self._known.get((tenant, kind), (0, None))
        if seen == newest:
            return known
        query = (
            select(T.c.received_at)
            .where(
                T.c.seq > max(seen - OVERLAP, newest - LOOK_BACK),
                T.c.tenant == tenant,
                T.c.kind == kind.value,
            )
            .order_by(T.c.seq.desc())
            .limit(1)
        )
        found: datetime | None = c.execute(query).scalar_one_or_none() or known
        self._known[tenant, kind] = (newest, found)
        return found
