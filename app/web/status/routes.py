"""The routes of the status page: who may see it, caching, and files by their names."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, cast

from fastapi import APIRouter, Request, Response

from app.core.errors import NotFound, StorageUnavailable, Unauthenticated
from app.kit.clock import SystemClock
from app.store.keys import ApiKey
from app.web.door import (
    HEADERS,
    PageRoute,
    context_of,
    may_look_at,
    pictures_of,
    see_other,
    viewer_of,
)
from app.web.status.feeds import unknown_badge
from app.web.status.reading import Sources, read_status
from app.web.status.settings import Access, TenantLike, pages_of
from app.web.status.site import FOLDER, INDEX, Look, Site, split
from app.web.status.view import StatusView
from app.web.status.words import read_words

KEPT_SECONDS = 10.0  # how long a view is shown before it is read again
SHARED = "public, max-age=15, stale-while-revalidate=30, stale-if-error=300"
OWN = "private, no-cache"
ANYWHERE = {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}
PICTURE_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"

pages = APIRouter(route_class=PageRoute, include_in_schema=False)
files = APIRouter(include_in_schema=False)


class _Keys(Protocol):
    """Finds API keys; kept at ``request.app.state.key_ring``."""

    async def find(self, secret: str) -> ApiKey:
        """The key of a secret."""

    def guessed(self, address: str) -> None:
        """Count a wrong key from an address."""


class _Messages(Protocol):
    """``[messages]``, as far as the page needs it."""

    @property
    def folder(self) -> Path | None:
        """Where the operator's own words stand."""


class _Worded(Protocol):
    """The settings, as far as words go."""

    @property
    def messages(self) -> _Messages:
        """The words for people."""


def _folder(request: Request) -> Path | None:
    return cast("_Worded", context_of(request).settings).messages.folder


@dataclass(slots=True)
class _Kept:
    """The views of one tenant that were read last, who reads now, and the files made of them."""

    views: Mapping[str, StatusView] = field(default_factory=dict)
    read_at: float = float("-inf")
    of: object = None
    made: dict[tuple[str, str, datetime], tuple[str, bytes, str]] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Desk:
    """Keeps views for a moment, so that a crowd of readers is one reader of the database."""

    kept: dict[str, _Kept] = field(default_factory=dict)

    async def view(self, request: Request, tenant: TenantLike) -> _Kept:
        """The views of a tenant, at most ``KEPT_SECONDS`` old, with what was made of them."""
        kept = self.kept.setdefault(tenant.id, _Kept())
        async with kept.lock:
            moment = asyncio.get_running_loop().time()
            fresh = moment - kept.read_at < KEPT_SECONDS and kept.of is tenant.status
            if not kept.views or not fresh:
                context = context_of(request)
                sources = Sources(
                    db=context.db,
                    clock=context.clock,
                    pictures=pictures_of(request),
                    folder=_folder(request),
                )
                kept.views = await read_status(sources, tenant)
                kept.read_at, kept.of = moment, tenant.status
                kept.made = {}
            return kept


def _desk(request: Request) -> Desk:
    state = request.app.state
    if not hasattr(state, "status_desk"):
        state.status_desk = Desk()
    return cast("Desk", state.status_desk)


def _shown(request: Request, tenant: str | None) -> tuple[TenantLike, Access]:
    """The tenant whose page is asked for.

    Raises:
        NotFound: there is none, or it has no status page, which looks the same.
    """
    tenants = cast("tuple[TenantLike, ...]", context_of(request).settings.tenants)
    pages = pages_of(tenants)
    found = [one for one in tenants if one.id in pages and tenant in {None, one.id}]
    if len(found) != 1:  # without a name only the page of the one tenant that has one is meant
        raise NotFound("There is no status page here.")
    return found[0], pages[found[0].id]


async def _admit(request: Request, tenant: TenantLike, access: Access) -> None:
    """Let in who may see the page.

    Raises:
        Unauthenticated: nobody is signed in.
        NotFound: whoever is may not look at this tenant.
    """
    if access == "public":
        return
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret:
        await _admit_key(request, tenant, secret.strip())
        return
    viewer = await viewer_of(request)
    if tenant.id not in dict(viewer.choices):
        raise NotFound("There is no status page here.")


async def _admit_key(request: Request, tenant: TenantLike, secret: str) -> None:
    ring = cast("_Keys", request.app.state.key_ring)
    host = request.client.host if request.client else ""
    try:
        key = await ring.find(secret)
    except Unauthenticated:
        ring.guessed(host)
        raise
    if not key.bounds.admits(host) or not may_look_at(key, context_of(request), tenant.id):
        raise NotFound("There is no status page here.")


async def _answer(request: Request, tenant_id: str | None, name: str) -> Response:
    tenant, access = _shown(request, tenant_id)
    await _admit(request, tenant, access)
    shared = access == "public"
    try:
        kept = await _desk(request).view(request, tenant)
    except StorageUnavailable:
        if name != "badge.svg":
            raise
        words = read_words(tenant.status.languages[0], _folder(request))
        drawn = unknown_badge(tenant.status.name or tenant.label, words)
        return Response(drawn, media_type="image/svg+xml", headers={"cache-control": "no-store"})
    root = "/status/" if tenant_id is None else f"/status/tenants/{tenant.id}/"
    language, plain = split(name)
    moved = _moved(next(iter(kept.views.values())), plain)
    if moved is not None:
        folder = f"{FOLDER}{language}/" if language else ""
        return see_other(f"{root}{folder}incidents/{moved}")
    # By the minute, so that an answer stays the same while nothing changes.
    made_at = SystemClock().now().replace(second=0, microsecond=0)
    place = (name, root, made_at)
    if place not in kept.made:
        address = tenant.status.url or f"{context_of(request).public_url}{root.rstrip('/')}"
        look = Look(live=True, root=root, address=address, made_at=made_at, renewed_seconds=60.0)
        kept.made[place] = _made(Site(views=kept.views, settings=tenant.status, look=look), name)
    return _cached(request, *kept.made[place], shared=shared)


def _made(site: Site, name: str) -> tuple[str, bytes, str]:
    """One file with its media type and its entity tag.

    Raises:
        NotFound: there is no such file.
    """
    try:
        media, content = site.file(name)
    except KeyError as error:
        raise NotFound("There is no such page.") from error
    return media, content, f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


def _moved(view: StatusView, name: str) -> str | None:
    """Where the page of an incident that was merged leads."""
    number = name.removeprefix("incidents/").removesuffix(".html")
    seen = set()
    while number in view.merged and number not in seen:
        seen.add(number)
        number = view.merged[number]
    return number if seen else None


def _cached(request: Request, media: str, content: bytes, etag: str, *, shared: bool) -> Response:
    is_page = media.startswith("text/html")
    headers = {"cache-control": SHARED if shared else OWN, "etag": etag}
    if is_page:
        headers = {**HEADERS, **headers}
    elif shared:
        headers |= ANYWHERE
    if media.startswith("image/"):
        headers["content-security-policy"] = PICTURE_POLICY
    if not shared:
        headers["vary"] = "cookie, authorization"
    known = request.headers.get("if-none-match", "")
    if known == "*" or etag in {one.strip().removeprefix("W/") for one in known.split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media, headers=headers)


@pages.get("/status")
async def show_status(request: Request) -> Response:
    """Show the status page of the one tenant that has one."""
    return await _answer(request, None, INDEX)


@pages.get("/status/incidents/{number}")
async def show_public_incident(request: Request, number: str) -> Response:
    """Show one incident in public."""
    return await _answer(request, None, f"incidents/{number}.html")


@pages.get("/status/tenants/{tenant}")
async def show_status_of(request: Request, tenant: str) -> Response:
    """Show the status page of a tenant."""
    return await _answer(request, tenant, INDEX)


@pages.get("/status/tenants/{tenant}/incidents/{number}")
async def show_public_incident_of(request: Request, tenant: str, number: str) -> Response:
    """Show one incident of a tenant in public."""
    return await _answer(request, tenant, f"incidents/{number}.html")


@pages.get("/status/in/{language}")
async def show_status_in(request: Request, language: str) -> Response:
    """Show the status page in another of its languages."""
    return await _answer(request, None, f"{FOLDER}{language}/{INDEX}")


@pages.get("/status/in/{language}/incidents/{number}")
async def show_public_incident_in(request: Request, language: str, number: str) -> Response:
    """Show one incident in public, in another language."""
    return await _answer(request, None, f"{FOLDER}{language}/incidents/{number}.html")


@pages.get("/status/tenants/{tenant}/in/{language}")
async def show_status_of_in(request: Request, tenant: str, language: str) -> Response:
    """Show the status page of a tenant in another of its languages."""
    return await _answer(request, tenant, f"{FOLDER}{language}/{INDEX}")


@pages.get("/status/tenants/{tenant}/in/{language}/incidents/{number}")
async def show_public_incident_of_in(
    request: Request, tenant: str, language: str, number: str
) -> Response:
    """Show one incident of a tenant in public, in another language."""
    return await _answer(request, tenant, f"{FOLDER}{language}/incidents/{number}.html")


@files.get("/status/tenants/{tenant}/{name:path}")
async def serve_file_of(request: Request, tenant: str, name: str) -> Response:
    """Serve a file of the status page of a tenant."""
    return await _file(request, tenant, name)


@files.get("/status/{name:path}")
async def serve_file(request: Request, name: str) -> Response:
    """Serve a file of the status page of the one tenant that has one."""
    return await _file(request, None, name)


async def _file(request: Request, tenant: str | None, name: str) -> Response:
    if name.endswith(".html") or not name:
        raise NotFound("There is no such file.")
    try:
        return await _answer(request, tenant, name)
    except Unauthenticated as error:
        raise Unauthenticated("Send an API key as: Authorization: Bearer <key>.") from error
