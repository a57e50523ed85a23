"""A scene to try the stand-in in: an instance that is served, and a client that is signed in."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from app.kit.clock import FixedClock
from tests.standins.servicenow import Application, Instance, User

NOW = datetime(2026, 3, 16, 8, 0, tzinfo=UTC)
INCIDENT = "/api/now/table/incident"
RESOLVE = {"state": "6", "close_code": "Solution provided", "close_notes": "Restored."}
SCENES: dict[str, Callable[["Scene"], Awaitable[None]]] = {}


class Scene:
    """An instance, its clock, and a client of an ordinary integration user."""

    def __init__(self, instance: Instance, clock: FixedClock, client: httpx.AsyncClient) -> None:
        self.instance = instance
        self.clock = clock
        self.client = client

    async def call(
        self, method: str, path: str = INCIDENT, *, auth: Any = ("sextant", "pw"), **more: Any
    ) -> httpx.Response:
        """Send a request."""
        return await self.client.request(method, path, auth=auth, **more)

    async def made(self, **body: Any) -> dict[str, Any]:
        """Create an incident."""
        answer = await self.call("POST", json=body)
        assert answer.status_code == 201
        found: dict[str, Any] = answer.json()["result"]
        return found

    async def patched(self, sys_id: str, **body: Any) -> httpx.Response:
        """Change an incident."""
        return await self.call("PATCH", f"{INCIDENT}/{sys_id}", json=body)

    async def listed(self, query: str, **params: str) -> list[dict[str, Any]]:
        """List incidents."""
        answer = await self.call("GET", params={"sysparm_query": query, **params})
        assert answer.status_code == 200
        found: list[dict[str, Any]] = answer.json()["result"]
        return found

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.at += timedelta(seconds=seconds)


def stocked(clock: FixedClock) -> Instance:
    """A fresh instance with two users, an application and an API key."""
    instance = Instance(now=clock.now)
    instance.add_user(User(name="sextant", password="pw"))
    instance.add_user(
        User(
            name="poor",
            password="pw",
            roles=frozenset({"itil"}),
            reads_journal=False,
            zone="America/New_York",
        )
    )
    instance.applications["client"] = Application(secret="s3cret", user="sextant")
    instance.api_keys["key-1"] = "sextant"
    return instance


def case(name: str) -> Callable[..., Any]:
    """Keep a function as the scene of one conformance case."""

    def keep(scene: Callable[[Scene], Awaitable[None]]) -> Callable[[Scene], Awaitable[None]]:
        SCENES[name] = scene
        return scene

    return keep
