"""The webhook sender: mocked answers, and hostile receivers on real sockets."""

import asyncio
import gzip
import socket
import ssl
import struct
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest
import standardwebhooks
import trustme

from app.core.ports import AttemptOutcome, Body
from app.kit import signing
from app.kit.egress import Egress
from app.kit.guarded import KEPT_BYTES, GuardedPoster
from app.sinks.webhook import WebhookSender
from tests.builders import NOW
from tests.posting import Posting

BODY = Body(content=b'{"id":"evt_1"}', media_type="application/json")
SECRET = signing.new_secret()
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def send(sender: WebhookSender, url: str, **headers: str) -> AttemptOutcome:
    return await sender.send(
        url, BODY, webhook_id="evt_1", secrets=[SECRET], now=NOW, headers=headers
    )


def answering(status: int, **more: Any) -> tuple[WebhookSender, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, **more)

    return WebhookSender(Posting(httpx.MockTransport(answer))), seen


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (200, "delivered"), (202, "delivered"), (204, "delivered"), (301, "refused"),
        (307, "refused"), (400, "refused"), (404, "refused"), (410, "gone"), (429, "refused"),
        (500, "refused"), (503, "refused"),
    ],
)  # fmt: skip
async def test_2xx_alone_is_success(status: int, word: str) -> None:
    sender, seen = answering(status, headers={"location": "http://169.254.169.254/"})
    outcome = await send(sender, "https://receiver.example/")
    assert (outcome.outcome, outcome.status, len(seen)) == (word, status, 1)


async def test_what_is_sent_is_signed_and_says_what_it_is() -> None:
    sender, seen = answering(204)
    await send(sender, "https://receiver.example/hook?x=1", **{"sextant-attempt": "2"})
    [request] = seen
    assert request.method == "POST"
    assert request.content == BODY.content
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["sextant-attempt"] == "2"
    signing.verify([SECRET], headers=request.headers, body=request.content, now=NOW)
    with pytest.raises(standardwebhooks.webhooks.WebhookVerificationError, match="too old"):
        standardwebhooks.Webhook(SECRET).verify(request.content, dict(request.headers))


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("120", timedelta(seconds=120)), (" 7 ", timedelta(seconds=7)),
        ("Mon, 16 Mar 2026 06:31:00 GMT", timedelta(minutes=1)),
        ("Mon, 16 Mar 2020 06:31:00 GMT", timedelta(0)), ("soon", None), ("-5", None),
        ("9" * 40, timedelta(days=30)), ("Mon, 99 Xxx 2026", None),
    ],
)  # fmt: skip
async def test_retry_after_is_read_in_both_forms(text: str, wait: timedelta | None) -> None:
    sender, _ = answering(503, headers={"retry-after": text})
    assert (await send(sender, "https://receiver.example/")).retry_after == wait


@pytest.mark.parametrize(
    ("status", "said", "wish"),
    [
        (400, "abort-message", "abort-message"),
        (503, " Disable ", "disable"),
        (400, "explode", ""),
        (204, "disable", ""),
    ],
)
async def test_what_a_receiver_wishes_is_read_from_a_refusal(
    status: int, said: str, wish: str
) -> None:
    sender, _ = answering(status, headers={"webhook-delivery": said})
    assert (await send(sender, "https://receiver.example/")).wish == wish


@pytest.mark.parametrize(
    ("headers", "content", "excerpt"),
    [
        ({"content-type": "text/plain"}, b"no\x00thanks", "no\ufffdthanks"),
        ({"content-type": "application/json"}, b'{"error":"\xff"}', '{"error":"\ufffd"}'),
        ({"content-type": "image/png"}, b"\x89PNG", ""),
        (
            {"content-type": "text/plain", "content-encoding": "gzip"},
            gzip.compress(b"x", mtime=0),
            "",
        ),
        ({"content-type": "text/plain"}, b"a" * 5000, "a" * 1024),
    ],
)
async def test_an_excerpt_is_short_plain_text(
    headers: dict[str, str], content: bytes, excerpt: str
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500, headers=headers, stream=httpx.ByteStream(content))

    sender = WebhookSender(Posting(httpx.MockTransport(answer)))
    assert (await send(sender, "https://receiver.example/")).excerpt == excerpt


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (httpx.ConnectError("x"), "connection_failed"), (httpx.ConnectTimeout("x"), "timeout"),
        (httpx.ReadTimeout("x"), "timeout"), (httpx.ReadError("x"), "unknown"),
        (httpx.RemoteProtocolError("x"), "unknown"), (OSError("x"), "unknown"),
    ],
)  # fmt: skip
async def test_every_failure_is_an_outcome(error: Exception, word: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    sender = WebhookSender(Posting(httpx.MockTransport(answer)))
    assert (await send(sender, "https://receiver.example/")).outcome == word


@pytest.mark.parametrize(
    "url", ["", "https://", "https://[::1", "https://a b/", "ftp://x.example/"]
)
async def test_an_unreadable_address_is_an_outcome(url: str) -> None:
    sender = WebhookSender(GuardedPoster(Egress(resolve=nowhere)))
    assert (await send(sender, url)).outcome == "blocked"


async def nowhere(host: str, port: int) -> Sequence[str]:
    return []


async def loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


async def met(
    serve: Serve,
    *,
    tls: ssl.SSLContext | None = None,
    deadline: float = 0.6,
    **guard: Any,
) -> AttemptOutcome:
    """Send once to a receiver on a real socket; ``met`` ends with everything closed."""
    egress = Egress.of([{"cidr": "127.0.0.1/32"}], resolve=loopback)
    transport = GuardedPoster(egress, **guard)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    scheme = "https" if tls else "http"
    try:
        sender = WebhookSender(transport, deadline_seconds=deadline)
        return await send(sender, f"{scheme}://receiver.example:{port}/")
    finally:
        await transport.aclose()
        server.close()


def writing(*chunks: bytes, pause: float = 0.0, close: bool = True) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(pause)
            if not close:
                await asyncio.sleep(5)
        except OSError:
            pass  # the sender has had enough
        finally:
            writer.close()

    return serve


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"

HOSTILE = {
    "hangs": (writing(close=False), "timeout"),
    "drips its headers": (
        writing(b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n" for _ in range(50)], pause=0.1), "timeout",
    ),
    "drips its body": (
        writing(HEAD + b"content-length: 900\r\n\r\n", *[b"x" for _ in range(50)], pause=0.1),
        "delivered",
    ),
    "says nothing and closes": (writing(), "unknown"),
    "is no web server": (writing(b"220 smtp.example ESMTP\r\n"), "unknown"),
    "sends a wrong status line": (writing(b"HTTP/1.1 abc OK\r\n\r\n"), "unknown"),
    "sends endless headers": (
        writing(b"HTTP/1.1 200 OK\r\n", *[b"a: " + b"b" * 4000 + b"\r\n"] * 100),
        "unknown",
    ),
    "sends an invalid chunk": (
        writing(HEAD + b"transfer-encoding: chunked\r\n\r\nZZ\r\n"), "unknown",
    ),
    "cuts its body": (writing(HEAD + b"content-length: 900\r\n\r\nxx"), "delivered"),
    "sends a bomb": (
        writing(HEAD + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"0" * 20_000_000)),
        "delivered",
    ),
    "sends interim answers for ever": (
        writing(*[b"HTTP/1.1 103 Early Hints\r\nlink: " + b"x" * 900 + b"\r\n\r\n"] * 100),
        "unknown",
    ),
    "sends an interim answer first": (
        writing(b"HTTP/1.1 103 Early Hints\r\n\r\n", HEAD + b"content-length: 0\r\n\r\n"),
        "delivered",
    ),
    "changes the protocol": (
        writing(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n\x00\xff"),
        "refused",
    ),
    "answers twice": (writing((HEAD + b"content-length: 0\r\n\r\n") * 2), "delivered"),
    "sends without end": (writing(HEAD + b"\r\n", *[b"x" * 65536] * 400), "delivered"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_receiver_costs_a_deadline_at_most(name: str) -> None:
    serve, word = HOSTILE[name]
    tracemalloc.start()
    async with asyncio.timeout(4):
        outcome = await met(serve)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert outcome.outcome == word
    assert len(outcome.excerpt) <= KEPT_BYTES
    assert most < 16 * 2**20


RESETS = {
    "at once": (False, b"", "unknown"),
    "after the request": (True, b"", "unknown"),
    "within its headers": (True, HEAD, "unknown"),
    "within its body": (True, HEAD + b"content-length: 900\r\n\r\nxx", "delivered"),
}


@pytest.mark.parametrize("when", RESETS)
async def test_a_reset_is_an_outcome(when: str) -> None:
    reads, answer, word = RESETS[when]
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        if reads:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(BODY.content))
        writer.write(answer)
        await writer.drain()
        if answer:
            await asyncio.sleep(0.05)  # a reset throws away what is not read yet
        # Closed without lingering, the kernel sends RST instead of FIN.
        lingering = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
        writer.transport.abort()

    outcome = await met(serve, deadline=3.0)
    assert (outcome.outcome, served <= 2) == (word, True)
    assert outcome.status == (200 if word == "delivered" else None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n"))
        host, port = writer.get_extra_info("sockname")[:2]
        lines = [
            f"HTTP/1.1 {status} -",
            f"location: http://{host}:{port}/else",
            "content-length: 0",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await writer.drain()
        writer.close()

    outcome = await met(serve)
    assert (outcome.outcome, outcome.status) == ("refused", status)
    assert asked == [b"POST / HTTP/1.1\r\n"]


async def test_a_kept_connection_that_went_stale_is_tried_anew_at_once() -> None:
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(BODY.content))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        if served == 1:
            await reader.readuntil(b"\r\n\r\n")  # the second request comes in, then silence
        writer.close()

    transport = GuardedPoster(Egress.of([{"cidr": "127.0.0.1/32"}], resolve=loopback))
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    sender = WebhookSender(transport)
    outcomes = [(await send(sender, url)).outcome for _ in range(2)]
    await transport.aclose()
    server.close()
    assert outcomes == ["delivered", "delivered"]
    assert served == 2


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize(
    ("name", "trusted", "word"),
    [
        ("receiver.example", True, "delivered"),
        ("other.example", True, "tls_failure"),
        ("receiver.example", False, "tls_failure"),
    ],
)
async def test_the_certificate_is_held_against_the_name_in_the_url(
    authority: trustme.CA, tmp_path: Any, name: str, *, trusted: bool, word: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    seen: list[str] = []
    context.sni_callback = lambda _socket, asked, _context: seen.append(asked)
    outcome = await met(
        writing(HEAD + b"content-length: 2\r\n\r\nok"),
        tls=context,
        deadline=3.0,
        ca_file=tmp_path / "ca.pem" if trusted else None,
    )
    assert (outcome.outcome, seen) == (word, ["receiver.example"])


async def test_a_forbidden_address_is_blocked_without_saying_more() -> None:
    transport = GuardedPoster(Egress(resolve=loopback))
    outcome = await send(WebhookSender(transport), "https://receiver.example/")
    await transport.aclose()
    assert (outcome.outcome, outcome.excerpt, outcome.status) == ("blocked", "", None)
