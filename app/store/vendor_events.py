"""Vendor events: one advisory as all tenants have it, found without reading it for each of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, func, or_, select, tuple_

from app.core.signal import Advisory
from app.core.types import TenantId
from app.store import advisories
from app.store.tables import AdvisoryRow

T = AdvisoryRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How one tenant has it."""

    tenant: TenantId
    revision: int
    is_resolved: bool
    withdrawn: bool
    last_modified_at: datetime
    incidents: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorEvent:
    """One advisory across tenants; ``newest`` is the copy that the vendor modified last."""

    newest: Advisory
    sights: tuple[Sight, ...]

    @property
    def last_modified_at(self) -> datetime:
        """When the vendor last modified any copy."""
        return max(sight.last_modified_at for sight in self.sights)


def page(
    c: Connection,
    tenants: Sequence[TenantId],
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
    is_resolved: bool | None = None,
    vendor_id: str | None = None,
) -> list[VendorEvent]:
    """List what some tenants have, the last modified first.

    Args:
        c: the connection.
        tenants: whose.
        limit: most to give.
        after: (``last_modified_at``, vendor id) of the last one that was given before.
        is_resolved: True where it is resolved for all, False where it is open for any.
        vendor_id: only this one.
    """
    newest_at = func.max(T.c.last_modified_at)
    still_open = func.sum(case((T.c.is_resolved.is_(False), 1), else_=0))
    query = select(T.c.id, newest_at.label("at")).where(T.c.tenant.in_(tenants)).group_by(T.c.id)
    if vendor_id is not None:
        query = query.where(T.c.id == vendor_id)
    if is_resolved is not None:
        query = query.having(still_open == 0 if is_resolved else still_open > 0)
    if after is not None:
        at, last = after
        query = query.having(or_(newest_at < at, (newest_at == at) & (T.c.id > last)))
    found = c.execute(query.order_by(newest_at.desc(), T.c.id).limit(limit)).all()
    return _events(c, tenants, [row.id for row in found])


def _events(
    c: Connection, tenants: Sequence[TenantId], vendor_ids: Sequence[str]
) -> list[VendorEvent]:
    sights: dict[str, list[Sight]] = {vendor_id: [] for vendor_id in vendor_ids}
    columns = (
        T.c.tenant, T.c.id, T.c.revision, T.c.is_resolved, T.c.withdrawn, T.c.last_modified_at,
        T.c.incidents,
    )  # fmt: skip
    query = select(*columns).where(T.c.id.in_(vendor_ids), T.c.tenant.in_(tenants))
    for row in c.execute(query.order_by(T.c.tenant)):
        sights[row.id].append(
            Sight(
                tenant=TenantId(row.tenant),
                revision=row.revision,
                is_resolved=row.is_resolved,
                withdrawn=row.withdrawn,
                last_modified_at=row.last_modified_at,
                incidents=tuple(json.loads(row.incidents)),
            )
        )
    shown = {
        (max(seen, key=lambda s: (s.last_modified_at, s.revision, s.tenant)).tenant, vendor_id)
        for vendor_id, seen in sights.items()
    }
    newest = {}
    where = tuple_(T.c.tenant, T.c.id).in_(sorted(shown))
    for row in c.execute(select(T.c.id, T.c.state).where(where)):
        newest[row.id] = advisories.decode(row.state)
    return [VendorEvent(newest=newest[key], sights=tuple(sights[key])) for key in vendor_ids]
