"""Survey: every domain scanned up to now, from where it stood when its minutes were sealed.

What is sealed never changes; what came later is scanned anew at each step, or from where the step
before stood when no older minute was touched. So the findings are a function of the counts alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.core.aggregate import Touched
from app.core.detect import IDLE_MINUTES, STILL, Finding, Scan, findings_of, seal_marks
from app.core.domains import domains_of
from app.core.episode import ScanPoint
from app.core.lines import Domain, Lines, Spans
from app.core.local import Group, Locals, find_locals
from app.core.policy import Policy
from app.core.state import EngineState, TenantProfile

SETTLE = 1  # newest minutes that are always scanned anew: reports still come for them
NEAR, MIDDLE, FAR = 8, 8, 32  # minutes of which each point is kept; between earlier, older points


@dataclass(slots=True)
class Memo:
    """What a step worked out of a state; it is valid for exactly that state."""

    of: tuple[Any, ...]
    lines: Lines
    points: dict[str, tuple[ScanPoint, ...]]
    findings: dict[str, tuple[Finding, ...]]
    local: Locals
    wide: tuple[Finding, ...]
    minute: int
    surveyed: "Surveyed"
    disturbances: Sequence[Any] = ()  # what was made of the findings
    resting: Mapping[str, Any] = field(default_factory=dict)  # incidents that stay as they are

    def restamped(self, state: EngineState) -> "Memo":
        """The same for a state in which only sealed minutes were put away."""
        return replace(self, of=_identity(state))


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What was found: stretches that are local to networks, and those of services."""

    lines: Lines
    local: tuple[Group, ...]
    services: tuple[Finding, ...]

    def is_like(self, other: "Surveyed") -> bool:
        """Whether just the same findings stand in both."""
        mine = [*self.services, *(f for group in self.local for f in group)]
        theirs = [*other.services, *(f for group in other.local for f in group)]
        same = len(mine) == len(theirs) and all(a is b for a, b in zip(mine, theirs, strict=True))
        return same and self.lines.excluded == other.lines.excluded


def _identity(state: EngineState) -> tuple[Any, ...]:
    return (state.cells, state.epochs, state.tracks, state.scans, state.rates, state.rulings)


def _is_same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


@dataclass(slots=True)
class Survey:
    """Surveys one state; lives for one step."""

    state: EngineState
    profile: TenantProfile
    policy: Policy
    minute: int
    exposure: float
    former: Memo | None
    touched: Touched
    points: dict[str, tuple[ScanPoint, ...]] = field(default_factory=dict)
    findings: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    unheard: dict[str, int] = field(default_factory=dict)  # network → since when heard otherwise
    lines: Lines = field(init=False)

    def __post_init__(self) -> None:
        """Lay the lines out."""
        former = self.former.lines if self.former is not None else None
        self.lines = Lines(self.state, self.profile, self.policy, former=former)
        if former is not None and former.state.sealed_to == self.state.sealed_to:
            since = self.touched.earliest
            self.lines.judged = {
                key: verdict
                for key, verdict in former.judged.items()
                if since is None or key[-1] <= since
            }

    def run(self) -> tuple[Surveyed, Memo]:
        """Scan everything up to now."""
        domains = domains_of(self.lines)
        places = [domain for domain in domains if domain.wide]
        found = self._scan_all(places)
        former = self.former
        if former is not None and _is_same(tuple(found), former.wide):
            local = former.local
        else:
            local = find_locals(self.lines, found, self.minute)
        if former is not None:
            self.unheard = _differ(former.local.excluded, local.excluded)
        self.lines.excluded = local.excluded
        services = self._scan_all(domain for domain in domains if not domain.wide)
        surveyed = Surveyed(self.lines, local.groups, tuple(services))
        memo = Memo(
            of=_identity(self.state),
            lines=self.lines,
            points=self.points,
            findings=self.findings,
            local=local,
            wide=tuple(found),
            minute=self.minute,
            surveyed=surveyed,
        )
        return surveyed, memo

    def _scan_all(self, domains: Iterable[Domain]) -> list[Finding]:
        found: list[Finding] = []
        former = self.former
        for domain in domains:
            dirty, bad = self._touched(domain)
            name = domain.name
            if former is not None and dirty > self.minute == former.minute:
                known = former.points.get(name, ())  # nothing new was said, and no time passed
                self.findings[name] = former.findings.get(name, ())
                self.lines.recall(domain, self.minute, self.minute)
            else:
                known = self._valid(domain, former, dirty)
                last = known[-1] if known else self.state.scans.get(name)
                if bad or former is None or is_lively(last, self.minute, self.policy):
                    known = self._scan(domain, known)
                elif last is not None and last.episodes:
                    self.findings[name] = findings_of(domain, last, policy=self.policy, now=None)
            self.points[name] = known
            self.lines.remember(domain)
            found += self.findings.get(name, ())
        return found

    def _scan(self, domain: Domain, known: tuple[ScanPoint, ...]) -> tuple[ScanPoint, ...]:
        """Scan a domain up to now; gives the points from which to go on."""
        point = known[-1].clone() if known else settled_point(self.state, domain.name)
        settled = max(point.minute, self.minute - SETTLE)
        scan = Scan(domain, self.policy, point)
        for minute in range(point.minute + 1, settled + 1):
            scan.step(minute)
            if minute < settled and (minute % MIDDLE == 0 or settled - minute < NEAR):
                known = (*known, point.clone())
        if not known or known[-1].minute < settled:
            seal_marks(domain, point, self.policy)
            known = (*known, point.clone())
        scan = Scan(domain, self.policy, point)
        for minute in range(settled + 1, self.minute):
            scan.step(minute)
        scan.step(self.minute, exposure=self.exposure)
        self.findings[domain.name] = findings_of(
            domain, scan.point, policy=self.policy, now=self.minute
        )
        return _thinned(known, self.minute, self.state.sealed_to)

    def _valid(self, domain: Domain, former: Memo | None, dirty: int) -> tuple[ScanPoint, ...]:
        """Points of the step before that lie before everything that was touched since."""
        if former is None:
            return ()
        self.lines.recall(domain, min(dirty, self.minute - SETTLE), self.minute)
        points = former.points.get(domain.name, ())
        sealed = self.state.sealed_to
        return tuple(point for point in points if sealed <= point.minute < dirty)

    def _touched(self, domain: Domain) -> tuple[int, bool]:
        """The earliest minute of a domain that was touched, and whether anything bad was said."""
        services, network = domain.services, domain.network
        dirty, bad = self.minute + 1, False
        for (service, place), minute in self.touched.reports.items():
            if (network is None or place == network) and (domain.wide or service in services):
                dirty, bad = min(dirty, minute), True
        network_of = self.profile.network_of
        for scope, minute in self.touched.results.items():
            service, place = scope
            if (network is None or network_of(place) == network) and (
                domain.wide or service in services
            ):
                dirty = min(dirty, minute)
                bad = bad or scope in self.touched.failures
        if not domain.wide:
            for place, minute in self.unheard.items():
                if network is None or place == network:
                    dirty, bad = min(dirty, minute), True
        return dirty, bad


def is_lively(point: ScanPoint | None, minute: int, policy: Policy) -> bool:
    """Whether a stretch goes on, or ended so lately that a relapse would belong to it."""
    if point is None or not point.episodes:
        return False
    return minute - point.episodes[-1].last_bad <= policy.reopen_minutes


def _differ(before: Spans, after: Spans) -> dict[str, int]:
    """Of each network that is heard otherwise: the first minute in which it is."""
    found = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name, ()), after.get(name, ())
        if old == new:
            continue
        edges = sorted({edge for start, end in (*old, *new) for edge in (start, end + 1)})
        first = next((m for m in edges if _covers(old, m) != _covers(new, m)), None)
        if first is not None:
            found[name] = first
    return found


def _covers(spans: Sequence[tuple[int, int]], minute: int) -> bool:
    return any(start <= minute <= end for start, end in spans)


def _thinned(points: tuple[ScanPoint, ...], minute: int, sealed: int) -> tuple[ScanPoint, ...]:
    """Keep the newest point, and further back ever fewer, for signals that come late."""
    *older, newest = points
    kept = [
        point
        for point in older
        if point.minute >= sealed
        and (point.minute % FAR == 0
             or (point.minute % MIDDLE == 0 and minute - point.minute < FAR)
             or minute - point.minute < NEAR)
    ]  # fmt: skip
    return (*kept, newest)


def settled_point(state: EngineState, name: str) -> ScanPoint:
    """Where a domain stood when its minutes were sealed."""
    known = state.scans.get(name)
    if known is not None:
        return known.clone()
    return ScanPoint(minute=state.sealed_to, ratios=list(STILL), idle=IDLE_MINUTES)


def survey(
    state: EngineState,
    *,
    profile: TenantProfile,
    policy: Policy,
    minute: int,
    exposure: float,
    touched: Touched,
    memo: Memo | None,
) -> tuple[Surveyed, Memo]:
    """Find every stretch of trouble.

    Args:
        state: what is remembered.
        profile: the tenant.
        policy: thresholds.
        minute: the present one.
        exposure: how much of the present minute has passed, 0 to 1.
        touched: what the signals of this step changed.
        memo: of the step before, of the state before; or None.
    """
    if memo is not None and touched.earliest is None and memo.minute == minute:
        return memo.surveyed, memo
    work = Survey(state, profile, policy, minute, max(exposure, 0.05), memo, touched)
    return work.run()


def still_valid(memo: object, state: EngineState) -> Memo | None:
    """The memo, if it was worked out of just this state."""
    return memo if isinstance(memo, Memo) and _is_same(memo.of, _identity(state)) else None
