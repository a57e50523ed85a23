"""Correlation: which incident a disturbance or an advisory belongs to, each with its reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp

from app.core.disturbance import Disturbance, named
from app.core.incident import Incident
from app.core.policy import Policy
from app.core.signal import Advisory
from app.core.state import Ruling, instant_of
from app.core.types import OPEN_STATUSES, IncidentId, Origin, Status

UMBRELLAS = frozenset({"microsoft-365-suite", "microsoft-365-admin"})
SCALE = timedelta(hours=6)  # how fast distance in time costs fit (correlation notes, 4.5)
GRACE = timedelta(minutes=30)  # distance in time that costs nothing
COUNTRY = 2  # letters of a country code; longer words are larger areas
ACCESS = frozenset(
    {
        "http_5xx",
        "timeout",
        "connection_failed",
        "dns_failure",
        "tls_failure",
        "sync_failed",
        "slow",
        "throttled",
        "not_found",
    }
)
SIGN_IN = frozenset({"auth_loop", "auth_rejected"})
MAIL_FLOW = frozenset({"mail_delayed", "mail_rejected"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attach:
    """The disturbance belongs to an incident; ``absorbed`` turn out to be the same fault."""

    incident: Incident
    absorbed: tuple[Incident, ...] = ()


@dataclass(frozen=True, slots=True)
class Open:
    """Nothing that is known holds it: a new incident."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """A person has dismissed just this, and it has not ended since."""


def started_at(advisory: Advisory, first_post_at: datetime | None) -> datetime:
    """The vendor's start: what the text states, else the earlier of field and first post."""
    if advisory.stated_started_at is not None:
        return advisory.stated_started_at
    moments = [advisory.started_at, first_post_at or advisory.started_at]
    return min(moments)


def _symptom_fit(said: Sequence[str], seen: Sequence[str]) -> float:
    if not said or not seen:
        return 0.8
    groups = (ACCESS, SIGN_IN, MAIL_FLOW)
    ours = {i for i, group in enumerate(groups) if group & set(seen)}
    theirs = {i for i, group in enumerate(groups) if group & set(said)}
    if not ours or not theirs:
        return 0.8
    return 1.0 if ours & theirs else 0.15


def score(
    advisory: Advisory,
    *,
    start: datetime,
    services: Iterable[str],
    onset: datetime,
    symptoms: Sequence[str],
    regions: Sequence[str],
) -> float:
    """How well an advisory fits our own evidence, 0 to 1 (service, time, symptom, region)."""
    known = set(services)
    same = 1.0 if advisory.service in known else (0.8 if advisory.service in UMBRELLAS else 0.0)
    if same == 0.0:
        return 0.0
    distance = max(timedelta(0), abs(onset - start) - GRACE)
    near = exp(-distance / SCALE)
    fit = _symptom_fit([str(s) for s in advisory.understood.symptoms], symptoms)
    where = 1.0 if _may_overlap(advisory.understood.regions, regions) else 0.2
    return same * near * fit * where


def _may_overlap(said: Sequence[str], seen: Sequence[str]) -> bool:
    """Whether regions may overlap: countries compare, larger areas ("emea") limit nothing."""
    theirs = {region.lower() for region in said}
    ours = {region.lower() for region in seen}
    if not theirs or not ours or theirs & ours:
        return True
    return any(len(region) != COUNTRY for region in theirs | ours)


def fits_disturbance(advisory: Advisory, start: datetime, disturbance: Disturbance) -> float:
    """The score of an advisory against a disturbance; a local one never fits."""
    if disturbance.origin is Origin.LOCAL:
        return 0.0
    return score(
        advisory,
        start=start,
        services=disturbance.services,
        onset=instant_of(disturbance.onset),
        symptoms=named(disturbance.size.symptoms),
        regions=named(disturbance.size.regions),
    )


def fits_incident(advisory: Advisory, start: datetime, incident: Incident) -> float:
    """The score of an advisory against an incident with evidence of our own."""
    if incident.detected_at is None or incident.origin is Origin.LOCAL:
        return 0.0
    return score(
        advisory,
        start=start,
        services=incident.services,
        onset=incident.onset_at,
        symptoms=[str(s) for s in incident.symptoms],
        regions=incident.regions,
    )


def _meets(incident: Incident, disturbance: Disturbance, policy: Policy) -> bool:
    """Whether the times of both touch, the reopen window included."""
    end = incident.resolved_at
    window = timedelta(minutes=policy.reopen_minutes)
    if end is not None and instant_of(disturbance.onset) > end + window:
        return False
    return instant_of(disturbance.last_bad) + window >= incident.onset_at


def _holds(
    incident: Incident, disturbance: Disturbance, fits: dict[str, float], policy: Policy
) -> bool:
    if incident.split_from is not None or disturbance.part is not None:
        return False  # a person said what belongs to it
    if not _meets(incident, disturbance, policy):
        return False
    if disturbance.networks:
        return bool(set(disturbance.networks) & set(incident.networks))
    if incident.networks or not set(incident.services) & set(disturbance.services):
        return bool(not incident.networks and _by_advisory(incident, fits, policy))
    if incident.by_person or incident.detected_at is not None:
        return True
    return _by_advisory(incident, fits, policy)


def _by_advisory(incident: Incident, fits: dict[str, float], policy: Policy) -> bool:
    """An incident that only the vendor reported holds it when one of its advisories fits."""
    if incident.detected_at is not None:
        return False
    return any(fits.get(a.id, 0.0) >= policy.attach_threshold for a in incident.advisories)


def _apart(one: Incident, other: Incident, rulings: Sequence[Ruling]) -> bool:
    """Whether a person ruled that they are two, or that an advisory of one is not the other's."""
    if any(r.kind == "apart" and {r.incident, r.item} == {one.id, other.id} for r in rulings):
        return True
    held = {one.id: {a.id for a in other.advisories}, other.id: {a.id for a in one.advisories}}
    return any(
        r.kind == "advisory" and not r.holds and r.item in held.get(IncidentId(r.incident), ())
        for r in rulings
    )


def _ruled(
    disturbance: Disturbance, incidents: Sequence[Incident], rulings: Sequence[Ruling]
) -> Incident | None:
    """The incident that a person gave this disturbance to, if it still lives."""
    wanted = [disturbance.part] if disturbance.part else []
    wanted += [
        r.incident for r in reversed(rulings) if r.kind == "domain" and r.item == disturbance.key
    ]
    living = {i.id: i for i in incidents if i.status in OPEN_STATUSES}
    return next((living[IncidentId(w)] for w in wanted if w in living), None)


def correlate(
    disturbance: Disturbance,
    incidents: Sequence[Incident],
    *,
    fits: dict[str, float],
    rulings: Sequence[Ruling] = (),
    policy: Policy,
) -> Attach | Open | Ignore:
    """Say which incident a disturbance belongs to; candidates are tried oldest first.

    Args:
        disturbance: the fault by our own evidence.
        incidents: every incident that is not closed.
        fits: vendor id → score of the advisory against this disturbance.
        rulings: what persons said; it goes before everything else.
        policy: thresholds.
    """
    ruled = _ruled(disturbance, incidents, rulings)
    if ruled is not None:
        return Attach(incident=ruled)
    held = [i for i in incidents if _holds(i, disturbance, fits, policy)]
    held.sort(key=lambda i: (i.opened_at, i.id))
    alive = [i for i in held if i.status in OPEN_STATUSES or i.status is Status.RESOLVED]
    if alive:
        first, *rest = sorted(alive, key=lambda i: (i.status is Status.RESOLVED, i.opened_at, i.id))
        absorbed = [
            i
            for i in rest
            if i.status in OPEN_STATUSES
            and not i.by_person
            and not first.by_person
            and not _apart(first, i, rulings)
        ]
        return Attach(incident=first, absorbed=tuple(absorbed))
    dismissed = [i for i in held if i.status is Status.DISMISSED and i.held]
    if any(instant_of(disturbance.onset) <= (i.resolved_at or i.opened_at) for i in dismissed):
        return Ignore()
    return Open()


def adopted(
    disturbance: Disturbance, orphans: Sequence[Incident], policy: Policy
) -> Incident | None:
    """The incident that this disturbance turns out to be, now that its evidence is read otherwise.

    Whose fault it is may be revised: what looked like the vendor's may be one network's, and the
    other way round. The incident stays.

    Args:
        disturbance: one that no incident holds.
        orphans: open incidents with evidence of our own that no disturbance stands for now.
        policy: thresholds.
    """
    slack = timedelta(minutes=2 * policy.common_cause_minutes)
    begun = instant_of(disturbance.onset)
    fitting = [
        incident
        for incident in orphans
        if set(incident.services) & set(disturbance.services)
        and incident.onset_at - slack <= begun <= incident.onset_at + slack
    ]
    return min(fitting, key=lambda i: (i.opened_at, i.id), default=None)
