"""Both ends of a wire in one process, so that one clock times what happens between them."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from bench.rig import HOST

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def request(
    method: str, path: str, *, key: str, tenant: str | None = None, body: Any = None
) -> bytes:
    """Make one whole HTTP request."""
    sent = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {HOST}",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(sent)}",
        *([f"Sextant-Tenant: {tenant}"] if tenant else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + sent


def _length(head: bytes) -> int:
    lowered = head.lower()
    if b"content-length: " not in lowered:
        return 0
    return int(lowered.split(b"content-length: ")[1].split(b"\r\n")[0])


class Line:
    """One keep-alive connection with one request in flight."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, sent: bytes) -> bytes:
        """Send a request that has to succeed; the body of the answer."""
        if self._ends is None:
            self._ends = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._ends
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        if not head.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"{sent[:60]!r}: {head[:40]!r} {body[:400]!r}")
        return body

    def close(self) -> None:
        """End it."""
        if self._ends is not None:
            self._ends[1].close()


class Receiver:
    """Takes webhooks, answers at once, and says when each arrived."""

    def __init__(self, took: Callable[[float, dict[str, Any]], None]) -> None:
        self._took = took
        self._server: asyncio.Server | None = None
        self.count = 0

    async def listen(self) -> str:
        """Listen; the address to subscribe."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"http://{HOST}:{port}/hook"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                at = time.perf_counter()
                writer.write(OK)
                self.count += 1
                self._took(at, json.loads(body))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    def close(self) -> None:
        """Listen no longer."""
        if self._server is not None:
            self._server.close()


async def hammer(port: int, sent: bytes, *, seconds: float, connections: int) -> list[float]:
    """Send the same request over and over; how long each took, in seconds."""
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def one() -> None:
        line = Line(port)
        while (begun := time.perf_counter()) < until:
            await line.send(sent)
            times.append(time.perf_counter() - begun)
        line.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return times
