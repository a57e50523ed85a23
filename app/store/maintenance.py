"""Maintenance windows as rows."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from app.core.maintenance import Window
from app.core.types import TenantId
from app.store.tables import MaintenanceWindowRow

T = MaintenanceWindowRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it


def add(c: Connection, window: Window) -> None:
    """Store a new window."""
    c.execute(insert(T).values(id=window.id, **_values(window)))


def get(c: Connection, tenant: TenantId | None, identity: str) -> Window | None:
    """Read one. Without a tenant: whosever it is."""
    statement = select(T).where(T.c.id == identity)
    if tenant is not None:
        statement = statement.where(T.c.tenant == tenant)
    row = c.execute(statement).mappings().first()
    return None if row is None else _window(row)


def page(c: Connection, tenant: TenantId | None, *, after: str | None, limit: int) -> list[Window]:
    """List from the newest on, after the id ``after``. Without a tenant: all of them."""
    statement = select(T).order_by(T.c.id.desc()).limit(limit)
    if tenant is not None:
        statement = statement.where(T.c.tenant == tenant)
    if after is not None:
        statement = statement.where(T.c.id < after)
    return [_window(row) for row in c.execute(statement).mappings()]


def since(c: Connection, at: datetime, *, tenant: TenantId | None = None) -> list[Window]:
    """List those that end after an instant, by id. Without a tenant: of all tenants."""
    statement = select(T).where(T.c.ends_at > at).order_by(T.c.id)
    if tenant is not None:
        statement = statement.where(T.c.tenant == tenant)
    return [_window(row) for row in c.execute(statement).mappings()]


def replace(c: Connection, window: Window) -> bool:
    """Store a change, whose revision is one more than the row's; tells whether it was."""
    changed = c.execute(
        update(T)
        .where(T.c.id == window.id, T.c.revision == window.revision - 1)
        .values(**_values(window))
    )
    return changed.rowcount == 1


def _values(window: Window) -> dict[str, Any]:
    return {
        "tenant": window.tenant,
        "title": window.title,
        "starts_at": window.starts_at,
        "ends_at": window.ends_at,
        "services": json.dumps(sorted(window.services)),
        "probes": json.dumps(sorted(window.probes)),
        "locations": json.dumps(sorted(window.locations)),
        "created_by": window.created_by,
        "created_at": window.created_at,
        "revision": window.revision,
    }


def _window(row: RowMapping) -> Window:
    def words(name: str) -> frozenset[str]:
        found: Sequence[str] = json.loads(row[name])
        return frozenset(found)

    return Window(
        id=row["id"],
        tenant=TenantId(row["tenant"]),
        title=row["title"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        services=words("services"),
        probes=words("probes"),
        locations=words("locations"),
        created_by=row["created_by"],
        created_at=row["created_at"],
        revision=row["revision"],
    )
