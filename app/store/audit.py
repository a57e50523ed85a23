"""The audit log: who changed what, from what, to what; nothing of it is ever changed."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from app.store.audit_tables import AuditRow

T = AuditRow.__table__  # type: ignore[attr-defined]  # set by SQLModel when it builds the class

STEP = 2_000  # rows of one transaction of retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One write. ``before`` and ``after`` hold what changed; none: it was not there."""

    id: str
    tenant: str
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    action: str
    target: str
    request_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def append(c: Connection, entry: Entry) -> None:
    """Write one entry; its transaction is that of the write it tells of."""
    c.execute(
        insert(T).values(
            id=entry.id,
            tenant=entry.tenant,
            at=entry.at,
            actor_kind=entry.actor_kind,
            actor_id=entry.actor_id,
            actor_name=entry.actor_name,
            action=entry.action,
            target=entry.target,
            request_id=entry.request_id,
            before=_text(entry.before),
            after=_text(entry.after),
        )
    )


def page(
    c: Connection,
    tenants: tuple[str, ...] | None,
    *,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str | None = None,
    limit: int,
) -> list[Entry]:
    """Entries from the newest on, after the id ``after``; ``tenants`` None: of all tenants."""
    statement = select(T).order_by(T.c.id.desc()).limit(limit)
    for column, value in ((T.c.actor_id, actor), (T.c.action, action), (T.c.target, target)):
        if value is not None:
            statement = statement.where(column == value)
    if tenants is not None:
        statement = statement.where(T.c.tenant.in_(tenants))
    if since is not None:
        statement = statement.where(T.c.at >= since)
    if until is not None:
        statement = statement.where(T.c.at < until)
    if after is not None:
        statement = statement.where(T.c.id < after)
    return [_entry(row) for row in c.execute(statement)]


def _text(values: dict[str, Any] | None) -> str | None:
    return None if values is None else json.dumps(values, default=str, sort_keys=True)


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        id=row.id,
        tenant=row.tenant,
        at=row.at,
        actor_kind=row.actor_kind,
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        action=row.action,
        target=row.target,
        request_id=row.request_id,
        before=None if row.before is None else json.loads(row.before),
        after=None if row.after is None else json.loads(row.after),
    )
