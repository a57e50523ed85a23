"""Trouble on command, the same for every HTTP stand-in of a channel."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.standins import server
from tests.standins.servicenow.serve import Broken, Protocol, _Breaking

Answer = Callable[[Request, bytes], Awaitable[Response]]


class Trouble(StrEnum):
    """What goes wrong with one request."""

    THROTTLED = "throttled"  # refused, with Retry-After
    ERROR = "error"  # 500 as a page, nothing done
    COMMITTED = "committed"  # done, and then 500 as a page
    CUT = "cut"  # done, and the connection is reset before the answer
    HANGS = "hangs"  # not answered for a second, then reset; nothing done
    ELSEWHERE = "elsewhere"  # a redirect to another host


@dataclass(frozen=True, slots=True, kw_only=True)
class Request_:  # noqa: N801 - beside Starlette's own
    """One request that came, and what it was answered."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    status: int


@dataclass(slots=True, kw_only=True)
class Door:
    """An HTTP stand-in: the next troubles, the log of requests, what it throttles with."""

    troubles: list[Trouble] = field(default_factory=list)
    log: list[Request_] = field(default_factory=list)
    retry_after: str = "7"

    def routes(self) -> list[tuple[str, Answer]]:
        """Paths and what answers them."""
        raise NotImplementedError

    def throttled(self) -> Response:
        """The vendor's own refusal of too many requests."""
        return Response(status_code=429, headers={"retry-after": self.retry_after})

    def broken(self) -> Response:
        """The vendor's own page of an outage."""
        return HTMLResponse("<title>Server Error</title>", 500)

    async def answer(self, request: Request, made: Answer) -> Response:
        """Answer one request, as the next trouble has it."""
        raw = await request.body()
        trouble = self.troubles.pop(0) if self.troubles else None
        match trouble:
            case Trouble.THROTTLED:
                return self._note(request, raw, self.throttled())
            case Trouble.ERROR:
                return self._note(request, raw, self.broken())
            case Trouble.ELSEWHERE:
                headers = {"location": "http://login.invalid/"}
                return self._note(request, raw, Response(status_code=302, headers=headers))
            case Trouble.HANGS:
                await asyncio.sleep(1)
                self._break(request)
            case _:
                pass
        answer = self._note(request, raw, await made(request, raw))
        if trouble is Trouble.COMMITTED:
            return self.broken()
        if trouble is Trouble.CUT:
            self._break(request)
        return answer

    def _break(self, request: Request) -> None:
        request.scope["state"]["broken"] = True
        raise Broken

    def _note(self, request: Request, raw: bytes, answer: Response) -> Response:
        self.log.append(
            Request_(
                method=request.method, path=request.url.path, query=dict(request.query_params),
                headers=dict(request.headers), body=json_of(raw), status=answer.status_code,
            )
        )  # fmt: skip
        return answer


def json_of(raw: bytes) -> Any:
    """The JSON of a body, None where it is none."""
    try:
        return json.loads(raw)
    except ValueError:
        return None


@asynccontextmanager
async def serving(door: Door) -> AsyncIterator[str]:
    """Serve on a free port until the end of the block; gives the root of the address."""

    def route(path: str, made: Answer) -> Route:
        async def end(request: Request) -> Response:
            return await door.answer(request, made)

        return Route(path, end, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])

    app = Starlette(routes=[route(path, made) for path, made in door.routes()])
    async with server.serving(_Breaking(app), None, http=Protocol) as root:
        yield root
