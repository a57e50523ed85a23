"""Outgoing HTTP: the one place that builds clients and transports, guarded or for the operator."""

import http.cookiejar
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

from app.kit.egress import Allowed, Egress, Refused, Unresolvable

__all__ = [
    "Allowed", "Dropped", "Egress", "LateTransport", "Refused", "TlsFailed", "Unresolvable",
    "client", "tls_context",
]  # fmt: skip

USER_AGENT: Final = "Sextant/1 (+webhooks)"


class TlsFailed(httpx.ConnectError):
    """Raised when the TLS handshake failed or the certificate does not fit the host."""


class Dropped(httpx.ReadError):
    """Raised when the receiver closed the connection without an answer, as stale ones do."""


class _NoCookies(http.cookiejar.CookieJar):
    """Keeps nothing: what one answer sets must not travel with a later request."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Take nothing."""

    def add_cookie_header(self, request: Any) -> None:
        """Add nothing."""


def tls_context(ca_file: Path | str | None = None) -> ssl.SSLContext:
    """Verify against the bundled authorities, and those of ``ca_file`` (PEM) as well."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    return context


def client(
    *,
    ca_file: Path | str | None = None,
    timeout_seconds: float = 30.0,
    base_url: str = "",
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """Build a client for addresses from the operator's own file: verified, direct, no redirects.

    ``transport`` replaces the network: a ``GuardedTransport`` of ``kit.guarded``, or a mock.
    """
    return httpx.AsyncClient(
        verify=tls_context(ca_file) if transport is None else True,
        transport=transport,
        timeout=timeout_seconds,
        base_url=base_url,
        trust_env=False,
        follow_redirects=False,
        cookies=_NoCookies(),
        headers={"user-agent": USER_AGENT},
    )


class LateTransport(httpx.AsyncBaseTransport):
    """A transport that is made at the first request, so that a start does not wait for it."""

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._made: httpx.AsyncBaseTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request through the transport, made now if it was not yet."""
        if self._made is None:
            self._made = self._make()
        return await self._made.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the transport, if there is one."""
        if self._made is not None:
            await self._made.aclose()
