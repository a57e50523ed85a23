"""Status feeds: a page is read once for all tenants, and its word becomes a result of a check."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from xml.etree import ElementTree as ET

import httpx
import msgspec

from app.clients.answers import fetch
from app.clients.errors import VendorError
from app.core.ids import derived
from app.core.ports import FeedRead, SourceUnreadable
from app.core.signal import ProbeResult
from app.core.types import Outcome, SignalId, Symptom, TenantId
from app.core.wording import understand
from app.kit import http
from app.kit.html import plain_text
from app.sources.status_feed.settings import StatusFeedSettings

PAGE_BYTES = 1024 * 1024
EXCERPT = 300  # characters of a page's words that go along
YOUNG = timedelta(hours=48)  # an entry of the Azure feed that is older is history
# The page's own script knows five of these; readers have met the sixth (reference, section 5).
_OUTCOMES = {
    "available": Outcome.OK,
    "operational": Outcome.OK,
    "servicerestored": Outcome.OK,
    "servicedegradation": Outcome.DEGRADED,
    "serviceinterruption": Outcome.FAILED,
}
_ENTRA = re.compile(
    r"\bEntra\b|\bActive Directory\b|\bAzure AD\b|\bauthenticat\w+|\bsign[- ]?ins?\b", re.IGNORECASE
)
_RESOLVED = re.compile(r"\b(?:resolved|mitigated|RCA|post incident review)\b", re.IGNORECASE)
_REMEDY = "Check that this host reaches the page, or switch [tenants.status_feed] off."


class SharedPages:
    """Reads each page once per period, however many tenants ask."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Prepare; ``transport`` replaces the network."""
        self._transport = transport
        self._clients: dict[tuple[str | None, float], httpx.AsyncClient] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._kept: dict[str, tuple[datetime, bytes | VendorError]] = {}
        self.requests = 0

    async def read(
        self, url: str, accept: str, settings: StatusFeedSettings, now: datetime
    ) -> bytes:
        """Give the page, at most half a period old.

        Raises:
            VendorError: it could not be read; that too is shared for half a period.
        """
        async with self._locks.setdefault(url, asyncio.Lock()):
            known = self._kept.get(url)
            if known is None or now - known[0] >= timedelta(seconds=settings.poll_seconds / 2):
                known = self._kept[url] = (now, await self._fetch(url, accept, settings))
        if isinstance(known[1], VendorError):
            raise known[1]
        return known[1]

    async def aclose(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()

    async def _fetch(
        self, url: str, accept: str, settings: StatusFeedSettings
    ) -> bytes | VendorError:
        key = (settings.ca_file, settings.timeout_seconds)
        if key not in self._clients:
            self._clients[key] = http.client(
                ca_file=key[0], timeout_seconds=key[1], transport=self._transport
            )
        self.requests += 1
        try:
            return await fetch(self._clients[key], url, limit=PAGE_BYTES, accept=accept)
        except VendorError as error:
            return error


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a page says of one service."""

    service: str
    feature: str
    outcome: Outcome
    text: str = ""
    symptom: Symptom | None = None


class Feed(Protocol):
    """One page: its name, and what it says of which service."""

    name: str
    title: str
    location: str

    async def read(self, *, tenant: TenantId, now: datetime) -> FeedRead:
        """Read the page."""
        ...


class _Page:
    """Reads a page and turns its words into results of a check at the page's own location."""

    name = ""
    location = ""
    accept = ""
    url = ""

    def __init__(self, settings: StatusFeedSettings, pages: SharedPages) -> None:
        self._settings = settings
        self._pages = pages

    def words(self, body: bytes, now: datetime) -> Sequence[Word]:
        """Say what the page says.

        Raises:
            ValueError: the body is not what the page was known to be.
        """
        raise NotImplementedError

    async def read(self, *, tenant: TenantId, now: datetime) -> FeedRead:
        """Read the page; that it cannot be reached says nothing of any service.

        Raises:
            SourceUnreadable: it did not answer, or with something else than it is known for.
        """
        try:
            body = await self._pages.read(self.url, self.accept, self._settings, now)
            said = await asyncio.to_thread(self.words, body, now)
        except VendorError as error:
            raise SourceUnreadable(
                error.code, error.text, remedy=_REMEDY, retry_after=error.retry_after
            ) from error
        except ValueError as error:
            text = f"The page is not what it was: {error}"
            raise SourceUnreadable("odd_body", text, remedy=_REMEDY) from error
        results = tuple(self._result(word, tenant, now) for word in said)
        return FeedRead(results=results, said=tuple(f"{w.outcome}: {w.text}" for w in said))

    def _result(self, word: Word, tenant: TenantId, now: datetime) -> ProbeResult:
        bad = word.outcome in {Outcome.DEGRADED, Outcome.FAILED}
        return ProbeResult(
            id=SignalId(derived(tenant, self.name, word.service, now.isoformat())),
            probe="status-page",
            location=self.location,
            outcome=word.outcome,
            occurred_at=now,
            received_at=now,
            service=word.service,
            feature=word.feature,
            symptom=(word.symptom or Symptom.OTHER) if bad else None,
            error=word.text[:EXCERPT] if bad else None,
        )


class MicrosoftFeed(_Page):
    """``status.cloud.microsoft``: one post on whether the admin center is well; JSON."""

    name = "status:microsoft"
    title = "status.cloud.microsoft"
    location = "status.cloud.microsoft"
    accept = "application/json"

    def __init__(self, settings: StatusFeedSettings, pages: SharedPages) -> None:
        super().__init__(settings, pages)
        self.url = settings.microsoft_url

    def words(self, body: bytes, now: datetime) -> Sequence[Word]:
        """Read the post; its times are the server's clock and mean nothing."""
        del now
        try:
            post: Any = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError("no JSON") from error
        status = post.get("Status") if isinstance(post, dict) else None
        if not isinstance(status, str):
            raise ValueError("no post with a Status")  # noqa: TRY004 - it is the page that is odd
        title = plain_text(str(post.get("Title") or ""))
        message = plain_text(str(post.get("Message") or ""))
        found = understand(title=title, impact_description=message)
        return [
            Word(
                service="microsoft-365-admin",
                feature="administration",
                outcome=_OUTCOMES.get(status.casefold(), Outcome.UNKNOWN),
                text=" ".join(f"{title} {message}".split()),
                symptom=next(iter(found.symptoms), None),
            )
        ]


class AzureFeed(_Page):
    """The RSS feed of Azure's status: empty while nothing is widespread."""

    name = "status:azure"
    title = "Azure status"
    location = "azure.status.microsoft"
    accept = "application/rss+xml, application/xml"

    def __init__(self, settings: StatusFeedSettings, pages: SharedPages) -> None:
        super().__init__(settings, pages)
        self.url = settings.azure_url

    def words(self, body: bytes, now: datetime) -> Sequence[Word]:
        """Look for an entry about sign-in; the rest of Azure is not ours to judge."""
        try:
            text = body.decode("utf-8-sig")
            if "<!DOCTYPE" in text or "<!ENTITY" in text:  # a feed needs neither, an attack does
                raise ValueError("a document type in a feed")
            root = ET.fromstring(text)  # noqa: S314 - entities were refused above
        except ET.ParseError as error:
            raise ValueError("no XML") from error
        if root.tag != "rss":
            raise ValueError("no RSS")
        told = [_entry(item) for item in root.iter("item") if _is_young(item, now)]
        bad = [entry for entry in told if _ENTRA.search(entry) and not _RESOLVED.search(entry)]
        return [
            Word(
                service="entra-id",
                feature="sign-in",
                outcome=Outcome.DEGRADED if bad else Outcome.OK,
                text=bad[0] if bad else f"{len(told)} entries, none about sign-in",
                symptom=Symptom.AUTH_REJECTED if bad else None,
            )
        ]


def _entry(item: ET.Element) -> str:
    parts = (plain_text(item.findtext(name) or "") for name in ("title", "description"))
    return " ".join(" ".join(parts).split())


def _is_young(item: ET.Element, now: datetime) -> bool:
    """An entry without a readable date counts; the feed writes ``Z``, which RFC 822 allows."""
    given = (item.findtext("pubDate") or "").strip()
    try:
        at = parsedate_to_datetime(given.removesuffix("Z").strip() + " +0000")
    except (ValueError, TypeError):
        try:
            at = parsedate_to_datetime(given)
        except (ValueError, TypeError):
            return True
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return now - at <= YOUNG


def feeds_of(settings: StatusFeedSettings, pages: SharedPages) -> tuple[Feed, ...]:
    """The feeds of a tenant that switched them on."""
    if not settings.enabled:
        return ()
    return (MicrosoftFeed(settings, pages), AzureFeed(settings, pages))
