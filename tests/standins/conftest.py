"""The stand-ins, running in the test's own loop at an instant that the test sets."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from app.demo.story import Story
from app.kit.clock import FixedClock
from tests.standins.__main__ import StandIns, build

SECRET = "the right secret"


@pytest.fixture
def clock() -> FixedClock:
    """The story's clock; it stands at 07:00, in the middle of the outage."""
    return FixedClock(datetime(2026, 3, 16, 7, 0, tzinfo=UTC))


@pytest.fixture
async def standins(tmp_path: Path, clock: FixedClock) -> AsyncIterator[StandIns]:
    """All stand-ins, listening on free ports."""
    story = Story.load("exchange-2026-03")
    made = build(story=story, now=clock.now, directory=tmp_path, secret=SECRET)
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(made.run(stop, ready.set))
    await ready.wait()
    yield made
    stop.set()
    await task


@pytest.fixture
async def http(standins: StandIns) -> AsyncIterator[httpx.AsyncClient]:
    """A client that trusts the stand-ins' authority alone."""
    context = standins.certificates.client_context()
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=5) as client:
        yield client
