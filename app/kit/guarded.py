"""The guarded poster: dials only what the egress policy permits; imported when first needed."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from app.kit.egress import Egress, Refused, literal
from app.kit.http import Answer, Dropped, Phases, TlsFailed, tls_context

CONNECT_SECONDS = 5.0  # one connection: resolve, dial, shake hands
BODY_SECONDS = 2.0  # an answer's status is what counts; its body gets this much longer
KEPT_BYTES = 16_384  # of an answer's body
KEEPALIVE_SECONDS = 30.0  # idle connections die, so that a withdrawn permission takes effect
CHECKED_URLS = 4096  # verdicts remembered on the form of a URL; addresses are judged each time
READ_BUFFER = 16_384  # bytes read ahead of whoever consumes the answer

AddressInfo: TypeAlias = tuple[Any, Any, int, str, tuple[Any, ...]]
OpenSocket: TypeAlias = Callable[[AddressInfo], socket.socket]

# Set for the exchange that a task makes, so that what is called back knows whose time it notes.
_PHASES: ContextVar[Phases | None] = ContextVar("phases", default=None)
_NO_LIMITS = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS)


class GuardedPoster:
    """Implements ``kit.http.Poster``; one resolution, each answer judged, that one dialled.

    Host header, SNI and the certificate's name stay those of the URL. Proxies of the environment,
    cookies, redirects and decompression play no part. It speaks to aiohttp itself: httpx in between
    costs nine tenths of the throughput (see docs/decisions/0008-sender-on-aiohttp.md).
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
        self._checked = lru_cache(CHECKED_URLS)(self._check)  # the policy does not change
        self._context = tls_context(ca_file)
        self._context.sslobject_class = _Shaking
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes,
        phases: Phases,
        until: float,
    ) -> Answer:
        """Send one request; see ``kit.http.Poster``."""
        target, plain = self._checked(url)
        session = self._sessions.get(plain) or self._session(plain=plain)
        _PHASES.set(phases)
        try:
            async with asyncio.timeout_at(until):
                response = await session.post(
                    target, data=content, headers=headers, allow_redirects=False
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _translate(error) from error
        phases.answered = time.perf_counter()
        try:
            kept = await _read(response.content, until)
        finally:
            # Read to its end it goes back to the pool; otherwise the connection is of no more use.
            response.release() if response.content.at_eof() else response.close()
        phases.ended = time.perf_counter()
        return Answer(status=response.status, headers=response.headers, body=kept)

    def _check(self, url: str) -> tuple[URL, bool]:
        """Judge the form of a URL; literals never meet the resolver."""
        _, _, plain = self._egress.check_url(url)
        return URL(str(httpx.URL(url)), encoded=True), plain

    def _session(self, *, plain: bool) -> aiohttp.ClientSession:
        guard = _Guard(self._egress, plain=plain, open_socket=self._open)
        connector = aiohttp.TCPConnector(
            ssl=self._context,
            limit=0,  # the deliverer bounds what is in flight
            resolver=guard,
            use_dns_cache=False,  # one resolution per connection, judged each time
            keepalive_timeout=KEEPALIVE_SECONDS,
            socket_factory=guard.socket,
        )
        traces = aiohttp.TraceConfig()
        traces.on_connection_create_end.append(_connected)
        self._sessions[plain] = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=READ_BUFFER,
            timeout=_NO_LIMITS,
            trace_configs=[traces],
        )
        return self._sessions[plain]

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()


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
        phases = _PHASES.get() or Phases()
        phases.resolving = time.perf_counter()
        answers = await self._egress.resolve(host, port, plain=self._plain)
        phases.resolved = time.perf_counter()
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
        phases = _PHASES.get()
        if phases is not None:
            phases.dialling = time.perf_counter()
        return self._open(info)

    async def close(self) -> None:
        """Hold nothing."""


class _Shaking(ssl.SSLObject):
    """Notes when a handshake begins: the connection is made by then."""

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        phases = _PHASES.get()
        if phases is not None and not phases.shaking:
            phases.shaking = time.perf_counter()
        super().do_handshake()


async def _connected(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceConnectionCreateEndParams,
) -> None:
    del session, context, params
    phases = _PHASES.get()
    if phases is not None:
        phases.connected = time.perf_counter()


async def _read(content: aiohttp.StreamReader, until: float) -> bytes:
    """Keep the beginning of the body; raw, so that a small answer cannot unfold into a big one."""
    if content.at_eof():
        return b""
    kept = bytearray()
    try:
        async with asyncio.timeout_at(min(until, asyncio.get_running_loop().time() + BODY_SECONDS)):
            while len(kept) < KEPT_BYTES and not content.at_eof():
                kept += (await content.readany())[: KEPT_BYTES - len(kept)]
    except (TimeoutError, aiohttp.ClientError):
        pass  # the status has been said
    return bytes(kept)


def _open_socket(info: AddressInfo) -> socket.socket:
    opened = socket.socket(info[0], info[1], info[2])
    opened.setblocking(False)
    return opened


def _translate(error: aiohttp.ClientError | TimeoutError) -> Exception:
    match error:
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return TlsFailed(str(error))
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout(str(error))
        case TimeoutError():
            return httpx.ReadTimeout(str(error))
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(str(error))
        case aiohttp.ServerDisconnectedError():
            return Dropped(str(error))
        case aiohttp.ClientConnectionError():
            return httpx.ReadError(str(error))
        case _:
            return httpx.RemoteProtocolError(type(error).__name__)
