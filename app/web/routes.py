"""The console's routes; they read through the store and write through the fold alone."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from app.core.errors import NotFound, Unauthenticated
from app.core.independence import warnings_of
from app.core.types import TenantId
from app.kit.keys import digest, is_wellformed
from app.store import keys
from app.web import live, reading
from app.web.acting import command_pages
from app.web.announcing import announcing_pages
from app.web.door import (
    HEADERS,
    PageRoute,
    context_of,
    form_of,
    frame_of,
    html,
    may_look,
    pictures_of,
    see_other,
    set_cookie,
    viewer_of,
)
from app.web.filters import filters_of
from app.web.incident_routes import incident_pages
from app.web.operator_routes import operator_pages
from app.web.pages.board import board_page
from app.web.pages.login import login_page
from app.web.pages.sources import sources_page
from app.web.receiving import receiver_forms
from app.web.replaying import replay_pages
from app.web.reporting import report_pages
from app.web.session import SESSION_COOKIE, TENANT_COOKIE, Viewer, is_own_path, seal
from app.web.signing_in import sign_in_pages
from app.web.status.routes import files as status_files
from app.web.status.routes import pages as status_pages
from app.web.templating import STATIC, static_file
from app.web.ways import failing_ways

REPLAY_LOOK = 1.5  # seconds
LONG = "public, max-age=31536000, immutable"  # the address carries a digest of the content

Looking = Annotated[Viewer, Depends(viewer_of)]

pages = APIRouter(route_class=PageRoute, include_in_schema=False)


@pages.get("/")
async def show_board(request: Request, viewer: Looking) -> Response:
    """Show the board."""
    context = context_of(request)
    picture = await pictures_of(request).read(TenantId(viewer.tenant))
    recent = await context.db.read(
        lambda c: reading.recent_incidents(c, viewer.tenant, context.public_url)
    )
    shown = reading.board_documents(picture, context.public_url)
    page = board_page(
        frame_of(request, viewer),
        **shown,
        recent=recent,
        wanted=filters_of(dict(request.query_params)),
        tenants=await _tenants(request, viewer),
    )
    return html(request, page)


async def _tenants(request: Request, viewer: Viewer) -> list[dict[str, Any]]:
    """How each tenant stands that the viewer may look at; nothing for who has one alone."""
    if len(viewer.choices) == 1:
        return []
    return await context_of(request).db.read(
        lambda c: reading.tenants_at_a_glance(c, viewer.choices)
    )


@pages.get("/sources")
async def show_sources(request: Request, viewer: Looking) -> Response:
    """Show the sources and the newest probe results."""
    picture = await pictures_of(request).read(TenantId(viewer.tenant))
    page = sources_page(
        frame_of(request, viewer),
        warnings=[
            said
            for tenant in context_of(request).settings.tenants
            if tenant.id == viewer.tenant
            for said in warnings_of([channel.facts for channel in tenant.channels])
        ],
        failing=await context_of(request).db.read(
            lambda c: failing_ways(c, TenantId(viewer.tenant))
        ),
        sources=reading.source_documents(picture),
        codes=await context_of(request).db.read(
            lambda c: reading.unmapped_codes(c, viewer.tenant, outside=viewer.outside)
        ),
    )
    return html(request, page)


@pages.get("/tenant")
async def choose_tenant(request: Request, viewer: Looking, id: str = "") -> Response:  # noqa: A002 - the word in the address
    """Look at another tenant from now on."""
    if id not in dict(viewer.choices):
        raise NotFound("There is no tenant of that id.")
    answer = see_other("/")
    set_cookie(request, answer, TENANT_COOKIE, id)
    return answer


@pages.get("/login")
async def ask_key(request: Request, next: str = "/") -> Response:  # noqa: A002 - the word in the address
    """Ask for an API key."""
    if context_of(request).open_console:
        return see_other("/")
    path = next if is_own_path(next) else "/"
    return html(request, login_page(frame_of(request, None), next_path=path, ways=_ways(request)))


def _ways(request: Request) -> list[tuple[str, str]]:
    """The providers at which people may sign in: name and label."""
    found = context_of(request).tokens.sign_ins
    return [
        (name, issuer.sign_in.label)
        for name, (issuer, _) in found.items()
        if issuer.sign_in is not None
    ]


@pages.post("/login")
async def sign_in(request: Request) -> Response:
    """Exchange an API key for a session."""
    form = await form_of(request)
    context = context_of(request)
    secret, path = form.get("key", "").strip(), form.get("next", "/")
    path = path if is_own_path(path) else "/"
    key = None
    if is_wellformed(secret, "key"):
        key = await context.db.read(lambda c: keys.find(c, digest(secret)))
    host = request.client.host if request.client else ""
    if key is None or not may_look(key, context) or not key.bounds.admits(host):
        request.app.state.key_ring.guessed(host)
        flash = (
            "That key opens nothing here. It may be mistyped, revoked, expired, or lack the scope."
        )
        page = login_page(frame_of(request, None, flash=flash), next_path=path, ways=_ways(request))
        return html(request, page, status=403)
    answer = see_other(path)
    session = seal(context.secret, key.id, now=context.clock.now())
    set_cookie(request, answer, SESSION_COOKIE, session)
    return answer


@pages.post("/logout")
async def sign_out(request: Request) -> Response:
    """End the session in this browser."""
    await form_of(request)
    answer = see_other("/login")
    answer.delete_cookie(SESSION_COOKIE)
    return answer


@pages.get("/static/{name}")
async def static(name: str) -> Response:
    """Serve one of our own static files."""
    try:
        content = static_file(name)
    except KeyError as error:
        raise NotFound("There is no such file.") from error
    headers = {"cache-control": LONG, "x-content-type-options": "nosniff"}
    return Response(content, headers=headers, media_type=STATIC[name])


@pages.get("/live")
async def follow(request: Request, replay: str = "") -> Response:
    """Tell the page that something changed."""
    try:
        viewer = await viewer_of(request)
    except Unauthenticated:
        return Response(status_code=204)  # makes the browser stop asking
    context = context_of(request)
    mark: Callable[[], Awaitable[object]] = lambda: context.db.read(  # noqa: E731 - one expression
        lambda c: reading.change_mark(c, viewer.tenant, replay)
    )
    return StreamingResponse(
        live.stream(
            mark,
            context.bells.feed.beyond,
            is_gone=request.is_disconnected,
            last=request.headers.get("last-event-id"),
            # How far a replay has come lies in its row alone.
            look_seconds=REPLAY_LOOK if replay else live.KEEP_ALIVE_SECONDS,
        ),
        media_type="text/event-stream",
        headers={**HEADERS, "x-accel-buffering": "no"},
    )


def create_router() -> APIRouter:
    """The routes of the console, whole paths each."""
    whole = APIRouter()
    whole.routes.extend(
        [
            *pages.routes,
            *incident_pages.routes,
            *announcing_pages.routes,  # before the commands, whose address takes any word
            *command_pages.routes,
            *operator_pages.routes,
            *receiver_forms.routes,
            *report_pages.routes,
            *replay_pages.routes,
            *sign_in_pages.routes,
            *status_pages.routes,
            *status_files.routes,
        ]
    )
    return whole
