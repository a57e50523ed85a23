"""The entrance: answers for its process while the application behind it is still being made.

Importing and wiring an application takes seconds. Through the entrance the port listens before
that: ``/livez`` answers at once, so that nobody takes a start for a hang; every other request waits
for the application, and is asked to come again when that takes long. Nothing of a request is read
before there is somebody to answer it.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from starlette.types import Message, Receive, Scope, Send

PATIENCE_SECONDS = 5.0  # a request waits for the application so long at most
ALIVE = b'{"status":"ok"}'


class Opened(Protocol):
    """An ASGI application with a lifespan, as Starlette and FastAPI make them."""

    router: Any
    state: Any

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        ...


class Entrance:
    """An ASGI application that stands for another one from the first moment on.

    Attributes:
        failure: why the application could not be made or started; None while all is well.
        inside: the application, once it is open.
    """

    def __init__(
        self,
        make: Callable[[], Opened],
        *,
        busy: bytes,
        opened: Callable[[], None] = lambda: None,
        failed: Callable[[], None] = lambda: None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Stand for what ``make`` gives; it runs in a thread of its own.

        Args:
            make: imports and wires the application; may raise.
            busy: the body of 503, as ``application/problem+json``.
            opened: called when the application has started.
            failed: called when it could not be made or started.
            patience_seconds: how long a request waits for it.
        """
        self._make = make
        self._busy = busy
        self._tell_opened = opened
        self._tell_failed = failed
        self._patience = patience_seconds
        self._open = asyncio.Event()
        self._leaving = asyncio.Event()
        self.failure: BaseException | None = None
        self.inside: Opened | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or wait until somebody can."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        inside = self.inside
        if inside is None:
            if scope["type"] == "http" and scope["path"] == "/livez":
                await _answer(send, 200, ALIVE, b"application/json")
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._open.wait(), self._patience)
            inside = self.inside
        if inside is not None:
            await inside(scope, receive, send)
        elif scope["type"] == "http":
            await _answer(send, 503, self._busy, b"application/problem+json", retry=b"1")
        else:
            await send({"type": "websocket.close", "code": 1013})  # try again later

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        keeping = asyncio.create_task(self._keep())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._leaving.set()
        await keeping
        await send({"type": "lifespan.shutdown.complete"})

    async def _keep(self) -> None:
        """Make the application, and keep it alive in one task until we leave."""
        try:
            application = await asyncio.to_thread(self._make)
            async with application.router.lifespan_context(application):
                self.inside = application
                self._open.set()
                self._tell_opened()
                await self._leaving.wait()
        except Exception as error:  # noqa: BLE001 - told by whoever runs the server
            self.failure = error
            self._tell_failed()
        finally:
            self._open.set()


async def _answer(
    send: Send, status: int, body: bytes, media_type: bytes, *, retry: bytes | None = None
) -> None:
    headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode()),
               (b"cache-control", b"no-store")]  # fmt: skip
    if retry is not None:
        headers.append((b"retry-after", retry))
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
