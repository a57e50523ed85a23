"""The decision: from a snapshot and new signals to the next state, incidents and events."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from app.core.desk import Desk, lay_out
from app.core.disturbance import Disturbance
from app.core.enter import obey_all, take_in
from app.core.events import Event
from app.core.evidence import evidence_document
from app.core.follow import advance_all
from app.core.incident import Incident
from app.core.lines import Domain
from app.core.match import find, link_advisories
from app.core.policy import Policy
from app.core.rates import Rate
from app.core.sealing import seal, sealed_target
from app.core.signal import Command, Signal
from app.core.state import (
    EngineState,
    KnownAdvisory,
    Snapshot,
    instant_of,
    minute_of,
)
from app.core.survey import Memo, Surveyed, still_valid
from app.core.types import (
    OPEN_STATUSES,
)

RETAIN = 60  # minutes kept before the onset of what is open
EVIDENCE_HOURS = 26  # hours of counts that an open incident keeps at most
AFTERMATH = 5  # minutes about an incident that teach nothing either


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from one step.

    ``incidents`` are those that changed; ``shown`` those whose evidence is to be laid out;
    ``advisories`` are revisions to store; ``links`` maps vendor id to the incident that holds it,
    ``held`` incident id to the disturbances that it stands for. ``memo`` goes into the next
    snapshot.
    """

    state: EngineState
    incidents: tuple[Incident, ...]
    events: tuple[Event, ...]
    sequence: int
    number: int
    shown: tuple[tuple[Incident, Disturbance | None], ...] = ()
    surveyed: Surveyed | None = None
    advisories: tuple[KnownAdvisory, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    held: dict[str, list[Disturbance]] = field(default_factory=dict)
    memo: object = None

    def documents(self) -> dict[str, dict[str, Any]]:
        """Lay out the evidence of what is open or changed: incident id → document."""
        if self.surveyed is None:
            return {}
        lines = self.surveyed.lines
        tracks = [lines.state.tracks[key] for key in sorted(lines.state.tracks)]

        def expected(service: str, minute: int) -> Rate:
            return lines.rate(Domain(f"service:{service}", lines, (service,)), minute)

        return {
            incident.id: evidence_document(incident, disturbance, tracks, expected=expected)
            for incident, disturbance in self.shown
        }


def _forget(desk: Desk) -> None:
    """Make old minutes final, learn from the calm ones, and drop what nobody needs any more."""
    waiting = desk.snapshot.waiting_since
    minute = desk.minute if waiting is None else min(desk.minute, minute_of(waiting))
    busy: dict[str, list[tuple[int, int]]] = {}
    oldest = minute
    horizon = minute - EVIDENCE_HOURS * 60
    for incident in desk.incidents.values():
        if incident.detected_at is None:
            continue
        begun, ended = minute_of(incident.onset_at), incident.resolved_at
        until = minute_of(ended) + AFTERMATH if ended is not None else desk.minute
        for service in incident.services:
            busy.setdefault(service, []).append((begun - AFTERMATH, until))
        recent = minute - desk.policy.lateness_minutes - RETAIN
        if ended is None or minute_of(ended) >= recent:  # late signals still add to its figures
            oldest = min(oldest, max(begun - RETAIN, horizon))
    if desk.state.undoable:
        _forget_undoable(desk)
    if desk.state.rulings:
        kept = tuple(r for r in desk.state.rulings if r.incident in desk.incidents)
        if kept != desk.state.rulings:
            desk.state = replace(desk.state, rulings=kept)
    desk.state = seal(
        desk.state,
        profile=desk.snapshot.profile,
        policy=desk.policy,
        minute=minute,
        memo=desk.memo,
        busy=busy,
        keep_from=oldest,
    )

    _keep_memo(desk, minute)


def _forget_undoable(desk: Desk) -> None:
    """Drop changes of which no incident lives any more."""
    kept = tuple(
        u
        for u in desk.state.undoable
        if any(c.after is not None and c.after.id in desk.incidents for c in u.changes)
    )
    if kept != desk.state.undoable:
        desk.state = replace(desk.state, undoable=kept)


def _keep_memo(desk: Desk, minute: int) -> None:
    """What was worked out stays valid: the minutes that were sealed did not change by that."""
    memo, before = desk.memo, desk.snapshot.state.rates
    if memo is None:
        return
    memo.resting = desk.resting
    fresh = desk.state.rates.keys() - before.keys()
    if any(hour * 60 <= minute for hour in fresh):
        desk.memo = None  # minutes were scanned before their rates were there
    else:
        desk.memo = memo.restamped(desk.state)


def _shown(desk: Desk) -> tuple[tuple[Incident, Disturbance | None], ...]:
    """Incidents whose evidence is laid out: what changed; each minute all that is open."""
    before = desk.snapshot.memo
    advanced = not isinstance(before, Memo) or before.minute != desk.minute
    return tuple(
        (incident, desk.by_incident.get(key))
        for key, incident in sorted(desk.incidents.items())
        if (incident.status in OPEN_STATUSES or key in desk.opened)
        and (advanced or desk.before.get(key) != incident)
    )


def _decision(desk: Desk) -> Decision:
    """Gather what changed."""
    changed = tuple(
        incident
        for key, incident in sorted(desk.incidents.items())
        if desk.before.get(key) != incident
    )
    return Decision(
        state=desk.state,
        incidents=changed,
        events=tuple(desk.log.events),
        sequence=desk.log.sequence,
        number=desk.number,
        shown=_shown(desk),
        surveyed=desk.surveyed,
        held=dict(desk.held),
        memo=desk.memo,
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
    # A clock that was put back far is not followed into minutes that are final.
    now = max(now, instant_of(snapshot.state.sealed_to))
    desk = lay_out(snapshot, now=now, policy=policy)
    desk.memo = still_valid(snapshot.memo, snapshot.state)
    if desk.memo is not None:
        desk.rests = dict(desk.memo.resting)
    if desk.state.sealed_to == 0:  # the first step of a tenant: nothing older counts
        desk.state = replace(desk.state, sealed_to=sealed_target(desk.minute, policy))
    take_in(desk, signals)
    obey_all(desk, (s for s in signals if isinstance(s, Command)))
    find(desk)
    link_advisories(desk)
    advance_all(desk)
    _forget(desk)
    return _decision(desk)
