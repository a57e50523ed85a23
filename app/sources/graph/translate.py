"""Translating issues of Microsoft Graph into advisories: pure, tolerant of whatever is new."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from threading import Lock
from typing import Any

import msgspec

from app.core import advisory as advisories
from app.core.catalogue import OTHER, slug_of
from app.core.errors import UnreadablePayload
from app.core.ports import AdvisoryRead
from app.core.signal import Advisory, Post
from app.core.types import SignalId
from app.kit.html import escaped, plain_text, safe_html, tidy

REMEMBERED = 2000  # issues; Graph serves about 250 at a time, and tenants differ little
YEARS = range(2000, 2200)  # in which the vendor's times can lie
UNREADABLE_SHOWN = 500  # records that are named with their reason: twice what Graph serves
LONGEST_REASON = 200  # characters
_ENCODER = msgspec.json.Encoder(order="sorted")


class Translator:
    """Translates issues and remembers what it made: tenants by the hundred see the same ones.

    The memory is by content, so it can never give an older text; what was used least goes first.
    """

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._made: OrderedDict[bytes, Advisory] = OrderedDict()
        self._lock = Lock()  # reads of several tenants translate in several threads
        self.hits = 0
        self.misses = 0

    async def all(
        self,
        issues: Sequence[dict[str, Any]],
        *,
        names: Mapping[str, str],
        full: bool,
        now: datetime,
    ) -> AdvisoryRead:
        """Translate what was read; an id that came twice counts by its newest stamp.

        The event loop is left free: hundreds of new issues take long enough to hold up others.
        """
        return await asyncio.to_thread(self._all, issues, names, full=full, now=now)

    def _all(
        self,
        issues: Sequence[dict[str, Any]],
        names: Mapping[str, str],
        *,
        full: bool,
        now: datetime,
    ) -> AdvisoryRead:
        found: dict[str, Advisory] = {}
        raw: dict[str, bytes] = {}
        unknown: set[tuple[str, str]] = set()
        unreadable: dict[str, str] = {}
        for position, issue in enumerate(issues):
            body = _ENCODER.encode(issue)
            try:
                made = self._one(issue, body, names, now)
            except UnreadablePayload as error:
                given = issue.get("id")
                known = given if isinstance(given, str) and given else f"#{position}"
                unreadable[known] = (error.detail or "")[:LONGEST_REASON]
                if known == given:  # served, though not understood
                    raw.setdefault(known, body)
                continue
            unknown |= set(advisories.unknown_values(made))
            earlier = found.get(made.vendor_id)
            if earlier is None or earlier.last_modified_at <= made.last_modified_at:
                found[made.vendor_id] = made
                raw[made.vendor_id] = body
        return AdvisoryRead(
            advisories=tuple(found[key] for key in sorted(found)),
            raw=raw,
            complete=True,
            full=full,
            unknown_values=tuple(sorted(unknown)),
            unreadable=len(unreadable),
            unreadable_why=tuple(sorted(unreadable.items()))[:UNREADABLE_SHOWN],
        )

    def _one(
        self, issue: Mapping[str, Any], body: bytes, names: Mapping[str, str], now: datetime
    ) -> Advisory:
        service = issue.get("service")
        slug = _slug(service, names) if isinstance(service, str) else ""
        key = hashlib.blake2b(body, digest_size=16, key=slug.encode()[:64]).digest()
        with self._lock:
            known = self._made.get(key)
            if known is not None:
                self._made.move_to_end(key)
                self.hits += 1
        if known is None:
            known = translate(issue, names=names, now=now)
            with self._lock:
                self.misses += 1
                self._made[key] = known
                while len(self._made) > self._size:
                    self._made.popitem(last=False)
        return replace(known, first_seen_at=now, received_at=now)


def translate(issue: Mapping[str, Any], *, names: Mapping[str, str], now: datetime) -> Advisory:
    """Turn one ``serviceHealthIssue`` of Graph v1.0 into an advisory.

    Args:
        issue: the object as read; unknown properties are ignored.
        names: the vendor's display text → service id, from the tenant's own healthOverviews.
        now: when it was read.

    Raises:
        UnreadablePayload: a field that we rely on is absent or malformed.
    """
    vendor_id = issue.get("id")
    if not isinstance(vendor_id, str) or not vendor_id:
        raise UnreadablePayload("An issue has no id.")
    try:
        modified = _instant(issue.get("lastModifiedDateTime"))
        started = _instant(issue.get("startDateTime"))
        posts = _posts(vendor_id, issue.get("posts") or [])
        first = posts[0].created_at if posts else None
        stamp = modified or (posts[-1].created_at if posts else started)
        if stamp is None or not isinstance(issue["isResolved"], bool):
            raise UnreadablePayload(f"{vendor_id} has no time or no state.")
        service = _text(issue.get("service")) or ""
        made = Advisory(
            id=SignalId(""),
            vendor_id=vendor_id,
            service=_slug(service, names),
            service_name=service,
            classification=_text(issue.get("classification")) or "",
            status=_text(issue["status"]) or "",
            title=_text(issue.get("title")) or vendor_id,
            impact_description=_text(issue.get("impactDescription")) or "",
            is_resolved=issue["isResolved"],
            started_at=started or first or stamp,
            last_modified_at=stamp,
            first_seen_at=now,
            received_at=now,
            digest="",
            origin=_text(issue.get("origin")) or "microsoft",
            feature=_text(issue.get("feature")),
            feature_group=_text(issue.get("featureGroup")),
            high_impact=issue["highImpact"] if isinstance(issue.get("highImpact"), bool) else None,
            ended_at=_instant(issue.get("endDateTime")),
            published_at=first,
            details=_details(issue.get("details")),
            posts=posts,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadablePayload(f"{vendor_id} is malformed: {error!r}") from error
    made = advisories.with_reading(made)
    return replace(made, id=advisories.revision_id(made))


def _slug(service: str, names: Mapping[str, str]) -> str:
    known = slug_of(names.get(service, service))
    return slug_of(service) if known == OTHER else known


def _text(value: object) -> str | None:
    """One line of plain text, or None; titles may hold ``<`` and are not HTML."""
    return (" ".join(tidy(value).split()) or None) if isinstance(value, str) else None


def _instant(value: object) -> datetime | None:
    """Read a time with any number of fractions; the year 1 is how the vendor writes none.

    Whatever lies outside of ``YEARS`` is a mark or a slip as well, and nothing can be added to it.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError("a time that is no text")
    at = datetime.fromisoformat(value)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return at.astimezone(UTC) if at.year in YEARS else None


def _posts(vendor_id: str, raw: Sequence[Mapping[str, Any]]) -> tuple[Post, ...]:
    """Read the posts oldest first; they come in any order, without ids, and may repeat."""
    made: dict[tuple[datetime, str, str], str] = {}
    for post in raw:
        at = _instant(post.get("createdDateTime"))
        if at is None:
            raise ValueError("a post without a time")
        body = post.get("description") or {}
        content = str(body.get("content") or "")
        if str(body.get("contentType") or "html").casefold() == "text":
            text, html = tidy(content), escaped(content)
        else:
            text, html = plain_text(content), safe_html(content)
        made[at, str(post.get("postType") or "regular"), text] = html
    posts: list[Post] = []
    for (at, kind), same in groupby(sorted(made), key=lambda one: one[:2]):
        for ordinal, key in enumerate(same):
            name = f"{vendor_id}:{at.strftime('%Y%m%dT%H%M%S.%fZ')}:{kind.casefold()}:{ordinal}"
            posts.append(Post(id=name, created_at=at, type=kind, text=key[2], html=made[key]))
    return advisories.in_order(posts)


def _details(raw: object) -> tuple[tuple[str, str], ...]:
    pairs = raw if isinstance(raw, list) else []
    return tuple(
        (str(pair.get("name") or ""), plain_text(str(pair.get("value") or "")))
        for pair in pairs
        if isinstance(pair, dict)
    )
