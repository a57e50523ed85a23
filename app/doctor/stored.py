"""The stored: keys, receivers, sources, checks, tickets and channels as the database knows them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import Connection

from app.core.link import Link, LinkState
from app.core.retry import Standing
from app.core.route import Subscription
from app.core.types import SourceState, TenantId
from app.doctor.finding import Finding, note, problem, warning, well
from app.flow.retention import Due
from app.kit.egress import LOOPBACK, Egress, Refused
from app.settings import Settings
from app.store import deliveries, events, health, keys, links, probes, sources, subscriptions
from app.store.keys import ApiKey
from app.store.links import Standing as LinkStanding
from app.store.probes import NewestResult
from app.store.sources import SourceRecord

MOST = 1000  # rows of one kind that are looked at
SOON = timedelta(days=14)
TROUBLED = (LinkState.FAILED, LinkState.CONFLICT, LinkState.GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was read. ``instant`` is the database server's time, where it has a clock of its own."""

    instant: datetime | None
    newest_at: datetime | None
    keys: Sequence[ApiKey]
    receivers: Sequence[Subscription]
    parked: int
    sources: Sequence[SourceRecord]
    checks: Sequence[NewestResult]
    links: Sequence[Link]
    ways: Sequence[LinkStanding] = ()


def known(c: Connection, settings: Settings, now: datetime) -> Known:
    """Read it all on one snapshot."""
    tenants = [TenantId(tenant.id) for tenant in settings.tenants]
    newest = [
        event.occurred_at
        for tenant in tenants
        for event in events.after(c, tenant, events.bounds(c, tenant)[1] - 1, 1)
    ]
    return Known(
        instant=health.instant(c),
        newest_at=max(newest, default=None),
        keys=keys.page(c, None, after=None, limit=MOST),
        receivers=subscriptions.page(c, None, after=None, limit=MOST),
        parked=len(deliveries.page(c, None, state=deliveries.PARKED, limit=MOST)),
        sources=[record for tenant in tenants for record in sources.listing(c, tenant)],
        checks=probes.listing(c, None, now=now),
        links=[
            link
            for state in TROUBLED
            for link in links.page(c, None, state=state.value, limit=MOST)
        ],
        ways=[one for one in links.standings(c).values() if one.failing_since is not None],
    )


def judged(settings: Settings, known: Known, now: datetime) -> Iterator[Finding]:
    """Judge what was read."""
    yield from _keys(settings, known, now)
    yield from _receivers(settings, known)
    yield from _sources(known, now)
    yield from _checks(known)
    yield from _ways(settings, known)
    yield from _links(known)


def overdue(due: Sequence[Due]) -> Iterator[Finding]:
    """Whether what is kept no longer was deleted; ``due`` is as of a day ago."""
    rows = {one.what: one.rows for one in due if one.rows}
    if rows:
        shown = ", ".join(f"{number} {what}" for what, number in sorted(rows.items()))
        yield warning(
            "retention", f"More than a day overdue, and still there: {shown}.",
            "Run `sextant retention`, and see that some replica runs with the role work.",
        )  # fmt: skip


def _keys(settings: Settings, known: Known, now: datetime) -> Iterator[Finding]:
    valid = [key for key in known.keys if key.is_valid(now)]
    if not valid and not settings.issuers:
        grade = problem if settings.server.host not in LOOPBACK else warning  # serve refuses
        yield grade(
            "keys", "There is no valid key, and no issuer of tokens.",
            "`sextant keys create --tenant '*' --scopes admin --name first` makes one.",
        )  # fmt: skip
        return
    soon = [k for k in valid if k.expires_at is not None and k.expires_at - now < SOON]
    for key in soon:
        followed = any(
            other.client == key.client and other.created_at > key.created_at for other in valid
        )
        if not followed:
            yield warning(
                "keys", f"{key.name} ({key.id}) ends on {key.expires_at:%d %B %Y}.",
                f"`sextant keys rotate {key.id}` makes the key that follows it.",
            )  # fmt: skip
    if not soon:
        yield well("keys", f"{len(valid)} keys are valid; none ends within {SOON.days} days.")


def _receivers(settings: Settings, known: Known) -> Iterator[Finding]:
    egress = Egress.of([rule.model_dump(exclude_none=True) for rule in settings.egress.allow])
    bad = 0
    for one in known.receivers:
        name = f"{one.description or urlsplit(one.url).hostname} ({one.id})"
        found = _receiver(one, name, egress)
        bad += found is not None
        if found is not None:
            yield found
    if known.parked:
        more = " or more" if known.parked == MOST else ""
        yield warning(
            "receivers", f"{known.parked}{more} deliveries are parked.",
            "See GET /v1/deliveries?state=parked; redeliver or replay what is still wanted.",
        )  # fmt: skip
    if not bad:
        yield well("receivers", f"{len(known.receivers)} receivers, none in trouble.")


def _receiver(one: Subscription, name: str, egress: Egress) -> Finding | None:
    try:
        egress.check_url(one.url)
    except Refused as error:
        return problem(
            "receivers", f"{name} may not be dialled any more: {error.text}",
            "Permit it in [egress] allow, or change its address.", tenant=one.tenant,
        )  # fmt: skip
    match one.state:
        case Standing.UNVERIFIED:
            text = f"{name} never answered a ping, so it is sent nothing."
            fix = f"POST /v1/subscriptions/{one.id}/test once it answers."
            return warning("receivers", text, fix, tenant=one.tenant)
        case Standing.FAILING:
            since = "" if one.failing_since is None else f" since {one.failing_since:%d %B %H:%M}Z"
            text = f"{name} fails{since}, {one.consecutive_failures} times in a row."
            fix = "See its attempts in GET /v1/deliveries; what it missed can be replayed."
            return problem("receivers", text, fix, tenant=one.tenant)
        case Standing.DISABLED:
            text = f"{name} is disabled."
            fix = f"POST /v1/subscriptions/{one.id}/test wakes it, or delete it."
            return note("receivers", text, fix=fix, tenant=one.tenant)
        case _:
            return None


def _sources(known: Known, now: datetime) -> Iterator[Finding]:
    for record in known.sources:
        state = sources.state_of(record, now)
        if state is SourceState.FRESH:
            continue
        error = record.last_error
        last = record.last_complete_at
        heard = "never" if last is None else f"{last:%Y-%m-%d %H:%M} UTC"
        why = "" if error is None else f" ({error.text})"
        text = f"{record.name} is {state.value.replace('_', ' ')}; last read: {heard}{why}."
        fix = "Start `sextant serve`, if it does not run." if error is None else error.remedy
        yield warning("sources", text, fix, tenant=record.tenant)
    if known.sources and all(sources.state_of(r, now) is SourceState.FRESH for r in known.sources):
        yield well("sources", f"{len(known.sources)} sources were read in time.")


def _checks(known: Known) -> Iterator[Finding]:
    silent = [one for one in known.checks if one.silent]
    for one in silent:
        text = (
            f"{one.probe} at {one.location} is silent since {one.occurred_at:%Y-%m-%d %H:%M} UTC."
        )
        fix = "See that its agent or monitor runs; a check that is gone ages out by retention."
        yield warning("probes", text, fix, tenant=one.tenant)
    if known.checks and not silent:
        yield well("probes", f"{len(known.checks)} checks spoke lately.")


def _links(known: Known) -> Iterator[Finding]:
    for link in known.links:
        word = link.state.value
        text = f"{link.mirror}: {link.number or link.id} is {word}. {link.explanation}".strip()
        fix = f"Set right what it says, then POST /v1/links/{link.id}/resync."
        grade = problem if link.state is LinkState.FAILED else warning
        yield grade("mirrors", text, fix, tenant=link.tenant)


def _ways(settings: Settings, known: Known) -> Iterator[Finding]:
    mirrors = {mirror.name for tenant in settings.tenants for mirror in tenant.mirrors}
    channels = {channel.name for tenant in settings.tenants for channel in tenant.channels}
    for one in known.ways:
        if one.name not in mirrors | channels:
            continue  # of settings that were
        area = "mirrors" if one.name in mirrors else "channels"
        text = f"{one.name} fails since {one.failing_since:%Y-%m-%d %H:%M} UTC: {one.trouble}"
        fix = "Set right what it says; it is tried again within 15 minutes."
        if area == "channels":
            fix = f"Set right what it says, then `sextant channel test {one.name}`."
        yield problem(area, text, fix, tenant=one.tenant)
