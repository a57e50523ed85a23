"""Authentication: a key, a token, a signature or a certificate becomes who calls.

A bearer API key is the usual one; what the database says of it is remembered for a few seconds.
"""

import base64
import time
from datetime import timedelta

from fastapi import Request

from app.api.context import App
from app.api.proxies import certificate_in
from app.core.errors import Forbidden, StorageUnavailable, Unauthenticated
from app.flow.callers import NAME, SIGNATURE, KnownCallers
from app.flow.keys import KIND, PUBLIC_KIND
from app.flow.rates import Buckets
from app.flow.tokens import Tokens, is_token
from app.flow.vouch import Bound, bound_of
from app.kit.keys import digest, is_wellformed
from app.store import keys
from app.store.keys import NO_BOUNDS, ApiKey

CACHE_SECONDS = 5.0  # a revoked key opens nothing after this time
CACHE_KEYS = 10_000  # most digests remembered
GUESSES_PER_MINUTE = 20  # wrong keys from one address before it is told to wait
HOW = "Send the API key as: Authorization: Bearer <key>."
TOUCH_EVERY = timedelta(minutes=5)  # how exact ``last_used_at`` is


class KeyRing:
    """Finds API keys by their secret; remembers each answer for ``CACHE_SECONDS``."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._known: dict[str, tuple[float, ApiKey | None]] = {}
        self._guesses = Buckets(GUESSES_PER_MINUTE / 60, burst=GUESSES_PER_MINUTE)

    async def find(self, secret: str) -> ApiKey:
        """The valid key with this secret.

        Raises:
            Unauthenticated: there is none, or it was revoked or has expired.
        """
        hashed = digest(secret)
        # What is known here was well-formed when it was looked up.
        if hashed not in self._known and not _is_key(secret):
            raise Unauthenticated("The API key is malformed.")
        found = await self._look_up(hashed)
        if found is None or not found.is_valid(self._app.clock.now()):
            raise Unauthenticated("The API key is unknown, revoked or expired.")
        return found

    def guessed(self, address: str) -> None:
        """Count a wrong key from an address; who has a right one is never turned away.

        Raises:
            RateLimited: too many came from there.
        """
        self._guesses.take(address)

    def forget(self) -> None:
        """Ask the database again for every key; called after a revocation in this process."""
        self._known.clear()

    async def _look_up(self, hashed: str) -> ApiKey | None:
        moment = time.monotonic()
        known = self._known.get(hashed)
        if known is not None and moment - known[0] < CACHE_SECONDS:
            return known[1]
        found = await self._app.db.read(lambda c: keys.find(c, hashed))
        if len(self._known) >= CACHE_KEYS:
            self._known.clear()
        self._known[hashed] = (moment, found)
        if found is not None:
            await self._touch(found)
        return found

    async def _touch(self, key: ApiKey) -> None:
        now = self._app.clock.now()
        if key.last_used_at is not None and now - key.last_used_at < TOUCH_EVERY:
            return
        try:
            await self._app.db.write(lambda c: keys.touch(c, [key.id], now=now))
        except StorageUnavailable:
            return  # a reader is not turned away because its use cannot be noted


async def authenticate(request: Request) -> ApiKey:
    """Who sent a request, as an API key; looked up once per request.

    Raises:
        Unauthenticated: none came, or it opens nothing.
        RateLimited: too many wrong ones came from the address.
        Forbidden: it may not be used from where the request came.
    """
    state = request.scope.setdefault("state", {})  # what ``request.state`` shows, but faster
    known: ApiKey | None = state.get("api_key")
    if known is not None:
        return known
    ring: KeyRing = request.app.state.key_ring
    try:
        shown = request.headers.get("authorization")
        key = await (_proven(request) if shown is None else _bearer(request, shown))
    except Unauthenticated as error:
        if error.detail != HOW:  # who says nothing guesses nothing
            ring.guessed(request.client.host if request.client else "")
        raise
    check_place(request, key)
    state["api_key"] = key
    return key


async def _bearer(request: Request, shown: str) -> ApiKey:
    """Whose key or token came with the request."""
    scheme, _, secret = shown.partition(" ")
    if scheme.lower() == "basic":
        secret = _password(secret)
    elif scheme.lower() != "bearer":
        secret = ""
    secret = secret.strip()
    if not secret:
        raise Unauthenticated(HOW)
    tokens: Tokens | None = getattr(request.app.state, "tokens", None)
    if tokens and is_token(secret):
        return await tokens.caller(secret)
    ring: KeyRing = request.app.state.key_ring
    return await ring.find(secret)


async def _proven(request: Request) -> ApiKey:
    """Who signed the body, or showed a certificate to a trusted proxy."""
    callers: KnownCallers | None = getattr(request.app.state, "callers", None)
    if callers is None:
        raise Unauthenticated(HOW)
    if NAME in request.headers and SIGNATURE in request.headers:
        return await callers.by_signature(request.headers, await request.body())
    shown = certificate_in(request.state)
    if shown is None:
        raise Unauthenticated(HOW)
    return callers.by_certificate(shown)


def check_place(request: Request, key: ApiKey) -> None:
    """Refuse a key that may not be used from where the request came.

    Raises:
        Forbidden: the address is in none of its networks.
    """
    if key.bounds is NO_BOUNDS or not key.bounds.networks:
        return
    if not key.bounds.admits(request.client.host if request.client else ""):
        raise Forbidden("The API key may not be used from this address.")


async def bound(request: Request) -> Bound | None:
    """What the caller's key may say at most; None for no bound."""
    key = await authenticate(request)
    app: App = request.app.state.context
    return bound_of(key, voices=app.settings.limits.key_voices)


def _is_key(secret: str) -> bool:
    return any(is_wellformed(secret, kind) for kind in (KIND, PUBLIC_KIND))


def _password(encoded: str) -> str:
    """The password of Basic authentication, by which a tool with only an address sends a key."""
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
