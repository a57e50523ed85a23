"""Microsoft Graph service communications as a source of advisories."""

import asyncio
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Annotated, Any, Literal, Protocol, Self
from urllib.parse import quote, urlsplit

import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from app.clients.graph import EntraTokens, GraphClient, VendorError, build_clients
from app.core import advisory as advisories
from app.core.catalogue import OTHER, slug_of
from app.core.errors import UnreadablePayload
from app.core.ports import AdvisoryRead, SourceUnreadable
from app.core.signal import Advisory, Post
from app.core.types import SignalId
from app.kit.html import escaped, plain_text, safe_html, tidy

ISSUES = "admin/serviceAnnouncement/issues"
OVERVIEWS = "admin/serviceAnnouncement/healthOverviews"
OPEN = {"$filter": "isResolved eq false"}

# Authority and Graph root of each national cloud (reference of the Graph API, national clouds).
CLOUDS: Mapping[str, tuple[str, str]] = {
    "global": ("https://login.microsoftonline.com", "https://graph.microsoft.com"),
    "gcc_high": ("https://login.microsoftonline.us", "https://graph.microsoft.us"),
    "dod": ("https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
    "china": (
        "https://login.partner.microsoftonline.cn",
        "https://microsoftgraph.chinacloudapi.cn",
    ),
}
_SHARED_TENANTS = frozenset({"common", "organizations", "consumers"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOUR = timedelta(hours=1)
_Seconds = Annotated[float, Field(ge=1)]

REMEDIES: Mapping[str, str] = {
    "forbidden": (
        "Grant the app registration the application permission ServiceHealth.Read.All of Microsoft"
        " Graph and give admin consent: Entra admin center, App registrations, your app, API"
        " permissions, Add a permission, Microsoft Graph, Application permissions,"
        " ServiceHealth.Read.All, then Grant admin consent. It can take some minutes to work."
    ),
    "unauthorized": (
        "Check that tenant_id, client_id and cloud belong together; Graph does not take the token."
    ),
    "token_refused": (
        "Check tenant_id, client_id and the client secret (its value, not its id) and whether the"
        " secret has expired: Entra admin center, App registrations, your app, Certificates and"
        " secrets."
    ),
    "token_unavailable": (
        "Check that this host reaches the authority over https; if a proxy inspects TLS, name its"
        " authority in ca_file."
    ),
    "throttled": "Lower requests_per_hour or give Sextant an app registration of its own.",
    "unreachable": "Check that this host reaches Graph over https (DNS, proxy, firewall).",
    "timeout": "Check the path from this host to Graph; it answers too slowly or not at all.",
    "tls_failed": "If a proxy inspects TLS, name its authority in ca_file.",
    "odd_body": "Something between this host and Graph answers in its place; ask for an exception.",
    "budget": "Raise requests_per_hour, or the polling intervals.",
}


class GraphCredential(BaseModel):
    """What proves to Entra that we are the application: a client secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: SecretStr


class GraphSettings(BaseModel):
    """``[tenants.graph]``: how the vendor's word is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str = Field(pattern=r"^[A-Za-z0-9.-]{1,128}$")
    client_id: str = Field(min_length=1)
    credential: GraphCredential
    cloud: Literal["global", "gcc_high", "dod", "china"] = "global"
    authority: str | None = None
    base_url: str | None = None
    ca_file: str | None = None
    poll_hot_seconds: _Seconds = 60
    poll_calm_seconds: _Seconds = 300
    reconcile_seconds: _Seconds = 900
    requests_per_hour: int = Field(default=700, ge=1)
    timeout_seconds: _Seconds = 30

    @field_validator("tenant_id")
    @classmethod
    def _one_tenant(cls, value: str) -> str:
        if value.lower() in _SHARED_TENANTS:
            raise ValueError("name your own tenant by its id; common and organizations do not work")
        return value

    @field_validator("authority", "base_url")
    @classmethod
    def _root(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        local = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if not parts.hostname or not (parts.scheme == "https" or local):
            raise ValueError("give an https address")
        if parts.query or parts.fragment or re.search(r"/(v1\.0|beta)/?$", parts.path):
            raise ValueError("give the root alone, without version, query or fragment")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.authority is None) != (self.base_url is None):
            raise ValueError("authority and base_url come together, or leave both to cloud")
        if self.authority and not self.authority.startswith("https://"):
            raise ValueError("authority must be an https address, because msal takes no other")
        if self.poll_hot_seconds > self.poll_calm_seconds:
            raise ValueError("poll_hot_seconds must not exceed poll_calm_seconds")
        return self

    @property
    def authority_url(self) -> str:
        """The authority with the tenant id appended."""
        return f"{self.authority or CLOUDS[self.cloud][0]}/{self.tenant_id}"

    @property
    def graph_url(self) -> str:
        """The root of Graph without version; also the base of the token's scope."""
        return self.base_url or CLOUDS[self.cloud][1]


class Reader(Protocol):
    """What the source needs of a Graph client."""

    requests: int

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read one object."""
        ...

    async def list(self, path: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Read all records of a list."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def open_graph(settings: GraphSettings) -> "GraphSource":
    """Make a source from its settings; nothing is sent before the first read."""
    client, synchronous = build_clients(settings.ca_file, settings.timeout_seconds)
    tokens = EntraTokens(
        synchronous,
        authority=settings.authority_url,
        client_id=settings.client_id,
        secret=settings.credential.secret.get_secret_value(),
        scope=f"{settings.graph_url}/.default",
    )
    return GraphSource(GraphClient(client, tokens, base_url=settings.graph_url), settings)


class GraphSource:
    """Reads issues of service communications: the open ones, those that left, or all of them."""

    name = "graph"

    def __init__(self, client: Reader, settings: GraphSettings) -> None:
        self._client = client
        self._settings = settings
        self._names: dict[str, str] = {}
        self._spent: deque[tuple[datetime, int]] = deque()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def budget(self, now: datetime) -> dict[str, int]:
        """Say how many requests of this hour's share are used."""
        while self._spent and self._spent[0][0] <= now - _HOUR:
            self._spent.popleft()
        used = sum(number for _, number in self._spent)
        return {"requests_per_hour": self._settings.requests_per_hour, "used": used}

    async def read(self, *, known_open: Sequence[str], full: bool, now: datetime) -> AdvisoryRead:
        """Read the open issues (or all) and each of ``known_open`` that is not among them.

        An id of ``known_open`` that is absent from the answer's ``raw`` is no longer served: Graph
        was asked for it by name and said so.

        Raises:
            SourceUnreadable: the read did not complete; nothing of it counts.
        """
        if self.budget(now)["used"] >= self._settings.requests_per_hour:
            wait = self._spent[0][0] + _HOUR - now
            text = "This hour's share of requests is used up."
            raise SourceUnreadable("budget", text, remedy=REMEDIES["budget"], retry_after=wait)
        before = self._client.requests
        try:
            issues, full = await self._listed(full=full)
            if full:
                await self._learn_names()
            served = {str(issue.get("id")) for issue in issues}
            for vendor_id in sorted(set(known_open) - served):
                issue = await self._one(vendor_id)
                issues += [] if issue is None else [issue]
        except VendorError as error:
            remedy = REMEDIES.get(error.code, "")
            raise SourceUnreadable(
                error.code, error.text, remedy=remedy, retry_after=error.retry_after
            ) from error
        finally:
            self._spent.append((now, self._client.requests - before))
        # Hundreds of issues take long enough to hold up whoever else is on this loop.
        return await asyncio.to_thread(_translated, issues, names=self._names, full=full, now=now)

    async def _listed(self, *, full: bool) -> tuple[list[dict[str, Any]], bool]:
        """The issues, and whether all of them; without a filter where Graph will not take one."""
        if not full:
            try:
                return await self._client.list(ISSUES, OPEN), False
            except VendorError as error:
                if error.status not in {400, 500}:  # filters are undocumented here and have failed
                    raise
        return await self._client.list(ISSUES), True

    async def _learn_names(self) -> None:
        """Learn which display text belongs to which service id today, because the texts drift."""
        try:
            overviews = await self._client.list(OVERVIEWS)
        except VendorError:
            return  # the catalogue's own list of names stands in
        names = {
            str(entry["service"]): str(entry["id"])
            for entry in overviews
            if entry.get("service") and entry.get("id")
        }
        self._names = names or self._names

    async def _one(self, vendor_id: str) -> dict[str, Any] | None:
        try:
            return await self._client.get(f"{ISSUES}/{quote(vendor_id, safe='')}")
        except VendorError as error:
            if error.code == "not_found":
                return None
            raise


def _translated(
    issues: Sequence[dict[str, Any]], *, names: Mapping[str, str], full: bool, now: datetime
) -> AdvisoryRead:
    """Translate what was read; an id that came twice counts by its newest stamp."""
    found: dict[str, Advisory] = {}
    raw: dict[str, bytes] = {}
    unknown: set[tuple[str, str]] = set()
    unreadable = 0
    for issue in issues:
        try:
            made = translate(issue, names=names, now=now)
        except UnreadablePayload:
            unreadable += 1
            if isinstance(issue.get("id"), str):  # served, though not understood
                raw.setdefault(issue["id"], msgspec.json.encode(issue))
            continue
        unknown |= set(advisories.unknown_values(made))
        known = found.get(made.vendor_id)
        if known is None or known.last_modified_at <= made.last_modified_at:
            found[made.vendor_id] = made
            raw[made.vendor_id] = msgspec.json.encode(issue)
    return AdvisoryRead(
        advisories=tuple(found[key] for key in sorted(found)),
        raw=raw,
        complete=True,
        full=full,
        unknown_values=tuple(sorted(unknown)),
        unreadable=unreadable,
    )


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
    """Read a time with any number of fractions; the year 1 is how the vendor writes none."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError("a time that is no text")
    at = datetime.fromisoformat(value)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return None if at.year == 1 else at.astimezone(UTC)


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
