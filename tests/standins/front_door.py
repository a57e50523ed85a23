"""Exchange front door stand-in: HTTPS whose behaviour depends on location, path and story time.

The location is the first path segment (``/berlin/owa/``) or the header ``x-standin-location``. It
speaks HTTP itself over asyncio streams, because hanging and breaking off are below a framework.
"""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from socket import socket
from uuid import uuid4

from app.demo.story import Behaviour, Kind, Story

HEAD_LIMIT = 64 * 1024
HANG_SECONDS = 60.0  # longer than any probe waits
LOGIN = "https://login.microsoftonline.com/common/oauth2/authorize"

# What Exchange Online answers to an empty bearer token (probe catalogue, eas.challenge).
CHALLENGE = (
    'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", '
    'trusted_issuers="00000001-0000-0000-c000-000000000000@*", '
    'token_types="app_asserted_user_v1 service_asserted_app_v1", '
    f'authorization_uri="{LOGIN}"'
)
REFUSED_TOKEN = '2000007;reason="An internal error occurred.";error_category="internal_error"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it came in: method, location, path below it, and headers in lower case."""

    method: str
    location: str
    path: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; the length and the server's own headers are added when it is written."""

    status: int
    body: str = ""
    media_type: str = "text/html"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class FrontDoor:
    """The server and what it counted: requests per (location, check, kind)."""

    story: Story
    now: Callable[[], datetime]
    hang_seconds: float = HANG_SECONDS
    counted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self, sock: socket, context: ssl.SSLContext | None) -> asyncio.Server:
        """Serve on a bound socket; without a context it is plain HTTP."""
        return await asyncio.start_server(self._serve, sock=sock, ssl=context, limit=HEAD_LIMIT)

    def stop(self) -> None:
        """Break off what still hangs."""
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._meet(await _read(reader), reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _meet(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        behaviour = self.story.front_door(asked.location, asked.path, self.now())
        self.counted[(asked.location, behaviour.check, behaviour.kind.value)] += 1
        match behaviour.kind:
            case Kind.RESET:
                writer.transport.abort()
            case Kind.HANG:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.hang_seconds):
                        await reader.read()  # returns when the client gives up
                writer.transport.abort()
            case _:
                writer.write(_encode(answer(asked, behaviour), head=asked.method == "HEAD"))
                await writer.drain()


def answer(asked: Asked, behaviour: Behaviour) -> Answer:
    """Say what is answered to a request, for the behaviours that answer."""
    match behaviour.kind:
        case Kind.UNAVAILABLE:
            return Answer(
                status=503,
                body="<html><body><h2>Service Unavailable</h2><hr><p>HTTP Error 503. "
                "The service is unavailable.</p></body></html>",
                headers={"x-feserver": "STANDIN01CA0001", "x-backendhttpstatus": "503"},
            )
        case Kind.AUTH_LOOP:
            return _endless(asked, behaviour.check)
        case _:
            return _healthy(asked, behaviour.check)


def _endless(asked: Asked, check: str) -> Answer:
    if check == "owa":  # round and round between the mailbox and its own sign-in page
        turn = asked.path.count("n=") and int(asked.path.rpartition("n=")[2] or 0)
        back = f"/{asked.location}/owa/?authRedirect=true&n={turn + 1}"
        return Answer(status=302, headers={"location": back})
    return Answer(  # whatever is presented, the mailbox asks for a password again
        status=401,
        headers={"www-authenticate": 'Basic realm=""', "x-ms-diagnostics": REFUSED_TOKEN},
    )


def _healthy(asked: Asked, check: str) -> Answer:
    match check:
        case "owa":
            target = (
                f"{LOGIN}?client_id=00000002-0000-0ff1-ce00-000000000000&response_mode=form_post"
            )
            return Answer(status=302, headers={"location": target, "x-feserver": "STANDIN01CA0001"})
        case "activesync" if "authorization" not in asked.headers:
            target = "https://outlook-cba.office365.com/Microsoft-Server-ActiveSync"
            return Answer(status=451, headers={"x-ms-location": target})
        case "activesync" | "mapi" | "ews":
            return Answer(status=401, headers={"www-authenticate": CHALLENGE})
        case "control":
            return Answer(status=200, body="ok", media_type="text/plain")
        case _ if asked.path.lower().startswith("/autodiscover/autodiscover.json"):
            body = '{"Protocol":"ActiveSync","Url":"https://outlook.office365.com/'
            body += 'Microsoft-Server-ActiveSync"}'
            return Answer(status=200, body=body, media_type="application/json")
        case _:
            return Answer(status=404, body="<html><body>Not found</body></html>")


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if length:
        await reader.readexactly(length)
    location = headers.get("x-standin-location")
    if location is None:
        location, _, rest = target.lstrip("/").partition("/")
        target = f"/{rest}"
    return Asked(method=method, location=location, path=target, headers=headers)


def _encode(given: Answer, *, head: bool) -> bytes:
    body = given.body.encode()
    lines = [
        f"HTTP/1.1 {given.status} {HTTPStatus(given.status).phrase}",
        f"content-length: {len(body)}",
        f"content-type: {given.media_type}",
        f"request-id: {uuid4()}",
        "connection: close",
        *(f"{name}: {value}" for name, value in given.headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else body)
