"""Fresh connections, timed phase by phase: resolve, connect, secure, ask over HTTP/1.1.

Checks need each phase apart (its duration, its own limit, its own failure), which a pooled client
does not tell. The bytes of HTTP are read by h11, TLS is the standard library's.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import h11

from app.kit.http import tls_context

BODY_LIMIT = 64 * 1024  # bytes of an answer's body that are read
HEAD_LIMIT = 32 * 1024  # bytes of an answer's head
CHUNK = 16 * 1024  # bytes asked of the socket at once
ADDRESSES = 4  # addresses of one name that are tried
RESOLVER_THREADS = 16  # lookups of distinct names at once
STALL_SECONDS = 1.0  # a timer that fires so late says that we were late, not the other side

# What is wrong with this machine, not with the one we ask.
_OWN_ERRNO = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)
# What our own network or firewall refuses before anything is sent.
_BLOCKED_ERRNO = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EPERM, errno.EACCES})

AddressInfo: TypeAlias = tuple[Any, Any, int, str, Any]
Lookup: TypeAlias = Callable[[str, int], Sequence[AddressInfo]]


class Fault(StrEnum):
    """What a dial met, in words of the network."""

    DNS = "dns"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TLS = "tls"
    PROTOCOL = "protocol"
    BLOCKED = "blocked"
    OURS = "ours"


class DialFailed(Exception):  # noqa: N818 - a fact about the other side, like StopIteration
    """Raised when a phase did not succeed; ``phase`` is the one under way."""

    def __init__(self, fault: Fault, phase: str, text: str) -> None:
        super().__init__(f"{phase}: {text}")
        self.fault = fault
        self.phase = phase
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Most seconds that each phase may take; ``total`` is the caller's to hold."""

    dns: float = 2.0
    connect: float = 3.0
    tls: float = 5.0
    first_byte: float = 10.0
    total: float = 15.0


@dataclass(slots=True)
class Trace:
    """The phase under way and the milliseconds of those that ran, keyed ``dns_ms`` and so on."""

    phase: str = "dns"
    phases: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: header names in lower case, at most ``BODY_LIMIT`` bytes of body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header, by lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    def values(self, name: str) -> list[str]:
        """All values of a header, by lower-case name."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True)
class Opened:
    """An open connection; ``close`` lets go of it at once, without the parting words of TLS."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def issuer(self) -> str | None:
        """The organization that vouches for the certificate; None without TLS."""
        return issuer_of(self.writer.get_extra_info("peercert"))

    def close(self) -> None:
        """Let go; a peer that hangs must not hold our socket."""
        self.writer.transport.abort()


def issuer_of(certificate: Mapping[str, Any] | None) -> str | None:
    """The organization (else the name) of the issuer, of what ``getpeercert`` gives."""
    if not certificate:
        return None
    named = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    return named.get("organizationName") or named.get("commonName")


@asynccontextmanager
async def timed(trace: Trace, phase: str, seconds: float) -> AsyncIterator[None]:
    """Hold one phase to its limit and note how long it took.

    Raises:
        DialFailed: the phase took too long, or this process was too late to tell.
    """
    loop = asyncio.get_running_loop()
    trace.phase = phase
    began = loop.time()
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise expired(phase, seconds, loop.time() - began) from error
    finally:
        trace.phases[f"{phase}_ms"] = round((loop.time() - began) * 1000, 2)


def expired(phase: str, limit: float, elapsed: float) -> DialFailed:
    """Say who was late: a timer that fires far behind its limit accuses this process."""
    if elapsed > limit + STALL_SECONDS:
        return DialFailed(Fault.OURS, phase, f"this process was busy for {elapsed - limit:.1f} s")
    return DialFailed(Fault.TIMEOUT, phase, f"nothing within {min(limit, elapsed):.3g} s")


def _lookup(host: str, port: int) -> Sequence[AddressInfo]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def is_literal(host: str) -> bool:
    """Whether the host is an address and needs no resolver."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Dialler:
    """Opens connections. One serves any number of checks, so that lookups of one name are shared.

    Lookups run in threads of their own: a resolver that hangs must not hold up anything else.
    """

    def __init__(self, *, lookup: Lookup = _lookup) -> None:
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolve")
        self._contexts: dict[Path | None, ssl.SSLContext] = {}
        self._under_way: dict[tuple[str, int], asyncio.Future[Sequence[AddressInfo]]] = {}

    def context(self, ca_file: Path | None = None) -> ssl.SSLContext:
        """The TLS context that trusts ``ca_file`` as well; built once, for it takes milliseconds.

        Raises:
            OSError: the file cannot be read or holds no certificate (``ssl.SSLError``).
        """
        if ca_file not in self._contexts:
            self._contexts[ca_file] = tls_context(ca_file)
        return self._contexts[ca_file]

    def close(self) -> None:
        """Let go of the threads without waiting for lookups that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def resolve(
        self, host: str, port: int, *, limits: Limits, trace: Trace
    ) -> Sequence[AddressInfo]:
        """Find the addresses of a name, in the order to try them.

        Raises:
            DialFailed: the name has no address, or the resolver did not answer in time.
        """
        async with timed(trace, "dns", limits.dns):
            try:
                found = await self._ask(host, port)
            except (OSError, UnicodeError) as error:
                raise _own(error, "dns") or DialFailed(
                    Fault.DNS, "dns", getattr(error, "strerror", None) or str(error)
                ) from error
        if not found:
            raise DialFailed(Fault.DNS, "dns", "the name has no address")
        return found

    async def _ask(self, host: str, port: int) -> Sequence[AddressInfo]:
        if is_literal(host):  # answers at once, no thread needed
            return self._lookup(host, port)
        key = (host, port)
        shared = self._under_way.get(key)
        if shared is None:
            loop = asyncio.get_running_loop()
            shared = loop.run_in_executor(self._threads, self._lookup, host, port)
            self._under_way[key] = shared
            shared.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(shared)

    def _forget(self, key: tuple[str, int], done: asyncio.Future[Sequence[AddressInfo]]) -> None:
        self._under_way.pop(key, None)
        if not done.cancelled():
            done.exception()  # nobody may be waiting any more

    async def connect(self, host: str, port: int, *, limits: Limits, trace: Trace) -> socket.socket:
        """Resolve and connect; the socket does not block and is the caller's to close.

        Raises:
            DialFailed: a phase did not succeed.
        """
        found = await self.resolve(host, port, limits=limits, trace=trace)
        return await _connect(found, limits=limits, trace=trace)

    async def open(
        self, host: str, port: int, *, tls: ssl.SSLContext | None, limits: Limits, trace: Trace
    ) -> Opened:
        """Resolve, connect and, with a context, secure; the certificate must fit ``host``.

        Raises:
            DialFailed: a phase did not succeed.
        """
        connected = await self.connect(host, port, limits=limits, trace=trace)
        phase, seconds = ("tls", limits.tls) if tls else ("connect", limits.connect)
        try:
            if tls is None:
                reader, writer = await asyncio.open_connection(sock=connected, limit=CHUNK)
            else:
                async with timed(trace, "tls", seconds):
                    reader, writer = await asyncio.open_connection(
                        sock=connected, limit=CHUNK, ssl=tls, server_hostname=host
                    )
        except BaseException as error:
            connected.close()
            if isinstance(error, OSError):
                raise failed(error, phase) from error
            raise
        return Opened(reader, writer)


async def _connect(found: Sequence[AddressInfo], *, limits: Limits, trace: Trace) -> socket.socket:
    """Try the addresses in turn, each with its share of what time is left."""
    loop = asyncio.get_running_loop()
    tried = found[:ADDRESSES]
    failure: OSError | None = None
    async with timed(trace, "connect", limits.connect):
        until = loop.time() + limits.connect
        for index, info in enumerate(tried):
            share = (until - loop.time()) / (len(tried) - index)
            try:
                return await _dial(info, share)
            except OSError as error:  # a TimeoutError is one as well
                failure = error
        if isinstance(failure, TimeoutError):
            raise failure
    raise failed(failure or OSError("no address to try"), "connect")


async def _dial(info: AddressInfo, seconds: float) -> socket.socket:
    family, kind, protocol, _, address = info
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_connect(opened, address)
    except BaseException:
        opened.close()
        raise
    return opened


def _own(error: Exception, phase: str) -> DialFailed | None:
    if (
        isinstance(error, OSError)
        and error.errno in _OWN_ERRNO
        and not isinstance(error, socket.gaierror)
    ):
        return DialFailed(Fault.OURS, phase, error.strerror or str(error))
    return None


def failed(error: OSError, phase: str) -> DialFailed:
    """Say what an error of the operating system or of TLS means."""
    own = _own(error, phase)
    if own is not None:
        return own
    if isinstance(error, ssl.SSLCertVerificationError):  # its errno is OpenSSL's own
        return DialFailed(Fault.TLS, phase, error.verify_message)
    if isinstance(error, ssl.SSLError):
        return DialFailed(Fault.TLS, phase, error.reason or str(error))
    fault = Fault.BLOCKED if error.errno in _BLOCKED_ERRNO else Fault.CONNECTION
    return DialFailed(fault, phase, error.strerror or str(error) or type(error).__name__)


async def first_bytes(opened: Opened, *, limits: Limits, trace: Trace) -> bytes:
    """Read what the other side says first, unasked.

    Raises:
        DialFailed: nothing came.
    """
    async with timed(trace, "first_byte", limits.first_byte):
        said = await _receive(opened, "first_byte")
    if not said:
        raise DialFailed(Fault.CONNECTION, "first_byte", "closed without a word")
    return said


async def ask(
    opened: Opened,
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    limits: Limits,
    trace: Trace,
    body: bytes = b"",
) -> Answer:
    """Send one request and read the answer; the length of a body is among the headers.

    Raises:
        DialFailed: no whole answer came, or it was not HTTP.
    """
    wire = h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
    try:
        request = h11.Request(method=method, target=_path(url), headers=list(headers.items()))
        trace.phase = "send"
        parts = [request, h11.Data(data=body), h11.EndOfMessage()]
        opened.writer.write(b"".join(wire.send(part) or b"" for part in parts))
        async with timed(trace, "first_byte", limits.first_byte):
            received = await _receive(opened, "first_byte")
        if not received:
            raise DialFailed(Fault.CONNECTION, "first_byte", "closed without an answer")
        wire.receive_data(received)
        trace.phase = "body"
        return await _read(opened, wire)
    except h11.ProtocolError as error:
        raise DialFailed(Fault.PROTOCOL, trace.phase, f"not HTTP: {error}") from error


async def _receive(opened: Opened, phase: str) -> bytes:
    try:
        return await opened.reader.read(CHUNK)
    except OSError as error:
        raise failed(error, phase) from error


async def _read(opened: Opened, wire: h11.Connection) -> Answer:
    response: h11.Response | None = None
    body = bytearray()
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            received = await _receive(opened, "body")
            if not received and response is None:
                fault = Fault.PROTOCOL if wire.trailing_data[0] else Fault.CONNECTION
                raise DialFailed(fault, "first_byte", "closed without an answer")
            wire.receive_data(received)
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
        whole = isinstance(event, h11.EndOfMessage) or len(body) >= BODY_LIMIT
        if response is not None and whole:
            return Answer(
                status=response.status_code,
                headers=tuple(
                    (k.decode("ascii"), v.decode("latin-1")) for k, v in response.headers
                ),
                body=bytes(body[:BODY_LIMIT]),
            )


def _path(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
