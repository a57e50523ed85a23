"""The sender's connections: when one serves again, which address is dialled, what is a header."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from app.kit.egress import Egress
from app.kit.guarded import GuardedPoster
from app.kit.http import Answer, Phases

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
LAST = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
OLD = b"HTTP/1.0 200 OK\r\n\r\nthat is all"
SECONDS = 5.0


async def several(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.3", "127.0.0.1", "::1"]


def loopback(**more: Any) -> GuardedPoster:
    allow = [{"cidr": "127.0.0.0/8"}, {"cidr": "::1/128"}]
    return GuardedPoster(Egress.of(allow, resolve=several), **more)


async def post(poster: GuardedPoster, url: str, **headers: str) -> Answer:
    until = asyncio.get_running_loop().time() + SECONDS
    return await poster.post(url, headers=headers, content=b"{}", phases=Phases(), until=until)


def answering(left: list[bytes], connections: list[int]) -> Serve:
    """Answer the requests in turn, over however many connections they come."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        try:
            while left:
                await reader.readuntil(b"\r\n\r\n{}")
                connections[-1] += 1
                answer = left.pop(0)
                writer.write(answer)
                await writer.drain()
                if answer is OLD:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass  # the sender let go
        finally:
            writer.close()

    return serve


@pytest.mark.parametrize(
    ("answers", "carried"),
    [
        ([ANSWER, ANSWER], [2]),  # one connection carries both
        ([LAST, ANSWER], [1, 1]),  # it was said to be the last
        ([ANSWER * 2, ANSWER], [1, 1]),  # the second would be taken for that to the next request
        ([OLD, ANSWER], [1, 1]),  # its end is that of the connection
    ],
)
async def test_a_connection_is_used_again_only_where_nothing_speaks_against_it(
    answers: list[bytes], carried: list[int]
) -> None:
    connections: list[int] = []
    server = await asyncio.start_server(answering(list(answers), connections), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    poster = loopback()
    try:
        for _ in answers:
            assert (await post(poster, url)).status in {200, 204}
    finally:
        await poster.aclose()
        server.close()
    assert connections == carried


async def test_an_address_that_refuses_is_followed_by_the_next_of_its_name() -> None:
    dialled: list[str] = []

    def dial(info: Any) -> socket.socket:
        dialled.append(info[4][0])
        if info[4][0] != "127.0.0.1":
            raise ConnectionRefusedError("nobody there")
        opened = socket.socket(info[0], info[1])
        opened.setblocking(False)
        return opened

    server = await asyncio.start_server(answering([LAST], []), "127.0.0.1", 0)
    poster = loopback(open_socket=dial)
    port = server.sockets[0].getsockname()[1]
    assert (await post(poster, f"http://receiver.example:{port}/")).status == 204
    await poster.aclose()
    server.close()
    assert dialled == ["127.0.0.3", "::1", "127.0.0.1"]  # the families take turns


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\rb", "\u2028"])
async def test_a_header_cannot_end_its_line(value: str) -> None:
    left = [LAST]
    server = await asyncio.start_server(answering(left, []), "127.0.0.1", 0)
    poster = loopback()
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    with pytest.raises(ValueError, match=r"header|ascii"):
        await post(poster, url, note=value)
    await poster.aclose()
    server.close()
    assert left == [LAST]  # nothing was sent
