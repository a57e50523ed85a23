"""The reporters stand-in posts each of the story's reports until it is taken."""

import asyncio
import json
import socket
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.demo.story import Story
from app.kit.clock import FixedClock
from tests.standins.__main__ import _config
from tests.standins.reporters import Reporters
from tests.standins.server import Server


async def test_reports_are_repeated_until_they_are_taken() -> None:
    taken: list[str] = []
    answers = iter([503, 429])

    async def take(request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer key"
        refusal = next(answers, None)
        if refusal is not None:
            return Response(status_code=refusal, headers={"retry-after": "0"})
        batch = json.loads(await request.body())
        taken.extend(report["id"] for report in batch)
        return JSONResponse({"accepted": len(batch), "duplicates": 0}, status_code=202)

    story = Story.load("exchange-2026-03")
    clock = FixedClock(datetime(2026, 3, 16, 6, 30, tzinfo=UTC))
    door = Starlette(routes=[Route("/v1/client-reports", take, methods=["POST"])])
    sock = socket.create_server(("127.0.0.1", 0))
    server = Server(_config(door))
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    reporters = Reporters(story=story, now=clock.now)
    reporters.start(f"http://127.0.0.1:{sock.getsockname()[1]}", "key")
    expected = [report["id"] for report in story.reports(story.skip_to, clock.at)]
    async with asyncio.timeout(20):
        while reporters.sent < len(expected):  # noqa: ASYNC110 - it counts, it does not call
            await asyncio.sleep(0.02)
    await reporters.stop()
    server.should_exit = True
    await serving
    assert taken == expected
    assert reporters.accepted == len(expected)
    assert (reporters.retries, reporters.refused) == (2, [])
