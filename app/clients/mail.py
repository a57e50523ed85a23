"""The doors of mail (IMAP, POP, SMTP), greeted over a socket of ours; no mail is ever sent.

The standard library's clients speak the protocols; they block, so each step runs in a thread with
its own limit, and an expired limit shuts the connection down under it. ``_create_socket`` and
``_get_socket`` are the places where the library's own TLS classes hand in their sockets as well.
"""

import asyncio
import contextlib
import imaplib
import poplib
import smtplib
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from app.clients.dial import DialFailed, Dialler, Fault, Limits, Trace, failed, issuer_of, timed

T = TypeVar("T")

# Conversations at once; hanging for 10 s each, that is 1,500 a minute. Threads start when needed.
THREADS = 256


class MailProtocol(StrEnum):
    """What is spoken."""

    IMAP = "imap"
    POP = "pop"
    SMTP = "smtp"


class Security(StrEnum):
    """How the connection is secured: from the start, by STARTTLS (STLS), or not at all."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What a door of mail said: its banner, and what it offers in the end, in upper case."""

    banner: str
    offers: tuple[str, ...]
    issuer: str | None = None


class DoorShut(Exception):  # noqa: N818 - a fact about the other side, like StopIteration
    """Raised when the door answered in its protocol, and the answer was no."""


class MailboxRefused(Exception):  # noqa: N818 - a fact about the other side
    """Raised when the door is open and does not let this user in; the text is its own."""


class _Imap(imaplib.IMAP4):
    def __init__(self, opened: socket.socket, host: str) -> None:
        self._opened = opened
        super().__init__(host)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        del timeout
        return self._opened


class _Pop(poplib.POP3):
    def __init__(self, opened: socket.socket, host: str) -> None:
        self._opened = opened
        super().__init__(host)

    def _create_socket(self, timeout: float) -> socket.socket:
        del timeout
        return self._opened


class _Smtp(smtplib.SMTP):
    def __init__(self, opened: socket.socket, host: str) -> None:
        self._opened = opened
        self.banner = ""
        ours = f"[{opened.getsockname()[0]}]"  # an address literal: no lookup of our own name
        super().__init__(host, local_hostname=ours)

    def connect(
        self, host: str = "", port: int = 0, source_address: Any = None
    ) -> tuple[int, bytes]:
        """Connect and keep the banner, which the library throws away."""
        code, said = super().connect(host, port, source_address)
        self.banner = f"{code} {_text(said)}"
        return code, said

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        del host, port, timeout
        return self._opened


_Door = _Imap | _Pop | _Smtp
_CLASSES: dict[MailProtocol, Callable[[socket.socket, str], _Door]] = {
    MailProtocol.IMAP: _Imap,
    MailProtocol.POP: _Pop,
    MailProtocol.SMTP: _Smtp,
}


@dataclass(slots=True)
class MailDoors:
    """Greets doors of mail; one serves any number of checks."""

    dialler: Dialler
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(THREADS, thread_name_prefix="mail")
    )
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(THREADS))

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def greet(
        self,
        protocol: MailProtocol,
        host: str,
        port: int,
        *,
        security: Security,
        tls: ssl.SSLContext,
        limits: Limits,
        trace: Trace,
    ) -> Greeting:
        """Connect, read the banner, secure, ask what is offered, and take leave.

        Raises:
            DialFailed: a phase did not succeed.
            DoorShut: the door said no; the text is its own.
        """
        async with self._free:
            opened = await self.dialler.connect(host, port, limits=limits, trace=trace)
            with contextlib.closing(_Line(opened, self._threads)) as line:
                if security is Security.TLS:
                    async with timed(trace, "tls", limits.tls):
                        await line.secure(tls, host, limits.tls)
                async with timed(trace, "first_byte", limits.first_byte):
                    door = await line.do(
                        "first_byte", limits.first_byte, _CLASSES[protocol], line.sock, host
                    )
                if security is Security.STARTTLS:
                    async with timed(trace, "tls", limits.tls):
                        await line.do("tls", limits.tls, _start_tls, door, tls)
                trace.phase = "body"
                async with asyncio.timeout(limits.first_byte):
                    return await line.do("body", limits.first_byte, _leave, door)

    async def look_in(
        self,
        host: str,
        port: int,
        *,
        user: str,
        bearer: str,
        tls: ssl.SSLContext,
        limits: Limits,
        trace: Trace,
    ) -> None:
        """Sign in over IMAP with a bearer token (SASL XOAUTH2), look at the inbox, take leave.

        Raises:
            DialFailed: a phase did not succeed.
            DoorShut: the door said no before anybody signed in.
            MailboxRefused: it did not let this user in, or has no inbox for them now.
        """
        async with self._free:
            opened = await self.dialler.connect(host, port, limits=limits, trace=trace)
            with contextlib.closing(_Line(opened, self._threads)) as line:
                async with timed(trace, "tls", limits.tls):
                    await line.secure(tls, host, limits.tls)
                async with timed(trace, "first_byte", limits.first_byte):
                    door = await line.do("first_byte", limits.first_byte, _Imap, line.sock, host)
                trace.phase = "body"
                async with asyncio.timeout(limits.first_byte):
                    await line.do("body", limits.first_byte, _look_in, door, user, bearer)


class _Line:
    """One connection and the thread steps on it; ``close`` ends whatever step still runs."""

    def __init__(self, opened: socket.socket, threads: ThreadPoolExecutor) -> None:
        self.sock = opened
        self._handle = opened.dup()  # survives the wrapping by TLS, so that we can always hang up
        self._threads = threads

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._handle.shutdown(socket.SHUT_RDWR)
        self._handle.close()
        self.sock.close()

    async def secure(self, tls: ssl.SSLContext, host: str, seconds: float) -> None:
        def wrap() -> ssl.SSLSocket:
            return tls.wrap_socket(self.sock, server_hostname=host)

        self.sock = await self.do("tls", seconds, wrap)

    async def do(self, phase: str, seconds: float, work: Callable[..., T], *facts: Any) -> T:
        """Run a step in a thread; each wait for the other side is bounded as well."""
        if self.sock.fileno() >= 0:
            self.sock.settimeout(seconds)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, work, *facts)
        except smtplib.SMTPResponseException as error:
            raise DoorShut(f"{error.smtp_code} {_text(error.smtp_error)}") from error
        except smtplib.SMTPServerDisconnected as error:
            raise DialFailed(Fault.CONNECTION, phase, "closed without an answer") from error
        except smtplib.SMTPNotSupportedError as error:
            raise DialFailed(Fault.PROTOCOL, phase, "it offers no STARTTLS") from error
        except imaplib.IMAP4.abort as error:
            raise DialFailed(Fault.CONNECTION, phase, str(error)) from error
        except (imaplib.IMAP4.error, poplib.error_proto) as error:
            raise DoorShut(_text(error.args[0] if error.args else error)) from error
        except TimeoutError as error:
            raise DialFailed(Fault.TIMEOUT, phase, f"nothing within {seconds:.3g} s") from error
        except OSError as error:
            raise failed(error, phase) from error


def _start_tls(door: _Door, tls: ssl.SSLContext) -> None:
    if isinstance(door, _Imap):
        door.starttls(tls)
    elif isinstance(door, _Pop):
        door.stls(tls)
    else:
        door.starttls(context=tls)


def _look_in(door: _Imap, user: str, bearer: str) -> None:
    """Sign in, and open the inbox for reading only, so that nothing is marked as seen."""
    proof = [f"user={user}\x01auth=Bearer {bearer}\x01\x01".encode()]
    try:
        # A second challenge is the reason of a refusal, which wants an empty answer.
        door.authenticate("XOAUTH2", lambda _: proof.pop() if proof else b"")
        answer, said = door.select("INBOX", readonly=True)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        raise MailboxRefused(_text(error.args[0] if error.args else error)) from error
    if answer != "OK":
        raise MailboxRefused(_text(said[0] if said else answer))
    with contextlib.suppress(OSError, EOFError, imaplib.IMAP4.error):
        door.logout()


def _leave(door: _Door) -> Greeting:
    """Ask what is offered, say goodbye, and tell what was said; a lost goodbye is no failure."""
    if isinstance(door, _Imap):
        banner, offers = _text(door.welcome), tuple(door.capabilities)
        bye: Callable[[], object] = door.logout
    elif isinstance(door, _Pop):
        banner, offers = _text(door.getwelcome()), tuple(door.capa())
        bye = door.quit
    else:
        door.ehlo_or_helo_if_needed()
        banner, offers = door.banner, tuple(door.esmtp_features)
        bye = door.quit
    issuer = None
    if isinstance(door.sock, ssl.SSLSocket):
        issuer = issuer_of(door.sock.getpeercert())
    with contextlib.suppress(OSError, EOFError, imaplib.IMAP4.error, poplib.error_proto):
        bye()
    return Greeting(
        banner=banner, offers=tuple(sorted(word.upper() for word in offers)), issuer=issuer
    )


def _text(said: object) -> str:
    """What was said, as one line of text."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return " ".join(text.split())
