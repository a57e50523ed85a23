"""The guarded poster: dials only what the egress policy permits; imported when first needed."""

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeAlias

import httptools
import httpx

from app.kit.egress import Address, Egress, Refused, literal
from app.kit.http import Answer, Dropped, Phases, TlsFailed, tls_context

CONNECT_SECONDS = 5.0  # one connection: resolve, dial, shake hands
ADDRESSES = 4  # of one name that are dialled, in turn
BODY_SECONDS = 2.0  # an answer's status is what counts; its body gets this much longer
KEPT_BYTES = 16_384  # of an answer's body
HEAD_BYTES = 65_536  # an answer that has no end of its headers by then is none
KEEPALIVE_SECONDS = 30.0  # idle connections die, so that a withdrawn permission takes effect
CHECKED_URLS = 4096  # verdicts remembered on the form of a URL; addresses are judged each time
_INTERIM = range(100, 200)
_UPGRADE = 101  # the last answer that is one over HTTP

AddressInfo: TypeAlias = tuple[Any, Any, int, str, tuple[Any, ...]]
OpenSocket: TypeAlias = Callable[[AddressInfo], socket.socket]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Where a URL leads to; ``head`` are the request line and the host header."""

    host: str
    address: Address | None  # where the host is one
    port: int
    plain: bool
    head: bytes

    @property
    def way(self) -> tuple[str, int, bool]:
        """What requests must have in common that go over one connection."""
        return self.host, self.port, self.plain


class GuardedPoster:
    """Implements ``kit.http.Poster``; one resolution, each answer judged, that one dialled.

    Host header, SNI and the certificate's name stay those of the URL. Proxies of the environment,
    cookies, redirects and decompression play no part. It speaks HTTP/1.1 over connections of its
    own, and has the answers read by llhttp: a client library in between costs most of what a
    delivery costs at all (see docs/decisions/0012-sender-on-its-own-connections.md).
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
        self._target = lru_cache(CHECKED_URLS)(self._check)  # the policy does not change
        self._context = tls_context(ca_file)
        self._idle: dict[tuple[str, int, bool], deque[_Wire]] = {}
        self._sweeper: asyncio.TimerHandle | None = None

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
        target = self._target(url)
        wire = self._kept(target) or await self._connect(target, phases, until)
        try:
            answer = await wire.exchange(_request(target, headers, content), phases, until)
        except BaseException:
            wire.close()
            raise
        if wire.fit:
            self._keep(target, wire)
        else:
            wire.close()
        return answer

    def _check(self, url: str) -> _Target:
        """Judge the form of a URL; literals never meet the resolver."""
        host, port, plain = self._egress.check_url(url)
        parsed = httpx.URL(url)
        head = b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (parsed.raw_path, parsed.netloc)
        return _Target(host=host, address=literal(host), port=port, plain=plain, head=head)

    def _kept(self, target: _Target) -> "_Wire | None":
        """A connection that waits for another request, the youngest first."""
        waiting = self._idle.get(target.way)
        oldest = time.monotonic() - KEEPALIVE_SECONDS
        while waiting:
            wire = waiting.pop()
            if wire.fit and wire.idle_since > oldest:
                return wire
            wire.close()
        return None

    def _keep(self, target: _Target, wire: "_Wire") -> None:
        wire.idle_since = time.monotonic()
        self._idle.setdefault(target.way, deque()).append(wire)
        if self._sweeper is None:
            loop = asyncio.get_running_loop()
            self._sweeper = loop.call_later(KEEPALIVE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Let connections die that nobody needed lately."""
        self._sweeper = None
        oldest = time.monotonic() - KEEPALIVE_SECONDS
        for way, waiting in list(self._idle.items()):
            while waiting and (waiting[0].idle_since <= oldest or not waiting[0].fit):
                waiting.popleft().close()
            if not waiting:
                del self._idle[way]
        if self._idle:
            loop = asyncio.get_running_loop()
            self._sweeper = loop.call_later(KEEPALIVE_SECONDS / 2, self._sweep)

    async def _connect(self, target: _Target, phases: Phases, until: float) -> "_Wire":
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout_at(min(until, loop.time() + CONNECT_SECONDS))
        try:
            async with limit:
                opened = await self._dial(target, await self._permitted(target, phases), phases)
                try:
                    phases.shaking = 0.0 if target.plain else time.perf_counter()
                    _, wire = await loop.create_connection(
                        _Wire,
                        sock=opened,
                        ssl=None if target.plain else self._context,
                        server_hostname=None if target.plain else target.host,
                    )
                except BaseException:
                    opened.close()
                    raise
        except TimeoutError as error:
            if limit.expired():
                raise httpx.ConnectTimeout("no connection in time") from error
            raise httpx.ConnectError(str(error)) from error  # the system's own patience
        except ssl.SSLError as error:
            raise TlsFailed(str(error)) from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        phases.connected = time.perf_counter()
        return wire

    async def _permitted(self, target: _Target, phases: Phases) -> list[str]:
        """The addresses behind a target, all of them judged; the families take turns."""
        if target.address is not None:
            self._egress.judge(target.address, target.port, plain=target.plain, host=None)
            return [str(target.address)]
        phases.resolving = time.perf_counter()
        answers = await self._egress.resolve(target.host, target.port, plain=target.plain)
        phases.resolved = time.perf_counter()
        first, other = _by_family(answers)
        pairs = zip_longest(first, other)
        return [one for pair in pairs for one in pair if one is not None][:ADDRESSES]

    async def _dial(
        self, target: _Target, addresses: Sequence[str], phases: Phases
    ) -> socket.socket:
        """Connect to the first that answers; each but the last has its share of the time."""
        loop = asyncio.get_running_loop()
        phases.dialling = time.perf_counter()
        for number, address in enumerate(addresses, 1):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            share = None if number == len(addresses) else CONNECT_SECONDS / (len(addresses) + 1)
            opened: socket.socket | None = None
            try:
                opened = self._open((family, socket.SOCK_STREAM, 0, "", (address, target.port)))
                async with asyncio.timeout(share):
                    await loop.sock_connect(opened, (address, target.port))
            except BaseException as error:
                if opened is not None:
                    opened.close()
                if share is None or not isinstance(error, OSError):
                    raise
            else:
                return opened
        raise Refused("address", "That address is not permitted.")  # there was none

    async def aclose(self) -> None:
        """Close all connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for waiting in self._idle.values():
            for wire in waiting:
                wire.close()
        self._idle.clear()
        await asyncio.sleep(0)  # the loop closes sockets in its next round


class _Wire(asyncio.Protocol):
    """One connection to a receiver, which carries one exchange at a time."""

    def __init__(self) -> None:
        self.fit = True  # for another request
        self.idle_since = 0.0
        self._used = False
        self._transport: Any = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Answer] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._phases = Phases()
        self._begin()

    def _begin(self) -> None:
        """Forget what was answered before."""
        self._seen = 0  # bytes, until the headers were complete
        self._status = 0  # of the final answer
        self._headers: dict[str, str] = {}
        self._kept = bytearray()
        self._complete = False
        self._hurried = False

    async def exchange(self, request: bytes, phases: Phases, until: float) -> Answer:
        """Send a request and wait for what is answered; ``fit`` tells what the wire is then."""
        loop = asyncio.get_running_loop()
        self._begin()
        self._phases = phases
        self._waiter = loop.create_future()
        self._timer = loop.call_at(until, self._late)
        self._transport.write(request)
        try:
            return await self._waiter
        finally:
            self._used = True
            self._waiter = None
            self._timer.cancel()

    def close(self) -> None:
        """Let go at once, without parting words: a peer that hangs must not hold our socket."""
        self.fit = False
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read on in the answer; what nobody asked for ends the connection."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.close()
            return
        if not self._status:
            self._seen += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish(fit=False)
        except httptools.HttpParserError as error:
            self._fail(httpx.RemoteProtocolError(type(error).__name__))
        else:
            self._look()

    def _look(self) -> None:
        if self._complete:
            self._finish(fit=self.fit)
        elif len(self._kept) >= KEPT_BYTES:
            self._finish(fit=False)
        elif self._status:
            self._hurry()
        elif self._seen > HEAD_BYTES:
            self._fail(httpx.RemoteProtocolError("too long a head"))

    def _hurry(self) -> None:
        """Give a body that did not come with its head a time of its own."""
        if self._timer is not None and not self._hurried:
            self._hurried = True
            loop = asyncio.get_running_loop()
            until = min(self._timer.when(), loop.time() + BODY_SECONDS)
            self._timer.cancel()
            self._timer = loop.call_at(until, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits; an answer whose status was said is one."""
        self.fit = False
        if self._status:
            self._finish(fit=False)
        elif self._seen or (exc is not None and not self._used):
            self._fail(httpx.ReadError(type(exc).__name__))
        else:
            self._fail(Dropped("closed without an answer"))

    def _late(self) -> None:
        if self._status:
            self._finish(fit=False)
        else:
            self._fail(httpx.ReadTimeout("no answer in time"))

    def _finish(self, *, fit: bool) -> None:
        self.fit = fit
        self._phases.ended = time.perf_counter()
        if self._waiter is not None and not self._waiter.done():
            kept = bytes(self._kept[:KEPT_BYTES])
            self._waiter.set_result(Answer(status=self._status, headers=self._headers, body=kept))

    def _fail(self, error: Exception) -> None:
        self.fit = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A second answer to one request is one too many."""
        if self._complete:
            self.fit = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the first of each name."""
        self._headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Note when it was, unless another head follows."""
        status = self._parser.get_status_code()
        if self._complete or (status in _INTERIM and status != _UPGRADE):
            return
        self._status = status
        self._phases.answered = time.perf_counter()

    def on_body(self, body: bytes) -> None:
        """Keep the beginning; raw, so that a small answer cannot unfold into a big one."""
        if len(self._kept) < KEPT_BYTES:
            self._kept += body

    def on_message_complete(self) -> None:
        """Know that the answer is whole, if it was the final one."""
        if not self._status:
            self._headers = {}
            return
        self._complete = True
        self.fit = self.fit and self._parser.should_keep_alive()  # it forgets this afterwards


def _request(target: _Target, headers: Mapping[str, str], content: bytes) -> bytes:
    """The bytes of a request.

    Raises:
        ValueError: a header would end its line or is not ASCII.
    """
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    lines.append(f"content-length: {len(content)}\r\n\r\n")
    text = "".join(lines)
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise ValueError("a header has more than one line")
    return target.head + text.encode("ascii") + content


def _by_family(answers: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split addresses by family, that of the first answer first (RFC 8305, section 4)."""
    six = [answer for answer in answers if ":" in answer]
    four = [answer for answer in answers if ":" not in answer]
    return (six, four) if ":" in answers[0] else (four, six)


def _open_socket(info: AddressInfo) -> socket.socket:
    opened = socket.socket(info[0], info[1], info[2])
    opened.setblocking(False)
    return opened
