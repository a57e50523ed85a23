"""Following: every incident to its next state, told as events, and closed in time."""

from dataclasses import replace
from datetime import timedelta

from app.core.changes import tell_changes
from app.core.context import Context
from app.core.desk import Desk, Rest
from app.core.disturbance import Disturbance
from app.core.events import ENGINE, EventType
from app.core.incident import Incident
from app.core.lifecycle import advance, refresh
from app.core.maintenance import explaining
from app.core.state import (
    minute_of,
)
from app.core.types import Resolution, SourceKind, Status


def _context(desk: Desk) -> Context:
    """What lifecycle needs to know."""
    return Context(
        profile=desk.snapshot.profile,
        policy=desk.policy,
        now=desk.now,
        minute=desk.minute,
        known=desk.state.advisories,
        stale=tuple(s.source for s in desk.state.stale),
        hears_vendor=desk.snapshot.profile.reads_vendor
        and not any(s.kind == SourceKind.ADVISORY for s in desk.state.stale),
    )


def _advanced(incident: Incident, disturbance: Disturbance | None, context: Context) -> Incident:
    """The next state, and whether planned work explains all of it: a flag, never a status.

    What a person opened is not explained away, and what has ended stays as it was told.
    """
    after = advance(incident, disturbance, context)
    if incident.by_person or incident.status is Status.RESOLVED:
        return after
    window = explaining(context.profile.windows, after.services, at=context.now)
    return replace(after, suppressed=window.id if window is not None else None)


def advance_all(desk: Desk) -> None:
    """Bring every incident to its next state and tell what changed."""
    context = _context(desk)
    for key in sorted(desk.incidents, key=lambda k: (desk.incidents[k].opened_at, k)):
        incident = desk.incidents[key]
        if incident.status in (Status.MERGED, Status.CLOSED):
            continue
        if key in desk.opened:
            _tell_opening(desk, incident, context)
            continue
        desk.incidents[key] = _follow(desk, incident, context)


def _tell_opening(desk: Desk, incident: Incident, context: Context) -> None:
    disturbance = desk.by_incident.get(incident.id)
    target = _advanced(incident, disturbance, context)
    first = target
    if target.status not in (Status.SUSPECTED, Status.CONFIRMED):
        first = replace(
            target,
            status=Status.CONFIRMED,
            status_reason=incident.status_reason,
            confirmed_at=desk.now,
            resolved_at=None,
            resolution=None,
        )
    actor = ENGINE
    facts = {}
    if incident.advisories:
        facts = {"advisory": incident.advisories[0].id}
    reason = first.status_reason if disturbance is not None else incident.status_reason
    first = replace(first, status_reason=reason)
    opened = desk.log.emit(EventType.OPENED, None, first, reason=reason, actor=actor, facts=facts)
    told = opened
    if target.status is not first.status:
        target = replace(target, status_reason=target.status_reason)
        told = tell_changes(
            desk.log,
            opened,
            replace(target, revision=opened.revision, updated_at=opened.updated_at),
            linked=(),
            revised=(),
            policy=desk.policy,
        )
    desk.incidents[incident.id] = told


def _follow(desk: Desk, incident: Incident, context: Context) -> Incident:
    last_told = _last_told(desk, incident)
    if incident.status is Status.DISMISSED:
        return _close_if_due(desk, last_told)
    linked = desk.linked.get(incident.id, [])
    revised = [a.id for a in incident.advisories if a.id in desk.revised and a.id not in linked]
    disturbance = desk.by_incident.get(incident.id)
    rest = _rest(desk, incident, disturbance, context)
    if rest is not None and rest == desk.rests.get(incident.id):
        desk.resting[incident.id] = rest
        return _close_if_due(desk, incident)
    target = _next(desk, incident, disturbance, context)
    if rest is not None and not linked and not revised and target == incident:
        desk.resting[incident.id] = rest
    told = tell_changes(
        desk.log, last_told, target, linked=linked, revised=revised, policy=desk.policy
    )
    return _close_if_due(desk, told)


def _rest(
    desk: Desk, incident: Incident, disturbance: Disturbance | None, context: Context
) -> Rest | None:
    """All that the next state depends on, where time alone has no say in it; else None."""
    resolved = incident.status is Status.RESOLVED
    if disturbance is not None or context.profile.windows:
        return None
    if incident.detected_at is not None and not resolved:
        return None
    if any(a.withdrawn for a in incident.advisories):
        return None  # what was taken back counts as silence after a day
    known = tuple(desk.state.advisories.get(a.id) for a in incident.advisories)
    return incident, known, context.stale


def _last_told(desk: Desk, incident: Incident) -> Incident:
    """The state without what was attached in this step, so that attaching is told."""
    joined = set(desk.linked.get(incident.id, ()))
    if not joined:
        return incident
    kept = tuple(a for a in incident.advisories if a.id not in joined)
    return replace(incident, advisories=kept)


def _next(
    desk: Desk, incident: Incident, disturbance: Disturbance | None, context: Context
) -> Incident:
    if incident.status is Status.RESOLVED:
        return _after_resolution(desk, incident, disturbance, context)
    if disturbance is None and incident.detected_at is not None and not incident.by_person:
        return _without_evidence(desk, incident, context)
    if incident.vanished_at is not None:
        incident = replace(incident, vanished_at=None)
    return _advanced(incident, disturbance, context)


def _after_resolution(
    desk: Desk, incident: Incident, disturbance: Disturbance | None, context: Context
) -> Incident:
    """A resolved incident follows its advisories' words, and reopens on new evidence only."""
    still = _advanced(incident, None, context)
    if incident.detected_at is None and incident.status is Status.RESOLVED:
        window = timedelta(minutes=desk.policy.reopen_minutes)
        recent = incident.resolved_at is not None and desk.now - incident.resolved_at <= window
        if not recent or incident.held:
            still = replace(
                still,
                status=incident.status,
                resolved_at=incident.resolved_at,
                resolution=incident.resolution,
                status_reason=incident.status_reason,
            )
    if disturbance is None or incident.resolved_at is None:
        return still
    still = refresh(still, disturbance, context)
    bad = desk.minute - disturbance.last_bad <= 1
    if incident.held:
        return still if bad else replace(still, held=False)
    ended = minute_of(incident.resolved_at)
    if disturbance.last_bad > ended and bad:
        return _advanced(incident, disturbance, context)
    return still


def _without_evidence(desk: Desk, incident: Incident, context: Context) -> Incident:
    """Later signals took away what the evidence rested on; it may come back within minutes."""
    if any(not a.is_resolved for a in incident.advisories):
        alone = replace(incident, detected_at=None)
        return replace(advance(alone, None, context), detected_at=incident.detected_at)
    vanished = incident.vanished_at or desk.now
    if desk.now - vanished < timedelta(minutes=desk.policy.quiet_minutes):
        return replace(_advanced(incident, None, context), vanished_at=vanished)
    return replace(
        _advanced(incident, None, context),
        status=Status.DISMISSED,
        status_reason="evidence_withdrawn",
        resolution=Resolution.FALSE_POSITIVE,
        resolved_at=desk.now,
    )


def _close_if_due(desk: Desk, incident: Incident) -> Incident:
    if incident.status is not Status.RESOLVED or incident.resolved_at is None:
        return incident
    if desk.now - incident.resolved_at < timedelta(hours=desk.policy.close_hours):
        return incident
    closed = replace(incident, status=Status.CLOSED, status_reason="time", closed_at=desk.now)
    return desk.log.emit(EventType.CLOSED, incident, closed, reason="time")
