"""Watching a demo through the public doors: the feed, the incidents, the receiver's own record."""

from collections.abc import Iterator
from typing import Any

import httpx

from app.demo.expect import Document, Record
from app.demo.stage import DemoFailed, Stage

PAGE = 500  # the most that a list gives at once
RECEIVER_TYPES = ["*"]


class Watch:
    """Reads on where it stopped, and keeps a record of everything that was said."""

    def __init__(
        self, stage: Stage, *, api: httpx.AsyncClient, standins: httpx.AsyncClient
    ) -> None:
        self.record = Record()
        self._stage = stage
        self._api = api
        self._standins = standins
        self._after: str | None = None
        self._received = 0

    async def begin(self) -> None:
        """Subscribe the receiver and let the users report."""
        body = {"url": self._stage.receiver, "event_types": RECEIVER_TYPES, "format": "native"}
        made = await self._ask(self._api.post("/v1/subscriptions", json=body))
        await self._ask(
            self._standins.post(f"{self._stage.control}/secret", json={"secret": made["secret"]})
        )
        reporters = {"base_url": self._stage.url, "api_key": self._stage.key}
        await self._ask(self._standins.post(f"{self._stage.control}/reporters", json=reporters))

    async def events(self) -> list[Document]:
        """Read the events that came since the last time."""
        found: list[Document] = []
        while True:
            query: dict[str, Any] = {"limit": PAGE}
            if self._after is not None:
                query["after"] = self._after
            page = await self._ask(self._api.get("/v1/events", params=query))
            self._after = page["next"] or self._after
            found += page["items"]
            if len(page["items"]) < PAGE:
                break
        self.record.events += found
        for event in found:
            incident = (event.get("data") or {}).get("incident")
            if incident:
                self.record.incidents[incident["id"]] = incident
        return found

    async def deliveries(self) -> list[Document]:
        """Read the attempts that the receiver saw since the last time."""
        url = f"{self._stage.control}/received"
        page = await self._ask(self._standins.get(url, params={"after": self._received}))
        self._received = page["next"]
        found: list[Document] = page["items"]
        self.record.received += found
        return found

    async def advisory(self, advisory: str) -> Document:
        """Read one advisory with its posts."""
        return await self._ask(self._api.get(f"/v1/advisories/{advisory}"))

    async def finish(self) -> None:
        """Read the last state of all incidents, and the reporters' own count."""
        async for incident in self._incidents():
            self.record.incidents[incident["id"]] = incident
        url = f"{self._stage.control}/reporters"
        self.record.reported = await self._ask(self._standins.get(url))

    async def _incidents(self) -> Any:
        cursor: str | None = None
        while True:
            query: dict[str, Any] = {"limit": PAGE}
            if cursor is not None:
                query["cursor"] = cursor
            page = await self._ask(self._api.get("/v1/incidents", params=query))
            for incident in page["items"]:
                yield incident
            cursor = page["next"]
            if cursor is None:
                return

    async def _ask(self, asking: Any) -> Document:
        """Await an answer and take its body.

        Raises:
            DemoFailed: no answer came, or one that is not a success.
        """
        try:
            answer: httpx.Response = await asking
        except httpx.TransportError as error:
            self._stage.check_alive()
            raise DemoFailed(f"No answer from {error.request.url}: {error!r}") from error
        if not answer.is_success:
            raise DemoFailed(
                f"{answer.request.method} {answer.request.url.path} was answered "
                f"{answer.status_code}: {answer.text[:300]}"
            )
        body: Document = answer.json()
        return body


def said(advisory: Document) -> Iterator[str]:
    """Give what the newest post says of the present state, without its other labels."""
    posts = advisory.get("posts") or []
    if not posts:
        return
    text = str(posts[-1]["text"])
    for label in ("Current status:", "Final status:"):
        _, found, rest = text.partition(label)
        if found:
            text = rest
            break
    first = text.strip().splitlines()
    if first:
        yield first[0].strip()
