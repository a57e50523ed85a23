"""Faults with their dice thrown: when each one is on, where, and how hard."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.scenarios.almanac import MINUTE
from bench.scenarios.draw import Draw
from bench.scenarios.spec import BadScenario, FaultPlan
from bench.scenarios.world import World, forms

Span = tuple[int, int]
BLIND = {"mailflow", "sync", "federation", "policy", "licence", "spray"}  # front doors stay well


@dataclass(kw_only=True)
class Fault:
    """A fault as it happened; instants in milliseconds."""

    plan: FaultPlan
    id: str
    onset: int
    end: int
    spans: list[Span]  # as a person would tell it: one, or two if it came again
    phases: list[Span]  # in which it really fails
    severity: float
    starts: dict[str, int]  # per service
    mix: dict[str, dict[str, float]]  # per service
    sites: list[str]
    networks: list[str]
    vantages: list[str]
    probe: float
    first_met: int | None = None  # first failing event of a user, or failing run of a probe
    first_signal: int | None = None  # of those that were told
    first_arrival: int | None = None
    signals: int = 0
    posted: list[str] = field(default_factory=list)  # ids of its advisories

    def fails(self, at: int, service: str) -> bool:
        """Whether the service fails at that instant where the fault is."""
        start = self.starts.get(service)
        return start is not None and at >= start and self.phase(at) is not None

    def phase(self, at: int) -> Span | None:
        """The phase that the instant lies in."""
        place = bisect_right(self.phases, (at, 1 << 62)) - 1
        if place >= 0 and at < self.phases[place][1]:
            return self.phases[place]
        return None

    def next_phase(self, at: int) -> Span | None:
        """The first phase that begins later."""
        place = bisect_right(self.phases, (at, 1 << 62))
        return self.phases[place] if place < len(self.phases) else None

    def met(self, at: int, *, told: int | None = None, arrived: int | None = None) -> None:
        """Note a failing event, and the signal that tells it."""
        self.first_met = at if self.first_met is None else min(self.first_met, at)
        if told is not None and arrived is not None:
            self.signals += 1
            first = self.first_signal
            self.first_signal = told if first is None else min(first, told)
            early = self.first_arrival
            self.first_arrival = arrived if early is None else min(early, arrived)

    @property
    def weight(self) -> str:
        """critical, major, minor or slow: the class that the vendor's haste goes by."""
        if self.plan.severity_class:
            return self.plan.severity_class
        if self.plan.rate is not None:
            return "slow"
        if self.severity >= 0.6 or len(self.plan.services) >= 3:
            return "critical"
        return "major" if self.severity >= 0.25 else "minor"


def happen(world: World, plans: Sequence[FaultPlan]) -> list[Fault]:
    """Throw the dice of every fault; one that comes after another is named after it.

    Raises:
        BadScenario: a fault comes after one that is not named before it.
    """
    made: dict[str, Fault] = {}
    for plan in plans:
        draw = world.draw("fault", plan.id)
        if plan.after:
            if plan.after not in made:
                raise BadScenario(f"fault {plan.id} comes after {plan.after}, which is not known")
            onset = made[plan.after].end + round(draw.amount(plan.gap) * MINUTE)
        else:
            onset = world.almanac.parse(plan.onset)
            onset += round(draw.uniform(0, draw.amount(plan.spread)) * MINUTE)
        made[plan.id] = _happen(world, plan, onset, draw)
    return list(made.values())


def _happen(world: World, plan: FaultPlan, onset: int, draw: Draw) -> Fault:
    length = round(draw.amount(plan.duration) * MINUTE)
    spans = [(onset, onset + length)]
    if plan.again is not None:
        back = onset + length + round(draw.amount(plan.again) * MINUTE)
        spans.append((back, back + max(10 * MINUTE, length // 2)))
    severity = min(1.0, draw.amount(plan.severity))
    stagger = draw.amount(plan.stagger) * MINUTE
    starts = {
        service: onset + (round(draw.uniform(0, stagger)) if place else 0)
        for place, service in enumerate(plan.services)
    }
    mixes = {s: dict(plan.mix) or dict(forms()["mix"][s]) for s in plan.services}
    sites, networks = _scope(world, plan)
    return Fault(
        plan=plan,
        id=plan.id,
        onset=onset,
        end=spans[-1][1],
        spans=spans,
        phases=_phases(spans, plan, draw),
        severity=severity,
        starts=starts,
        mix=mixes,
        sites=sites,
        networks=networks,
        vantages=_vantages(world, plan, sites),
        probe=_probe(world, plan, severity, draw),
    )


def _phases(spans: list[Span], plan: FaultPlan, draw: Draw) -> list[Span]:
    if not plan.cycle:
        return list(spans)
    on, off = (round(draw.amount(part) * MINUTE) for part in plan.cycle)
    phases = []
    for start, end in spans:
        at = start
        while at < end:
            phases.append((at, min(end, at + on)))
            at += on + off
    # it ends when it was last on, not in the middle of a pause
    spans[-1] = (spans[-1][0], phases[-1][1])
    return phases


def _scope(world: World, plan: FaultPlan) -> tuple[list[str], list[str]]:
    """The sites and networks; what is local is met in the office, not at home."""
    networks = list(plan.networks)
    if plan.kind == "local" and plan.sites and not networks:
        networks = [site["network"] for site in world.sites if site["name"] in plan.sites]
    return list(plan.sites), networks


def _vantages(world: World, plan: FaultPlan, sites: list[str]) -> list[str]:
    if plan.vantages is not None:
        return [name for name in plan.vantages if name in world.vantages]
    match plan.kind:
        case "vendor" if not sites:
            return list(world.vantages)
        case "identity" | "third_party":
            return []  # probes sign in with accounts of their own, over lines of their own
        case _:
            return [name for name in world.vantages if name in sites]


def _probe(world: World, plan: FaultPlan, severity: float, draw: Draw) -> float:
    if plan.probe is not None:
        return min(1.0, draw.amount(plan.probe))
    if plan.rate is not None:
        return 0.0
    detection: float = world.parameters["probes"]["detection"]
    mixed = dict(plan.mix)
    seen = 1.0
    if mixed:
        seen = 1.0 - sum(v for k, v in mixed.items() if k in BLIND) / sum(mixed.values())
    broad = 1.0 if plan.kind in {"local", "third_party"} else severity
    return detection * broad * seen
