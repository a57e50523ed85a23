"""Matching: disturbances and advisories with incidents; what is new is opened."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.core.advisory import Phase, phase_of
from app.core.commands import merge, number_of
from app.core.correlate import (
    Attach,
    Ignore,
    Open,
    adopted,
    correlate,
    fits_disturbance,
    fits_incident,
    started_at,
)
from app.core.desk import Desk
from app.core.disturbance import Disturbance, disturbances
from app.core.events import ENGINE
from app.core.ids import derived_id
from app.core.incident import Incident
from app.core.lifecycle import link
from app.core.rulings import ruled_apart
from app.core.state import (
    KnownAdvisory,
    instant_of,
)
from app.core.survey import survey
from app.core.types import (
    OPEN_STATUSES,
    IncidentId,
    Origin,
    Severity,
    Status,
)
from app.core.undo import copied, remember


def find(desk: Desk) -> None:
    """Match disturbances with incidents, open what is new, join what is one."""
    former = desk.memo
    surveyed, desk.memo = survey(
        desk.state,
        profile=desk.snapshot.profile,
        policy=desk.policy,
        minute=desk.minute,
        exposure=(desk.now.timestamp() % 60) / 60,
        touched=desk.touched,
        memo=desk.memo,
    )
    desk.surveyed = surveyed
    found: Sequence[Disturbance]
    if former is not None and surveyed.is_like(former.surveyed):
        found = former.disturbances
    else:
        found = disturbances(surveyed)
    desk.memo.disturbances = found
    fresh = []
    for disturbance in found:
        fits = {
            key: fits_disturbance(k.advisory, _start(k), disturbance)
            for key, k in desk.state.advisories.items()
        }
        everything = list(desk.incidents.values())
        rulings = desk.state.rulings
        match correlate(disturbance, everything, fits=fits, rulings=rulings, policy=desk.policy):
            case Attach(incident=incident, absorbed=absorbed):
                _attach(desk, incident, absorbed, disturbance)
            case Open():
                fresh.append(disturbance)
            case Ignore():
                pass
    for disturbance in fresh:
        orphans = [
            i
            for i in desk.incidents.values()
            if i.status in OPEN_STATUSES
            and i.detected_at is not None
            and not i.by_person
            and i.id not in desk.by_incident
        ]
        orphan = adopted(disturbance, orphans, desk.policy)
        if orphan is not None:
            _attach(desk, orphan, (), disturbance)
        else:
            _open_own(desk, disturbance)


def _start(known: KnownAdvisory) -> datetime:
    return started_at(known.advisory, known.first_post_at)


def _attach(
    desk: Desk, incident: Incident, absorbed: Sequence[Incident], disturbance: Disturbance
) -> None:
    for loser in absorbed:
        before, told = copied(desk), len(desk.log.events)
        gone, incident = merge(
            desk.log,
            desk.incidents[loser.id],
            desk.incidents[incident.id],
            actor=ENGINE,
            reason="same_fault",
        )
        desk.incidents[gone.id] = gone
        desk.incidents[incident.id] = incident
        for key, holder in list(desk.state.links.items()):
            if holder == gone.id:
                _link_state(desk, key, incident.id)
        remember(desk, "merge", before, desk.log.events[told:])
    desk.held.setdefault(incident.id, []).append(disturbance)
    earlier = desk.by_incident.get(incident.id)
    if earlier is None or disturbance.last_bad >= earlier.last_bad:
        desk.by_incident[incident.id] = disturbance


def _new(desk: Desk, key: str, *, opened: str) -> Incident:
    desk.number += 1
    made = derived_id("inc", desk.now, desk.snapshot.profile.id, opened)
    return Incident(
        id=IncidentId(made),
        number=number_of(desk.now.year, desk.number),
        tenant=desk.snapshot.profile.id,
        revision=0,
        key=key,
        title="",
        summary="",
        status=Status.SUSPECTED,
        status_reason="evidence",
        severity=Severity.UNKNOWN,
        origin=Origin.UNKNOWN,
        services=(),
        opened_at=desk.now,
        updated_at=desk.now,
        onset_at=desk.now,
    )


def _open_own(desk: Desk, disturbance: Disturbance) -> None:
    fresh = _new(desk, disturbance.key, opened=f"{disturbance.key}@{disturbance.onset}")
    related = [
        i
        for i in desk.incidents.values()
        if i.status is Status.RESOLVED and set(i.services) & set(disturbance.services)
    ]
    if related and not disturbance.networks:
        nearest = max(related, key=lambda i: (i.opened_at, i.id))
        fresh = replace(fresh, related_to=nearest.id)
    fresh = replace(fresh, services=disturbance.services, onset_at=instant_of(disturbance.onset))
    desk.incidents[fresh.id] = fresh
    desk.by_incident[fresh.id] = disturbance
    desk.held[fresh.id] = [disturbance]
    desk.opened.add(fresh.id)


def _link_state(desk: Desk, vendor_id: str, incident_id: str) -> None:
    desk.state = replace(desk.state, links={**desk.state.links, vendor_id: incident_id})


def link_advisories(desk: Desk) -> None:
    """Attach advisories to incidents with evidence; open what only the vendor reports."""
    for key in sorted(desk.state.advisories):
        known = desk.state.advisories[key]
        if key in desk.state.links:
            continue
        best = _best(desk, known)
        if best is not None:
            _join(desk, known, *best)
        elif _is_open(known):
            _open_vendor(desk, known)


def _is_open(known: KnownAdvisory) -> bool:
    advisory = known.advisory
    speaks = phase_of(advisory.status) not in (Phase.WITHDRAWN, Phase.NONE)
    return not advisory.is_resolved and not advisory.withdrawn and speaks


def _best(desk: Desk, known: KnownAdvisory) -> tuple[Incident, float] | None:
    if known.advisory.primed and known.advisory.is_resolved:
        return None
    window = timedelta(minutes=desk.policy.reopen_minutes)
    apart = ruled_apart(desk, known.advisory.vendor_id)
    scored = []
    for incident in desk.incidents.values():
        if incident.id in apart:
            continue
        alive = incident.status in OPEN_STATUSES or (
            incident.status is Status.RESOLVED
            and incident.resolved_at is not None
            and desk.now - incident.resolved_at <= window
        )
        if not alive:
            continue
        held = desk.by_incident.get(incident.id)
        if held is not None:
            value = fits_disturbance(known.advisory, _start(known), held)
        else:
            value = fits_incident(known.advisory, _start(known), incident)
        if value >= desk.policy.attach_threshold:
            scored.append((value, incident))
    if not scored:
        return None
    value, incident = min(scored, key=lambda s: (-round(s[0], 6), s[1].opened_at, s[1].id))
    return incident, value


def _join(desk: Desk, known: KnownAdvisory, incident: Incident, value: float) -> None:
    joined = link(known, score=value, linked_at=desk.now)
    kept = [a for a in incident.advisories if a.id != joined.id]
    vendor_id = known.advisory.vendor_id
    desk.incidents[incident.id] = replace(incident, advisories=(*kept, joined))
    _link_state(desk, vendor_id, incident.id)
    desk.linked.setdefault(incident.id, []).append(vendor_id)


def _open_vendor(desk: Desk, known: KnownAdvisory) -> None:
    vendor_id = known.advisory.vendor_id
    fresh = _new(desk, f"advisory:{vendor_id}", opened=vendor_id)
    fresh = replace(
        fresh,
        status=Status.CONFIRMED,
        status_reason="primed" if known.advisory.primed else "vendor_reported",
        services=(known.advisory.service,),
        advisories=(link(known, score=1.0, linked_at=desk.now),),
    )
    desk.incidents[fresh.id] = fresh
    desk.opened.add(fresh.id)
    _link_state(desk, vendor_id, fresh.id)
