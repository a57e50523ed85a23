"""The audit log: every write that somebody asked for, with who, from what and to what."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from app.api.deps import Admin, Context, problems, resource, tenants_of
from app.api.paging import Cursor, Limit, Pager
from app.api.v1.schemas import Instant, Out
from app.store import audit
from app.store.audit import Entry
from app.store.keys import OPERATOR

router = resource("audit")

Wanted = Annotated[str | None, Query(min_length=1, max_length=200)]
Changed = Annotated[dict[str, Any] | None, Field(description="Fields that changed; null: absent.")]


class AuditActorOut(Out):
    """Who acted: a `key`, a `token` of an issuer, the `console`, or the `operator`'s shell."""

    kind: str
    id: str
    name: str


class EntryOut(Out):
    """One write. `target` is the id of what was written, `action` the operation of this API."""

    id: str
    tenant: str
    at: datetime
    actor: AuditActorOut
    action: str
    target: str
    request_id: str | None
    before: Changed
    after: Changed


class AuditPage(Out):
    """One page of the audit log, newest first."""

    items: list[EntryOut]
    next: str | None


@router.get("/audit", responses=problems())
async def list_audit(
    *,
    app: Context,
    caller: Admin,
    limit: Limit,
    cursor: Cursor = None,
    actor: Wanted = None,
    action: Wanted = None,
    target: Wanted = None,
    since: Instant | None = None,
    until: Instant | None = None,
) -> AuditPage:
    """List the writes of the tenant, newest first; what is sent to intake is its own record."""
    wanted = {"actor": actor, "action": action, "target": target, "since": since, "until": until}
    pager = Pager(app.secret, "audit", tenant=caller.tenant, filters=wanted)
    after = pager.read(cursor)
    # What an operator of all did for nobody in particular is told to such operators alone.
    whole = caller.tenant == OPERATOR and not caller.grants
    tenants = None if whole else tenants_of(app, caller)
    rows = await app.db.read(
        lambda c: audit.page(
            c,
            tenants,
            actor=actor,
            action=action,
            target=target,
            since=since,
            until=until,
            after=after,
            limit=limit + 1,
        )
    )
    items, following = pager.page(rows, limit, lambda entry: entry.id)
    return AuditPage(items=[_shown(entry) for entry in items], next=following)


def _shown(entry: Entry) -> EntryOut:
    return EntryOut(
        id=entry.id,
        tenant=entry.tenant,
        at=entry.at,
        actor=AuditActorOut(kind=entry.actor_kind, id=entry.actor_id, name=entry.actor_name),
        action=entry.action,
        target=entry.target,
        request_id=entry.request_id,
        before=entry.before,
        after=entry.after,
    )
