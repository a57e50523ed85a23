"""Outgoing HTTP: the one place that builds clients and transports, guarded or for the operator."""

import http.cookiejar
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

from app.kit.egress import Allowed, Egress, Refused, Unresolvable

__all__ = [
    "Allowed", "Answer", "Dropped", "Egress", "LatePoster", "Phases", "Poster", "Refused",
    "TlsFailed", "Unresolvable", "client", "tls_context",
]  # fmt: skip

USER_AGENT: Final = "Sextant/1 (+webhooks)"
OK: Final = 200


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
    verify: ssl.SSLContext | None = None,
    timeout_seconds: float = 30.0,
    connect_seconds: float | None = None,
    base_url: str = "",
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """Build a client for addresses from the operator's own file: verified, direct, no redirects.

    ``verify`` stands for ``ca_file`` where a certificate is to be shown as well. ``transport``
    replaces the network, with a mock.
    """
    context = verify or tls_context(ca_file) if transport is None else True
    return httpx.AsyncClient(
        verify=context,
        transport=transport,
        timeout=httpx.Timeout(timeout_seconds, connect=connect_seconds or timeout_seconds),
        base_url=base_url,
        trust_env=False,
        follow_redirects=False,
        cookies=_NoCookies(),
        headers={"user-agent": USER_AGENT},
    )


class Phases:
    """Instants of one exchange (of the performance counter), noted as it goes on."""

    __slots__ = (
        "answered", "connected", "dialling", "ended", "resolved", "resolving", "shaking",
    )  # fmt: skip

    def __init__(self) -> None:
        self.resolving = self.resolved = self.dialling = self.shaking = 0.0
        self.connected = self.answered = self.ended = 0.0

    def milliseconds(self, begun: float) -> dict[str, float]:
        """What each part took, as far as it came; a kept connection spares the first three."""
        spans = {
            "dns_ms": (self.resolving, self.resolved),
            "connect_ms": (self.dialling, self.shaking or self.connected),
            "tls_ms": (self.shaking, self.connected),
            "first_byte_ms": (self.connected or begun, self.answered),
            "body_ms": (self.answered, self.ended),
        }
        return {
            name: round((end - start) * 1000, 2) for name, (start, end) in spans.items()
            if start and end
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered; ``body`` is the beginning of its raw bytes, never decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Poster(Protocol):
    """Posts once to an address that a caller of ours may have named."""

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes,
        phases: Phases,
        until: float,
    ) -> Answer:
        """Send one request, follow nothing, and read the beginning of the answer.

        ``until`` is an instant of the event loop's clock. What was answered by then counts, also
        when its body had not ended.

        Raises:
            TimeoutError: nothing was answered by then.
            Refused: the policy does not permit the address.
            Unresolvable: the name has no address.
            TlsFailed: the certificate or the handshake failed.
            httpx.TransportError: no answer came.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class LatePoster:
    """A poster that is made at the first request, so that a start does not wait for it."""

    def __init__(self, make: Callable[[], Poster]) -> None:
        self._make = make
        self._made: Poster | None = None

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes,
        phases: Phases,
        until: float,
    ) -> Answer:
        """Send one request through the poster, made now if it was not yet."""
        if self._made is None:
            self._made = self._make()
        return await self._made.post(
            url, headers=headers, content=content, phases=phases, until=until
        )

    async def aclose(self) -> None:
        """Close the poster, if there is one."""
        if self._made is not None:
            await self._made.aclose()
