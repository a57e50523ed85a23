"""The short cut: a request to a hot operation meets its route without the framework's routing.

Finding one of sixty nested routes, and the layers that the framework puts between a route and its
middleware, cost as much as reading a hundred reports. What serves the request is the same either
way: what ``IntakeOperation`` made of the route. Other methods on its path, and every other path,
go on to the framework.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import AppError

Doors: TypeAlias = dict[tuple[str, str], tuple[BaseRoute, "Serve"]]  # by method and path
Serve: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


class Shortcut:
    """Serves hot operations at once; ``find`` names them, at the first request."""

    def __init__(self, app: ASGIApp, *, find: Callable[[], Doors]) -> None:
        self._app = app
        self._find = find
        self._doors: Doors | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; what it raises is answered further out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._doors is None:
            self._doors = self._find()
        door = self._doors.get((scope["method"], scope["path"]))
        if door is None:
            await self._app(scope, receive, send)
            return
        scope["route"], serve = door
        if scope.get("fastapi.telemetry") is not None:
            name_span(scope["method"], scope["path"])
        try:
            response = await serve(_Whole(scope, receive))
        except HTTPException as error:
            if isinstance(error.__cause__, AppError):  # how a body over its limit is refused
                raise error.__cause__ from error
            raise
        await response(scope, receive, send)


def name_span(method: str, path: str) -> None:
    """Tell the trace of the request which operation it is, as the framework's routing does."""
    from opentelemetry import trace  # noqa: PLC0415 - only where there are traces

    span = trace.get_current_span()
    span.update_name(f"{method} {path}")
    span.set_attribute("http.route", path)


class _Whole(Request):
    """A request whose body comes in one message, as nearly all do."""

    async def body(self) -> bytes:
        """The body; the framework's way over an asynchronous stream costs ten times as much."""
        known: bytes | None = getattr(self, "_body", None)
        if known is None:
            message = await self.receive()
            if message["type"] != "http.request" or message.get("more_body", False):
                return await self._rest(message)
            self._body = known = message.get("body", b"")
        return known

    async def _rest(self, first: Any) -> bytes:
        """The body of several messages, or the framework's error for a caller who left."""
        waiting = [first]
        receive = self._receive

        async def again() -> Any:
            return waiting.pop() if waiting else await receive()

        self._receive = again
        return await super().body()
