"""The 51 cases that a local stand-in must show to be a fair test, over real HTTP."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from starlette.types import Receive, Scope, Send

from app.kit.clock import FixedClock
from tests.standins.server import serving
from tests.standins.servicenow import app_of, cases_reading, cases_writing
from tests.standins.servicenow.scene import NOW, SCENES, Scene, stocked
from tests.standins.servicenow.serve import Protocol

CASES = Path(__file__).parents[2] / "fixtures" / "servicenow" / "conformance.json"
KEPT = (cases_reading, cases_writing)  # they fill the table of scenes


class Stage:
    """One server for all scenes; each brings its own instance."""

    def __init__(self) -> None:
        self.root = ""
        self.clock = FixedClock(NOW)
        self.clear()

    def clear(self) -> None:
        self.clock.at = NOW
        self.instance = stocked(self.clock)
        self.app = app_of(self.instance)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    async with serving(made, None, http=Protocol) as made.root:
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", sorted(SCENES))
async def test_the_standin_behaves_as_an_instance_does(stage: Stage, name: str) -> None:
    stage.clear()
    async with httpx.AsyncClient(base_url=stage.root, trust_env=False, timeout=5) as client:
        await SCENES[name](Scene(stage.instance, stage.clock, client))


def test_every_case_is_shown() -> None:
    assert set(SCENES) == {one["id"] for one in json.loads(CASES.read_text("utf-8"))["cases"]}
