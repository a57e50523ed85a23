"""The routes of the replays: what another policy would have done with what was taken in."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.core.errors import Forbidden, InvalidInput, NotFound
from app.core.types import TenantId
from app.flow.acts import Act, Actor, ActorIs
from app.store import refolds
from app.web.door import (
    PageRoute,
    context_of,
    form_of,
    frame_of,
    html,
    see_other,
    viewer_of,
)
from app.web.pages.replays import replay_page, replays_page
from app.web.replayview import WINDOWS, changes_of
from app.web.session import Viewer

SHOWN = 20  # replays on the page

Looking = Annotated[Viewer, Depends(viewer_of)]

replay_pages = APIRouter(route_class=PageRoute, include_in_schema=False)


async def _shown(
    request: Request, viewer: Viewer, given: dict[str, str], *, flash: str = ""
) -> Response:
    context = context_of(request)
    found: list[refolds.Refold] = await context.db.read(
        lambda c: refolds.page(c, TenantId(viewer.tenant), None, SHOWN)
    )
    page = replays_page(
        frame_of(request, viewer, flash=flash),
        policy=context.doors.policy,
        jobs=[asdict(one) for one in found],
        given=given,
        may_ask=viewer.may_write,
    )
    return html(request, page, status=422 if flash else 200)


@replay_pages.get("/replays")
async def show_replays(request: Request, viewer: Looking) -> Response:
    """Show the form, and what was asked for before."""
    return await _shown(request, viewer, {})


@replay_pages.post("/replays")
async def ask_for_replay(request: Request, viewer: Looking) -> Response:
    """Ask for a replay under other thresholds."""
    form = await form_of(request)
    if not viewer.may_write:
        raise Forbidden("Asking for a replay needs a key with the scope incidents:write.")
    context = context_of(request)
    now = context.clock.now()
    days = next((days for days, _ in WINDOWS if str(days) == form.get("days")), WINDOWS[-1][0])
    act = Act(
        tenant=viewer.tenant,
        actor=Actor(kind=ActorIs.CONSOLE, id=viewer.key_id or "console", name=viewer.name),
        action="ask_for_replay",
        now=now,
        request_id=getattr(request.state, "request_id", None),
    )
    try:
        changes = changes_of(context.doors.policy, form)
        asked = await context.refolds.ask(
            TenantId(viewer.tenant),
            since=now - timedelta(days=days),
            until=now,
            changes=changes,
            by=viewer.name,
            act=act,
        )
    except ValueError as error:
        return await _shown(request, viewer, form, flash=str(error))
    except InvalidInput as error:
        said = error.detail or "; ".join(one["detail"] for one in _errors(error))
        return await _shown(request, viewer, form, flash=said)
    return see_other(f"/replays/{asked.id}")


def _errors(error: InvalidInput) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = error.facts.get("errors", [])
    return found


@replay_pages.get("/replays/{replay_id}")
async def show_replay(request: Request, viewer: Looking, replay_id: str) -> Response:
    """Show how far a replay is, and what came of it."""
    context = context_of(request)
    found = await context.db.read(lambda c: refolds.get(c, TenantId(viewer.tenant), replay_id))
    if found is None:
        raise NotFound("There is no replay of that id for this tenant.")
    page = replay_page(frame_of(request, viewer), policy=context.doors.policy, refold=asdict(found))
    return html(request, page)
