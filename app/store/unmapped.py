"""Codes that no table knows: how often each was met, so that a person can give them a meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from app.core.types import TenantId
from app.store.tables import UnmappedRow

T = UnmappedRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

CODES_KEPT = 1_000  # per tenant; what is beyond is counted under REST, so none can fill the table
REST = "(others)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmapped:
    """One code of one client. ``sample`` is a scrubbed text that came with it."""

    code: str
    client: str
    service: str
    count: int
    first_at: datetime
    last_at: datetime
    sample: str | None = None


def add(c: Connection, tenant: TenantId, met: Sequence[Unmapped]) -> None:
    """Add what one step of the fold has met."""
    room: int | None = None
    for one in sorted(met, key=lambda x: (x.code, x.client)):  # one order: no deadlock
        if _raise(c, tenant, one, one.code):
            continue
        if room is None:
            known = select(func.count()).select_from(T).where(T.c.tenant == tenant)
            room = CODES_KEPT - c.execute(known).scalar_one()
        code = one.code if room > 0 else REST
        if code == REST and _raise(c, tenant, one, REST):
            continue
        room -= 1
        values = {
            "tenant": tenant,
            "code": code,
            "client": one.client,
            "service": one.service,
            "count": one.count,
            "first_at": one.first_at,
            "last_at": one.last_at,
            "sample": one.sample,
        }
        c.execute(insert(T).values(values))


def _raise(c: Connection, tenant: TenantId, one: Unmapped, code: str) -> bool:
    here = (T.c.tenant == tenant, T.c.code == code, T.c.client == one.client)
    latest = {"last_at": one.last_at, "service": one.service}
    statement = update(T).where(*here).values(count=T.c.count + one.count, **latest)
    return c.execute(statement).rowcount > 0


def top(
    c: Connection, tenants: Sequence[TenantId], limit: int, *, least: int = 1
) -> list[tuple[TenantId, Unmapped]]:
    """The codes that were met most often, at least ``least`` times, with their tenants."""
    query = (
        select(T)
        .where(T.c.tenant.in_(tenants), T.c.count >= least)
        .order_by(T.c.count.desc(), T.c.tenant, T.c.code, T.c.client)
        .limit(limit)
    )
    return [
        (
            TenantId(row["tenant"]),
            Unmapped(
                code=row["code"],
                client=row["client"],
                service=row["service"],
                count=row["count"],
                first_at=row["first_at"],
                last_at=row["last_at"],
                sample=row["sample"],
            ),
        )
        for row in c.execute(query).mappings()
    ]
