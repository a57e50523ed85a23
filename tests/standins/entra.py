"""Entra stand-in: discovery and the token endpoint for client credentials, with its refusals."""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qsl
from uuid import uuid4

from cryptography import x509
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.standins.assertion import judge

TOKEN_LIFETIME = timedelta(seconds=3599)  # what Entra gives to an app
SERVICE_HEALTH_ROLE = "ServiceHealth.Read.All"

_SECRET = (
    "Invalid client secret provided. Ensure the secret being sent in the request is the client "
    "secret value, not the client secret ID, for a secret added to app '{client}'."
)
_EXPIRED = (
    "The provided client secret keys for app '{client}' are expired. Create new keys for your "
    "app, or consider using certificate credentials for added security."
)
_NO_CREDENTIAL = (
    "'client_assertion', 'client_secret' or 'request' is required for the "
    "'client_credentials' grant type."
)
_SCOPE = (
    "The provided request must include a 'scope' input parameter. The scope '{scope}' is not valid."
)
_NOT_DEFAULT = (
    "The provided value for scope {scope} is not valid. Client credential flows must have a "
    "scope value with /.default suffixed to the resource identifier (application ID URI)."
)
_UNKNOWN_APP = "Application with identifier '{client}' was not found in the directory '{tenant}'."

# code -> error, HTTP status, text (learn.microsoft.com, "Entra error codes")
REFUSALS = {
    90002: ("invalid_tenant", 400, "Tenant '{tenant}' not found."),
    700016: ("unauthorized_client", 400, _UNKNOWN_APP),
    7000215: ("invalid_client", 401, _SECRET),
    7000222: ("invalid_client", 401, _EXPIRED),
    50027: ("invalid_client", 401, "JWT token is invalid or malformed."),
    70021: (
        "invalid_client",
        401,
        "No matching federated identity record found for presented assertion.",
    ),
    700023: ("invalid_client", 401, "Client assertion audience or issuer does not match."),
    700024: ("invalid_client", 401, "Client assertion is not within its valid time range."),
    700027: (
        "invalid_client",
        401,
        "The certificate that signed the client assertion is not registered on application.",
    ),
    7000216: ("invalid_client", 401, _NO_CREDENTIAL),
    70003: ("unsupported_grant_type", 400, "The app requested an unsupported grant type."),
    70011: ("invalid_scope", 400, _SCOPE),
    1002012: ("invalid_scope", 400, _NOT_DEFAULT),
}


@dataclass(slots=True, kw_only=True)
class Registration:
    """An app in a tenant: its secrets with their ends, and the roles an admin consented to."""

    tenant: str
    client: str
    secrets: dict[str, datetime | None]
    roles: tuple[str, ...] = (SERVICE_HEALTH_ROLE,)
    certificates: list[x509.Certificate] = field(default_factory=list)
    subjects: frozenset[str] = frozenset()  # of federated tokens that it trusts


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A token that was handed out."""

    tenant: str
    client: str
    roles: tuple[str, ...]
    expires_at: datetime
    audience: str = ""


@dataclass(slots=True, kw_only=True)
class Entra:
    """The directory: its registrations, and the tokens that it handed out.

    ``wall`` is the real time of day, because clients age their tokens by it.
    """

    registrations: list[Registration]
    wall: Callable[[], datetime]
    lifetime: timedelta = TOKEN_LIFETIME
    tokens: dict[str, Granted] = field(default_factory=dict)
    asked: int = 0
    refresh_in: int | None = None  # seconds after which clients should renew early
    claims_asked: list[str] = field(default_factory=list)
    broken: int | None = None  # an HTTP status: the sign-in service itself is ill

    def routes(self) -> list[BaseRoute]:
        """Give the routes of the sign-in host."""
        discovery = "/{tenant}/v2.0/.well-known/openid-configuration"
        return [
            Route(discovery, self._discovery),
            Route("/{tenant}/oauth2/v2.0/token", self._token, methods=["POST"]),
            Route("/common/discovery/instance", self._instance),
        ]

    def granted(self, token: str) -> Granted | None:
        """Find a token that was handed out; it may have expired."""
        return self.tokens.get(token)

    def forget_tokens(self) -> None:
        """Revoke every token."""
        self.tokens.clear()

    async def _discovery(self, request: Request) -> Response:
        tenant = request.path_params["tenant"]
        if not any(item.tenant == tenant for item in self.registrations):
            return self._refuse(90002, tenant=tenant)
        root = f"{request.url.scheme}://{request.url.netloc}/{tenant}"
        return JSONResponse(
            {
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "private_key_jwt",
                    "client_secret_basic",
                ],
                "jwks_uri": f"{root}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "id_token", "code id_token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": f"{root}/v2.0",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "tenant_region_scope": "EU",
                "cloud_instance_name": request.url.netloc,
            }
        )

    async def _instance(self, request: Request) -> Response:
        return JSONResponse({"tenant_discovery_endpoint": str(request.url), "metadata": []})

    async def _token(self, request: Request) -> Response:
        self.asked += 1
        if self.broken is not None:
            return Response("Service unavailable", status_code=self.broken)
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        tenant = request.path_params["tenant"]
        client, scope = form.get("client_id", ""), form.get("scope", "")
        self.claims_asked += [form["claims"]] if form.get("claims") else []
        found = next(
            (item for item in self.registrations if (item.tenant, item.client) == (tenant, client)),
            None,
        )
        code = self._judge(form, tenant=tenant, found=found, audience=str(request.url))
        if code or found is None:
            return self._refuse(code, tenant=tenant, client=client, scope=scope)
        token = self.issue(found, scope.split()[0])
        seconds = int(self.lifetime.total_seconds())
        early = {} if self.refresh_in is None else {"refresh_in": self.refresh_in}
        return JSONResponse(
            {
                **early,
                "token_type": "Bearer",
                "expires_in": seconds,
                "ext_expires_in": seconds,
                "access_token": token,
            },
            headers={"cache-control": "no-store, no-cache", "pragma": "no-cache"},
        )

    def _judge(
        self, form: dict[str, str], *, tenant: str, found: Registration | None, audience: str
    ) -> int:
        scopes = form.get("scope", "").split()
        secret = form.get("client_secret")
        tests = (
            (all(item.tenant != tenant for item in self.registrations), 90002),
            (form.get("grant_type") != "client_credentials", 70003),
            (found is None, 700016),
            (not scopes, 70011),
            (any(not scope.endswith("/.default") for scope in scopes), 1002012),
            (not secret and "client_assertion" not in form, 7000216),
        )
        failed = next((code for wrong, code in tests if wrong), 0)
        if failed or found is None:
            return failed
        if secret is None:
            return judge(
                form,
                audience=audience,
                client=found.client,
                certificates=found.certificates,
                subjects=found.subjects,
                now=self.wall(),
            )
        if secret not in found.secrets:
            return 7000215
        ends_at = found.secrets[secret]
        return 7000222 if ends_at is not None and ends_at <= self.wall() else 0

    def issue(self, found: Registration, scope: str) -> str:
        """Hand out a token for an API."""
        now = self.wall()
        expires_at = now + self.lifetime
        claims = {
            "aud": scope.removesuffix("/.default"),
            "tid": found.tenant,
            "appid": found.client,
            "roles": list(found.roles),
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
            "jti": secrets.token_urlsafe(8),
        }
        parts = [_segment({"typ": "JWT", "alg": "none"}), _segment(claims), "stand-in"]
        token = ".".join(parts)
        self.tokens[token] = Granted(
            tenant=found.tenant,
            client=found.client,
            roles=found.roles,
            expires_at=expires_at,
            audience=str(claims["aud"]),
        )
        return token

    def _refuse(self, code: int, **facts: str) -> JSONResponse:
        error, status, text = REFUSALS[code]
        trace, correlation, at = str(uuid4()), str(uuid4()), self.wall()
        return JSONResponse(
            {
                "error": error,
                "error_description": f"AADSTS{code}: {text.format(**facts)} Trace ID: {trace} "
                f"Correlation ID: {correlation} Timestamp: {at:%Y-%m-%d %H:%M:%SZ}",
                "error_codes": [code],
                "timestamp": f"{at:%Y-%m-%d %H:%M:%SZ}",
                "trace_id": trace,
                "correlation_id": correlation,
                "error_uri": f"https://login.microsoftonline.com/error?code={code}",
            },
            status_code=status,
        )


def _segment(value: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
