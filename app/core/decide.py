"""The decision: from a snapshot and new signals to the next state, incidents and events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from app.core.advisory import Phase, phase_of
from app.core.aggregate import add_probe_results, add_reports
from app.core.changes import Log, tell_changes
from app.core.commands import merge, number_of, obey
from app.core.correlate import (
    Attach,
    Ignore,
    Open,
    correlate,
    fits_disturbance,
    fits_incident,
    started_at,
)
from app.core.disturbance import Disturbance, disturbances
from app.core.events import ENGINE, Actor, Event, EventType
from app.core.evidence import evidence_document
from app.core.ids import derived, derived_id
from app.core.incident import Incident
from app.core.learn import learn
from app.core.lifecycle import Context, advance, link, refresh
from app.core.policy import Policy
from app.core.signal import Advisory, ClientReport, Command, ProbeResult, Signal, SourceFreshness
from app.core.state import (
    EngineState,
    KnownAdvisory,
    Snapshot,
    instant_of,
    minute_of,
    without_minutes_before,
)
from app.core.types import (
    OPEN_STATUSES,
    ActorKind,
    IncidentId,
    Origin,
    Resolution,
    Severity,
    Status,
)
from app.core.views import baseline_of

RETAIN = 60  # minutes kept beyond the lateness window
NEWS = {
    "source_stale": EventType.SOURCE_STALE,
    "source_recovered": EventType.SOURCE_RECOVERED,
    "source_unknown_value": EventType.SOURCE_UNKNOWN_VALUE,
    "subscription_failing": EventType.SUBSCRIPTION_FAILING,
    "subscription_disabled": EventType.SUBSCRIPTION_DISABLED,
    "subscription_recovered": EventType.SUBSCRIPTION_RECOVERED,
    "subscription_replay_finished": EventType.SUBSCRIPTION_REPLAY_FINISHED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from one step.

    ``incidents`` are those that changed; ``evidence`` maps incident id to its evidence document;
    ``advisories`` are revisions to store; ``links`` maps vendor id to the incident that holds it.
    """

    state: EngineState
    incidents: tuple[Incident, ...]
    events: tuple[Event, ...]
    sequence: int
    number: int
    evidence: dict[str, dict[str, Any]] = field(default_factory=dict)
    advisories: tuple[KnownAdvisory, ...] = ()
    links: dict[str, str] = field(default_factory=dict)


class _Step:
    """One step of the fold; lives for one call of ``decide``."""

    def __init__(self, snapshot: Snapshot, *, now: datetime, policy: Policy) -> None:
        self.snapshot = snapshot
        self.now = now
        self.policy = policy
        self.state = snapshot.state
        self.incidents: dict[str, Incident] = {i.id: i for i in snapshot.incidents}
        self.before = dict(self.incidents)
        self.number = snapshot.number
        self.log = Log(tenant=snapshot.profile.id, sequence=snapshot.sequence, now=now)
        self.revised: dict[str, KnownAdvisory] = {}
        self.by_incident: dict[str, Disturbance] = {}
        self.linked: dict[str, list[str]] = {}
        self.opened: set[str] = set()

    # -- intake ---------------------------------------------------------------------------

    def take_in(self, signals: Sequence[Signal]) -> None:
        """Enter the signals into the state; commands are carried out afterwards."""
        reports = [s for s in signals if isinstance(s, ClientReport) and self._counts(s)]
        results = [s for s in signals if isinstance(s, ProbeResult) and self._counts(s)]
        if reports:
            self.state = add_reports(self.state, reports)
        if results:
            self.state = add_probe_results(self.state, results)
        for advisory in sorted(
            (s for s in signals if isinstance(s, Advisory)),
            key=lambda a: (a.vendor_id, a.received_at, a.last_modified_at, a.id),
        ):
            self._revise(advisory)

    def _counts(self, signal: ClientReport | ProbeResult) -> bool:
        """Late signals are evidence of what is known already; they open nothing."""
        if not signal.late:
            return True
        return any(
            i.onset_at <= signal.occurred_at <= (i.resolved_at or self.now)
            for i in self.incidents.values()
            if i.detected_at is not None and signal.service in i.services
        )

    def _revise(self, advisory: Advisory) -> None:
        known = self.state.advisories.get(advisory.vendor_id)
        marks = [f"{p.id}|{p.created_at.isoformat()}|{p.text}" for p in advisory.posts]
        posts_mark = derived(*marks)
        if known is not None and known.advisory.id == advisory.id:
            return
        posts = sorted(p.created_at for p in advisory.posts)
        first = posts[0] if posts else (known.first_post_at if known else None)
        fresh = KnownAdvisory(
            advisory=replace(advisory, posts=(), details=()),
            posts_mark=posts_mark,
            revision=(known.revision if known else 0) + 1,
            first_post_at=first,
        )
        self.revised[advisory.vendor_id] = replace(fresh, advisory=advisory)
        advisories = {**self.state.advisories, advisory.vendor_id: fresh}
        self.state = replace(self.state, advisories=advisories)

    def obey_all(self, commands: Iterable[Command]) -> None:
        """Carry out commands and take note of news."""
        for command in sorted(commands, key=lambda c: (c.received_at, c.id)):
            if command.name in NEWS:
                self._news(command)
                continue
            opening = command.name == "open"
            self.number += int(opening)
            for incident in obey(self.log, self.incidents, command, count=self.number):
                self.incidents[incident.id] = incident

    def _news(self, command: Command) -> None:
        facts = dict(command.body)
        if command.name == "source_unknown_value":
            mark = f"{facts.get('field')}={facts.get('value')}"
            if mark in self.state.unknown_values:
                return
            marks = tuple(sorted({*self.state.unknown_values, mark}))
            self.state = replace(self.state, unknown_values=marks)
        if command.name in ("source_stale", "source_recovered"):
            self._freshness(
                str(facts.get("source")),
                stale=command.name == "source_stale",
                kind=str(facts.get("kind") or "advisory"),
            )
        actor = Actor(kind=ActorKind(command.actor_kind), id=command.actor)
        self.log.tell(NEWS[command.name], reason=command.name, actor=actor, facts=facts)

    def _freshness(self, source: str, *, stale: bool, kind: str) -> None:
        others = [s for s in self.state.stale if s.source != source]
        if stale:
            others.append(SourceFreshness(source=source, kind=kind, stale=True))
        ordered = tuple(sorted(others, key=lambda s: s.source))
        self.state = replace(self.state, stale=ordered)

    # -- correlation ----------------------------------------------------------------------

    @property
    def minute(self) -> int:
        """The present minute."""
        return minute_of(self.now)

    def context(self) -> Context:
        """What lifecycle needs to know."""
        return Context(
            profile=self.snapshot.profile,
            policy=self.policy,
            now=self.now,
            minute=self.minute,
            known=self.state.advisories,
            stale=tuple(s.source for s in self.state.stale),
        )

    def find(self) -> None:
        """Match disturbances with incidents, open what is new, join what is one."""
        fraction = (self.now.timestamp() % 60) / 60
        found = disturbances(
            self.state,
            profile=self.snapshot.profile,
            policy=self.policy,
            now=self.minute,
            fraction=fraction,
        )
        for disturbance in found:
            fits = {
                key: fits_disturbance(k.advisory, self._start(k), disturbance)
                for key, k in self.state.advisories.items()
            }
            everything = list(self.incidents.values())
            match correlate(disturbance, everything, fits=fits, policy=self.policy):
                case Attach(incident=incident, absorbed=absorbed):
                    self._attach(incident, absorbed, disturbance)
                case Open():
                    self._open_own(disturbance)
                case Ignore():
                    pass

    def _start(self, known: KnownAdvisory) -> datetime:
        return started_at(known.advisory, known.first_post_at)

    def _attach(
        self, incident: Incident, absorbed: Sequence[Incident], disturbance: Disturbance
    ) -> None:
        for loser in absorbed:
            gone, incident = merge(
                self.log,
                self.incidents[loser.id],
                self.incidents[incident.id],
                actor=ENGINE,
                reason="same_fault",
            )
            self.incidents[gone.id] = gone
            self.incidents[incident.id] = incident
            for key, holder in list(self.state.links.items()):
                if holder == gone.id:
                    self._link_state(key, incident.id)
        earlier = self.by_incident.get(incident.id)
        if earlier is None or disturbance.last_bad >= earlier.last_bad:
            self.by_incident[incident.id] = disturbance

    def _new(self, key: str, *, opened: str) -> Incident:
        self.number += 1
        made = derived_id("inc", self.now, self.snapshot.profile.id, opened)
        return Incident(
            id=IncidentId(made),
            number=number_of(self.now.year, self.number),
            tenant=self.snapshot.profile.id,
            revision=0,
            key=key,
            title="",
            summary="",
            status=Status.SUSPECTED,
            status_reason="evidence",
            severity=Severity.UNKNOWN,
            origin=Origin.UNKNOWN,
            services=(),
            opened_at=self.now,
            updated_at=self.now,
            onset_at=self.now,
        )

    def _open_own(self, disturbance: Disturbance) -> None:
        fresh = self._new(disturbance.key, opened=f"{disturbance.key}@{disturbance.onset}")
        related = [
            i
            for i in self.incidents.values()
            if i.status is Status.RESOLVED and set(i.services) & set(disturbance.services)
        ]
        if related and disturbance.network is None:
            nearest = max(related, key=lambda i: (i.opened_at, i.id))
            fresh = replace(fresh, related_to=nearest.id)
        fresh = replace(
            fresh, services=disturbance.services, onset_at=instant_of(disturbance.onset)
        )
        self.incidents[fresh.id] = fresh
        self.by_incident[fresh.id] = disturbance
        self.opened.add(fresh.id)

    def _link_state(self, vendor_id: str, incident_id: str) -> None:
        self.state = replace(self.state, links={**self.state.links, vendor_id: incident_id})

    def link_advisories(self) -> None:
        """Attach advisories to incidents with evidence; open what only the vendor reports."""
        for key in sorted(self.state.advisories):
            known = self.state.advisories[key]
            if key in self.state.links:
                continue
            best = self._best(known)
            if best is not None:
                self._join(known, *best)
            elif self._is_open(known):
                self._open_vendor(known)

    def _is_open(self, known: KnownAdvisory) -> bool:
        advisory = known.advisory
        speaks = phase_of(advisory.status) not in (Phase.WITHDRAWN, Phase.NONE)
        return not advisory.is_resolved and not advisory.withdrawn and speaks

    def _best(self, known: KnownAdvisory) -> tuple[Incident, float] | None:
        if known.advisory.primed and known.advisory.is_resolved:
            return None
        window = timedelta(minutes=self.policy.reopen_minutes)
        scored = []
        for incident in self.incidents.values():
            alive = incident.status in OPEN_STATUSES or (
                incident.status is Status.RESOLVED
                and incident.resolved_at is not None
                and self.now - incident.resolved_at <= window
            )
            if not alive:
                continue
            held = self.by_incident.get(incident.id)
            if held is not None:
                value = fits_disturbance(known.advisory, self._start(known), held)
            else:
                value = fits_incident(known.advisory, self._start(known), incident)
            if value >= self.policy.attach_threshold:
                scored.append((value, incident))
        if not scored:
            return None
        value, incident = min(scored, key=lambda s: (-round(s[0], 6), s[1].opened_at, s[1].id))
        return incident, value

    def _join(self, known: KnownAdvisory, incident: Incident, value: float) -> None:
        joined = link(known, score=value, linked_at=self.now)
        kept = [a for a in incident.advisories if a.id != joined.id]
        vendor_id = known.advisory.vendor_id
        self.incidents[incident.id] = replace(incident, advisories=(*kept, joined))
        self._link_state(vendor_id, incident.id)
        self.linked.setdefault(incident.id, []).append(vendor_id)

    def _open_vendor(self, known: KnownAdvisory) -> None:
        vendor_id = known.advisory.vendor_id
        fresh = self._new(f"advisory:{vendor_id}", opened=vendor_id)
        fresh = replace(
            fresh,
            status=Status.CONFIRMED,
            status_reason="primed" if known.advisory.primed else "vendor_reported",
            services=(known.advisory.service,),
            advisories=(link(known, score=1.0, linked_at=self.now),),
        )
        self.incidents[fresh.id] = fresh
        self.opened.add(fresh.id)
        self._link_state(vendor_id, fresh.id)

    # -- lifecycle ------------------------------------------------------------------------

    def advance_all(self) -> None:
        """Bring every incident to its next state and tell what changed."""
        context = self.context()
        for key in sorted(self.incidents, key=lambda k: (self.incidents[k].opened_at, k)):
            incident = self.incidents[key]
            if incident.status in (Status.MERGED, Status.CLOSED):
                continue
            if key in self.opened:
                self._tell_opening(incident, context)
                continue
            self.incidents[key] = self._follow(incident, context)

    def _tell_opening(self, incident: Incident, context: Context) -> None:
        disturbance = self.by_incident.get(incident.id)
        target = advance(incident, disturbance, context)
        first = target
        if target.status not in (Status.SUSPECTED, Status.CONFIRMED):
            first = replace(
                target,
                status=Status.CONFIRMED,
                status_reason=incident.status_reason,
                confirmed_at=self.now,
                resolved_at=None,
                resolution=None,
            )
        actor = ENGINE
        facts = {}
        if incident.advisories:
            facts = {"advisory": incident.advisories[0].id}
        reason = first.status_reason if disturbance is not None else incident.status_reason
        first = replace(first, status_reason=reason)
        opened = self.log.emit(
            EventType.OPENED, None, first, reason=reason, actor=actor, facts=facts
        )
        told = opened
        if target.status is not first.status:
            target = replace(target, status_reason=target.status_reason)
            told = tell_changes(
                self.log,
                opened,
                replace(target, revision=opened.revision, updated_at=opened.updated_at),
                linked=(),
                revised=(),
                policy=self.policy,
            )
        self.incidents[incident.id] = told

    def _follow(self, incident: Incident, context: Context) -> Incident:
        last_told = self._last_told(incident)
        if incident.status is Status.DISMISSED:
            return self._close_if_due(last_told)
        linked = self.linked.get(incident.id, [])
        revised = [a.id for a in incident.advisories if a.id in self.revised and a.id not in linked]
        disturbance = self.by_incident.get(incident.id)
        target = self._next(incident, disturbance, context)
        told = tell_changes(
            self.log, last_told, target, linked=linked, revised=revised, policy=self.policy
        )
        return self._close_if_due(told)

    def _last_told(self, incident: Incident) -> Incident:
        """The state without what was attached in this step, so that attaching is told."""
        joined = set(self.linked.get(incident.id, ()))
        if not joined:
            return incident
        kept = tuple(a for a in incident.advisories if a.id not in joined)
        return replace(incident, advisories=kept)

    def _next(
        self, incident: Incident, disturbance: Disturbance | None, context: Context
    ) -> Incident:
        if incident.status is Status.RESOLVED:
            return self._after_resolution(incident, disturbance, context)
        if disturbance is None and incident.detected_at is not None and not incident.by_person:
            return self._without_evidence(incident, context)
        return advance(incident, disturbance, context)

    def _after_resolution(
        self, incident: Incident, disturbance: Disturbance | None, context: Context
    ) -> Incident:
        """A resolved incident follows its advisories' words, and reopens on new evidence only."""
        still = advance(incident, None, context)
        if incident.detected_at is None and incident.status is Status.RESOLVED:
            window = timedelta(minutes=self.policy.reopen_minutes)
            recent = incident.resolved_at is not None and self.now - incident.resolved_at <= window
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
        bad = self.minute - disturbance.last_bad <= 1
        if incident.held:
            return still if bad else replace(still, held=False)
        ended = minute_of(incident.resolved_at)
        if disturbance.last_bad > ended and bad:
            return advance(incident, disturbance, context)
        return still

    def _without_evidence(self, incident: Incident, context: Context) -> Incident:
        """Later signals took away what the evidence rested on, or its minutes are forgotten."""
        if any(not a.is_resolved for a in incident.advisories):
            alone = replace(incident, detected_at=None)
            return replace(advance(alone, None, context), detected_at=incident.detected_at)
        return replace(
            advance(incident, None, context),
            status=Status.DISMISSED,
            status_reason="evidence_withdrawn",
            resolution=Resolution.FALSE_POSITIVE,
            resolved_at=self.now,
        )

    def _close_if_due(self, incident: Incident) -> Incident:
        if incident.status is not Status.RESOLVED or incident.resolved_at is None:
            return incident
        if self.now - incident.resolved_at < timedelta(hours=self.policy.close_hours):
            return incident
        closed = replace(incident, status=Status.CLOSED, status_reason="time", closed_at=self.now)
        return self.log.emit(EventType.CLOSED, incident, closed, reason="time")

    # -- result ---------------------------------------------------------------------------

    def forget(self) -> None:
        """Learn from calm minutes that are sealed, and drop what nobody needs any more."""
        sealed = self.minute - self.policy.lateness_minutes
        spans = [
            (
                minute_of(i.onset_at) - 5,
                minute_of(i.resolved_at) + 5 if i.resolved_at else self.minute,
            )
            for i in self.incidents.values()
            if i.detected_at is not None
        ]
        self.state = learn(
            self.state, sealed, busy=spans, profile=self.snapshot.profile, policy=self.policy
        )
        oldest = keep = sealed - RETAIN
        for incident in self.incidents.values():  # late signals may still add to what has ended
            ended = incident.resolved_at
            lively = ended is None or minute_of(ended) >= oldest
            if incident.detected_at is not None and lively:
                keep = min(keep, minute_of(incident.onset_at) - RETAIN)
        self.state = without_minutes_before(self.state, keep)

    def decision(self) -> Decision:
        """Gather what changed."""
        changed = tuple(
            incident
            for key, incident in sorted(self.incidents.items())
            if self.before.get(key) != incident
        )
        evidence = {}
        for key, incident in sorted(self.incidents.items()):
            disturbance = self.by_incident.get(key)
            if incident.status in OPEN_STATUSES or key in self.opened:
                services = disturbance.services if disturbance else ()
                means = {
                    s: baseline_of(self.state, s, self.snapshot.profile, self.policy).mean
                    for s in services
                }
                evidence[key] = evidence_document(
                    incident, disturbance, self.state, baselines=means
                )
        return Decision(
            state=self.state,
            incidents=changed,
            events=tuple(self.log.events),
            sequence=self.log.sequence,
            number=self.number,
            evidence=evidence,
            advisories=tuple(self.revised[key] for key in sorted(self.revised)),
            links={
                key: holder
                for key, holder in self.state.links.items()
                if self.snapshot.state.links.get(key) != holder
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
    step = _Step(snapshot, now=now, policy=policy)
    step.take_in(signals)
    step.obey_all(s for s in signals if isinstance(s, Command))
    step.find()
    step.link_advisories()
    step.advance_all()
    step.forget()
    return step.decision()
