"""Faults of the Graph and Entra stand-in: wrong answers on command, and Graph's throttling."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

WINDOWS = ((timedelta(seconds=60), 240), (timedelta(hours=1), 800))  # documented, per app
HANG_SECONDS = 3600.0  # longer than any client waits

PAGE = """<!DOCTYPE html><html><head><title>Service unavailable</title></head>
<body><h2>Our services aren't available right now</h2><p>We're working to restore all services as
soon as possible. Please check back soon.</p></body></html>"""


class Mode(StrEnum):
    """How one of the two hosts answers."""

    OK = "ok"
    THROTTLED = "429"
    UNAVAILABLE = "503"
    ERROR = "500"
    FORBIDDEN = "403"
    HTML = "html"
    TRUNCATED = "truncated"
    HANG = "hang"


@dataclass(slots=True, kw_only=True)
class Fault:
    """The present mode of one host.

    ``times`` says for how many requests it holds; None is until it is changed. ``retry_after``
    goes into the header as it is, seconds or a date; None leaves the header out.
    """

    mode: Mode = Mode.OK
    retry_after: str | None = None
    times: int | None = None

    def take(self) -> Mode:
        """Give the mode for one request."""
        if self.times is None:
            return self.mode
        if self.times <= 0:
            return Mode.OK
        self.times -= 1
        return self.mode


@dataclass(slots=True, kw_only=True)
class Throttle:
    """Graph's limits per app and tenant: 240 requests in 60 s and 800 in an hour."""

    now: Callable[[], datetime]
    tells_when: bool = True
    seen: dict[str, deque[datetime]] = field(default_factory=dict)

    def refuse(self, caller: str) -> Response | None:
        """Count a request of a caller; an answer when it is one too many."""
        now = self.now()
        seen = self.seen.setdefault(caller, deque())
        while seen and now - seen[0] >= WINDOWS[-1][0]:
            seen.popleft()
        for window, most in WINDOWS:
            inside = [at for at in seen if now - at < window]
            if len(inside) >= most:
                wait = window - (now - inside[0])
                return too_many(str(int(wait.total_seconds()) + 1) if self.tells_when else None)
        seen.append(now)
        return None


def error_body(code: str, message: str, inner: dict[str, Any] | None = None) -> dict[str, Any]:
    """Make the body of a Graph error."""
    return {"error": {"code": code, "message": message, "innerError": inner or {}}}


def too_many(retry_after: str | None) -> Response:
    """Answer 429 as Graph does, with or without saying when to come again."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    body = error_body("TooManyRequests", "Too many requests. Please retry later.")
    return JSONResponse(body, status_code=429, headers=headers)


class Faulty:
    """An ASGI app around another that lets a fault answer instead of it."""

    def __init__(self, inner: ASGIApp, *, graph: Fault, entra: Fault) -> None:
        self._inner = inner
        self._graph = graph
        self._entra = entra

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith("/_standin"):
            await self._inner(scope, receive, send)
            return
        fault = self._graph if scope["path"].startswith("/v1.0/") else self._entra
        mode = fault.take()
        match mode:
            case Mode.OK:
                await self._inner(scope, receive, send)
            case Mode.TRUNCATED:
                await self._inner(scope, receive, _Halved(send).send)
            case Mode.HANG:
                await asyncio.sleep(HANG_SECONDS)
            case _:
                await _answer(mode, fault.retry_after)(scope, receive, send)


class _Halved:
    """Sends the headers of a whole body and half of it, so that the connection breaks off."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass a message on, its body cut in half."""
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            message = {**message, "body": body[: len(body) // 2], "more_body": True}
        await self._send(message)


def _answer(mode: Mode, retry_after: str | None) -> Response:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    match mode:
        case Mode.THROTTLED:
            return too_many(retry_after)
        case Mode.UNAVAILABLE:
            body = error_body("serviceNotAvailable", "The service is temporarily unavailable.")
            return JSONResponse(body, status_code=503, headers=headers)
        case Mode.ERROR:
            body = error_body("UnknownError", "")
            return JSONResponse(body, status_code=500, headers=headers)
        case Mode.FORBIDDEN:  # the retired API and some proxies refuse in plain text
            return PlainTextResponse("Access denied", status_code=403)
        case _:
            return HTMLResponse(PAGE, status_code=200, headers=headers)
