"""Sender of webhooks: one signed POST with one deadline, whatever the receiver does."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from app.core.ports import AttemptOutcome, Body
from app.kit import signing
from app.kit.http import (
    USER_AGENT,
    Answer,
    Dropped,
    Phases,
    Poster,
    Refused,
    TlsFailed,
    Unresolvable,
)

DEADLINE_SECONDS = 15.0  # for everything: resolve, connect, send, answer
EXCERPT_CHARACTERS = 1024
_TEXT = ("text/", "application/json", "application/problem+json", "application/xml")
_SUCCESS = range(200, 300)
_WISHES = frozenset({"disable", "abort-message"})  # of the header webhook-delivery, as at Svix
_MAX_RETRY_AFTER = timedelta(days=30)  # longer is taken as this


class WebhookSender:
    """Implements ``core.ports.Sender`` over a poster of ``kit.http``."""

    def __init__(self, poster: Poster, *, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._poster = poster
        self._deadline = deadline_seconds

    async def send(
        self, url: str, body: Body, *, webhook_id: str, secrets: Sequence[str], now: datetime,
        headers: dict[str, str],
    ) -> AttemptOutcome:  # fmt: skip
        """Make one attempt; ``now`` goes into the signature and must be the time of day."""
        sent = {
            "user-agent": USER_AGENT,
            "accept": "*/*",
            "accept-encoding": "identity",
            **headers,
            "content-type": body.media_type,
            **signing.headers(secrets, message_id=webhook_id, at=now, body=body.content),
        }
        begun, phases = time.perf_counter(), Phases()
        answer, failure = await self._attempt(url, body.content, sent, phases)
        met: dict[str, Any] = {
            "duration_ms": round((time.perf_counter() - begun) * 1000, 1),
            "phases": phases.milliseconds(begun),
            "sent": sent,
        }
        if answer is None:
            word, detail = failure
            return AttemptOutcome(outcome=word, detail=detail, **met)
        return _judge(answer, now, met)

    async def _attempt(
        self, url: str, content: bytes, sent: dict[str, str], phases: Phases
    ) -> tuple[Answer | None, tuple[str, str]]:
        """Post once; gives the answer, or the word and the detail of what stood in its way."""
        until = asyncio.get_running_loop().time() + self._deadline
        post = self._poster.post
        try:
            try:
                answer = await post(url, headers=sent, content=content, phases=phases, until=until)
            except Dropped:
                # A kept connection that the receiver had closed; the id makes it harmless.
                answer = await post(url, headers=sent, content=content, phases=phases, until=until)
        except Refused as error:
            return None, ("blocked", error.reason)
        except Unresolvable:
            return None, ("dns_failure", "The name has no address.")
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            # The last two: what the layers beneath let through unnamed.
            return None, (_word(error), type(error).__name__)
        return answer, ("", "")


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


def _judge(answer: Answer, now: datetime, met: Mapping[str, Any]) -> AttemptOutcome:
    """Say what an answer means; ``met`` is what else there is to tell."""
    status = answer.status
    if status in _SUCCESS:
        return AttemptOutcome(outcome="delivered", status=status, excerpt=_excerpt(answer), **met)
    wish = (answer.headers.get("webhook-delivery") or "").strip().lower()
    return AttemptOutcome(
        outcome="gone" if status == httpx.codes.GONE else "refused",
        status=status, excerpt=_excerpt(answer),
        retry_after=_retry_after(answer.headers.get("retry-after"), now),
        wish=wish if wish in _WISHES else "",
        **met,
    )  # fmt: skip


def _excerpt(answer: Answer) -> str:
    if not answer.body:
        return ""
    media = answer.headers.get("content-type", "text/plain").strip().lower()
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if not media.startswith(_TEXT) or encoding != "identity":
        return ""
    return answer.body.decode("utf-8", "replace").replace("\x00", "\ufffd")[:EXCERPT_CHARACTERS]


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
