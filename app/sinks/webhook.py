"""Sender of webhooks: one signed POST with one deadline, whatever the receiver does."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from app.core.ports import AttemptOutcome, Body
from app.kit import signing
from app.kit.http import USER_AGENT, Dropped, Refused, TlsFailed, Unresolvable

DEADLINE_SECONDS = 15.0  # for everything: resolve, connect, send, answer
CONNECT_SECONDS = 5.0
BODY_SECONDS = 2.0  # an answer's status is what counts; its body gets this much longer
KEPT_BYTES = 16_384  # of an answer's body
EXCERPT_CHARACTERS = 1024
_TEXT = ("text/", "application/json", "application/problem+json", "application/xml")
_MAX_RETRY_AFTER = timedelta(days=30)  # longer is taken as this

_TIMEOUT: Final = {"connect": CONNECT_SECONDS, "read": None, "write": None, "pool": None}


class WebhookSender:
    """Implements ``core.ports.Sender`` over a transport of ``kit.http``.

    The transport is used directly: an ``httpx.AsyncClient`` around it adds redirects and cookies,
    which must not be, and takes a third of the throughput (1,626/s instead of 2,430/s per core).
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, *, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        self._transport = transport
        self._deadline = deadline_seconds

    async def send(
        self, url: str, body: Body, *, webhook_id: str, secrets: Sequence[str], now: datetime,
        headers: dict[str, str],
    ) -> AttemptOutcome:  # fmt: skip
        """Make one attempt; ``now`` goes into the signature and must be the time of day."""
        try:
            request = httpx.Request(
                "POST",
                url,
                content=body.content,
                headers={
                    "user-agent": USER_AGENT,
                    "accept": "*/*",
                    "accept-encoding": "identity",
                    **headers,
                    "content-type": body.media_type,
                    **signing.headers(secrets, message_id=webhook_id, at=now, body=body.content),
                },
                extensions={"timeout": _TIMEOUT},
            )
        except (httpx.InvalidURL, ValueError, TypeError):
            return AttemptOutcome(outcome="blocked", detail="unreadable")
        begun = time.monotonic()
        outcome = await self._attempt(request, now)
        return _timed(outcome, begun)

    async def _attempt(self, request: httpx.Request, now: datetime) -> AttemptOutcome:
        met: AttemptOutcome | None = None
        try:
            async with asyncio.timeout(self._deadline):
                response = await self._ask(request)
                try:
                    met = _judge(response, now)
                    kept = await _read(response)
                finally:
                    await response.aclose()
                return _with_excerpt(met, response, kept)
        except Refused as error:
            return AttemptOutcome(outcome="blocked", detail=error.reason)
        except Unresolvable:
            return AttemptOutcome(outcome="dns_failure", detail="The name has no address.")
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            # The last two: what the layers beneath let through unnamed.
            return met or AttemptOutcome(outcome=_word(error), detail=type(error).__name__)

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._transport.handle_async_request(request)
        except Dropped:
            # A kept connection that the receiver had closed meanwhile; the id makes it harmless.
            return await self._transport.handle_async_request(request)


def _word(error: Exception) -> str:
    match error:
        case TimeoutError() | httpx.TimeoutException():
            return "timeout"
        case TlsFailed():
            return "tls_failure"
        case httpx.ConnectError() | httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return "connection_failed"
        case _:
            return "unknown"  # the receiver may have taken it


def _judge(response: httpx.Response, now: datetime) -> AttemptOutcome:
    status = response.status_code
    if httpx.codes.is_success(status):
        word = "delivered"
    else:
        word = "gone" if status == httpx.codes.GONE else "refused"
    asked = None if word == "delivered" else response.headers.get("retry-after")
    return AttemptOutcome(outcome=word, status=status, retry_after=_retry_after(asked, now))


async def _read(response: httpx.Response) -> bytes:
    """Keep the beginning of the body; raw, so that a small answer cannot unfold into a big one."""
    kept = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in response.aiter_raw():
                kept += chunk[: KEPT_BYTES - len(kept)]
                if len(kept) >= KEPT_BYTES:
                    break
    except (TimeoutError, httpx.HTTPError, httpx.StreamError):
        pass  # the status has been said
    return bytes(kept)


def _with_excerpt(met: AttemptOutcome, response: httpx.Response, kept: bytes) -> AttemptOutcome:
    media = response.headers.get("content-type", "text/plain").strip().lower()
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if not media.startswith(_TEXT) or encoding != "identity":
        return met
    text = kept.decode("utf-8", "replace").replace("\x00", "\ufffd")[:EXCERPT_CHARACTERS]
    return AttemptOutcome(
        outcome=met.outcome, status=met.status, retry_after=met.retry_after, excerpt=text
    )


def _timed(outcome: AttemptOutcome, begun: float) -> AttemptOutcome:
    return AttemptOutcome(
        outcome=outcome.outcome,
        status=outcome.status,
        retry_after=outcome.retry_after,
        duration_ms=round((time.monotonic() - begun) * 1000, 1),
        excerpt=outcome.excerpt,
        detail=outcome.detail,
    )


def _retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Read seconds or a date; nonsense is as if it were absent."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), _MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta(0)), _MAX_RETRY_AFTER)
