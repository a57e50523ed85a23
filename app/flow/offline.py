"""Offline: the engine alone in virtual time over recorded signals; for evaluation and reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from app.core.decide import Decision, decide
from app.core.disturbance import Disturbance
from app.core.errors import NotFound
from app.core.events import Event
from app.core.incident import Incident
from app.core.policy import Policy
from app.core.signal import Advisory, ClientReport, Command, ProbeResult, Signal
from app.core.state import EngineState, Snapshot, TenantProfile, minute_of
from app.core.types import OPEN_STATUSES, Outcome, SelfCheck, Status, TenantId

TICK = timedelta(seconds=10)  # as the loops tick
CALM_TICK = timedelta(seconds=60)  # while nothing arrives
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


@dataclass(slots=True)
class Offline:
    """Folds the recorded signals of one tenant."""

    profile: TenantProfile
    policy: Policy
    state: EngineState = field(default_factory=EngineState)
    incidents: dict[str, Incident] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    spans: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    sequence: int = 0
    number: int = 0

    def run(self, lines: Sequence[RecordedLine]) -> Told:
        """Fold every line at its arrival, then let the clock run on until nothing is open."""
        known: dict[str, str] = {}
        batch: list[Signal] = []
        now = lines[0].received_at if lines else None
        for line in lines:
            while now is not None and line.received_at > now + TICK:
                self._fold(now + TICK, batch)
                batch = []
                now = self._next_look(now + TICK, line.received_at)
            if line.signal.id not in known:
                known[line.signal.id] = line.ref
                batch.append(line.signal)
        if now is not None:
            self._run_out(now + TICK, batch)
        return self._told(lines)

    def _next_look(self, now: datetime, following: datetime) -> datetime:
        """Ticks are short while something happens and long while nothing arrives."""
        return now if following - now <= CALM_TICK else now + CALM_TICK - TICK

    def _run_out(self, now: datetime, batch: list[Signal]) -> None:
        end = now + RUN_OUT
        self._fold(now, batch)
        while now < end and any(i.status in OPEN_STATUSES for i in self.incidents.values()):
            now += CALM_TICK
            self._fold(now, [])

    def _fold(self, now: datetime, signals: list[Signal]) -> None:
        living = [i for i in self.incidents.values()
                  if i.status not in (Status.CLOSED, Status.MERGED)]  # fmt: skip
        snapshot = Snapshot(
            profile=self.profile,
            state=self.state,
            incidents=tuple(sorted(living, key=lambda i: (i.opened_at, i.id))),
            sequence=self.sequence,
            number=self.number,
        )
        decision = self._decided(snapshot, signals, now)
        self.state = decision.state
        self.incidents |= {i.id: i for i in decision.incidents}
        self.events += decision.events
        self.sequence, self.number = decision.sequence, decision.number
        for incident, disturbance in decision.held.items():
            self._remember(incident, disturbance)

    def _decided(self, snapshot: Snapshot, signals: list[Signal], now: datetime) -> Decision:
        """Decide; a command about an incident that is not there is passed over."""
        try:
            return decide(snapshot, signals, now=now, policy=self.policy)
        except NotFound:
            others = [s for s in signals if not isinstance(s, Command)]
            return decide(snapshot, others, now=now, policy=self.policy)

    def _remember(self, incident: str, disturbance: Disturbance) -> None:
        spans = self.spans.setdefault(incident, {})
        for finding in disturbance.findings:
            start, end = spans.get(finding.domain, (finding.onset, finding.last_bad))
            spans[finding.domain] = (min(start, finding.onset), max(end, finding.last_bad))

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
                domains = (
                    f"network:{signal.network}", f"service:{signal.service}",
                )  # fmt: skip
            case ProbeResult():
                bad = signal.outcome is Outcome.FAILED and signal.self_check is not SelfCheck.FAILED
                domains = (f"service:{signal.service}",) if bad else ()
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

    def _told(self, lines: Sequence[RecordedLine]) -> Told:
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
