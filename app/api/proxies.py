"""Trusted proxies: what they say of the client is taken from them, and from nobody else."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import Unauthenticated
from app.kit.proxied import Network, address_of, client_of, is_among

FORWARDED = b"x-forwarded-for"
STATE = "client_certificate"  # where the header's value lies, if a trusted proxy sent it


class Proxies:
    """Puts the client's own address in the place of its proxy's, and keeps its certificate.

    Everything that asks where a request comes from (networks of keys, guesses of keys, quotas of
    public keys, the log) asks the scope, and so sees the client.
    """

    def __init__(self, app: ASGIApp, *, trusted: Sequence[Network], certificate: str) -> None:
        self._app = app
        self._trusted = tuple(trusted)
        self._certificate = certificate.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        peer = scope.get("client") if scope["type"] == "http" else None
        if peer and is_among(address_of(peer[0]), self._trusted):
            said = [v.decode("latin-1") for n, v in scope["headers"] if n == FORWARDED]
            shown = [v.decode("latin-1") for n, v in scope["headers"] if n == self._certificate]
            scope["client"] = (client_of(peer[0], said, self._trusted), peer[1] if not said else 0)
            scope.setdefault("state", {})[STATE] = shown
        await self._app(scope, receive, send)


def certificate_in(state: object) -> str | None:
    """The certificate that a trusted proxy told of; None without one.

    Raises:
        Unauthenticated: there are several, so the proxy passes on what clients say.
    """
    shown: list[str] = [value for value in getattr(state, STATE, ()) if value.strip()]
    if len(shown) > 1:
        raise Unauthenticated("The proxy passes on certificates that it did not see.")
    return shown[0] if shown else None
