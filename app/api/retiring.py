"""Retiring: operations that are going to end say so, in headers, in the document and in a count."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.kit.metrics import Registry

log = logging.getLogger(__name__)

LEAST_NOTICE = timedelta(days=365)  # between the word and the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """How one operation ends.

    Attributes:
        deprecated_at: since when it is not to be used in anything new.
        sunset_at: from when it may be gone; None while that is not settled.
        successor: path of what takes its place, such as ``/v2/incidents``.
        page: address of what tells callers how to move.
    """

    deprecated_at: datetime
    sunset_at: datetime | None = None
    successor: str | None = None
    page: str | None = None

    def __post_init__(self) -> None:
        if self.sunset_at is not None and self.sunset_at - self.deprecated_at < LEAST_NOTICE:
            raise ValueError(f"callers get notice of at least {LEAST_NOTICE.days} days")

    def headers(self) -> list[tuple[bytes, bytes]]:
        """``Deprecation`` (RFC 9745), ``Sunset`` (RFC 8594) and their links."""
        found = [("deprecation", f"@{int(self.deprecated_at.timestamp())}")]
        if self.sunset_at is not None:
            found.append(("sunset", format_datetime(self.sunset_at, usegmt=True)))
        if self.page is not None:
            found.append(("link", f'<{self.page}>; rel="deprecation"; type="text/html"'))
        if self.successor is not None:
            found.append(("link", f'<{self.successor}>; rel="successor-version"'))
        return [(name.encode(), value.encode()) for name, value in found]


Retirements = Mapping[str, Retirement]  # by operation id, as in the document

# The one place where an operation of this release is declared to end. None is.
RETIREMENTS: Retirements = {}


class Retiring:
    """Adds its headers to every answer of a retiring operation, and counts who still calls it."""

    def __init__(self, app: ASGIApp, *, retirements: Retirements, metrics: Registry) -> None:
        self._app = app
        self._headers = {name: one.headers() for name, one in retirements.items()}
        self._calls = metrics.counter(
            "sextant_deprecated_requests", "Requests of operations that are going to end.",
            {"operation": tuple(retirements)},
        )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not self._headers:
            await self._app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                name = getattr(scope.get("route"), "name", "")
                headers = self._headers.get(name)
                if headers is not None:
                    message["headers"] = [*message["headers"], *headers]
                    self._count(scope, name)
            await send(message)

        await self._app(scope, receive, dressed)

    def _count(self, scope: Scope, operation: str) -> None:
        key = scope.get("state", {}).get("api_key")
        self._calls.add(1, operation=operation)
        log.info(
            "deprecated_call",
            extra={"operation": operation, "key": getattr(key, "id", None)},
        )
