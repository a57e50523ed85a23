"""What happens around each page: who looks, the headers, the forms, and errors as pages."""

import secrets
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, cast
from urllib.parse import parse_qs, quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute

from app.core.errors import (
    AppError,
    Forbidden,
    IllegalTransition,
    InvalidInput,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    PreconditionFailed,
    RateLimited,
    StorageUnavailable,
    TargetRefused,
    Unauthenticated,
)
from app.store import keys
from app.store.keys import ApiKey
from app.store.walls import stand_within
from app.web.page import Frame, error_page
from app.web.reading import Context, Pictures
from app.web.session import (
    OPERATOR,
    SEED_COOKIE,
    SESSION_COOKIE,
    SESSION_LIFE,
    TENANT_COOKIE,
    Viewer,
    form_token,
    host_is_ours,
    is_form_token,
    unseal,
    unseal_person,
)

FORM_BYTES = 64 * 1024  # no form of ours is larger
FORM_FIELDS = 300  # a split ticks at most 200 boxes
HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
# status and heading of a page that tells of an error
ERRORS: dict[type[AppError], tuple[int, str]] = {
    NotFound: (404, "Not found"),
    Forbidden: (403, "Not allowed"),
    IllegalTransition: (409, "That is not possible now"),
    InvalidInput: (422, "The form cannot be read"),
    PayloadTooLarge: (413, "That is too long"),
    PreconditionFailed: (409, "It has changed since you read it"),
    TargetRefused: (422, "That address is not permitted"),
    RateLimited: (429, "Too many tries"),
    StorageUnavailable: (503, "The database cannot be reached"),
    Overloaded: (503, "Not now"),
}


def context_of(request: Request) -> Context:
    """The application context."""
    return cast("Context", request.app.state.context)


def pictures_of(request: Request) -> Pictures:
    """The reader of pictures that the API uses too."""
    return cast("Pictures", request.app.state.pictures)


def _may(key: ApiKey, scope: str, tenant: str) -> bool:
    held = key.scopes_in(tenant)
    if "admin" in held or scope in held:
        return True
    return scope == "incidents:read" and "incidents:write" in held


def _reached(key: ApiKey, tenants: Iterable[str]) -> list[str]:
    """The tenants that a key may look at."""
    if key.tenant != OPERATOR:
        tenants = [key.tenant]
    elif key.grants:
        tenants = [tenant for tenant in tenants if tenant in key.grants]
    return [tenant for tenant in tenants if _may(key, "incidents:read", tenant)]


def may_look(key: ApiKey | None, context: Context) -> bool:
    """Whether an API key opens the console."""
    if key is None or not key.is_valid(context.clock.now()):
        return False
    return bool(_reached(key, (tenant.id for tenant in context.settings.tenants)))


def may_look_at(key: ApiKey, context: Context, tenant: str) -> bool:
    """Whether an API key may look at one tenant."""
    return key.is_valid(context.clock.now()) and tenant in _reached(key, [tenant])


async def viewer_of(request: Request) -> Viewer:
    """Who looks.

    Raises:
        Unauthenticated: nobody is signed in and the console is not open.
        Forbidden: an open console was reached by a name that is not this machine's.
    """
    context = context_of(request)
    names = {tenant.id: tenant.name or tenant.id for tenant in context.settings.tenants}
    if context.open_console:
        if not host_is_ours(request.headers.get("host", ""), context.public_url):
            raise Forbidden("The console is open on this machine only, under its own name.")
        return _viewer(request, names or {"default": "default"}, name="console", may_write=True)
    cookie, now = request.cookies.get(SESSION_COOKIE), context.clock.now()
    key = unseal_person(context.secret, cookie, now=now)
    if key is None and (key_id := unseal(context.secret, cookie, now=now)):
        key = await context.db.read(lambda c: keys.get(c, None, key_id))
    host = request.client.host if request.client else ""
    if key is None or not may_look(key, context) or not key.bounds.admits(host):
        raise Unauthenticated
    names = {tenant: names.get(tenant, tenant) for tenant in _reached(key, names)}
    writes = {tenant for tenant in names if _may(key, "incidents:write", tenant)}
    viewer = _viewer(request, names, name=key.name, may_write=True, key_id=key.id)
    return replace(
        viewer,
        may_write=viewer.tenant in writes,
        outside=key.tenant == OPERATOR,
        scopes=frozenset(key.scopes_in(viewer.tenant)),
    )


def _viewer(
    request: Request, names: dict[str, str], *, name: str, may_write: bool, key_id: str = ""
) -> Viewer:
    if not names:
        raise Forbidden("There is no tenant to look at.")
    wanted = request.cookies.get(TENANT_COOKIE, "")
    tenant = wanted if wanted in names else next(iter(names))
    stand_within([tenant])
    return Viewer(
        tenant=tenant,
        tenant_name=names[tenant],
        name=name,
        key_id=key_id,
        may_write=may_write,
        choices=tuple(names.items()),
    )


def frame_of(request: Request, viewer: Viewer | None, *, flash: str = "") -> Frame:
    """The frame of a page for this request."""
    context = context_of(request)
    seed = request.cookies.get(SEED_COOKIE) or secrets.token_urlsafe(18)
    request.state.console_seed = seed
    return Frame(
        viewer=viewer,
        now=context.clock.now(),
        csrf=form_token(context.secret, seed),
        public_url=context.public_url,
        flash=flash,
    )


def html(request: Request, page: str, *, status: int = 200) -> HTMLResponse:
    """Answer with a page; a browser that comes first is given the seed of its form tokens."""
    answer = HTMLResponse(page, status, headers=HEADERS)
    seed: str | None = getattr(request.state, "console_seed", None)
    if seed is not None and request.cookies.get(SEED_COOKIE) != seed:
        set_cookie(request, answer, SEED_COOKIE, seed, same_site="strict")
    return answer


def see_other(path: str) -> RedirectResponse:
    """Send the browser on after a form, so that a reload does not send it again."""
    return RedirectResponse(path, 303, headers=HEADERS)


def set_cookie(
    request: Request, answer: Response, name: str, value: str, *, same_site: str = "lax"
) -> None:
    """Set a cookie that no script can read and that lasts for one shift."""
    answer.set_cookie(
        name,
        value,
        max_age=int(SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="strict" if same_site == "strict" else "lax",
        secure=context_of(request).public_url.startswith("https://"),
    )


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a posted form, whose token is right; of a repeated field the last value.

    Raises:
        InvalidInput: the body is no form.
        PayloadTooLarge: it is longer than any form of ours.
        Forbidden: the form does not come from a page that we gave to this browser.
    """
    return {name: values[-1] for name, values in (await fields_of(request)).items()}


async def fields_of(request: Request) -> dict[str, list[str]]:
    """The same with every value of each field, for a form with boxes to tick."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise InvalidInput("The console takes forms only.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            raise PayloadTooLarge(limit_bytes=FORM_BYTES)
    try:
        fields = parse_qs(body.decode(), strict_parsing=bool(body), max_num_fields=FORM_FIELDS)
    except ValueError as error:
        raise InvalidInput("The form cannot be read.") from error
    form = {name: [one.replace("\r\n", "\n") for one in values] for name, values in fields.items()}
    secret, token = context_of(request).secret, form.get("csrf", [""])[-1]
    if not is_form_token(secret, request.cookies.get(SEED_COOKIE), token):
        raise Forbidden("This form is too old. Go back, reload the page and send it again.")
    return form


class PageRoute(APIRoute):
    """A route whose errors are pages; who is not signed in is sent to sign in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route."""
        serve = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await serve(request)
            except Unauthenticated:
                path = request.url.path if request.method == "GET" else "/"
                return see_other(f"/login?next={quote(path)}")
            except AppError as error:
                status, heading = ERRORS.get(type(error), (400, "That did not work"))
                frame = frame_of(request, None)
                path = request.url.path
                # A form is posted below the page on which it stands.
                back = path.rpartition("/")[0] if request.method == "POST" else ""
                page = error_page(frame, heading, error.detail or error.title, back=back)
                return html(request, page, status=status)

        return guarded
