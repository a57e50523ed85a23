"""What a mirror goes by, and what it works with; shared by the loop and its parts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from app.core.incident import Incident
from app.core.link import Link, LinkState, Trigger, moved
from app.core.ports import IncidentPictures, Mirror
from app.core.types import OPEN_STATUSES, Severity, Status, TenantId
from app.kit.clock import Clock
from app.store.engine import Database

LEASE = timedelta(seconds=240)  # of one step: three calls of 75 s
RECONCILE = timedelta(hours=6)  # a link that nothing wakes is looked at so often
SUMMARY = timedelta(minutes=5)  # and one that names what is held so often
FAILED_AGAIN = timedelta(minutes=15)  # a refusal is tried again so often
BACKOFF = tuple(timedelta(seconds=s) for s in (5, 15, 60, 180, 600, 900))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the settings say of one mirror; ``speed`` is story seconds per second.

    ``children`` is how many tickets an incident may have under its own; 0 for none.
    """

    tenant: TenantId
    min_severity: Severity = Severity.MINOR
    min_status: Status = Status.CONFIRMED
    debounce: timedelta = timedelta(seconds=180)
    poll: timedelta = timedelta(seconds=60)
    budget: int = 30
    children: int = 0
    new_generation: bool = False
    prefix: str = "sextant"
    speed: float = 1.0

    def wants(self, incident: Incident) -> bool:
        """Whether an incident is to have a ticket."""
        if incident.status not in OPEN_STATUSES or incident.suppressed is not None:
            return False
        early = incident.status is Status.SUSPECTED and self.min_status is not Status.SUSPECTED
        return not early and incident.severity >= self.min_severity

    def debounce_of(self, incident: Incident) -> timedelta:
        """How long to wait with the ticket: not at all where the vendor confirms the worst."""
        confirmed = any(not a.is_resolved and not a.withdrawn for a in incident.advisories)
        worst = incident.severity is Severity.CRITICAL and confirmed
        return timedelta(0) if worst else self.debounce


Obey = Callable[..., Awaitable[Incident]]  # flow.fold.Fold.command
Announce = Callable[..., Awaitable[None]]  # flow.fold.Fold.news


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a mirror works with."""

    db: Database
    clock: Clock
    mirror: Mirror
    terms: Terms
    obey: Obey
    announce: Announce
    url_of: Callable[[str], str]
    pictures: IncidentPictures | None = None


def after(link: Link, trigger: Trigger) -> LinkState:
    """The link's state after a trigger; see ``core.link.TABLE``."""
    return moved(link.state, trigger)


def rest_of(link: Link) -> timedelta:
    """How long a link that is in step rests, unless something wakes it."""
    return SUMMARY if link.incident is None else RECONCILE


def backoff(tries: int) -> timedelta:
    """How long to wait after so many calls that did not reach the other side."""
    return BACKOFF[min(max(tries, 1), len(BACKOFF)) - 1]
