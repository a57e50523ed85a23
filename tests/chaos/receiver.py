"""A receiver of webhooks that misbehaves by a seed: refuses, dawdles, or hangs up after reading."""

import asyncio
import contextlib
import json
import random
import runpy
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.kit.clock import Clock, SystemClock
from tests.chaos.facts import content_of, digest_of
from tests.chaos.history import Heard, History

REFUSES, HANGS_UP, DAWDLES = 0.12, 0.08, 0.3  # shares of all attempts
SLOWEST_SECONDS = 0.4
# What receivers copy, and nothing of the application.
SAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "receivers" / "verify.py"))
CALM = (204, 0.0)
KEYS = 3  # secrets of a subscription that a receiver accepts, the newest ones that it was given


@dataclass(slots=True)
class Receiver:
    """An HTTP/1.1 server on loopback; the path of a subscription's address names it."""

    history: History
    chance: random.Random
    clock: Clock = field(default_factory=SystemClock)
    calm: bool = True
    secrets: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    busy: int = 0
    rotated: int = 0
    working: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> int:
        """Listen; gives the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def know(self, path: str, subscription: str, secret: str) -> None:
        """Take note of whose address a path is; the first ping may have overtaken that answer."""
        self.names[path], self.secrets[path] = subscription, [secret]
        self.history.heard[:] = [
            replace(one, subscription=subscription) if one.subscription == path else one
            for one in self.history.heard
        ]

    def learn(self, path: str, secret: str) -> None:
        """Take over a new secret. What is under way was signed with one that is older by two."""
        self.secrets[path] = [*self.secrets[path], secret][-KEYS:]
        self.rotated += 1

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the sender was killed in the middle
        finally:
            self._open.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1].strip("/")
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        life = self.history.life
        self.busy += 1
        self.working.set()
        try:
            status, wait = self._mood()
            if wait:
                await asyncio.sleep(wait)
            self.history.heard.append(replace(self._heard(path, headers, body, status), life=life))
            if status is None:
                return False
            writer.write(f"HTTP/1.1 {status} -\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
        finally:
            self.busy -= 1
            if not self.busy:
                self.working.clear()
        return True

    def _mood(self) -> tuple[int | None, float]:
        if self.calm:
            return CALM
        drawn = self.chance.random()
        if drawn < REFUSES:
            return 503, 0.0
        if drawn < REFUSES + HANGS_UP:
            return None, 0.0
        if drawn < REFUSES + HANGS_UP + DAWDLES:
            return 204, self.chance.uniform(0.05, SLOWEST_SECONDS)
        return CALM

    def _heard(self, path: str, headers: dict[str, str], body: bytes, status: int | None) -> Heard:
        event = json.loads(body)  # of either format; tenant apart, they use the same words
        incident = (event.get("data") or {}).get("incident") or {}
        return Heard(
            subscription=self.names.get(path, path),
            webhook_id=headers.get("webhook-id", ""),
            type=str(event.get("type", "")),
            tenant=event.get("tenant") or event.get("source", "").rpartition("/")[2],
            sequence=int(event.get("sequence") or 0),
            incident=incident.get("id"),
            revision=incident.get("revision"),
            digest=digest_of(body),
            status=status,
            genuine=self._is_genuine(path, headers, body),
            superseded=tuple(headers.get("sextant-superseded", "").replace(",", " ").split()),
            content=content_of(event.get("data")),
            delivery=headers.get("sextant-delivery", ""),
            replay=headers.get("sextant-replay", ""),
        )

    def _is_genuine(self, path: str, headers: dict[str, str], body: bytes) -> bool:
        # The first ping overtakes the answer that holds the secret.
        return path not in self.secrets or any(
            self._fits(secret, headers, body) for secret in self.secrets[path]
        )

    def _fits(self, secret: str, headers: dict[str, str], body: bytes) -> bool:
        try:
            SAMPLE["verify"](secret, headers, body, now=self.clock.now().timestamp())
        except SAMPLE["BadSignature"]:
            return False
        return True
