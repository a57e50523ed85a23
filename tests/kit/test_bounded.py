"""What is no request yet: bounded in size and time, and refused by a problem document."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.kit.bounded import HEAD_BYTES, BoundedProtocol
from tests.standins.server import serving

PATIENCE = 20.0
HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"


class Hasty(BoundedProtocol):
    """Waits for nothing for long."""

    head_seconds = 0.3
    body_seconds = 0.3
    pace = 1000


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the length of the body."""
    del scope
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    body = str(length).encode()
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with serving(echo, None, http=Hasty) as root:
        yield int(root.rpartition(":")[2])


async def said(port: int, *parts: bytes, every: float = 0.0) -> tuple[str, dict[str, Any]]:
    """Send parts; gives the status line and the problem document of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE):
            sending = asyncio.create_task(_send(writer, parts, every))
            answer = await reader.read()
            sending.cancel()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return head.split(b"\r\n")[0].decode(), json.loads(body)


async def _send(writer: asyncio.StreamWriter, parts: tuple[bytes, ...], every: float) -> None:
    for part in parts:
        writer.write(part)
        await asyncio.sleep(every)


@pytest.mark.parametrize(
    "rubbish", [b"BREW / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"]
)
async def test_what_is_no_http_is_refused_by_a_problem(port: int, rubbish: bytes) -> None:
    line, problem = await said(port, rubbish)
    assert line == "HTTP/1.1 400 Bad Request"
    assert problem["status"] == 400


@pytest.mark.parametrize("long", ["/" + "a" * HEAD_BYTES, "/ HTTP/1.1\r\nx: " + "a" * HEAD_BYTES])
async def test_a_head_without_end_is_refused(port: int, long: str) -> None:
    line, problem = await said(port, b"GET " + long.encode())
    assert line == "HTTP/1.1 431 Request Header Fields Too Large"
    assert problem["status"] == 431


async def test_who_sends_a_head_by_drops_or_nothing_is_hung_up_on(port: int) -> None:
    for parts in ((), (HEAD, *[b"x: y\r\n"] * 500)):
        line, problem = await said(port, *parts, every=0.02)
        assert line == "HTTP/1.1 408 Request Timeout"
        assert problem["detail"] == "The head took too long."


async def test_who_sends_a_body_by_drops_is_hung_up_on(port: int) -> None:
    head = HEAD + b"content-length: 100000\r\n\r\n"
    line, problem = await said(port, head, *[b"x"] * 500, every=0.02)
    assert line == "HTTP/1.1 408 Request Timeout"
    assert problem["detail"] == "The body took too long."


async def test_a_body_that_keeps_pace_is_taken_and_the_connection_used_again(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE):
        for _ in range(2):
            writer.write(HEAD + b"content-length: 200000\r\n\r\n")
            for _ in range(20):
                writer.write(b"x" * 10_000)
                await asyncio.sleep(0.03)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(6) == b"200000"
    writer.close()
