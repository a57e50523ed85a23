"""The operator's pages: receivers, deliveries, tickets, probes, audit; with the forms on them."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.core.errors import Forbidden, InvalidInput, NotFound
from app.core.types import TenantId
from app.web import operatorreading as reading
from app.web.acting import act_of
from app.web.door import (
    PageRoute,
    context_of,
    form_of,
    frame_of,
    html,
    pictures_of,
    see_other,
    viewer_of,
)
from app.web.pages.operator import (
    audit_page,
    delivery_page,
    probes_page,
    receiver_page,
    receivers_page,
    tickets_page,
)
from app.web.session import Viewer

RECEIVERS = "subscriptions:write"
CHOICES = ("missing", "failed", "all")

Looking = Annotated[Viewer, Depends(viewer_of)]


async def at_receivers(viewer: Looking) -> Viewer:
    """Who looks, and may see and change receivers.

    Raises:
        Forbidden: the scope is missing.
    """
    if not viewer.may(RECEIVERS):
        raise Forbidden(f"Receivers are shown to a key with the scope {RECEIVERS}.")
    return viewer


async def _at_audit(viewer: Looking) -> Viewer:
    if not viewer.may("admin"):
        raise Forbidden("The audit log is shown to a key with the scope admin.")
    return viewer


AtReceivers = Annotated[Viewer, Depends(at_receivers)]
AtAudit = Annotated[Viewer, Depends(_at_audit)]

operator_pages = APIRouter(route_class=PageRoute, include_in_schema=False)


@operator_pages.get("/receivers")
async def show_receivers(request: Request, viewer: AtReceivers) -> Response:
    """Show the subscriptions and their health."""
    found = await context_of(request).db.read(lambda c: reading.receivers(c, viewer.tenant))
    return html(request, receivers_page(frame_of(request, viewer), receivers=found))


@operator_pages.get("/receivers/{subscription_id}")
async def show_receiver(
    request: Request, viewer: AtReceivers, subscription_id: str, state: str = "", after: str = ""
) -> Response:
    """Show one subscription with its deliveries and replays."""
    chosen = state if state in reading.STATES else ""
    shown = await context_of(request).db.read(
        lambda c: reading.receiver(c, viewer.tenant, subscription_id, chosen, after)
    )
    if shown is None:
        raise NotFound("There is no receiver of that id for this tenant.")
    return html(request, receiver_page(frame_of(request, viewer), **shown, chosen=chosen))


@operator_pages.post("/receivers/{subscription_id}/test")
async def ping_receiver(request: Request, viewer: AtReceivers, subscription_id: str) -> Response:
    """Send a ping."""
    await form_of(request)
    act = act_of(request, viewer, "test_subscription")
    queued = await context_of(request).subscriptions.test(
        TenantId(viewer.tenant), subscription_id, by=viewer.name, act=act
    )
    return see_other(f"/deliveries/{queued.id}")


@operator_pages.post("/receivers/{subscription_id}/replays")
async def replay_receiver(request: Request, viewer: AtReceivers, subscription_id: str) -> Response:
    """Have a window of the past sent again."""
    form = await form_of(request)
    since, until = _instant(form, "since"), _instant(form, "until")
    chosen = form.get("select", "")
    if until <= since:
        raise InvalidInput("The end of the window must be later than its beginning.")
    if chosen not in CHOICES:
        raise InvalidInput("Choose what is sent again.")
    await context_of(request).subscriptions.replay(
        TenantId(viewer.tenant),
        subscription_id,
        since=since,
        until=until,
        select=chosen,
        by=viewer.name,
        act=act_of(request, viewer, "replay_window"),
    )
    return see_other(f"/receivers/{subscription_id}#replays")


@operator_pages.post("/receivers/{subscription_id}/replays/{replay_id}/cancel")
async def cancel_replay(
    request: Request, viewer: AtReceivers, subscription_id: str, replay_id: str
) -> Response:
    """End a replay before it is through."""
    await form_of(request)
    act = act_of(request, viewer, "cancel_replay")
    await context_of(request).subscriptions.cancel_replay(
        TenantId(viewer.tenant), subscription_id, replay_id, act=act
    )
    return see_other(f"/receivers/{subscription_id}#replays")


@operator_pages.get("/deliveries/{delivery_id}")
async def show_delivery(request: Request, viewer: AtReceivers, delivery_id: str) -> Response:
    """Show one delivery with every attempt."""
    shown = await context_of(request).db.read(
        lambda c: reading.delivery(c, viewer.tenant, delivery_id)
    )
    if shown is None:
        raise NotFound("There is no delivery of that id for this tenant.")
    return html(request, delivery_page(frame_of(request, viewer), **shown))


@operator_pages.post("/deliveries/{delivery_id}/redeliver")
async def redeliver(request: Request, viewer: AtReceivers, delivery_id: str) -> Response:
    """Queue a delivery again."""
    await form_of(request)
    act = act_of(request, viewer, "redeliver")
    await context_of(request).subscriptions.redeliver(TenantId(viewer.tenant), delivery_id, act=act)
    return see_other(f"/deliveries/{delivery_id}")


@operator_pages.get("/tickets")
async def show_tickets(
    request: Request, viewer: Looking, state: str = "", after: str = ""
) -> Response:
    """Show the tickets of all incidents and how they stand."""
    found = await context_of(request).db.read(
        lambda c: reading.tickets(c, viewer.tenant, state, after)
    )
    return html(request, tickets_page(frame_of(request, viewer), **found))


@operator_pages.post("/tickets/{link_id}/resync")
async def resync_ticket(request: Request, viewer: Looking, link_id: str) -> Response:
    """Have a ticket looked at now."""
    await form_of(request)
    if not viewer.may_write:
        raise Forbidden("Acting needs a key with the scope incidents:write.")
    links = context_of(request).links
    found = await links.get(TenantId(viewer.tenant), link_id)
    await links.resync(found, act=act_of(request, viewer, "resync_link"))
    return see_other("/tickets")


@operator_pages.get("/probes")
async def show_probes(request: Request, viewer: Looking) -> Response:
    """Show how each check stands, with how long it takes."""
    picture = await pictures_of(request).read(TenantId(viewer.tenant))
    documents = await context_of(request).db.read(
        lambda c: reading.probe_documents(c, viewer.tenant, picture)
    )
    return html(request, probes_page(frame_of(request, viewer), probes=documents))


@operator_pages.get("/audit")
async def show_audit(
    request: Request, viewer: AtAudit, target: str = "", actor: str = "", after: str = ""
) -> Response:
    """Show who changed what."""
    found = await context_of(request).db.read(
        lambda c: reading.audit_entries(c, viewer.tenant, target.strip(), actor.strip(), after)
    )
    page = audit_page(frame_of(request, viewer), **found, target=target, actor=actor)
    return html(request, page)


def _instant(form: dict[str, Any], name: str) -> datetime:
    """Read what a field for date and time gives; it names no zone and means UTC."""
    try:
        return datetime.fromisoformat(form.get(name, "")).replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidInput("Give the window as dates with times, in UTC.") from error
