"""From a report, or a person's note, to the webhook at a receiver.

Method. The real server with all its loops and its file database; this process is both the one that
posts and the receiver, so one clock times from before the request is sent until the webhook's last
byte is here. *Notes*: one at a time on one incident, the next when the webhook of the last one has
come; each is one durable command, one fold step, one event, one signed delivery. *Reports*: a burst
of 100 reports in one request opens an incident of a tenant that was calm; one tenant for each
measurement, with random pauses between, so that no rhythm of the loops is favoured.
"""

import asyncio
import json
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.intake import requests
from bench.rig import TENANT, create_key, running, spread, start_sextant, write_settings
from bench.wire import Line, Receiver, request

BURST = 100
PATIENCE_SECONDS = 60.0


class Post:
    """Waits for the webhooks that were announced."""

    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.Future[float]] = {}

    def took(self, at: float, event: dict[str, Any]) -> None:
        """Take one webhook."""
        kind = event["type"]
        if kind == "incident.noted":
            self._settle(event["data"]["note"]["text"], at)
        elif kind == "incident.opened":
            self._settle(event["tenant"], at)

    def _settle(self, name: str, at: float) -> None:
        future = self.waiting.pop(name, None)
        if future is not None:
            future.set_result(at)

    async def until(self, name: str, line: Line, sent: bytes) -> tuple[float, float]:
        """Send and wait; milliseconds to the answer and to the webhook."""
        future = self.waiting[name] = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        await line.send(sent)
        answered = time.perf_counter()
        arrived = await asyncio.wait_for(future, PATIENCE_SECONDS)
        return (answered - begun) * 1000, (arrived - begun) * 1000


async def subscribe(line: Line, key: str, url: str, tenant: str | None, types: list[str]) -> str:
    """Make a subscription and wait until it is active; its id."""
    body = {"url": url, "event_types": types}
    made = json.loads(
        await line.send(request("POST", "/v1/subscriptions", key=key, tenant=tenant, body=body))
    )
    look = request("GET", f"/v1/subscriptions/{made['id']}", key=key, tenant=tenant)
    give_up = time.perf_counter() + PATIENCE_SECONDS
    while json.loads(await line.send(look))["state"] != "active":
        if time.perf_counter() > give_up:
            raise RuntimeError("a subscription did not become active")
        await asyncio.sleep(0.02)
    return str(made["id"])


@asynccontextmanager
async def receiving(port: int) -> AsyncIterator[tuple[Post, Line, str]]:
    """Have a receiver and a connection to the server."""
    post, line = Post(), Line(port)
    receiver = Receiver(post.took)
    try:
        yield post, line, await receiver.listen()
    finally:
        line.close()
        receiver.close()


async def _notes(port: int, key: str, count: int) -> dict[str, Any]:
    async with receiving(port) as (post, line, url):
        await subscribe(line, key, url, None, ["incident.*"])
        body = {"title": "Bench", "services": ["viva"], "severity": "minor"}
        opened = json.loads(await line.send(request("POST", "/v1/incidents", key=key, body=body)))
        path = f"/v1/incidents/{opened['id']}/notes"
        pairs = []
        for number in range(count):
            text = f"note {number}"
            sent = request("POST", path, key=key, body={"text": text})
            pairs.append(await post.until(text, line, sent))
        pairs = pairs[count // 10 :]  # the first ones warm up
        return {
            "answer": spread([answer for answer, _ in pairs]),
            "webhook": spread([webhook for _, webhook in pairs]),
        }


async def _bursts(port: int, key: str, tenants: list[str]) -> dict[str, Any]:
    async with receiving(port) as (post, line, url):
        for tenant in tenants:
            await subscribe(line, key, url, tenant, ["incident.opened"])
        pairs = []
        for tenant in tenants:
            await asyncio.sleep(0.3 + random.random() / 2)
            (sent,) = requests(key, BURST, 1, ids=True, texts=200)
            named = f"\r\nSextant-Tenant: {tenant}\r\nHost: ".encode()
            sent = sent.replace(b"\r\nHost: ", named, 1)
            pairs.append(await post.until(tenant, line, sent))
        return {
            "answer": spread([answer for answer, _ in pairs]),
            "webhook": spread([webhook for _, webhook in pairs]),
        }


def measure(*, notes: int, bursts: int) -> dict[str, Any]:
    """Measure notes, a backlog and bursts; milliseconds and deliveries per second."""
    with tempfile.TemporaryDirectory() as folder:
        settings = write_settings(Path(folder))
        with running(start_sextant(settings)) as server:
            key = create_key(settings)
            result = asyncio.run(_notes(server.port, key, notes))
    tenants = [f"{TENANT}-{number:02d}" for number in range(bursts)]
    with tempfile.TemporaryDirectory() as folder:
        settings = write_settings(Path(folder), tenants)
        with running(start_sextant(settings)) as server:
            key = create_key(settings, "*")
            result["burst"] = asyncio.run(_bursts(server.port, key, tenants))
    return result
