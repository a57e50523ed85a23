"""Codes that no table knows: how often each was met, so that a person can give them a meaning."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, func, select

from app.core.types import TenantId
from app.store.tables import UnmappedRow
from app.store.upserts import insert_into

T = UnmappedRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

CODES_KEPT = 1_000  # per tenant; what is beyond is counted under REST, so none can fill the table
REST = "(others)"
CHUNK = 500  # codes per statement; SQLite takes a limited number of variables


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
    """Add what one step of the fold has met; a few statements, however many codes there are.

    The fold's transaction holds up whoever reads the log behind it, so it must not be long.
    """
    if not met:
        return
    known = _known(c, tenant, met)
    room: int | None = None
    found: dict[tuple[str, str], Unmapped] = {}
    for one in sorted(met, key=lambda x: (x.code, x.client)):  # one order: no deadlock
        code = one.code
        if (code, one.client) not in known:
            if room is None:
                there = select(func.count()).select_from(T).where(T.c.tenant == tenant)
                room = CODES_KEPT - c.execute(there).scalar_one()
            code = code if room > 0 else REST
            room -= 1
        key = (code, one.client)
        found[key] = _joined(found.get(key), replace(one, code=code))
    rows = [asdict(found[key]) | {"tenant": tenant} for key in sorted(found)]
    put = insert_into(c, T)
    new = put.excluded
    c.execute(
        put.on_conflict_do_update(
            index_elements=[T.c.tenant, T.c.code, T.c.client],
            set_={"count": T.c.count + new.count, "last_at": new.last_at, "service": new.service},
        ),
        rows,
    )


def _known(c: Connection, tenant: TenantId, met: Sequence[Unmapped]) -> set[tuple[str, str]]:
    """Which of them the table has, as code and client."""
    codes = sorted({one.code for one in met})
    found: set[tuple[str, str]] = set()
    for start in range(0, len(codes), CHUNK):
        query = select(T.c.code, T.c.client).where(T.c.tenant == tenant)
        rows = c.execute(query.where(T.c.code.in_(codes[start : start + CHUNK])))
        found |= {(row.code, row.client) for row in rows}
    return found


def _joined(before: Unmapped | None, one: Unmapped) -> Unmapped:
    if before is None:
        return one
    first_at, last_at = min(before.first_at, one.first_at), max(before.last_at, one.last_at)
    return replace(one, count=before.count + one.count, first_at=first_at, last_at=last_at)


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
