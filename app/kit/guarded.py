"""The guarded transport: dials only what the egress policy permits; imported when first needed."""

import socket
import ssl
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from app.kit.egress import Egress, Refused, literal
from app.kit.http import Dropped, TlsFailed, tls_context

KEEPALIVE_SECONDS = 30.0  # idle connections die, so that a withdrawn permission takes effect
CHECKED_URLS = 4096  # verdicts remembered on the form of a URL; addresses are judged each time
READ_BUFFER = 16_384  # bytes read ahead of whoever consumes the answer

AddressInfo: TypeAlias = tuple[Any, Any, int, str, tuple[Any, ...]]
OpenSocket: TypeAlias = Callable[[AddressInfo], socket.socket]


class GuardedTransport(httpx.AsyncBaseTransport):
    """Dials only what the egress policy permits: one resolution, each answer judged, that dialled.

    Host header, SNI and the certificate's name stay those of the URL. Proxies of the environment,
    cookies, redirects and decompression play no part. aiohttp does the work beneath: at 64 requests
    in flight it carried nine times what httpx's own transport did (2,430/s against 278/s per core,
    3 kB bodies over loopback, November 2026).
    """

    def __init__(
        self,
        egress: Egress,
        *,
        ca_file: Path | str | None = None,
        open_socket: OpenSocket | None = None,
    ) -> None:
        self._egress = egress
        self._open = open_socket or _open_socket
        self._scheme = lru_cache(CHECKED_URLS)(self._check)  # the policy does not change
        context = tls_context(ca_file)
        self._by_scheme = {
            scheme: AiohttpTransport(
                verify=context,
                trust_env=False,
                client=partial(self._session, context, plain=scheme == "http"),
            )
            for scheme in ("https", "http")
        }

    def _session(self, context: ssl.SSLContext, *, plain: bool) -> aiohttp.ClientSession:
        guard = _Guard(self._egress, plain=plain, open_socket=self._open)
        connector = aiohttp.TCPConnector(
            ssl=context,
            limit=0,  # the deliverer bounds what is in flight
            resolver=guard,
            use_dns_cache=False,  # one resolution per connection, judged each time
            keepalive_timeout=KEEPALIVE_SECONDS,
            socket_factory=guard.socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            read_bufsize=READ_BUFFER,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            Refused: the policy does not permit the address.
            Unresolvable: the name has no address.
            TlsFailed: the certificate or the handshake failed.
            httpx.TransportError: no answer came.
        """
        transport = self._by_scheme[self._scheme(str(request.url))]
        try:
            return await transport.handle_async_request(request)
        except httpx.TransportError as error:
            raise _translate(error) from error
        except aiohttp.ClientError as error:  # an answer that is not HTTP
            raise httpx.RemoteProtocolError(type(error).__name__) from error

    def _check(self, url: str) -> str:
        """Give the scheme of a URL that may be asked; literals never meet the resolver."""
        _, _, plain = self._egress.check_url(url)
        return "http" if plain else "https"

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._by_scheme.values():
            await transport.aclose()


class _Guard(AbstractResolver):
    """Stands between a name and its socket; every address passes here before it is dialled."""

    def __init__(self, egress: Egress, *, plain: bool, open_socket: OpenSocket) -> None:
        self._egress = egress
        self._plain = plain
        self._open = open_socket
        self._judged: dict[tuple[str, int], None] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the addresses of a name, all of them permitted."""
        del family
        answers = await self._egress.resolve(host, port, plain=self._plain)
        for answer in answers:
            self._remember(answer, port)
        return [
            ResolveResult(
                hostname=host,
                host=answer,
                port=port,
                family=socket.AF_INET6 if ":" in answer else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for answer in answers
        ]

    def _remember(self, answer: str, port: int) -> None:
        self._judged[(answer, port)] = None
        if len(self._judged) > 4096:  # noqa: PLR2004 - far more than receivers
            del self._judged[next(iter(self._judged))]

    def socket(self, info: AddressInfo) -> socket.socket:
        """Open the socket for an address: one that was judged under its name, or passes alone."""
        host, port = str(info[4][0]), int(info[4][1])
        if (host, port) not in self._judged:
            address = literal(host)
            if address is None:
                raise Refused("address", "That address is not permitted.")
            self._egress.judge(address, port, plain=self._plain, host=None)
        return self._open(info)

    async def close(self) -> None:
        """Hold nothing."""


def _open_socket(info: AddressInfo) -> socket.socket:
    opened = socket.socket(info[0], info[1], info[2])
    opened.setblocking(False)
    return opened


def _translate(error: httpx.TransportError) -> Exception:
    """Name what really happened: the bridge calls most failures a connect timeout."""
    cause = error.__cause__
    match cause:
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return TlsFailed(str(cause))
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return httpx.ReadTimeout(str(cause))
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(str(cause))
        case aiohttp.ServerDisconnectedError():
            return Dropped(str(cause))
        case aiohttp.ClientConnectionError():
            return httpx.ReadError(str(cause))
        case _:
            return error
