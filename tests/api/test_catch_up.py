"""The loop of ``docs/receivers`` that catches up by the feed, against the served application."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvicorn
from fastapi import FastAPI

from tests.api.conftest import Context
from tests.api.test_events import emit

SAMPLE = Path(__file__).parents[2] / "docs" / "receivers" / "catch_up.py"


@contextmanager
def served(api: FastAPI) -> Iterator[str]:
    """The application on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(api, port=0, lifespan="off", log_level="error"))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


async def test_the_loop_that_catches_up_misses_nothing(
    api: FastAPI, world: Context, admin: dict[str, str], tmp_path: Path
) -> None:
    place = tmp_path / "cursor.txt"
    environment = {**os.environ, "SEXTANT_KEY": admin["authorization"].removeprefix("Bearer ")}

    def caught_up(base: str) -> list[int]:
        done = subprocess.run(
            [sys.executable, str(SAMPLE), base, str(place)],
            capture_output=True, check=True, text=True, env=environment, timeout=60,
        )  # fmt: skip
        return [json.loads(line)["sequence"] for line in done.stdout.splitlines()]

    emit(world, *range(1, 701))
    with served(api) as base:
        assert await asyncio.to_thread(caught_up, base) == list(range(1, 701))
        assert await asyncio.to_thread(caught_up, base) == []
        emit(world, *range(701, 1300))  # while the receiver was down
        assert await asyncio.to_thread(caught_up, base) == list(range(701, 1300))
