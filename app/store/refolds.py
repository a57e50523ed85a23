"""Replays: what was asked for, how far it is, and what came of it; claimed by lease."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, insert, or_, select, tuple_, update

from app.core.types import TenantId
from app.store.journal_tables import RefoldRow

T = RefoldRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

QUEUED, RUNNING, FINISHED, FAILED = "queued", "running", "finished", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refold:
    """One replay. ``policy`` holds the thresholds that differ; ``progress`` is 0 to 1."""

    id: str
    tenant: TenantId
    state: str
    since: datetime
    until: datetime
    policy: dict[str, Any]
    created_by: str
    created_at: datetime
    finished_at: datetime | None = None
    progress: float = 0.0
    attempts: int = 0
    result: dict[str, Any] | None = None
    error: str | None = None


def _refold(row: RowMapping) -> Refold:
    return Refold(
        id=row["id"],
        tenant=TenantId(row["tenant"]),
        state=row["state"],
        since=row["since"],
        until=row["until"],
        policy=json.loads(row["policy"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        progress=row["progress"],
        attempts=row["attempts"],
        result=None if row["result"] is None else json.loads(row["result"]),
        error=row["error"],
    )


def add(c: Connection, replay: Refold) -> None:
    """Store a replay that waits for its turn."""
    c.execute(
        insert(T).values(
            id=replay.id,
            tenant=replay.tenant,
            state=replay.state,
            since=replay.since,
            until=replay.until,
            policy=json.dumps(replay.policy, sort_keys=True),
            created_by=replay.created_by,
            created_at=replay.created_at,
            progress=replay.progress,
            attempts=0,
        )
    )


def get(c: Connection, tenant: TenantId | None, replay: str) -> Refold | None:
    """One replay of a tenant, or of any tenant; None when there is none."""
    query = select(T).where(T.c.id == replay)
    if tenant is not None:
        query = query.where(T.c.tenant == tenant)
    row = c.execute(query).mappings().one_or_none()
    return None if row is None else _refold(row)


def page(
    c: Connection, tenant: TenantId | None, after: tuple[datetime, str] | None, limit: int
) -> list[Refold]:
    """A page of replays, newest first; ``after`` is (created_at, id) of the last one had."""
    query = select(T)
    if tenant is not None:
        query = query.where(T.c.tenant == tenant)
    if after is not None:
        query = query.where(tuple_(T.c.created_at, T.c.id) < tuple_(*after))
    query = query.order_by(T.c.created_at.desc(), T.c.id.desc()).limit(limit)
    return [_refold(row) for row in c.execute(query).mappings()]


def waiting(c: Connection, tenant: TenantId) -> int:
    """How many replays of a tenant are not finished, at most a page of them."""
    query = select(T.c.id).where(T.c.tenant == tenant, T.c.state.in_((QUEUED, RUNNING)))
    return len(c.execute(query.limit(100)).all())


def claim(c: Connection, *, token: str, now: datetime, until: datetime) -> Refold | None:
    """Take the oldest that waits, or whose lease has lapsed; None when there is none."""
    free = or_(T.c.state == QUEUED, and_(T.c.state == RUNNING, T.c.lease_until <= now))
    oldest = select(T.c.id).where(free).order_by(T.c.created_at, T.c.id).limit(1)
    values = {"state": RUNNING, "lease_token": token, "lease_until": until,
              "attempts": T.c.attempts + 1}  # fmt: skip
    chosen = T.c.id.in_(oldest.with_for_update(skip_locked=True))
    row = c.execute(update(T).where(chosen, free).values(values).returning(T)).mappings().first()
    return None if row is None else _refold(row)


def keep(c: Connection, replay: str, *, token: str, until: datetime, progress: float) -> bool:
    """Lengthen a lease and say how far it is; False when the lease was lost."""
    mine = (T.c.id == replay) & (T.c.lease_token == token) & (T.c.state == RUNNING)
    values = {"lease_until": until, "progress": progress}
    return c.execute(update(T).where(mine).values(values)).rowcount == 1


def finish(
    c: Connection,
    replay: str,
    *,
    token: str,
    now: datetime,
    result: dict[str, Any] | None = None,
    error: str | None = None,
) -> bool:
    """Store what came of it; False when the lease was lost and somebody else does it."""
    mine = (T.c.id == replay) & (T.c.lease_token == token) & (T.c.state == RUNNING)
    values: dict[str, Any] = {
        "state": FINISHED if error is None else FAILED,
        "finished_at": now,
        "lease_until": None,
        "result": None if result is None else json.dumps(result),
        "error": error,
    }
    if error is None:
        values["progress"] = 1.0
    return c.execute(update(T).where(mine).values(values)).rowcount == 1
