"""Signing in at an OpenID provider: the authorization code flow with PKCE (RFC 6749, RFC 7636)."""

import base64
import hashlib
import secrets
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from app.core.errors import Forbidden, NotFound, Overloaded, Unauthenticated
from app.flow.issuer_settings import IssuerSettings, SignInSettings
from app.kit.tokens import Provider, ProviderSilent
from app.web.door import HEADERS, PageRoute, context_of, may_look, see_other, set_cookie
from app.web.session import SESSION_COOKIE, is_own_path, seal_errand, seal_person, unseal_errand

ERRAND_COOKIE = "sextant_sign_in"
SILENT = "The provider does not answer; sign in with an API key, or try again shortly."
OVER = "This sign-in is over. Begin it again."

sign_in_pages = APIRouter(route_class=PageRoute, include_in_schema=False)


@sign_in_pages.get("/login/{name}")
async def begin(request: Request, name: str, next: str = "/") -> Response:  # noqa: A002 - its name in the address
    """Send the browser to the provider; what it must bring back lies in a sealed cookie."""
    context = context_of(request)
    issuer, wanted, provider = _door(request, name)
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    try:
        told = await provider.metadata()
    except ProviderSilent as error:
        raise Overloaded(SILENT) from error
    query = urlencode(
        {
            "response_type": "code",
            "client_id": wanted.client_id,
            "redirect_uri": _back(context.public_url, issuer),
            "scope": wanted.scope,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
    )
    glue = "&" if "?" in told.authorization_endpoint else "?"
    answer = RedirectResponse(f"{told.authorization_endpoint}{glue}{query}", 303, headers=HEADERS)
    errand = [name, state, verifier, next if is_own_path(next) else "/"]
    sealed = seal_errand(context.secret, errand, now=context.clock.now())
    set_cookie(request, answer, ERRAND_COOKIE, sealed)
    return answer


@sign_in_pages.get("/login/{name}/back")
async def end(request: Request, name: str, state: str = "", code: str = "") -> Response:
    """Exchange what the provider gave for a session; the token is held against the API's rules."""
    context = context_of(request)
    issuer, wanted, provider = _door(request, name)
    cookie = request.cookies.get(ERRAND_COOKIE)
    errand = unseal_errand(context.secret, cookie, now=context.clock.now())
    if errand is None or errand[0] != name or not secrets.compare_digest(errand[1], state):
        raise Forbidden(OVER)
    if not code:
        raise Forbidden("The provider did not let you in.")
    secret = wanted.client_secret
    try:
        told = await provider.redeem(
            code=code,
            verifier=errand[2],
            redirect_uri=_back(context.public_url, issuer),
            client_id=wanted.client_id,
            client_secret=None if secret is None else secret.get_secret_value(),
        )
    except ProviderSilent as error:
        raise Forbidden("The provider did not take the code back.") from error
    try:
        person = await context.tokens.caller(str(told.get("access_token", "")))
    except Unauthenticated as error:
        raise Forbidden("Nobody has granted you anything here.") from error
    if not may_look(person, context):
        raise Forbidden("What you were granted does not open the console.")
    answer = see_other(errand[3])
    sealed = seal_person(context.secret, person, now=context.clock.now())
    set_cookie(request, answer, SESSION_COOKIE, sealed)
    answer.delete_cookie(ERRAND_COOKIE)
    return answer


def _door(request: Request, name: str) -> tuple[IssuerSettings, SignInSettings, Provider]:
    issuer, provider = context_of(request).tokens.sign_ins.get(name, (None, None))
    if issuer is None or provider is None or issuer.sign_in is None:
        raise NotFound("There is no such provider.")
    return issuer, issuer.sign_in, provider


def _back(public_url: str, issuer: IssuerSettings) -> str:
    return f"{public_url}/login/{issuer.name}/back"
