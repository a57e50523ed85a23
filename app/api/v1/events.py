"""Events: the feed, and the same feed as a stream."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import Header, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from app.api.context import App
from app.api.deps import Context, Reader, problems, resource, tenants_of
from app.api.paging import Limit, Pager
from app.api.v1.incidents import answer
from app.api.v1.schemas import FeedPage
from app.core.errors import CursorExpired, CursorMismatch, StorageUnavailable
from app.core.types import TenantId
from app.store import events
from app.store.events import StoredEvent

log = logging.getLogger(__name__)
router = resource("events")

BATCH = 256  # most events read for a stream at once; what one slow client can hold
POLL_SECONDS = 1.0  # how long a stream waits for the bell before it looks by itself
QUIET_SECONDS = 15.0  # a comment is sent after so long without an event
SEND_SECONDS = 20.0  # a client that takes no more for so long is let go
RETRY_MILLISECONDS = 3000
LAGGED = b"event: lagged\ndata: {}\n\n"
SSE_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

After = Annotated[str | None, Query(max_length=2048, description="A cursor of this feed.")]
Marks = dict[str, int]  # tenant → the last sequence had


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    tenant: TenantId
    event: StoredEvent


@router.get(
    "/events",
    response_model=None,
    responses={200: {"model": FeedPage}, **problems(410)},
    summary="Read the feed, oldest first",
)
async def read_feed(app: Context, caller: Reader, limit: Limit, after: After = None) -> Response:
    """Read the events after a cursor; without one from the oldest kept. `next` always goes on."""
    pager = _pager(app, caller.tenant)
    tenants = tenants_of(app, caller)
    marks = await _marks(app, tenants, _position(pager.read(after)), start="oldest")
    entries = await app.db.read(lambda c: _following(c, tenants, marks, limit))
    last = _advance(marks, entries)
    items = [msgspec.Raw(entry.event.body) for entry in entries]
    return answer({"items": items, "next": pager.write(last)})


@router.get(
    "/events/stream",
    response_class=StreamingResponse,
    response_model=None,
    responses={
        200: {
            "description": "Server-sent events: `id` is a cursor, `event` the type, `data` the "
            "event. `reset` says that what followed the cursor is no longer kept, `lagged` that "
            "this client was too slow; both may come again with the last id.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **problems(400),
    },
    summary="Follow the feed",
)
async def follow_feed(
    request: Request,
    app: Context,
    caller: Reader,
    after: After = None,
    last_event_id: Annotated[
        str | None, Header(max_length=2048, description="Sent by a browser that comes back.")
    ] = None,
) -> Response:
    """Follow the feed from a cursor on, or from now; ends never, and may be taken up again."""
    pager = _pager(app, caller.tenant)
    tenants = tenants_of(app, caller)
    position = _position(pager.read(last_event_id or after))
    reset = False
    try:
        marks = await _marks(app, tenants, position, start="newest")
    except CursorExpired:
        reset = True
        marks = await _marks(app, tenants, None, start="oldest")
    stream = _Stream(app, pager, tenants, marks)
    return _Bounded(stream.lines(request, reset=reset), headers=SSE_HEADERS)


class _Stream:
    """One client's stream; it reads on only when the client took what was read."""

    def __init__(self, app: App, pager: Pager, tenants: tuple[TenantId, ...], marks: Marks) -> None:
        self._app = app
        self._pager = pager
        self._tenants = tenants
        self._marks = marks

    async def lines(self, request: Request, *, reset: bool) -> AsyncIterator[bytes]:
        """Give the chunks of the stream; each ends after a whole event."""
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        if reset:
            yield _frame("reset", self._pager.write(self._marks), b"{}")
        quiet = 0.0
        while not await request.is_disconnected():
            try:
                entries = await self._app.db.read(
                    lambda c: _following(c, self._tenants, self._marks, BATCH)
                )
            except StorageUnavailable:
                log.warning("stream_ended", extra={"reason": "storage_unavailable"})
                return  # the client comes back with the last id that it has
            if entries:
                quiet = 0.0
                yield self._frames(entries)
                continue
            rung = await self._app.bells.feed.wait(POLL_SECONDS)
            quiet = 0.0 if rung else quiet + POLL_SECONDS
            if quiet >= QUIET_SECONDS:
                quiet = 0.0
                yield b": keep-alive\n\n"

    def _frames(self, entries: list[_Entry]) -> bytes:
        frames = []
        for entry in entries:
            self._marks = {**self._marks, entry.tenant: entry.event.sequence}
            cursor = self._pager.write(self._marks)
            frames.append(_frame(entry.event.type.value, cursor, entry.event.body))
        return b"".join(frames)


class _Bounded(StreamingResponse):
    """A stream that lets go of a client which no longer takes anything."""

    def __init__(self, content: AsyncIterator[bytes], *, headers: dict[str, str]) -> None:
        super().__init__(content, media_type="text/event-stream", headers=headers)

    async def stream_response(self, send: Any) -> None:
        """Send chunk by chunk; a client too slow for one is told so and let go."""

        async def patient(message: Any) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)

        try:
            await super().stream_response(patient)
        except TimeoutError:
            log.warning("stream_ended", extra={"reason": "lagged"})
            lagged = {"type": "http.response.body", "body": LAGGED, "more_body": False}
            # Whether this still arrives is the client's affair; what counts is that we end.
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await send(lagged)


def _frame(kind: str, cursor: str, body: bytes) -> bytes:
    return b"".join(
        (b"id: ", cursor.encode(), b"\nevent: ", kind.encode(), b"\ndata: ", body, b"\n\n")
    )


def _pager(app: App, tenant: str) -> Pager:
    return Pager(app.secret, "events", tenant=tenant)


def _position(value: Any) -> Marks | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise CursorMismatch
    return {str(tenant): int(sequence) for tenant, sequence in value.items()}


async def _marks(
    app: App, tenants: tuple[TenantId, ...], position: Marks | None, *, start: str
) -> Marks:
    """Where reading begins, per tenant; one that the cursor does not know begins at its oldest.

    Raises:
        CursorExpired: what follows the cursor is no longer kept.
    """
    kept = await app.db.read(lambda c: {tenant: events.bounds(c, tenant) for tenant in tenants})
    marks: Marks = {}
    for tenant, (oldest, newest) in kept.items():
        first = max(oldest - 1, 0)
        if position is None:
            marks[tenant] = newest if start == "newest" else first
            continue
        marks[tenant] = position.get(tenant, first)
        if marks[tenant] < first:
            raise CursorExpired
    return marks


def _following(
    c: Connection, tenants: tuple[TenantId, ...], marks: Marks, limit: int
) -> list[_Entry]:
    entries = [
        _Entry(tenant=tenant, event=event)
        for tenant in tenants
        for event in events.after(c, tenant, marks[tenant], limit)
    ]
    if len(tenants) > 1:
        # Merged by time for people; each tenant's own order stays, which is what cursors rest on.
        heads = {tenant: _running(entries, tenant) for tenant in tenants}
        entries.sort(key=lambda e: (heads[e.tenant][e.event.sequence], e.tenant, e.event.sequence))
    return entries[:limit]


def _running(entries: list[_Entry], tenant: TenantId) -> dict[int, Any]:
    """For each sequence of a tenant the latest time up to it, so that sorting keeps its order."""
    latest, running = None, {}
    for entry in entries:
        if entry.tenant == tenant:
            at = entry.event.occurred_at
            latest = at if latest is None else max(latest, at)
            running[entry.event.sequence] = latest
    return running


def _advance(marks: Marks, entries: list[_Entry]) -> Marks:
    return marks | {entry.tenant: entry.event.sequence for entry in entries}
