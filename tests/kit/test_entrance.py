"""The entrance answers for an application that is still being made."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.kit.entrance import Entrance, Opened

BUSY = b'{"status":503}'


class House:
    """An application whose making waits until it may go on."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_go_on = threading.Event()
        self.error = error
        self.said: list[str] = []

    def make(self) -> Opened:
        assert self.may_go_on.wait(20)
        if self.error is not None:
            raise self.error

        @contextlib.asynccontextmanager
        async def life(_: Starlette) -> AsyncIterator[None]:
            self.said.append("in")
            yield
            self.said.append("out")

        async def echo(request: Request) -> Response:
            return PlainTextResponse(await request.body())

        return Starlette(routes=[Route("/echo", echo, methods=["POST"])], lifespan=life)


@contextlib.asynccontextmanager
async def living(entrance: Entrance) -> AsyncIterator[httpx.AsyncClient]:
    """Start it as a server does, and leave it in order."""
    to, sent = asyncio.Queue[dict[str, str]](), asyncio.Queue[str]()

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        await sent.put(message["type"])

    task = asyncio.create_task(entrance({"type": "lifespan"}, to.get, send))  # type: ignore[arg-type]
    await to.put({"type": "lifespan.startup"})
    assert await sent.get() == "lifespan.startup.complete"
    transport = httpx.ASGITransport(entrance)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://house") as http:
        yield http
    await to.put({"type": "lifespan.shutdown"})
    assert await sent.get() == "lifespan.shutdown.complete"
    await task


def entrance(house: House, *, patience: float = 20.0, **told: Callable[[], None]) -> Entrance:
    return Entrance(house.make, busy=BUSY, patience_seconds=patience, **told)


async def test_it_lives_at_once_and_holds_requests_until_somebody_can_answer() -> None:
    house, opened = House(), asyncio.Event()
    async with living(entrance(house, opened=opened.set)) as http:
        assert (await http.get("/livez")).json() == {"status": "ok"}
        waiting = asyncio.create_task(http.post("/echo", content=b"held"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        house.may_go_on.set()
        assert (await waiting).text == "held"
        assert opened.is_set()
        assert (await http.get("/livez")).status_code == 404  # the application's own from now on
        assert house.said == ["in"]
    assert house.said == ["in", "out"]


async def test_who_waits_too_long_is_asked_to_come_again() -> None:
    house = House()
    async with living(entrance(house, patience=0.01)) as http:
        answer = await http.get("/readyz")
        house.may_go_on.set()
    assert (answer.status_code, answer.content) == (503, BUSY)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"


async def test_an_application_that_cannot_be_made_is_told_to_whoever_runs_the_server() -> None:
    house, failed = House(ValueError("no tables")), asyncio.Event()
    door = entrance(house, failed=failed.set)
    async with living(door) as http:
        waiting = asyncio.create_task(http.get("/v1/incidents"))
        await asyncio.sleep(0)
        house.may_go_on.set()
        assert (await waiting).status_code == 503
        await asyncio.wait_for(failed.wait(), 20)
    assert isinstance(door.failure, ValueError)


async def test_told_to_leave_while_it_is_made_it_still_ends_in_order() -> None:
    house = House()
    async with living(entrance(house)):
        threading.Timer(0.05, house.may_go_on.set).start()
    assert house.said == ["in", "out"]


@pytest.mark.parametrize("path", ["/", "/v1/events"])
async def test_nothing_but_livez_is_answered_before(path: str) -> None:
    house = House()
    async with living(entrance(house, patience=0.01)) as http:
        assert (await http.get(path)).status_code == 503
        house.may_go_on.set()
