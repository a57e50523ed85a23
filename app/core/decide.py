"""The decision: from a snapshot and new signals to the next state, incidents and events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.core.desk import Desk, lay_out
from app.core.disturbance import Disturbance
from app.core.enter import obey_all, take_in
from app.core.events import Event
from app.core.evidence import evidence_document
from app.core.follow import advance_all
from app.core.incident import Incident
from app.core.learn import learn
from app.core.match import find, link_advisories
from app.core.policy import Policy
from app.core.signal import Command, Signal
from app.core.state import (
    EngineState,
    KnownAdvisory,
    Snapshot,
    minute_of,
    without_minutes_before,
)
from app.core.types import (
    OPEN_STATUSES,
)
from app.core.views import baseline_of

RETAIN = 60  # minutes kept beyond the lateness window


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from one step.

    ``incidents`` are those that changed; ``evidence`` maps incident id to its evidence document;
    ``advisories`` are revisions to store; ``links`` maps vendor id to the incident that holds it,
    ``held`` incident id to the disturbance that it stands for.
    """

    state: EngineState
    incidents: tuple[Incident, ...]
    events: tuple[Event, ...]
    sequence: int
    number: int
    evidence: dict[str, dict[str, Any]] = field(default_factory=dict)
    advisories: tuple[KnownAdvisory, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    held: dict[str, Disturbance] = field(default_factory=dict)


def _forget(desk: Desk) -> None:
    """Learn from calm minutes that are sealed, and drop what nobody needs any more."""
    sealed = desk.minute - desk.policy.lateness_minutes
    spans = [
        (
            minute_of(i.onset_at) - 5,
            minute_of(i.resolved_at) + 5 if i.resolved_at else desk.minute,
        )
        for i in desk.incidents.values()
        if i.detected_at is not None
    ]
    desk.state = learn(
        desk.state, sealed, busy=spans, profile=desk.snapshot.profile, policy=desk.policy
    )
    oldest = keep = sealed - RETAIN
    for incident in desk.incidents.values():  # late signals may still add to what has ended
        ended = incident.resolved_at
        lively = ended is None or minute_of(ended) >= oldest
        if incident.detected_at is not None and lively:
            keep = min(keep, minute_of(incident.onset_at) - RETAIN)
    desk.state = without_minutes_before(desk.state, keep)


def _decision(desk: Desk) -> Decision:
    """Gather what changed."""
    changed = tuple(
        incident
        for key, incident in sorted(desk.incidents.items())
        if desk.before.get(key) != incident
    )
    evidence = {}
    for key, incident in sorted(desk.incidents.items()):
        disturbance = desk.by_incident.get(key)
        if incident.status in OPEN_STATUSES or key in desk.opened:
            services = disturbance.services if disturbance else ()
            means = {
                s: baseline_of(desk.state, s, desk.snapshot.profile, desk.policy).mean
                for s in services
            }
            evidence[key] = evidence_document(incident, disturbance, desk.state, baselines=means)
    return Decision(
        state=desk.state,
        incidents=changed,
        events=tuple(desk.log.events),
        sequence=desk.log.sequence,
        number=desk.number,
        evidence=evidence,
        held=dict(desk.by_incident),
        advisories=tuple(desk.revised[key] for key in sorted(desk.revised)),
        links={
            key: holder
            for key, holder in desk.state.links.items()
            if desk.snapshot.state.links.get(key) != holder
        },
    )


def decide(
    snapshot: Snapshot, signals: Sequence[Signal], *, now: datetime, policy: Policy
) -> Decision:
    """Decide what follows from new signals, or from time alone when there are none.

    Args:
        snapshot: what is known; it is not changed.
        signals: new ones, each once, in any order.
        now: the present instant.
        policy: thresholds and windows.

    Raises:
        NotFound: a command names an incident that is not there.
        IllegalTransition: a command may not follow the present status.
    """
    desk = lay_out(snapshot, now=now, policy=policy)
    take_in(desk, signals)
    obey_all(desk, (s for s in signals if isinstance(s, Command)))
    find(desk)
    link_advisories(desk)
    advance_all(desk)
    _forget(desk)
    return _decision(desk)
