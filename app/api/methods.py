"""Methods: ``HEAD`` is a ``GET`` without its body, and 405 names every method of the path."""

import re

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.datastructures import MutableHeaders
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOT_ALLOWED = 405
SAFE = {"GET", "HEAD"}


class Methods:
    """Answers ``HEAD`` wherever ``GET`` is served; the framework itself would refuse it."""

    def __init__(self, app: ASGIApp, *, api: FastAPI) -> None:
        self._app = app
        self._api = api
        self._known: list[tuple[re.Pattern[str], set[str]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] != "HEAD":
            await self._app(scope, receive, self._naming(scope, send))
            return
        head = _Head(receive, self._naming(scope, send))
        scope["method"] = "GET"  # in place: whoever counts this request reads its route here
        try:
            await self._app(scope, head.receive, head.send)
        finally:
            scope["method"] = "HEAD"

    def _naming(self, scope: Scope, send: Send) -> Send:
        async def naming(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == NOT_ALLOWED:
                headers = MutableHeaders(scope=message)
                headers["allow"] = ", ".join(self._allowed(scope["path"]))
            await send(message)

        return naming

    def _allowed(self, path: str) -> list[str]:
        if not self._known:
            for found in iter_route_contexts(self._api.routes):
                methods = set(getattr(found.original_route, "methods", None) or ())
                if methods:
                    pattern, _, _ = compile_path(str(getattr(found, "path", "")))
                    self._known.append((pattern, methods | (SAFE if "GET" in methods else set())))
        return sorted(m for pattern, methods in self._known if pattern.match(path) for m in methods)


class _Head:
    """Lets the head of an answer through, and then calls the reader gone: a stream ends so."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._done = False

    async def receive(self) -> Message:
        """The next message of the request."""
        return {"type": "http.disconnect"} if self._done else await self._receive()

    async def send(self, message: Message) -> None:
        """Send the head, then one empty body."""
        if message["type"] == "http.response.start":
            await self._send(message)
        elif not self._done:
            self._done = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
