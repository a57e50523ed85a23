"""What routes depend on: the context, the principal with its scopes, preconditions, routers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Header, Query, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api.auth import authenticate
from app.api.context import App
from app.api.once import Once
from app.api.operation import Operation
from app.core.errors import Forbidden, PreconditionFailed, PreconditionRequired, TenantRequired
from app.core.types import TenantId
from app.flow.acts import ActorIs
from app.store.keys import OPERATOR, ApiKey
from app.store.walls import stand_within

__all__ = [
    "Admin", "App", "Context", "IfMatch", "Principal", "Reader", "Writer", "check_match",
    "context", "context_of", "etag", "expected_revision", "if_match", "operation_id", "problems",
    "reach", "require", "resource", "tenants_of",
]  # fmt: skip

READING = frozenset({"GET", "HEAD"})
BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="apiKey",
    bearerFormat="sxt_key_…",
    description="An API key made with `sextant keys create`.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls, for which tenant, and in which request.

    ``tenant`` is ``*`` only for an operator's read that names no tenant; see ``tenants_of``. An
    operator's ``grants`` are the tenants that it may see; none: all of them.
    ``operation`` is the document's name of what is asked for.
    """

    tenant: TenantId
    key_id: str
    name: str
    scopes: frozenset[str]
    operator: bool
    kind: ActorIs = ActorIs.KEY
    grants: tuple[str, ...] = ()
    operation: str = ""
    request_id: str | None = None
    once: Once | None = None

    def may(self, scope: str) -> bool:
        """Whether a scope is held; ``admin`` implies all, ``incidents:write`` implies read."""
        if "admin" in self.scopes or scope in self.scopes:
            return True
        return scope == "incidents:read" and "incidents:write" in self.scopes


async def context(request: Request) -> App:
    """The application context, as a dependency; a plain function would be run in a thread."""
    return context_of(request)


def context_of(request: Request) -> App:
    """The application context."""
    return cast("App", request.app.state.context)


Context = Annotated[App, Depends(context)]


def require(*scopes: str) -> Callable[..., Awaitable[Principal]]:
    """Make a dependency that lets only callers with all these scopes in."""

    async def principal(
        request: Request,
        _credentials: Annotated[
            HTTPAuthorizationCredentials | None, Security(BEARER, scopes=list(scopes))
        ],
        sextant_tenant: Annotated[
            str | None, Header(description="The tenant that an operator's key writes for.")
        ] = None,
        tenant: Annotated[
            str | None, Query(description="With an operator's key: only this tenant.")
        ] = None,
    ) -> Principal:
        """Authenticate, check the scopes and settle the tenant."""
        key = await authenticate(request)
        state = request.scope["state"]  # there since then; faster than ``request.state``
        operator = key.tenant == OPERATOR
        reading = request.method in READING
        named = tenant if reading else sextant_tenant
        caller = Principal(
            tenant=TenantId(named or key.tenant),
            key_id=key.id,
            name=key.name,
            scopes=key.scopes_in(named) if named else key.scopes,
            operator=operator,
            kind=ActorIs(key.kind),
            grants=key.grants,
            operation=getattr(request.scope.get("route"), "name", ""),
            request_id=state.get("request_id"),
            once=state.get("once"),
        )
        missing = [scope for scope in scopes if not caller.may(scope)]
        if missing:
            raise Forbidden(f"This operation needs the scope {missing[0]}.", scope=missing[0])
        if not operator and caller.tenant != key.tenant:
            raise Forbidden("The API key belongs to another tenant.")
        if operator and caller.tenant == OPERATOR and not reading:
            raise TenantRequired
        if operator and named is not None and named not in _granted(request, key):
            raise TenantRequired("There is no tenant of that id.")
        if caller.tenant != OPERATOR:
            stand_within([caller.tenant])
        elif caller.grants:
            stand_within(caller.grants)
        return caller

    return principal


def _granted(request: Request, key: ApiKey) -> tuple[str, ...]:
    known = (tenant.id for tenant in context_of(request).settings.tenants)
    return tuple(tenant for tenant in known if not key.grants or tenant in key.grants)


def tenants_of(app: App, principal: Principal) -> tuple[TenantId, ...]:
    """The tenants whose rows a read may show: one, or all for an operator who names none."""
    if principal.tenant != OPERATOR:
        return (principal.tenant,)
    known = (tenant.id for tenant in app.settings.tenants)
    granted = principal.grants
    return tuple(TenantId(tenant) for tenant in known if not granted or tenant in granted)


def reach(principal: Principal) -> TenantId | None:
    """The tenant whose rows a read may show; None for an operator of all who names none.

    Raises:
        TenantRequired: an operator of some tenants names none of them.
    """
    if principal.tenant != OPERATOR:
        return principal.tenant
    if principal.grants:
        raise TenantRequired("Name one of your tenants with ?tenant=.")
    return None


Reader = Annotated[Principal, Depends(require("incidents:read"))]
Writer = Annotated[Principal, Depends(require("incidents:write"))]
Admin = Annotated[Principal, Depends(require("admin"))]


def etag(revision: int) -> str:
    """The strong entity tag of a revision, with its quotes."""
    return f'"r{revision}"'


async def if_match(
    value: Annotated[
        str | None,
        Header(alias="If-Match", description='The ETag that was last read, such as `"r7"`.'),
    ] = None,
) -> str | None:
    """The If-Match header as it came, or None."""
    return value


IfMatch = Annotated[str | None, Depends(if_match)]


def expected_revision(value: str | None) -> int | None:
    """The revision that an If-Match header names; None without one or for ``*``.

    Raises:
        PreconditionFailed: the header is no tag of ours, so it cannot be the present one.
    """
    if value is None or value.strip() == "*":
        return None
    tag = value.strip()
    number = tag.removeprefix('"r').removesuffix('"')
    if not number.isascii() or not number.isdigit() or tag != f'"r{int(number)}"':
        raise PreconditionFailed
    return int(number)


def check_match(value: str | None, revision: int) -> None:
    """Hold a required If-Match header against the present revision; for PUT, PATCH, DELETE.

    Raises:
        PreconditionRequired: there is no header.
        PreconditionFailed: it names another revision.
    """
    if value is None:
        raise PreconditionRequired
    expected = expected_revision(value)
    if expected is not None and expected != revision:
        raise PreconditionFailed


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the problems that an operation answers with, beside those that all have.

    Their schema is the same everywhere, so ``openapi.document`` gives it; a model at each of them
    would cost the start a tenth of a second.
    """
    return {
        status: {"description": HTTPStatus(status).phrase}
        for status in sorted({400, 401, 403, 503, *statuses})
    }


def resource(tag: str, *, major: str = "v1", **options: Any) -> APIRouter:
    """Make the router of one resource; every router of a major version is made here."""
    options.setdefault("responses", problems())
    return APIRouter(
        prefix=f"/{major}",
        tags=[tag],
        route_class=Operation,
        generate_unique_id_function=operation_id,
        **options,
    )


def operation_id(route: APIRoute) -> str:
    """Name an operation in the document as its function is named."""
    return route.name
