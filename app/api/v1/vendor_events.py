"""Vendor events: an advisory that many tenants see, shown once."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from starlette.responses import Response

from app.api.deps import Context, Reader, problems, resource, tenants_of
from app.api.paging import Cursor, Limit, Pager
from app.api.v1.advisories import PostOut, UnderstoodOut, posts_of, understood_of
from app.api.v1.incidents import answer
from app.api.v1.schemas import Out
from app.core.advisory import condition_of
from app.core.document import rfc3339
from app.core.errors import NotFound
from app.core.types import Condition
from app.store import vendor_events
from app.store.vendor_events import VendorEvent

router = resource("advisories")


class SightOut(Out):
    """How one tenant has it; ``incidents`` hold it there."""

    tenant: str
    is_resolved: bool
    withdrawn: bool
    last_modified_at: datetime
    revision: int
    incidents: list[str]


class VendorEventOut(Out):
    """One advisory across tenants; its words are those of the copy that was modified last."""

    id: str
    title: str
    service: str
    service_name: str
    classification: str
    status: str
    condition: Condition
    impact_description: str
    is_resolved: bool
    started_at: datetime
    published_at: datetime | None
    last_modified_at: datetime
    understood: UnderstoodOut
    tenants_affected: int
    tenants_open: int
    tenants: list[SightOut]


class VendorEventWithPostsOut(VendorEventOut):
    """One advisory across tenants with its posts, oldest first."""

    posts: list[PostOut]


class VendorEventPage(Out):
    """One page of vendor events, the last modified first."""

    items: list[VendorEventOut]
    next: str | None


@router.get(
    "/vendor-events",
    response_model=None,
    responses={200: {"model": VendorEventPage}},
    summary="List advisories across tenants, each once",
)
async def list_vendor_events(
    *,
    app: Context,
    caller: Reader,
    limit: Limit,
    is_resolved: bool | None = None,
    cursor: Cursor = None,
) -> Response:
    """List advisories once, however many tenants have them; an operator's key sees all tenants.

    With `is_resolved=false`: those that are open for any tenant.
    """
    pager = Pager(
        app.secret, "vendor-events", tenant=caller.tenant, filters={"is_resolved": is_resolved}
    )
    position = pager.read(cursor)
    after = None if position is None else (datetime.fromisoformat(position[0]), str(position[1]))
    tenants = tenants_of(app, caller)
    rows = await app.db.read(
        lambda c: vendor_events.page(
            c, tenants, limit=limit + 1, after=after, is_resolved=is_resolved
        )
    )
    items, following = pager.page(
        rows, limit, lambda e: [e.last_modified_at.isoformat(), e.newest.vendor_id]
    )
    return answer({"items": [_document(event) for event in items], "next": following})


@router.get(
    "/vendor-events/{advisory_id}",
    response_model=None,
    responses={200: {"model": VendorEventWithPostsOut}, **problems(404)},
    summary="Read one advisory across tenants, with its posts",
)
async def read_vendor_event(
    advisory_id: Annotated[str, Path(min_length=1, max_length=100)], app: Context, caller: Reader
) -> Response:
    """Read one advisory as all tenants have it that the caller may see."""
    tenants = tenants_of(app, caller)
    rows = await app.db.read(
        lambda c: vendor_events.page(c, tenants, limit=1, vendor_id=advisory_id)
    )
    if not rows:
        raise NotFound
    return answer({**_document(rows[0]), "posts": posts_of(rows[0].newest)})


def _document(event: VendorEvent) -> dict[str, Any]:
    newest = event.newest
    return {
        "id": newest.vendor_id,
        "title": newest.title,
        "service": newest.service,
        "service_name": newest.service_name,
        "classification": newest.classification,
        "status": newest.status,
        "condition": condition_of(newest.status).value,
        "impact_description": newest.impact_description,
        "is_resolved": all(sight.is_resolved for sight in event.sights),
        "started_at": rfc3339(newest.started_at),
        "published_at": rfc3339(newest.published_at),
        "last_modified_at": rfc3339(event.last_modified_at),
        "understood": understood_of(newest.understood),
        "tenants_affected": len(event.sights),
        "tenants_open": sum(1 for s in event.sights if not s.is_resolved and not s.withdrawn),
        "tenants": [
            {
                "tenant": sight.tenant,
                "is_resolved": sight.is_resolved,
                "withdrawn": sight.withdrawn,
                "last_modified_at": rfc3339(sight.last_modified_at),
                "revision": sight.revision,
                "incidents": list(sight.incidents),
            }
            for sight in event.sights
        ],
    }
