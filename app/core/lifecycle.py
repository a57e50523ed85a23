"""Lifecycle: what an incident's state becomes from its evidence, its advisories and the time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.core.advisory import Phase, condition_of, services_of
from app.core.context import Context, is_vendor_open, vendor_phase
from app.core.correlate import started_at
from app.core.disturbance import Disturbance, clients_of, named, symptoms_of
from app.core.explain import (
    advisory_reason,
    alone_reason,
    own_reasons,
    probability,
    probability_alone,
    resolved_reason,
    summary_of,
    title_of,
)
from app.core.incident import EvidenceSummary, Impact, Incident, LinkedAdvisory, Reason
from app.core.measure import impact_of, own_evidence, severity_of
from app.core.state import KnownAdvisory, instant_of
from app.core.types import (
    Disagreement,
    ImpactLevel,
    Origin,
    Resolution,
    Severity,
    SourceKind,
    Status,
)

LONGEST_FLAP = 30  # minutes of silence after which a return is a fault that flaps
RELAPSE_HOLD = timedelta(minutes=2)  # a relapse told from part of a minute stands so long
CALM_MINUTES = 3  # quiet minutes after which a confirmed incident is monitored
VENDOR_ONLY_CONFIDENCE = {"incident": 0.8, "advisory": 0.6}


def link(known: KnownAdvisory, *, score: float, linked_at: datetime) -> LinkedAdvisory:
    """What an incident keeps of an advisory."""
    advisory = known.advisory
    return LinkedAdvisory(
        id=advisory.vendor_id,
        title=advisory.title,
        classification=advisory.classification,
        status=advisory.status,
        condition=condition_of(advisory.status),
        published_at=known.first_post_at or advisory.published_at,
        started_at=advisory.started_at,
        is_resolved=advisory.is_resolved,
        withdrawn=advisory.withdrawn,
        score=score,
        linked_at=linked_at,
    )


def refresh_links(incident: Incident, context: Context) -> tuple[LinkedAdvisory, ...]:
    """The linked advisories as their newest revisions have them."""
    result = []
    for old in incident.advisories:
        known = context.known.get(old.id)
        linked_at = old.linked_at or context.now
        result.append(old if known is None else link(known, score=old.score, linked_at=linked_at))
    return tuple(sorted(result, key=lambda a: (a.linked_at or context.now, a.id)))


def _advisory_evidence(
    advisories: Sequence[LinkedAdvisory], context: Context
) -> dict[str, EvidenceSummary]:
    if not advisories:
        return {}
    known = [context.known[a.id] for a in advisories if a.id in context.known]
    seen = [k.advisory.first_seen_at for k in known]
    changed = [k.advisory.last_modified_at for k in known]
    reasons = [
        advisory_reason(k.advisory, a, alone=False) for k, a in zip(known, advisories, strict=False)
    ]
    return {
        SourceKind.ADVISORY.value: EvidenceSummary(
            count=len(advisories),
            first_at=min(seen) if seen else None,
            last_at=max(changed) if changed else None,
            weight=round(sum(r.weight for r in reasons), 1),
        )
    }


def _vendor_times(incident: Incident, context: Context) -> Incident:
    known = [context.known[a.id] for a in incident.advisories if a.id in context.known]
    if not known:
        return incident
    published = [
        k.first_post_at or k.advisory.published_at or k.advisory.first_seen_at for k in known
    ]
    starts = [started_at(k.advisory, k.first_post_at) for k in known]
    cause = next((k.advisory.understood for k in known if k.advisory.understood.cause), None)
    return replace(
        incident,
        vendor_published_at=min(published),
        vendor_started_at=min(starts),
        cause_category=cause.cause_category if cause else incident.cause_category,
        cause_text=cause.cause if cause else incident.cause_text,
        cause_source=SourceKind.ADVISORY.value if cause else incident.cause_source,
    )


def _own_fields(incident: Incident, disturbance: Disturbance, context: Context) -> Incident:
    """Everything that follows from our own evidence, apart from the status."""
    confirmed = disturbance.confirmed is not None or incident.confirmed_at is not None
    impact = impact_of(disturbance, context.profile, context.policy)
    severity = severity_of(disturbance, impact, confirmed=confirmed)
    severity = max(severity, incident.severity_measured)
    services = tuple(dict.fromkeys((*incident.services, *disturbance.services)))
    names = [context.profile.service_names.get(s, s) for s in services]
    peak = max(f.peak for f in disturbance.findings)
    if confirmed or incident.advisories:
        sure = max(probability(peak), incident.confidence)
    else:
        sure = probability_alone(peak, context.minute - disturbance.suspected)
    evidence = own_evidence(disturbance)
    firsts = [e.first_at for e in evidence.values() if e.first_at is not None]
    origin = disturbance.origin
    if incident.advisories and origin is not Origin.THIRD_PARTY:
        origin = Origin.VENDOR
    return replace(
        incident,
        title=incident.title if incident.by_person else title_of(names, disturbance),
        summary=summary_of(disturbance, incident.advisories, hears_vendor=context.hears_vendor),
        severity=incident.severity if incident.severity_pinned else severity,
        severity_measured=severity,
        origin=origin,
        services=services,
        features=disturbance.size.features or incident.features,
        clients=clients_of(disturbance.size),
        symptoms=symptoms_of(disturbance.size),
        regions=named(disturbance.size.regions),
        networks=disturbance.networks,
        key=disturbance.key,
        impact=impact,
        confidence=round(sure, 3),
        evidence={**evidence, **_advisory_evidence(incident.advisories, context)},
        first_signal_at=min(firsts) if firsts else incident.first_signal_at,
        onset_at=instant_of(disturbance.onset),
        detected_at=incident.detected_at or context.now,
    )


def _vendor_fields(incident: Incident, context: Context) -> Incident:
    """Everything that follows from the advisories alone."""
    known = [context.known[a.id] for a in incident.advisories if a.id in context.known]
    if not known:
        return incident
    first = known[0].advisory
    serious = any(k.advisory.classification.lower() == "incident" for k in known)
    severity = Severity.MAJOR if serious else Severity.MINOR
    read = [k.advisory.understood for k in known]
    services = tuple(dict.fromkeys(s for k in known for s in services_of(k.advisory)))
    confidence = max(
        VENDOR_ONLY_CONFIDENCE.get(k.advisory.classification.lower(), 0.5) for k in known
    )
    return replace(
        incident,
        title=f"{first.service_name}: {first.title}",
        summary=first.impact_description,
        severity=incident.severity if incident.severity_pinned else severity,
        severity_measured=severity,
        origin=Origin.THIRD_PARTY if first.origin.lower() == "thirdparty" else Origin.VENDOR,
        services=services,
        features=tuple(dict.fromkeys(f for u in read for f in u.features)),
        clients=tuple(dict.fromkeys(c for u in read for c in u.clients)),
        symptoms=tuple(dict.fromkeys(s for u in read for s in u.symptoms)),
        regions=tuple(dict.fromkeys(r for u in read for r in u.regions)),
        impact=Impact(level=ImpactLevel.UNKNOWN),
        confidence=confidence,
        evidence=_advisory_evidence(incident.advisories, context),
        onset_at=min(started_at(k.advisory, k.first_post_at) for k in known),
    )


def _quiet_minutes(disturbance: Disturbance, context: Context) -> int:
    return max(0, context.minute - disturbance.last_bad - 1)


@dataclass(frozen=True, slots=True)
class _Next:
    status: Status
    reason: str
    resolution: Resolution | None = None


def _is_over(incident: Incident, disturbance: Disturbance, context: Context) -> bool:
    """Whether the evidence has turned for long enough, and says enough."""
    policy = context.policy
    vendor_open = is_vendor_open(incident.advisories, context)
    needed = policy.quiet_minutes_vendor_open if vendor_open else policy.quiet_minutes
    if policy.quiet_minutes < disturbance.gap <= LONGEST_FLAP:
        needed = max(needed, disturbance.gap + policy.quiet_minutes)  # it came back after as much
    trusted = disturbance.silence >= policy.power_nats and disturbance.turned >= policy.close_ratio
    return trusted and _quiet_minutes(disturbance, context) >= needed and not disturbance.waiting


def _came_back_now(incident: Incident, context: Context) -> bool:
    """Whether a relapse was told so lately that its first minute may not be whole yet."""
    relapsed = incident.status is Status.CONFIRMED and incident.status_reason == "relapse"
    return relapsed and context.now - incident.updated_at < RELAPSE_HOLD


def _own_status(incident: Incident, disturbance: Disturbance, context: Context) -> _Next:
    quiet = _quiet_minutes(disturbance, context)
    phase = vendor_phase(incident.advisories, context)
    policy = context.policy
    if _came_back_now(incident, context):
        quiet = 0
    elif _is_over(incident, disturbance, context):
        return _Next(Status.RESOLVED, "evidence_quiet", _how(incident, phase))
    if quiet >= policy.low_evidence_minutes:
        return _Next(Status.RESOLVED, "timeout_low_evidence", _how(incident, phase))
    confirmed = disturbance.confirmed is not None or incident.confirmed_at is not None
    confirmed = confirmed or bool(incident.advisories)
    if not confirmed:
        return _Next(Status.SUSPECTED, "below_quorum")
    if quiet >= CALM_MINUTES and not disturbance.waiting:
        return _Next(Status.MONITORING, "evidence_turning")
    if incident.status in (Status.MONITORING, Status.RESOLVED):
        return _Next(Status.CONFIRMED, "relapse")
    if phase in (Phase.MITIGATING, Phase.MONITORING):
        return _Next(Status.MITIGATING, "vendor_mitigating")
    if incident.status is Status.MITIGATING:
        return _Next(Status.MITIGATING, incident.status_reason)
    by = "quorum" if disturbance.confirmed is not None else "advisory_fits"
    reason = incident.status_reason if incident.status is Status.CONFIRMED else by
    return _Next(Status.CONFIRMED, reason)


def _how(incident: Incident, phase: Phase) -> Resolution:
    if incident.origin in (Origin.LOCAL, Origin.IDENTITY):
        return Resolution.SELF_RESTORED
    if phase is Phase.FIXED or (incident.advisories and incident.mitigated_at is not None):
        rolled_back = incident.cause_category == "configuration_change"
        return Resolution.ROLLBACK if rolled_back else Resolution.VENDOR_FIX
    return Resolution.SELF_RESTORED


def _vendor_status(incident: Incident, context: Context) -> _Next:
    phase = vendor_phase(incident.advisories, context)
    if phase is Phase.WITHDRAWN:
        return _Next(Status.DISMISSED, "vendor_withdrew", Resolution.FALSE_POSITIVE)
    if incident.advisories and all(a.is_resolved for a in incident.advisories):
        return _Next(Status.RESOLVED, "vendor_resolved", Resolution.VENDOR_FIX)
    if phase is Phase.MITIGATING:
        return _Next(Status.MITIGATING, "vendor_mitigating")
    if phase is Phase.MONITORING:
        return _Next(Status.MONITORING, "vendor_verifying")
    if phase in (Phase.UNCHANGED, Phase.NONE, Phase.UNKNOWN):
        return _Next(incident.status, incident.status_reason)
    reason = incident.status_reason if incident.status is Status.CONFIRMED else "vendor_reported"
    return _Next(Status.CONFIRMED, reason)


def _disagreement(incident: Incident, disturbance: Disturbance, context: Context) -> Disagreement:
    phase = vendor_phase(incident.advisories, context)
    quiet = _quiet_minutes(disturbance, context)
    bad = quiet < CALM_MINUTES or bool(disturbance.waiting)
    if phase is Phase.NONE and not context.hears_vendor:
        return Disagreement.NONE  # who does not listen cannot call the other silent
    if phase is Phase.NONE:
        alone = incident.origin in (Origin.VENDOR, Origin.UNKNOWN)
        return Disagreement.VENDOR_SILENT if alone and bad else incident.disagreement
    if phase in (Phase.FIXED, Phase.WITHDRAWN):
        return Disagreement.VENDOR_AHEAD if bad else Disagreement.NONE
    if quiet >= context.policy.quiet_minutes_vendor_open:
        return Disagreement.VENDOR_BEHIND
    return Disagreement.NONE


def _apply(incident: Incident, following: _Next, context: Context) -> Incident:
    """Set a status and the times that go with it."""
    status, now = following.status, context.now
    ended = status in (Status.RESOLVED, Status.DISMISSED)
    confirmed = incident.confirmed_at
    if (
        confirmed is None
        and status not in (Status.SUSPECTED, Status.DISMISSED)
        and not (status is Status.RESOLVED and incident.status is Status.SUSPECTED)
    ):
        confirmed = now
    mitigated = incident.mitigated_at
    if mitigated is None and status in (Status.MITIGATING, Status.MONITORING):
        mitigated = now
    return replace(
        incident,
        status=status,
        status_reason=following.reason,
        confirmed_at=confirmed,
        mitigated_at=mitigated,
        resolved_at=(incident.resolved_at or now) if ended else None,
        resolution=(incident.resolution or following.resolution) if ended else None,
    )


def _explain(
    incident: Incident, disturbance: Disturbance | None, context: Context
) -> tuple[Reason, ...]:
    reasons = own_reasons(disturbance, context.policy) if disturbance is not None else []
    for linked in incident.advisories:
        known = context.known.get(linked.id)
        if known is not None:
            reasons.append(advisory_reason(known.advisory, linked, alone=disturbance is None))
    if disturbance is not None:
        reasons += _standing(incident, disturbance, context)
    kept = [r for r in incident.explanation if r.reason.startswith("person_")]
    return tuple(sorted([*reasons, *kept], key=lambda r: (r.at, r.reason, r.text)))


def _standing(incident: Incident, disturbance: Disturbance, context: Context) -> list[Reason]:
    """Why it stands where it stands now."""
    at = instant_of(disturbance.last_bad)
    if incident.disagreement is Disagreement.VENDOR_AHEAD:
        still = ", ".join(disturbance.failing_now or disturbance.waiting) or "reports"
        text = f"Microsoft says restored, but we still see it fail: {still}"
        return [resolved_reason(incident.status, text, against=True, at=at)]
    waited = context.minute - disturbance.suspected
    if incident.status is Status.SUSPECTED and waited > 0:
        return [alone_reason(waited, at=instant_of(disturbance.suspected))]
    if incident.status is Status.RESOLVED:
        quiet = context.policy.quiet_minutes
        text = (
            f"last bad minute {at:%H:%M}, then quiet for at least {quiet} min with"
            f" {disturbance.silence:.1f} nats of evidence that it is well"
        )
        return [resolved_reason(incident.status, text, against=False, at=at)]
    return []


def advance(incident: Incident, disturbance: Disturbance | None, context: Context) -> Incident:
    """Work out the whole next state of an incident that is not closed.

    Args:
        incident: as it stands.
        disturbance: what our own evidence holds of it now, or None.
        context: advisories, policy and the time.
    """
    incident = replace(incident, advisories=refresh_links(incident, context))
    incident = _vendor_times(incident, context)
    stale = context.stale
    if disturbance is not None:
        own = _own_fields(incident, disturbance, context)
        own = _apply(own, _own_status(own, disturbance, context), context)
        own = replace(own, disagreement=_disagreement(own, disturbance, context))
        return replace(own, explanation=_explain(own, disturbance, context), stale_sources=stale)
    if incident.detected_at is None and incident.advisories:
        alone = _vendor_fields(incident, context)
        alone = _apply(alone, _vendor_status(alone, context), context)
        return replace(alone, explanation=_explain(alone, None, context), stale_sources=stale)
    return replace(incident, stale_sources=stale)


def refresh(incident: Incident, disturbance: Disturbance, context: Context) -> Incident:
    """Bring the figures of an ended incident up to date when late evidence adds to them."""
    size, known = disturbance.size, incident.impact
    if size.reports <= known.reports and size.reporters <= known.reporters:
        return incident
    own = _own_fields(incident, disturbance, context)
    own = replace(own, impact=replace(own.impact, locations_failing=known.locations_failing))
    return replace(own, explanation=_explain(own, disturbance, context))
