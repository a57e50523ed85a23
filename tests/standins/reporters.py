"""Reporters stand-in: posts the story's client reports as they happen, in batches, by API key."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from app.demo.story import Story

BATCH = 500  # the door takes arrays of up to 1,000
PAUSE_SECONDS = 0.25  # real time between posts
RETRY_SECONDS = 0.5


@dataclass(slots=True, kw_only=True)
class Reporters:
    """The users' programs: from where in the story they speak on, and what they were answered."""

    story: Story
    now: Callable[[], datetime]
    sent: int = 0
    accepted: int = 0
    duplicates: int = 0
    retries: int = 0
    refused: list[str] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None

    def routes(self) -> list[BaseRoute]:
        """Give the routes by which they are started and asked."""
        return [Route("/_standin/reporters", self._control, methods=["GET", "POST"])]

    def start(self, base_url: str, api_key: str) -> None:
        """Begin to report, from the story's start on; only the first call counts."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(base_url, api_key))

    async def stop(self) -> None:
        """Stop reporting."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, base_url: str, api_key: str) -> None:
        headers = {"authorization": f"Bearer {api_key}"}
        said_until = self.story.skip_to
        async with httpx.AsyncClient(
            base_url=base_url, headers=headers, timeout=10, trust_env=False
        ) as client:
            while said_until < self.story.ends_at:
                until = min(self.now(), self.story.ends_at)
                if until > said_until:
                    due = self.story.reports(said_until, until)
                    for first in range(0, len(due), BATCH):
                        await self._post(client, due[first : first + BATCH])
                    said_until = until
                await asyncio.sleep(PAUSE_SECONDS)

    async def _post(self, client: httpx.AsyncClient, batch: list[dict[str, Any]]) -> None:
        """Post one batch until it is acknowledged; ids make a repetition harmless."""
        while True:
            try:
                answer = await client.post("/v1/client-reports", json=batch)
            except httpx.TransportError:
                self.retries += 1
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if answer.status_code in {429, 503}:
                self.retries += 1
                await asyncio.sleep(_wait(answer))
                continue
            self.sent += len(batch)
            if answer.is_success:
                receipt = answer.json()
                self.accepted += receipt["accepted"]
                self.duplicates += receipt["duplicates"]
                self.refused += [str(item) for item in receipt.get("rejected", [])]
            else:
                self.refused.append(f"{answer.status_code} {answer.text[:500]}")
            return

    async def _control(self, request: Request) -> Response:
        if request.method == "POST":
            wanted = await request.json()
            self.start(wanted["base_url"], wanted["api_key"])
        return JSONResponse(
            {
                "sent": self.sent,
                "accepted": self.accepted,
                "duplicates": self.duplicates,
                "retries": self.retries,
                "refused": self.refused[:20],
            }
        )


def _wait(answer: httpx.Response) -> float:
    given = answer.headers.get("retry-after", "")
    return float(given) if given.isdecimal() else RETRY_SECONDS
