"""Links: which ticket belongs to which incident, how it stands and why; and hints of an ITSM."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query, Request, Response, status

from app.api.asked import Asked, json_answer
from app.api.deps import Context, Reader, Writer, context_of, problems, reach, resource
from app.api.paging import Cursor, Limit, Pager
from app.api.v1.schemas import Out
from app.core.errors import PayloadTooLarge
from app.core.link import Link, LinkState
from app.store import links

router = resource("links")

HINT_BYTES = 64 * 1024
Identity = Annotated[str, Path(max_length=64)]


class LinkOut(Out):
    """One ticket of one incident; ``incident`` is null for a summary of what is held back."""

    id: str
    tenant: str
    incident: str | None
    mirror: str
    system: str
    generation: int
    number: str | None
    remote_id: str | None
    url: str | None
    remote_state: str | None
    state: LinkState
    explanation: str
    created_at: datetime
    last_synced_at: datetime | None


class LinkPage(Out):
    """One page of links, newest first."""

    items: list[LinkOut]
    next: str | None


def _shown(link: Link) -> LinkOut:
    names = [name for name in LinkOut.model_fields if name != "state"]
    return LinkOut(state=link.state, **{name: getattr(link, name) for name in names})


@router.get("/links")
async def list_links(
    *,
    app: Context,
    caller: Reader,
    limit: Limit,
    incident: Annotated[str | None, Query(max_length=64)] = None,
    mirror: Annotated[str | None, Query(max_length=64)] = None,
    state: LinkState | None = None,
    cursor: Cursor = None,
) -> LinkPage:
    """List links, newest first."""
    filters = {"incident": incident, "mirror": mirror, "state": state}
    pager = Pager(app.secret, "links", tenant=caller.tenant, filters=filters)
    after, tenant = pager.read(cursor), reach(caller)
    rows = await app.db.read(
        lambda c: links.page(c, tenant, **filters, after=after, limit=limit + 1)
    )
    items, following = pager.page(rows, limit, lambda link: link.id)
    return LinkPage(items=[_shown(one) for one in items], next=following)


@router.post(
    "/links/{link_id}/resync", status_code=202, response_model=LinkOut, responses=problems(404)
)
async def resync_link(link_id: Identity, app: Context, caller: Writer) -> Response:
    """Have a link looked at now: read the ticket, take over what changed, write what is due."""
    found: Link = await app.links.get(reach(caller), link_id)

    def taken(link: Link) -> Response:
        return json_answer(_shown(link), status=202)

    act = Asked(app, caller, taken)
    return act.reply(await app.links.resync(found, act=act))


@router.post(
    "/mirrors/{name}/hints",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=None,
    responses={202: {"description": "The mirror asks what changed."}, **problems(401, 413)},
    openapi_extra={"security": [{"hintSignature": []}]},
    summary="Wake a mirror",
)
async def take_hint(name: Identity, request: Request) -> Response:
    """Take a hint that something changed in the ITSM.

    It carries Standard Webhooks headers made with the mirror's `hint_secret` and needs no bearer.
    It only wakes the mirror: what it says is not believed, but read from the ITSM.
    """
    body = await request.body()
    if len(body) > HINT_BYTES:
        raise PayloadTooLarge(limit_bytes=HINT_BYTES)
    await context_of(request).links.hint(name, dict(request.headers), body)
    return Response(status_code=status.HTTP_202_ACCEPTED)
