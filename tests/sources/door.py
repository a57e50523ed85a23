"""A front door on loopback that misbehaves as it is told, over HTTP and HTTPS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]
BEARER = 'Bearer client_id="00000002-0000-0ff1-ce00-000000000000"'


@dataclass
class Door:
    """Where it listens, what to trust, and what it was asked."""

    http: int = 0
    https: int = 0
    ca_file: Path = Path()
    wrong_name: int = 0
    requests: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http}{path}"

    def secure_url(self, path: str) -> str:
        return f"https://localhost:{self.https}{path}"


def _head(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _fixed(status: str, *headers: str, body: bytes = b"") -> Answer:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
        writer.write(_head(status, *headers, body=body))

    return answer


async def _hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: str) -> None:
    await reader.read()  # until the other side gives up


async def _slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
    await asyncio.sleep(0.15)
    writer.write(_head("200 OK"))


async def _late(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
    await asyncio.sleep(0.25)
    writer.write(_head("200 OK"))


async def _drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _n in range(1000):
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _huge(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    for _n in range(10_000):
        writer.write(b"x" * 100_000)
        await writer.drain()


async def _reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
    writer.transport.abort()


async def _garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
    writer.write(b"220 mail.example ESMTP ready\r\n")


async def _cookie(_: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
    if "cookie: affinity=7" in head.lower():
        writer.write(_head("302 Found", "Location: https://login.example/authorize"))
    else:
        writer.write(_head("302 Found", "Location: /cookie", "Set-Cookie: affinity=7; path=/"))


async def _signed_in(_: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
    writer.write(_head("200 OK", f"X-Seen: {'return-client-request-id: true' in head.lower()}"))


ROUTES: dict[str, Answer] = {
    "/ok": _fixed("200 OK", "X-Ready: yes, quite", body=b"all is well"),
    "/gone": _fixed("404 Not Found"),
    "/busy": _fixed("429 Too Many Requests", "Retry-After: 30"),
    "/denied": _fixed("403 Forbidden"),
    "/challenge": _fixed("401 Unauthorized", "WWW-Authenticate: Basic realm=x"),
    "/bearer": _fixed("401 Unauthorized", f"WWW-Authenticate: {BEARER}"),
    "/bare": _fixed("401 Unauthorized"),
    "/503": _fixed(
        "503 Service Unavailable", "request-id: 0b1c", "X-FEServer: AM0PR01CA0001", "X-Other: no"
    ),
    "/away": _fixed("302 Found", "Location: https://login.example/authorize?secret=1"),
    "/loop": _fixed("302 Found", "Location: /loop"),
    "/near": _fixed("302 Found", "Location: /ok"),
    "/nowhere": _fixed("302 Found"),
    "/bad-location": _fixed("302 Found", "Location: http://[bad"),
    "/errorfe": _fixed("302 Found", "Location: /owa/auth/errorFE.aspx?httpCode=503"),
    "/openid": _fixed(
        "200 OK",
        "Content-Type: application/json; charset=utf-8",
        body=b'{"issuer":"https://login.example/v2.0","token_endpoint":"https://login.example/t"}',
    ),
    "/no-token": _fixed(
        "401 Unauthorized", body=b'{"error":{"code":"InvalidAuthenticationToken"}}'
    ),
    "/autodiscover": _fixed(
        "200 OK", body=b'{"Protocol":"ActiveSync","Url":"https://mail.example/sync"}'
    ),
    "/no-tenant": _fixed("400 Bad Request", body=b'{"error":"invalid_tenant AADSTS90002"}'),
    "/early": _fixed("100 Continue"),
    "/hang": _hang,
    "/slow": _slow,
    "/late": _late,
    "/drip": _drip,
    "/huge": _huge,
    "/reset": _reset,
    "/garbage": _garbage,
    "/cookie": _cookie,
    "/signed-in": _signed_in,
}


async def _serve(door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        door.requests.append(f"{method} {path}")
        await ROUTES[path.partition("?")[0]](reader, writer, head)
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        pass
    finally:
        writer.transport.abort() if writer.transport.is_closing() else writer.close()


@asynccontextmanager
async def open_door(folder: Path) -> AsyncIterator[Door]:
    """Serve on free ports until the end of the block."""
    ca = trustme.CA()
    door = Door(ca_file=folder / "ca.pem")
    ca.cert_pem.write_to_path(str(door.ca_file))
    servers: list[asyncio.Server] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        task.add_done_callback(serving.discard)
        await _serve(door, reader, writer)

    async def listen(context: ssl.SSLContext | None) -> int:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    for name, identity in (("https", "localhost"), ("wrong_name", "elsewhere.example")):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(identity).configure_cert(context)
        setattr(door, name, await listen(context))
    door.http = await listen(None)
    try:
        yield door
    finally:
        for server in servers:
            server.close()
        while serving:
            for task in serving:
                task.cancel()
            await asyncio.wait(serving)
        await asyncio.sleep(0)  # closed transports say goodbye in the next turn
