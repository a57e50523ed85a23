"""``sextant graph check``: signs in, reads once, and says in sentences what it found."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from app.clients.entra import roles_in
from app.clients.graph import VendorError
from app.core.ports import AdvisoryRead, SourceUnreadable
from app.core.signal import Advisory
from app.kit.certificates import UnreadableCertificate, read_certificate
from app.sources.graph.remedies import PERMISSION, remedy_of
from app.sources.graph.settings import GraphSettings
from app.sources.graph.source import GraphSource, Shared, open_graph

SKEW_TOLD = timedelta(seconds=60)  # a clock that is further off spoils certificates and times
AGREES = timedelta(seconds=2)  # the header has whole seconds
SHOWN = 5  # ids that are named
ENDS_SOON = timedelta(days=30)  # of a certificate


@dataclass(slots=True)
class Checked:
    """What was found: sentences in order, and what to fix; nothing to fix is well."""

    found: list[str] = field(default_factory=list)
    fix: list[str] = field(default_factory=list)
    failed: bool = False


async def check(settings: GraphSettings, shared: Shared, *, now: datetime) -> Checked:
    """Sign in, look at the permission, read everything once, and hold the clocks together."""
    told = Checked()
    source = open_graph(settings, shared)
    _credential(settings, told, now)
    signed_in, permitted = await _sign_in(source, told)
    if not signed_in:
        return told
    try:
        read = await source.read(known_open=(), full=True, now=now)
    except SourceUnreadable as error:
        told.failed = True
        told.found.append(f"Reading failed: {error.text}")
        remedy = error.remedy
        if permitted and error.code == "forbidden":
            remedy = remedy_of("forbidden", permitted=True)
        told.fix += [remedy] if remedy not in told.fix else []
        if source.client.ahead is not None:
            told.found += _clock(source.client.ahead, told)
        return told
    told.found += [*_seen(read), _newest(read, now), *_clock(source.client.ahead, told)]
    told.found.append(
        f"It took {_counted(source.client.requests, 'request')}"
        f" of the {settings.requests_per_hour} that one hour may have."
    )
    return told


def _credential(settings: GraphSettings, told: Checked, now: datetime) -> None:
    given = settings.credential.certificate
    if given is None:
        return
    password = given.password
    try:
        made = read_certificate(
            Path(given.file), None if password is None else password.get_secret_value()
        )
    except UnreadableCertificate:
        return  # signing in will say so
    told.found.append(
        f"The certificate has the thumbprint {made.thumbprint}"
        f" and ends on {made.not_after:%d %B %Y}."
    )
    if made.not_after - now < ENDS_SOON:
        told.fix.append(
            "Renew the certificate: upload it at the app registration, replace the file."
        )


async def _sign_in(source: GraphSource, told: Checked) -> tuple[bool, bool]:
    """Sign in; whether it went well, and whether the permission was seen."""
    settings = source.settings
    host = urlsplit(settings.authority_url).hostname
    kind = settings.credential.kind.replace("_", " ")
    try:
        token = await source.token()
    except VendorError as error:
        told.failed = True
        told.found.append(f"Signing in at {host} with the {kind} failed: {error.text}")
        told.fix.append(source.unreadable(error).remedy)
        return False, False
    told.found.append(f"Signed in at {host} with the {kind}.")
    roles = roles_in(token)
    if roles is None:
        told.found.append("The token cannot be looked into; reading will show what it permits.")
    elif PERMISSION in roles:
        others = [role for role in roles if role != PERMISSION]
        more = (
            f" It also carries {', '.join(others)}, which Sextant does not use." if others else ""
        )
        told.found.append(f"The token carries the permission {PERMISSION}.{more}")
    else:
        carried = ", ".join(roles) or "no application permission at all"
        told.found.append(f"The token lacks the permission {PERMISSION}; it carries {carried}.")
        told.fix.append(remedy_of("forbidden", credential=settings.credential.kind))
    return True, roles is not None and PERMISSION in roles


def _seen(read: AdvisoryRead) -> list[str]:
    still = [a.vendor_id for a in read.advisories if not a.is_resolved]
    services = len({a.service_name for a in read.advisories})
    named = f" ({_some(still)})" if still else ""
    number = len(read.advisories)
    what = "1 advisory" if number == 1 else f"{number} advisories"
    found = [f"Read {what} of {_counted(services, 'service')}, {len(still)} open{named}."]
    if read.unreadable:
        why = "; ".join(f"{key}: {reason}" for key, reason in read.unreadable_why[:SHOWN])
        found.append(f"{_counted(read.unreadable, 'record')} cannot be read: {why}.")
    unknown = Counter(name for name, _ in read.unknown_values)
    if unknown:
        words = ", ".join(f"{name} {value!r}" for name, value in read.unknown_values[:SHOWN])
        found.append(f"Words without a known meaning, which count as open: {words}.")
    return found


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _some(ids: list[str]) -> str:
    more = len(ids) - SHOWN
    return ", ".join(ids[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _newest(read: AdvisoryRead, now: datetime) -> str:
    newest: Advisory | None = max(
        read.advisories, key=lambda a: (a.last_modified_at, a.vendor_id), default=None
    )
    if newest is None:
        return "Microsoft lists nothing, neither open nor resolved; an old tenant has history."
    age = _span(now - newest.last_modified_at)
    stamp = f"{newest.last_modified_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"Microsoft's newest change is {newest.vendor_id} of {stamp}, {age} ago."


def _clock(ahead: timedelta | None, told: Checked) -> list[str]:
    if ahead is None:
        return ["Graph did not say what time it has."]
    if abs(ahead) < AGREES:
        return ["The clock of this machine agrees with that of Graph."]
    if abs(ahead) >= SKEW_TOLD:
        told.fix.append("Set the clock of this machine by NTP; signed requests fail beyond 5 min.")
    side = "behind" if ahead > timedelta() else "ahead of"
    return [f"This machine is {_span(abs(ahead))} {side} the clock of Graph."]


def _span(length: timedelta) -> str:
    seconds = max(int(length.total_seconds()), 0)
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {name}"
    return f"{seconds} s"
