"""What happens to every request before any route: id, headers, limits, inflation, metrics."""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.context import Limits
from app.api.inflate import inflate
from app.api.problems import answer, status_of, unexpected
from app.core.errors import AppError, PayloadTooLarge, UnsupportedMediaType
from app.kit.ids import new_id
from app.kit.metrics import OTHER, Registry

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")  # what a proxy may hand us
INTAKE = ("/v1/client-reports", "/v1/probe-results", "/v1/intake/", "/v1/otlp/")
ENCODINGS = frozenset({"gzip", "x-gzip", "zstd"})
PLAIN = frozenset({"", "identity"})
OWN_THREAD_BYTES = 64 * 1024  # a larger body is inflated outside the event loop
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
HARDENING: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
NOTHING_LOADED = "default-src 'none'; frame-ancestors 'none'"  # the policy of what is no page
HSTS = "max-age=31536000"


Raw = list[tuple[bytes, bytes]]  # headers as the server gives them: names in lower case


class Templates(Protocol):
    """The path templates of all routes."""

    def __call__(self, scope: Scope) -> str:
        """The template of the route that served a request."""

    def __contains__(self, template: object) -> bool:
        """Whether it is a template of ours."""


class Edge:
    """The outermost layer: names each request, counts it, and answers what nobody answered."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        public_url: str,
        metrics: Registry,
        templates: Templates,
        stopping: asyncio.Event,
    ) -> None:
        self._app = app
        self._stopping = stopping
        self._public_url = public_url
        self._template = templates
        beside = {**HARDENING, "cache-control": "no-store"}
        if public_url.startswith("https://"):
            beside["strict-transport-security"] = HSTS
        self._beside_pages = _raw(beside)
        self._beside_rest = _raw({**beside, "content-security-policy": NOTHING_LOADED})
        self._names = frozenset(name for name, _ in self._beside_rest)
        self._requests = metrics.counter(
            "sextant_http_requests", "Requests answered, by route and status class.",
            {"method": METHODS, "route": templates, "status": STATUS_CLASSES},
        )  # fmt: skip
        self._seconds = metrics.histogram(
            "sextant_http_request_seconds", "Time to the end of the answer, streams left out.",
            {"route": templates},
        )  # fmt: skip
        self._open = 0
        metrics.gauge("sextant_http_requests_open", "Requests being answered now.").follow(
            lambda: self._open
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(scope["headers"]) or new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        seen = _Seen()
        begun = time.monotonic()
        self._open += 1
        try:
            dressed = self._dressed(send, scope["state"], seen)
            await self._answer(scope, self._ending(receive), dressed, seen)
        finally:
            self._open -= 1
            self._count(scope, seen, time.monotonic() - begun)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, seen: "_Seen") -> None:
        request_id = scope["state"]["request_id"]
        try:
            await self._app(scope, receive, send)
        except AppError as error:
            if seen.status is not None:
                raise
            log.info("refused", extra={"request_id": request_id, "status": status_of(error)})
            refusal = answer(error, public_url=self._public_url, instance=request_id)
            await refusal(scope, receive, send)
        except ClientDisconnect:  # it left before its whole request had come: nobody to answer
            log.info("client_left", extra={"request_id": request_id})
        except Exception:
            route = self._template(scope)
            log.exception("request_failed", extra={"request_id": request_id, "route": route})
            if seen.status is not None:
                raise  # half an answer is out: only a broken connection tells the client so
            await unexpected(public_url=self._public_url, instance=request_id)(scope, receive, send)

    def _ending(self, receive: Receive) -> Receive:
        whole = False

        async def ending() -> Message:
            nonlocal whole
            # A stream asks now and then whether its reader left: when we stop, we let it go.
            if whole and self._stopping.is_set():
                return {"type": "http.disconnect"}
            message = await receive()
            whole = not message.get("more_body", False)
            return message

        return ending

    def _dressed(self, send: Send, state: dict[str, Any], seen: "_Seen") -> Send:
        request_id: str = state["request_id"]

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = dict(message["headers"])
                media = given.get(b"content-type", b"")
                seen.status = message["status"]
                seen.stream = media.startswith(b"text/event-stream")
                ours = self._beside_pages if b"html" in media else self._beside_rest
                if not self._names.isdisjoint(given):
                    ours = [pair for pair in ours if pair[0] not in given]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    *state.get("rate", ()),
                    *ours,
                ]
            await send(message)

        return dressed

    def _count(self, scope: Scope, seen: "_Seen", seconds: float) -> None:
        route = self._template(scope)
        status = OTHER if seen.status is None else f"{seen.status // 100}xx"
        self._requests.add(1, method=scope["method"], route=route, status=status)
        if not seen.stream:
            self._seconds.observe(seconds, route=route)


class _Seen:
    """What went out of one request."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.stream = False


class Bodies:
    """Holds request bodies to their limits, and inflates compressed ones."""

    def __init__(self, app: ASGIApp, *, public_url: str, limits: Limits) -> None:
        self._app = app
        self._public_url = public_url
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a body that is too long by its own word is not read at all."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        intake = scope["path"].startswith(INTAKE)
        limit = self._limits.intake_body_bytes if intake else self._limits.body_bytes
        try:
            encoding = _check(scope["headers"], limit)
        except AppError as error:
            refusal = self._refusal(scope, error)
            refusal.headers["connection"] = "close"  # the body is still on its way
            await refusal(scope, receive, send)
            return
        body = _Body(receive, limit=limit, encoding=encoding)
        if encoding is not None:
            scope = {**scope, "headers": _inflated(scope["headers"])}
        await self._app(scope, body.receive, send)

    def _refusal(self, scope: Scope, error: AppError) -> Response:
        instance = scope.get("state", {}).get("request_id")
        return answer(error, public_url=self._public_url, instance=instance)


class _Body:
    """One request body as the application receives it."""

    def __init__(self, receive: Receive, *, limit: int, encoding: str | None) -> None:
        self._receive = receive
        self._limit = limit
        self._encoding = encoding
        self._size = 0

    async def receive(self) -> Message:
        """The next message; refusals come as HTTPException, which the framework lets through."""
        try:
            if self._encoding is None:
                return await self._next()
            return await self._whole(self._encoding)
        except AppError as error:
            raise HTTPException(status_of(error)) from error

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            if self._limit and self._size > self._limit:
                raise PayloadTooLarge(limit_bytes=self._limit)
        return message

    async def _whole(self, encoding: str) -> Message:
        parts = []
        more = True
        while more:
            message = await self._next()
            if message["type"] != "http.request":
                return message
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        self._encoding = None  # what follows is only a disconnect
        wire = b"".join(parts)
        if len(wire) > OWN_THREAD_BYTES:
            body = await asyncio.to_thread(inflate, wire, encoding, limit=self._limit)
        else:
            body = inflate(wire, encoding, limit=self._limit)
        return {"type": "http.request", "body": body, "more_body": False}


def _raw(headers: Mapping[str, str]) -> Raw:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _given_id(headers: Raw) -> str | None:
    """What a proxy named the request; None when it did not, or not as we take it."""
    for name, value in headers:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if REQUEST_ID.fullmatch(text) else None
    return None


def _check(headers: Raw, limit: int) -> str | None:
    """Hold the stated length to the limit; the encoding of the body, None for a plain one."""
    length, encodings = b"", []
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name == b"content-encoding":
            encodings.append(value)
    encoding = b",".join(encodings).strip().lower().decode("latin-1") if encodings else ""
    if encoding not in PLAIN and encoding not in ENCODINGS:
        raise UnsupportedMediaType("Send bodies plain, or with gzip or zstd.")
    if limit and length.isdigit() and int(length) > limit:
        raise PayloadTooLarge(limit_bytes=limit)
    return None if encoding in PLAIN else encoding


def _inflated(headers: Raw) -> Raw:
    gone = {b"content-encoding", b"content-length"}
    return [(name, value) for name, value in headers if name.lower() not in gone]
