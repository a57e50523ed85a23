"""Serves an ASGI stand-in over HTTPS on a free port of this process."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from tests.standins.ca import Certificates

HOST = "127.0.0.1"


class Server(uvicorn.Server):
    """A uvicorn server that leaves the signals to the process it shares."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@asynccontextmanager
async def serving(
    app: ASGIApp,
    files: Certificates | None,
    *,
    http: type[asyncio.Protocol] | Literal["auto"] = "auto",
    clients: Path | None = None,
) -> AsyncIterator[str]:
    """Serve until the end of the block; gives the root of the address.

    With ``clients`` nobody is let in without a certificate of that authority.
    """
    sock = socket.create_server((HOST, 0))
    config = uvicorn.Config(
        app,
        log_level="critical",
        lifespan="off",
        access_log=False,
        http=http,
        ssl_certfile=None if files is None else str(files.cert_file),
        ssl_keyfile=None if files is None else str(files.key_file),
        ssl_ca_certs=None if clients is None else str(clients),
        ssl_cert_reqs=ssl.CERT_NONE if clients is None else ssl.CERT_REQUIRED,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started:  # noqa: ASYNC110 - uvicorn tells by a flag alone
        await asyncio.sleep(0.01)
    try:
        yield f"{'http' if files is None else 'https'}://{HOST}:{sock.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task
