"""Readers of the feed who never give up: one page by page, one by the stream, each from the start.

Their cursor moves only past what they have whole, so each must get every event once and in order,
whatever happens to Sextant meanwhile.
"""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx

from tests.chaos.clients import BACKOFF_SECONDS, TIMEOUT_SECONDS, Stage
from tests.chaos.facts import content_of
from tests.chaos.history import Told

PAUSE_SECONDS = 0.1  # between pages when there was nothing new
PAGE = 50  # events, so that most pages are not the last


class Follower:
    """Reads the feed of one tenant; ``by_stream`` follows it, and otherwise it asks again."""

    def __init__(self, stage: Stage, tenant: str, *, by_stream: bool) -> None:
        self.stage = stage
        self.tenant = tenant
        self.by_stream = by_stream
        self.name = "the stream" if by_stream else "the pages"
        self.cursor = ""
        self.turn = 0

    async def run(self) -> None:
        """Read until told to stop."""
        while not self.stage.stopping:
            await self.stage.listening.wait()
            async with self._client() as http:
                try:
                    if self.by_stream:
                        await self._follow(http)
                    elif not await self._page(http):
                        await asyncio.sleep(PAUSE_SECONDS)
                except (httpx.TransportError, httpx.HTTPStatusError):
                    self.turn += 1  # another replica may live
                    await asyncio.sleep(BACKOFF_SECONDS)

    async def end(self) -> None:
        """Read what is left, once all has calmed down."""
        async with self._client() as http:
            while await self._page(http):
                pass

    def _client(self) -> httpx.AsyncClient:
        base = self.stage.base_urls[self.turn % len(self.stage.base_urls)]
        headers = {"authorization": f"Bearer {self.stage.keys[self.tenant]}"}
        return httpx.AsyncClient(
            base_url=base, headers=headers, trust_env=False, timeout=TIMEOUT_SECONDS
        )

    async def _page(self, http: httpx.AsyncClient) -> bool:
        after = f"&after={quote(self.cursor)}" if self.cursor else ""
        answer = await http.get(f"/v1/events?limit={PAGE}{after}")
        page = answer.raise_for_status().json()
        for event in page["items"]:
            self._note(event)
        self.cursor = page["next"]
        return bool(page["items"])

    async def _follow(self, http: httpx.AsyncClient) -> None:
        if not self.cursor:  # a stream without a place begins now: take the first page
            await self._page(http)
        headers = {"last-event-id": self.cursor}
        async with http.stream("GET", "/v1/events/stream", headers=headers) as answer:
            answer.raise_for_status()
            name = data = ""
            async for line in answer.aiter_lines():
                field, _, value = line.partition(": ")
                if field == "id":
                    name = value
                elif field == "data":
                    data = value
                elif not line:
                    self._frame(name, data)
                    name = data = ""
                if self.stage.stopping:
                    return

    def _frame(self, name: str, data: str) -> None:
        if not name:
            return
        event = json.loads(data)
        if "id" in event:  # ``reset`` and ``lagged`` have none
            self._note(event)
        self.cursor = name

    def _note(self, event: dict[str, Any]) -> None:
        self.stage.history.told.append(
            Told(
                reader=self.name, tenant=event["tenant"], sequence=event["sequence"],
                id=event["id"], content=content_of(event["data"]),
            )
        )  # fmt: skip
