"""The server's side of HTTP, bounded before there is a request that could be routed.

uvicorn takes heads of any size for any time, and refuses what is no HTTP by a line of plain text.
Here a head has a size and a time, a body a least pace, and each refusal is a problem document
(RFC 9457) as all others are.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024  # of the request line and all headers
NO_HTTP = "This is no HTTP request."


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client.

    Attributes:
        head_seconds: how long a head may take, from the first moment of the connection or, on one
            that is used again, from its first byte.
        body_seconds: after so long a body that is not there yet must keep the least pace.
        pace: bytes per second.
    """

    head_seconds = 20.0
    body_seconds = 20.0
    pace = 1024

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._size = 0  # of the head or the body so far
        self._begun = 0.0
        self._patience: float | None = None  # seconds from then; None: nothing is waited for
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait(self.head_seconds)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that grows too large is refused."""
        if self._patience is None:  # the first of a further request, or of none
            self._wait(self.head_seconds)
        self._size += len(data)
        super().data_received(data)
        if self._in_head and self._size > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The head is too large.")

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Wait for the body instead."""
        self._in_head, self._size = False, 0
        self._wait(self.body_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for nothing until the next byte; uvicorn ends what stays idle."""
        self._in_head, self._size = True, 0
        self._wait(None)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are replaced
        """Refuse what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, NO_HTTP)

    def _wait(self, seconds: float | None) -> None:
        # Only noted: a timer for each head and each body would cost more than all else here.
        self._patience = seconds
        if seconds is not None:
            self._begun = self.loop.time()

    def _look(self) -> None:
        """See whether what is waited for is late, once it can be."""
        if self.transport.is_closing():
            return
        left = min(self.head_seconds, self.body_seconds)
        if self._patience is not None:
            due = self._begun + self._patience - self.loop.time()
            left = min(left, due) if due > 0 else self._late()
        if left > 0:
            self._timer = self.loop.call_later(left, self._look)

    def _late(self) -> float:
        """Refuse what is late; else how many seconds it still has."""
        if self._in_head:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The head took too long.")
            return 0
        # Where we do not read, because nobody takes what came, the client is not to blame.
        if self.flow.read_paused or self._size >= (self.loop.time() - self._begun) * self.pace:
            self._patience = self.loop.time() - self._begun + self.body_seconds
            return self.body_seconds
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The body took too long.")
        return 0

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer, unless an answer is under way, and hang up."""
        self._wait(None)
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle  # None before the first request
        if cycle is None or cycle.response_complete or not cycle.response_started:
            problem = {
                "type": "about:blank",
                "title": status.phrase,
                "status": status,
                "detail": why,
            }
            body = json.dumps(problem).encode()
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\n"
                "content-type: application/problem+json\r\ncache-control: no-store\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()
