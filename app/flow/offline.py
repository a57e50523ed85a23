"""Offline: the engine alone in virtual time over recorded signals; for evaluation and reports."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Protocol

from app.core.aggregate import SIGN_IN, WEAK
from app.core.decide import Decision, decide
from app.core.disturbance import Disturbance
from app.core.errors import IllegalTransition, NotFound
from app.core.events import Event
from app.core.incident import Incident
from app.core.pace import LIVELY, TICK, is_bad
from app.core.policy import Policy
from app.core.signal import Advisory, ClientReport, Command, ProbeResult, Signal
from app.core.state import SIGN_IN_SERVICE, EngineState, Snapshot, TenantProfile, minute_of
from app.core.types import OPEN_STATUSES, Outcome, SelfCheck, Status, TenantId

LOOK = int(TICK.total_seconds())  # seconds between looks, as the loops tick
OPEN_TICK = 60  # while something is open and nothing bad arrived lately
IDLE_TICK = 300  # while nothing is open either
SETTLED = 600  # minutes after which a stretch that is not told any more is remembered as it was
RUN_OUT = timedelta(hours=24)  # most that the clock runs on after the last line


class RecordedLine(Protocol):
    """One signal and the word by which the file refers to it."""

    @property
    def ref(self) -> str:
        """The word."""

    @property
    def received_at(self) -> datetime:
        """When it arrived."""

    @property
    def signal(self) -> Signal:
        """The signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a run: final incidents, all events, and who holds what (ref → incident)."""

    incidents: tuple[Incident, ...]
    events: tuple[Event, ...]
    assignments: tuple[tuple[str, str | None], ...]


def _next(at: datetime, seconds: int) -> datetime:
    """The first look at or after an instant; looks stand on a grid of so many seconds."""
    return datetime.fromtimestamp(ceil(at.timestamp() / seconds) * seconds, UTC)


@dataclass(slots=True)
class Offline:
    """Folds the recorded signals of one tenant; ``passed`` counts commands that could not be.

    Looks stand on a grid of ``tick`` seconds; while nothing bad arrives they are further apart.
    What comes one at a time (an advisory, a command) is folded as it arrives, as the loops do.
    ``between`` may put another state in place of the one that a step left, as a restart does.
    """

    profile: TenantProfile
    policy: Policy
    tick: int = LOOK
    between: Callable[[EngineState, datetime], EngineState] | None = None
    state: EngineState = field(default_factory=EngineState)
    incidents: dict[str, Incident] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    spans: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    sequence: int = 0
    number: int = 0
    steps: int = 0
    memo: object = None
    passed: int = 0

    def run(self, lines: Sequence[RecordedLine]) -> Told:
        """Fold every line at its arrival, then let the clock run on until nothing is open."""
        known: set[str] = set()
        batch: list[Signal] = []
        lively = datetime.min.replace(tzinfo=UTC)
        due = lines[0].received_at if lines else None
        for line in lines:
            while due is not None and line.received_at > due:
                self.fold(due, batch)
                batch = []
                due = self._after(due, lively)
            if line.signal.id in known:
                continue
            known.add(line.signal.id)
            batch.append(line.signal)
            if isinstance(line.signal, Advisory | Command):
                self.fold(line.received_at, batch)
                batch, due = [], self._after(line.received_at, lively)
            elif due is None or is_bad(line.signal):
                due = _next(line.received_at, self.tick)
                lively = due + LIVELY
        if due is not None:
            self._run_out(due, batch, lively)
        return self.told(lines)

    def _after(self, now: datetime, lively: datetime) -> datetime:
        """The latest instant of the next look, if nothing bad arrives before."""
        calm = OPEN_TICK if self._is_open else IDLE_TICK
        return _next(now + timedelta(seconds=1), self.tick if now < lively else calm)

    @property
    def _is_open(self) -> bool:
        return any(i.status in OPEN_STATUSES for i in self.incidents.values())

    def _run_out(self, now: datetime, batch: list[Signal], lively: datetime) -> None:
        end = now + RUN_OUT
        self.fold(now, batch)
        while now < end and (self._is_open or now < lively):
            now = self._after(now, lively)
            self.fold(now, [])

    def fold(
        self, now: datetime, signals: Sequence[Signal], waiting_since: datetime | None = None
    ) -> None:
        """Fold new signals, or time alone, at one instant."""
        living = [i for i in self.incidents.values()
                  if i.status not in (Status.CLOSED, Status.MERGED)]  # fmt: skip
        snapshot = Snapshot(
            profile=self.profile,
            state=self.state if self.between is None else self.between(self.state, now),
            incidents=tuple(sorted(living, key=lambda i: (i.opened_at, i.id))),
            sequence=self.sequence,
            number=self.number,
            waiting_since=waiting_since,
            memo=self.memo,
        )
        decision = self._decided(snapshot, signals, now)
        self.state, self.memo = decision.state, decision.memo
        self.incidents |= {i.id: i for i in decision.incidents}
        self.events += decision.events
        self.sequence, self.number = decision.sequence, decision.number
        self.steps += 1
        for incident, disturbances in decision.held.items():
            self._remember(incident, disturbances, minute_of(now))

    def _decided(self, snapshot: Snapshot, signals: Sequence[Signal], now: datetime) -> Decision:
        """Decide; a command about an incident that is not there, or not so, is passed over."""
        try:
            return decide(snapshot, signals, now=now, policy=self.policy)
        except (NotFound, IllegalTransition):
            self.passed += sum(isinstance(s, Command) for s in signals)
            others = [s for s in signals if not isinstance(s, Command)]
            fresh = replace(snapshot, memo=None)  # the one that failed has used it up
            return decide(fresh, others, now=now, policy=self.policy)

    def _remember(self, incident: str, disturbances: Sequence[Disturbance], minute: int) -> None:
        """Keep what an incident stands for; what an earlier look made of the same minutes goes."""
        spans = {
            domain: span
            for domain, span in self.spans.get(incident, {}).items()
            if span[1] < minute - SETTLED
        }
        for finding in (f for disturbance in disturbances for f in disturbance.findings):
            start, end = spans.get(finding.domain, (finding.onset, finding.last_bad))
            spans[finding.domain] = (min(start, finding.onset), max(end, finding.last_bad))
        self.spans[incident] = spans

    def _survivor(self, incident: str) -> str:
        found = self.incidents[incident]
        while found.merged_into is not None:
            found = self.incidents[found.merged_into]
        return found.id

    def _holder(self, signal: Signal) -> str | None:
        domains: Iterable[str]
        match signal:
            case Advisory():
                held = self.state.links.get(signal.vendor_id)
                return self._survivor(held) if held else None
            case ClientReport():
                whole = f"service:{signal.service}"
                domains = (f"network:{signal.network}", f"{whole}@{signal.network}", whole)
                if signal.weight < WEAK and signal.symptom in SIGN_IN:
                    domains = (*domains, f"service:{SIGN_IN_SERVICE}")
            case ProbeResult():
                bad = signal.outcome is Outcome.FAILED and signal.self_check is not SelfCheck.FAILED
                place = self.profile.network_of(signal.location)
                whole = f"service:{signal.service}"
                domains = (f"network:{place}", f"{whole}@{place}", whole) if bad else ()
            case _:
                return None
        minute = minute_of(signal.occurred_at)
        for domain in domains:
            for incident in sorted(self.spans):
                span = self.spans[incident].get(domain)
                dismissed = self.incidents[self._survivor(incident)].status is Status.DISMISSED
                if span is not None and span[0] <= minute <= span[1] and not dismissed:
                    return self._survivor(incident)
        return None

    def told(self, lines: Sequence[RecordedLine]) -> Told:
        """What came of it so far; ``lines`` are those to say the holder of."""
        ordered = sorted(self.incidents.values(), key=lambda i: (i.opened_at, i.id))
        return Told(
            incidents=tuple(ordered),
            events=tuple(self.events),
            assignments=tuple((line.ref, self._holder(line.signal)) for line in lines),
        )


def fold_all(
    lines: Sequence[tuple[TenantId, RecordedLine]],
    profiles: dict[TenantId, TenantProfile],
    policy: Policy,
) -> dict[TenantId, Told]:
    """Fold the recorded signals of every tenant, each by itself."""
    result = {}
    for tenant in sorted(profiles):
        own = [line for owner, line in lines if owner == tenant]
        own.sort(key=lambda line: line.received_at)
        result[tenant] = Offline(profile=profiles[tenant], policy=policy).run(own)
    return result
