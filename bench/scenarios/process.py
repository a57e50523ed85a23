"""The process of faults over weeks: what ``random`` and ``noise`` throw their dice for."""

from dataclasses import replace
from typing import Any

from bench.scenarios.adversaries import KINDS as ADVERSARIES
from bench.scenarios.adversaries import SPRAY
from bench.scenarios.almanac import DAY, MINUTE
from bench.scenarios.draw import Draw
from bench.scenarios.spec import AdversaryPlan, AdvisoryPlan, FaultPlan
from bench.scenarios.world import World

APART = 150 * MINUTE  # two faults in one place are told apart by so much quiet


def fill(world: World) -> None:
    """Add to the plan of a process its faults, advisories and adversaries."""
    if not world.plan.process:
        return
    draw = world.draw("process")
    if world.plan.process == "random":
        world.plan.faults += _faults(world, draw)
    _adversaries(world, draw)
    _decoys(world, draw)


def _moment(world: World, at: float) -> str:
    """An instant as a scenario file writes it."""
    first = world.almanac.first_day
    day, hour = world.almanac.local(round(at))
    seconds = round(hour * 3600)
    return (f"{(day - first).days} {seconds // 3600:02d}:{seconds // 60 % 60:02d}:"
            f"{seconds % 60:02d}")  # fmt: skip


def _sometime(world: World, draw: Draw) -> float:
    """An instant by hour of week: changes are made when people work."""
    while True:
        at = draw.uniform(world.zero, world.end - 6 * 60 * MINUTE)
        if draw.chance(0.3 + 0.7 * world.almanac.busy(round(at))):
            return at


def _faults(world: World, draw: Draw) -> list[FaultPlan]:
    p = world.parameters["random"]
    weeks = (world.end - world.zero) / (7 * DAY)
    times = sorted(
        _sometime(world, draw) for _ in range(draw.poisson(p["faults_per_week"] * weeks))
    )
    made: list[FaultPlan] = []
    for at in times:
        first = _apart(world, draw, made, at)
        made.append(first)
        if draw.chance(p["overlap"]):
            within = at + draw.uniform(0.1, 0.8) * float(first.duration) * MINUTE
            made.append(_apart(world, draw, made, within))
        elif draw.chance(p["recur_day"] - p["recur_soon"]):
            back = at + (_length(first) + draw.uniform(180, 1440)) * MINUTE
            again = replace(
                first,
                id=f"f{len(made) + 1}",
                onset=_moment(world, back),
                advisories=[replace(one) for one in first.advisories],
            )
            if not any(_one_place(world, again, other) for other in made):
                made.append(again)
    return made


def _apart(world: World, draw: Draw, others: list[FaultPlan], at: float) -> FaultPlan:
    """A fault that is not in the same place as another at the same time.

    Two such would be two in the truth and one to anybody who looks at them.
    """
    name = f"f{len(others) + 1}"
    for _ in range(50):
        made = _one(world, draw, name, at)
        if not any(_one_place(world, made, other) for other in others):
            return made
    return _one(world, draw, name, _sometime(world, draw))


def _length(plan: FaultPlan) -> float:
    """Minutes from the onset to the last end."""
    return float(plan.duration) * 1.5 + float(plan.again or 0)


def _one_place(world: World, one: FaultPlan, other: FaultPlan) -> bool:
    """Whether two faults share a place, and lie within APART of each other."""
    if not _places(one) & _places(other):
        return False
    spans = []
    for plan in (one, other):
        start = world.almanac.parse(plan.onset)
        spans.append((start - APART, start + round(_length(plan) * MINUTE) + APART))
    return spans[0][0] < spans[1][1] - APART and spans[1][0] < spans[0][1] - APART


def _places(plan: FaultPlan) -> set[str]:
    """The fault domains that it is in: a service, a site, the tenant's sign-in."""
    if plan.kind in {"vendor", "regional"}:
        return set(plan.services)
    if plan.kind == "identity":
        return {"sign-in", *(["ID"] if "ID" in plan.services else [])}
    return set(plan.sites) | set(plan.vantages or ())


def _one(world: World, draw: Draw, name: str, at: float) -> FaultPlan:
    p = world.parameters["random"]
    kind = draw.pick(p["kinds"])
    duration = min(p["longest_minutes"], max(5.0, draw.amount(p["duration"])))
    plan = FaultPlan(
        id=name,
        kind=kind,
        services=[],
        onset=_moment(world, at),
        spread=0,
        duration=round(duration, 1),
        severity=round(draw.amount(p["severity"]), 3),
        again=round(draw.uniform(20, 100)) if draw.chance(p["recur_soon"]) else None,
    )
    if draw.chance(p["on_off"]) and duration > 60:
        plan.cycle = [round(draw.uniform(8, 30)), round(draw.uniform(5, 25))]
    {"vendor": _vendor, "local": _local, "identity": _identity, "third_party": _third_party}[kind](
        world, draw, plan
    )
    return plan


def _services(world: World, draw: Draw) -> list[str]:
    wanted = draw.pick(world.parameters["random"]["services"])
    count = {"one": 1, "two": 2, "three": 3}[wanted]
    weights = world.parameters["background"]["weights"]
    found: list[str] = []
    while len(found) < min(count, len(world.services)):
        service = draw.pick({s: weights[s] for s in world.services})
        if service not in found:
            found.append(service)
    return found


def _vendor(world: World, draw: Draw, plan: FaultPlan) -> None:
    p, v = world.parameters["random"], world.parameters["vendor"]
    plan.services = _services(world, draw)
    if len(plan.services) > 1:
        plan.stagger = p["stagger_minutes"]
    elif draw.chance(p["slow_burn"]):
        plan.rate = round(draw.amount(p["slow_rate"]), 2)
        plan.duration = round(draw.amount(p["slow_minutes"]))
        plan.cycle, plan.again = [], None
    elif draw.chance(p["regional"]):
        plan.kind = "regional"
        plan.sites = [draw.of(world.sites)["name"]]
    outcome = "suspended" if draw.chance(v["suspended"]) else "restored"
    listed = list(plan.services)
    if draw.chance(v["umbrella"]):
        first = AdvisoryPlan(service="MO", umbrella=listed, outcome=outcome)
    else:
        first = AdvisoryPlan(service=plan.services[0], outcome=outcome)
    plan.advisories = [first]
    if draw.chance(v["two_ids"]):
        lag: Any = round(draw.uniform(30, 90), 1)
        plan.advisories.append(AdvisoryPlan(service=plan.services[0], lag=lag))


def _local(world: World, draw: Draw, plan: FaultPlan) -> None:
    plan.services = list(world.services)
    plan.sites = [draw.of(world.sites)["name"]]
    plan.severity = max(plan.severity, 0.3)
    plan.mix = {draw.pick({"network": 0.5, "dns": 0.25, "proxy": 0.25}): 1.0}


def _identity(world: World, draw: Draw, plan: FaultPlan) -> None:
    plan.services = list(world.services)[:4]
    plan.mix = {draw.pick({"federation": 0.4, "policy": 0.4, "licence": 0.2}): 1.0}


def _third_party(world: World, draw: Draw, plan: FaultPlan) -> None:
    plan.services = list(world.services)
    providers = world.parameters["tenant"]["providers"]
    place = draw.of(world.sites)
    plan.networks = [draw.of(providers), place["network"]]
    plan.vantages = [place["name"]]
    plan.mix = {"network": 0.8, "timeout": 0.2}
    if draw.chance(0.3):
        lag: Any = {"lognormal": [60.0, 0.8]}
        plan.advisories = [AdvisoryPlan(service="MO", lag=lag, origin="thirdParty")]


def _adversaries(world: World, draw: Draw) -> None:
    p = world.parameters[world.plan.process]
    weeks = (world.end - world.zero) / (7 * DAY)
    spray = world.parameters["noise"]["spray"]
    others = [kind for kind in ADVERSARIES if kind not in {SPRAY, "migration"}]
    for _ in range(draw.poisson(p["adversaries_per_week"] * weeks)):
        kind = SPRAY if draw.chance(spray) else draw.of(others)
        world.plan.adversaries.append(
            AdversaryPlan(
                kind=kind,
                at=_moment(world, _sometime(world, draw)),
                minutes=round(draw.uniform(20, 60 if kind == "surge" else 240)),
                service=draw.of(world.services),
                deliver=round(draw.uniform(20, 110)),
            )
        )
    if draw.chance(0.1):
        at = _moment(world, _sometime(world, draw))
        world.plan.adversaries.append(
            AdversaryPlan(kind="migration", at=at, minutes=weeks * 7 * 24 * 60)
        )


def _decoys(world: World, draw: Draw) -> None:
    """Advisories on services of the tenant that it does not feel; some of them taken back."""
    v = world.parameters["vendor"]
    for day in range(int((world.end - world.zero) / DAY)):
        if not draw.chance(v["decoy_days"]):
            continue
        false = draw.chance(v["false_positive"])
        world.plan.advisories.append(
            AdvisoryPlan(
                service=draw.of(world.services),
                role="false_positive" if false else "decoy",
                outcome="false_positive" if false else "restored",
                posted=_moment(world, world.zero + (day + draw.uniform(0, 1)) * DAY),
                lasts=round(draw.uniform(60, 2880)),
                classification="incident" if draw.chance(0.3) else "advisory",
                symptom=draw.of(("report", "search", "latency", "mailflow")),
            )
        )
