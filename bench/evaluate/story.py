"""What an engine told, as the judge reads it: one claim per incident, with its course in time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.core.events import Event
from app.core.incident import Incident
from app.core.types import Status
from app.flow.offline import Told

FIRM = frozenset({Status.CONFIRMED, Status.MITIGATING, Status.MONITORING})
ENDED = frozenset({Status.RESOLVED, Status.CLOSED, Status.DISMISSED, Status.MERGED})


@dataclass(slots=True, kw_only=True)
class Claim:
    """One incident by evidence of our own, or by the vendor's word alone.

    ``shown_at``: first told with evidence of our own (suspected or more); ``claimed_at``: first
    told as a fact with it. ``origins`` and ``confidences`` are (when, what) in order. ``ends`` are
    the times at which it was told to have ended; ``reopened`` those at which it went on.
    ``links``: vendor id → first time it was told to belong here.
    """

    id: str
    services: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    opened_at: datetime
    shown_at: datetime | None = None
    claimed_at: datetime | None = None
    status: str = ""
    origins: list[tuple[datetime, str]] = field(default_factory=list)
    confidences: list[tuple[datetime, float]] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)
    reopened: list[datetime] = field(default_factory=list)
    links: dict[str, datetime] = field(default_factory=dict)
    merged_into: str | None = None
    told: int = 0
    title: str = ""

    @property
    def origin(self) -> str:
        """Whose fault it was said to be at the end."""
        return self.origins[-1][1] if self.origins else "unknown"

    def origin_at(self, moment: datetime) -> str:
        """Whose fault it was said to be at a moment."""
        said = [origin for at, origin in self.origins if at <= moment]
        return said[-1] if said else "unknown"

    @property
    def ended_at(self) -> datetime | None:
        """When it was last told to have ended; None while it is open."""
        if not self.ends or (self.reopened and self.reopened[-1] > self.ends[-1]):
            return None
        return self.ends[-1]

    def was_open(self, start: datetime, end: datetime) -> bool:
        """Whether it was open at any time between two instants."""
        return self.opened_at <= end and (self.ended_at is None or self.ended_at >= start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All claims of a run; ``holders`` says which of them holds each signal at the end."""

    claims: tuple[Claim, ...]
    holders: Mapping[str, str | None]

    def survivor(self, claim: Claim) -> Claim:
        """Where a claim went when it was merged."""
        by_id = {one.id: one for one in self.claims}
        while claim.merged_into is not None and claim.merged_into in by_id:
            claim = by_id[claim.merged_into]
        return claim

    @property
    def living(self) -> list[Claim]:
        """The claims that were not merged into another."""
        return [claim for claim in self.claims if claim.merged_into is None]


def read(told: Told) -> Story:
    """Read the events of a run as claims; what merged gives the survivor its times."""
    claims: dict[str, Claim] = {}
    for event in told.events:
        if event.incident is not None:
            _add(claims, event, event.incident)
    for incident in told.incidents:
        claim = claims.get(incident.id)
        if claim is not None:
            claim.merged_into = incident.merged_into
    story = Story(claims=tuple(claims.values()), holders=dict(told.assignments))
    for claim in story.claims:
        if claim.merged_into is not None:
            _inherit(story.survivor(claim), claim)
    return story


def _add(claims: dict[str, Claim], event: Event, incident: Incident) -> None:
    at = event.occurred_at
    claim = claims.get(incident.id)
    if claim is None:
        claim = claims[incident.id] = Claim(id=incident.id, opened_at=at)
    claim.told += 1
    was_ended = claim.status in ENDED
    claim.services, claim.networks = incident.services, incident.networks
    claim.title, claim.status = incident.title, incident.status.value
    if incident.detected_at is not None:
        claim.shown_at = claim.shown_at or at
        if incident.status in FIRM:
            claim.claimed_at = claim.claimed_at or at
        if not claim.origins or claim.origins[-1][1] != incident.origin.value:
            claim.origins.append((at, incident.origin.value))
        if incident.status not in ENDED:
            claim.confidences.append((at, incident.confidence))
    if incident.status in ENDED and not was_ended:
        claim.ends.append(at)
    if incident.status not in ENDED and was_ended:
        claim.reopened.append(at)
    _link(claim, incident, at)


def _link(claim: Claim, incident: Incident, at: datetime) -> None:
    """Keep when each linked advisory came; one that went to another is not kept."""
    linked = {advisory.id for advisory in incident.advisories}
    claim.links = {v: since for v, since in claim.links.items() if v in linked}
    for vendor_id in linked:
        claim.links.setdefault(vendor_id, at)


def _inherit(survivor: Claim, merged: Claim) -> None:
    survivor.opened_at = min(survivor.opened_at, merged.opened_at)
    survivor.shown_at = _first(survivor.shown_at, merged.shown_at)
    survivor.claimed_at = _first(survivor.claimed_at, merged.claimed_at)
    survivor.told += merged.told


def _first(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


def simple_claim(
    name: str,
    *,
    services: Iterable[str],
    start: datetime,
    end: datetime | None,
    origin: str = "vendor",
    links: Mapping[str, datetime] | None = None,
    by_vendor: bool = False,
) -> Claim:
    """A claim as a baseline makes it: sure from its start to its end, and of one mind."""
    claim = Claim(id=name, opened_at=start, services=tuple(sorted(services)))
    claim.shown_at = claim.claimed_at = None if by_vendor else start
    claim.origins = [(start, origin)]
    claim.confidences = [] if by_vendor else [(start, 1.0)]
    claim.links = dict(links or {})
    claim.ends = [end] if end is not None else []
    claim.status = "resolved" if end is not None else "confirmed"
    claim.told = 2
    return claim


def firm(claims: Sequence[Claim]) -> list[Claim]:
    """Those that were told as a fact on evidence of our own, in the order of their claim."""
    told = [(claim.claimed_at, claim.id, claim) for claim in claims if claim.claimed_at is not None]
    return [claim for _, _, claim in sorted(told, key=lambda row: row[:2])]


FIVE = timedelta(minutes=5)
