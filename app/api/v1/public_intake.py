"""Intake for browsers: public write-only keys, CORS, quotas; trusted keys may use it as well."""

from collections.abc import Callable, Coroutine
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.routing import APIRoute

from app.api.auth import KeyRing, check_place
from app.api.deps import context_of, operation_id, problems
from app.api.problems import answer
from app.api.v1.intake import (
    ANY_BODY,
    OBJECT,
    Doors,
    ServiceName,
    doors_of,
    foreign_body,
    media_of,
    receipt,
)
from app.api.v1.intake_schemas import IntakeReceipt, page_body
from app.core.errors import AppError, Forbidden, PayloadTooLarge, Unauthenticated
from app.core.foreign import ForeignFormat, Hints
from app.core.types import TenantId
from app.flow.keys import PUBLIC_KIND, PUBLIC_SCOPE
from app.flow.vouch import bound_of, voucher
from app.store.keys import OPERATOR, ApiKey
from app.store.walls import stand_within

CORS = {
    "access-control-allow-origin": "*",  # a public key is no credential of the page's visitor
    "access-control-expose-headers": "retry-after",
    "cross-origin-resource-policy": "cross-origin",
}
PREFLIGHT = {
    **CORS,
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "authorization, content-type, content-encoding, x-sentry-auth",
    "access-control-max-age": "86400",
}
EITHER_KEY = {"security": [{"apiKey": [PUBLIC_SCOPE]}, {"apiKey": ["intake:write"]}]}
Serve = Callable[[Request], Coroutine[Any, Any, Response]]
PublicKey = Annotated[
    str | None,
    Query(max_length=100, description="The key, where a page can send no header."),
]


class _Open(APIRoute):
    """Answers every page, refusals as well, so that its script can read why."""

    def get_route_handler(self) -> Serve:
        """Wrap the framework's handler."""
        inner = super().get_route_handler()

        async def serve(request: Request) -> Response:
            try:
                response = await inner(request)
            except AppError as error:
                instance = getattr(request.state, "request_id", None)
                url = context_of(request).public_url
                response = answer(error, public_url=url, instance=instance)
            response.headers.update(CORS)
            return response

        return serve


router = APIRouter(
    prefix="/v1", tags=["Intake"], route_class=_Open, responses=problems(413, 415, 422, 429),
    generate_unique_id_function=operation_id,
)  # fmt: skip


@cache
def snippet() -> bytes:
    """The reporting snippet, as it ships with this package."""
    return files("app.api").joinpath("snippet", "report.js").read_bytes()


@router.get("/snippet/report.js", include_in_schema=False)
async def get_snippet() -> Response:
    """Serve the reporting snippet to any page."""
    headers = {"cache-control": "public, max-age=3600"}
    return Response(snippet(), headers=headers, media_type="text/javascript; charset=utf-8")


@router.options("/intake/browser", include_in_schema=False)
@router.options("/intake/reporting", include_in_schema=False)
@router.options("/intake/sentry/api/{project}/envelope/", include_in_schema=False)
async def allow() -> Response:
    """Tell a browser that it may send."""
    return Response(status_code=204, headers=PREFLIGHT)


@router.post(
    "/intake/browser",
    status_code=202,
    response_model=IntakeReceipt,
    openapi_extra={**page_body(), **EITHER_KEY},
    summary="Take in reports of a web page",
)
async def post_browser(
    request: Request, key: PublicKey = None, service: ServiceName = None
) -> Response:
    """Take in client reports from a page: one or an array of at most 50.

    The key is a public one (`sxt_pub_…`), as bearer or in the query. What it brings is counted,
    but it alone opens nothing.
    """
    return await _take(request, "browser", key, service=service)


@router.post(
    "/intake/reporting",
    status_code=202,
    response_model=IntakeReceipt,
    openapi_extra={**ANY_BODY, **EITHER_KEY},
    summary="Take in reports of the Reporting API",
)
async def post_reporting(request: Request, key: PublicKey = None) -> Response:
    """Take in `application/reports+json`; of it, Network Error Logging is read."""
    return await _take(request, "reporting", key)


@router.post(
    "/intake/sentry/api/{project}/envelope/",
    status_code=202,
    response_model=IntakeReceipt,
    openapi_extra={**foreign_body(OBJECT), **EITHER_KEY},
    summary="Take in a Sentry envelope",
)
async def post_envelope(
    request: Request,
    project: Annotated[str, Path(max_length=40, pattern="^[0-9a-z-]+$")],
    sentry_key: PublicKey = None,
) -> Response:
    """Take in an envelope of any Sentry SDK; its DSN is `https://KEY@host/v1/intake/sentry/1`."""
    del project
    return await _take(request, "sentry", sentry_key or _sentry_auth(request))


async def _take(
    request: Request, name: str, key: str | None, *, service: str | None = None
) -> Response:
    found = await _authenticate(request, key)
    public = found.scopes == {PUBLIC_SCOPE}
    trusted = found.scopes & {"intake:write", "admin"} and found.tenant != OPERATOR
    if not public and not trusted:
        raise Forbidden("This operation needs a public key, or one with intake:write.")
    stand_within([found.tenant])
    doors = doors_of(request)
    kind = doors.foreign.formats[name]
    hints = Hints(service=service, received_as=media_of(request, kind))
    if not public:
        tenant = TenantId(found.tenant)
        limit = bound_of(found, voices=context_of(request).settings.limits.key_voices)
        body = await request.body()
        return receipt(await doors.foreign.take(tenant, kind, body, hints=hints, bound=limit))
    return await _take_public(request, doors, kind, found, hints)


async def _take_public(
    request: Request, doors: Doors, kind: ForeignFormat, key: ApiKey, hints: Hints
) -> Response:
    app = context_of(request)
    limits = app.settings.limits
    address = request.client.host if request.client else ""
    doors.quota.admit(address)
    body = await request.body()
    if limits.public_body_bytes and len(body) > limits.public_body_bytes:
        raise PayloadTooLarge(limit_bytes=limits.public_body_bytes)
    now = app.clock.now()
    taken = await doors.foreign.take(
        TenantId(key.tenant),
        kind,
        body,
        hints=hints,
        vouch=voucher(key.id, address, secret=app.secret, policy=doors.policy),
        admit=lambda reports: doors.quota.count(key.id, reports, now),
    )
    return receipt(taken)


async def _authenticate(request: Request, given: str | None) -> ApiKey:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        secret = given or ""
    if not secret:
        raise Unauthenticated("Send the key as bearer, or in the query.")
    ring: KeyRing = request.app.state.key_ring
    if given and secret == given and not secret.startswith(f"sxt_{PUBLIC_KIND}_"):
        raise Unauthenticated("Only a public key may stand in an address.")
    found = await ring.find(secret.strip())
    check_place(request, found)
    return found


def _sentry_auth(request: Request) -> str | None:
    _, _, pairs = request.headers.get("x-sentry-auth", "").partition(" ")
    for pair in pairs.split(","):
        name, _, value = pair.strip().partition("=")
        if name == "sentry_key":
            return value
    return None
