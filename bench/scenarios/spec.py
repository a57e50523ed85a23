"""What a scenario file says: read, checked against the known words, filled with the defaults."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from bench.scenarios.draw import Draw

FOLDER = Path(__file__).parent
NAMED = FOLDER / "named"
KINDS = ("vendor", "regional", "local", "identity", "third_party")
SERVICES = {
    "EX": "exchange-online",
    "TM": "microsoft-teams",
    "SP": "sharepoint-online",
    "ID": "entra-id",
    "OD": "onedrive",
    "CP": "copilot",
    "MO": "microsoft-365-suite",
}
EVALUATION = 1000  # seeds from here on are for evaluation and are jittered
_T = TypeVar("_T")


class BadScenario(ValueError):  # noqa: N818 - a condition, named as what it is
    """A scenario does not exist or cannot be read; the sentence says why."""


@dataclass(kw_only=True)
class AdvisoryPlan:
    """What the vendor posts; minutes, amounts may be distributions."""

    service: str = ""  # of the fault if empty; MO is the suite
    id: str = ""
    role: str = "right"  # right | decoy | false_positive | only
    lag: Any = None  # from onset to the first post; None draws it by class of the fault
    posted: str = ""  # instead of lag: "DAY HH:MM"
    resolve: Any = None  # from the true end to the last post; None draws it; negative is early
    lasts: Any = None  # instead of resolve: from the first post to the last
    outcome: str = "restored"  # restored | false_positive | suspended | open
    classification: str = ""  # incident | advisory; by severity if empty
    origin: str = "microsoft"
    statuses: list[str] = field(default_factory=list)  # the middle of the life; drawn if empty
    updates: int = 0  # posts in all; drawn if 0
    umbrella: list[str] = field(default_factory=list)  # services that its text lists
    stated_start: Any = None  # error of the text's start, minutes; None draws it; "none": no line
    symptom: str = ""  # class of its words; that of the fault if empty
    rename: bool | None = None  # another title in the middle; None draws it
    region_text: bool = True  # whether the scope names the region of a regional fault


@dataclass(kw_only=True)
class FaultPlan:
    """One disturbance; durations in minutes."""

    id: str
    kind: str
    services: list[str]
    onset: str = ""  # "DAY HH:MM", local time
    after: str = ""  # instead of onset: id of the fault whose end it follows
    gap: Any = 0  # minutes after that end
    spread: Any = 20  # the onset comes up to so many minutes later
    duration: Any = 60
    severity: Any = 0.7  # share of the people in scope who are hit
    mix: dict[str, float] = field(default_factory=dict)  # classes of symptoms; else the service's
    feature: str = ""
    sites: list[str] = field(default_factory=list)  # scope; all if empty
    networks: list[str] = field(default_factory=list)  # scope; all if empty
    vantages: list[str] | None = None  # that see it; None: by kind
    probe: Any = None  # chance that a probe in scope fails; None: detection x severity
    ramp: Any = 3  # minutes in which it grows to its severity
    stagger: Any = 0  # the other services follow within so many minutes
    cycle: list[Any] = field(default_factory=list)  # [on, off] minutes
    again: Any = None  # minutes after the end until it comes back, as the same fault
    rate: Any = None  # instead of hit people: the background of its services times this
    visible: bool = True  # false: this tenant feels nothing
    required: bool = True  # false: an incident of its kind is allowed, not demanded
    incidents: int = 1  # expected
    severity_class: str = ""  # critical | major | minor | slow; by severity if empty
    advisories: list[AdvisoryPlan] = field(default_factory=list)


@dataclass(kw_only=True)
class AdversaryPlan:
    """Something that looks like trouble and is none of the vendor's."""

    kind: str  # see README.md
    at: str = ""  # "DAY HH:MM", local time
    minutes: Any = 60
    rate: Any = None  # per minute, or a factor; by kind if None
    share: Any = None  # a probability, by kind
    service: str = "EX"
    site: str = ""
    network: str = ""
    deliver: Any = 90  # held_batch: minutes after its end until it arrives


@dataclass(kw_only=True)
class ActionPlan:
    """What the one who runs the scenario does: ``restart`` the engine."""

    at: str
    do: str


@dataclass(kw_only=True)
class Plan:
    """A whole scenario before its dice are thrown."""

    name: str
    title: str
    story: str
    number: int
    start: date
    days: float
    tail_minutes: float
    history_days: float
    tags: list[str]
    parameters: dict[str, Any]
    faults: list[FaultPlan]
    advisories: list[AdvisoryPlan]
    adversaries: list[AdversaryPlan]
    actions: list[ActionPlan]
    expect: dict[str, Any]
    process: str = ""  # "random" or "noise": what the file leaves to the process


@cache
def _defaults() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "defaults.toml").read_text("utf-8"))


@cache
def _jitter() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "jitter.toml").read_text("utf-8"))


def names() -> list[str]:
    """The scenarios that come with Sextant, by number."""
    files = sorted(NAMED.glob("*.toml"), key=lambda file: (_number(file), file.stem))
    return [file.stem for file in files]


@cache
def _number(file: Path) -> int:
    return int(tomllib.loads(file.read_text("utf-8")).get("number", 99))


def _known_table(table: str) -> None:
    if table not in _defaults():
        raise ValueError(f"there is no table {table!r}; it has {', '.join(_defaults())}")


def load(
    name: str | Path,
    seed: int,
    *,
    jitter: bool | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Plan:
    """Read a named scenario, or the file of one; ``settings`` are parameters by path.

    Raises:
        BadScenario: there is none of that name, or its file says something unknown.
    """
    file = Path(name) if str(name).endswith(".toml") else NAMED / f"{name}.toml"
    if not file.is_file():
        raise BadScenario(f"There is no scenario {name}; known: {', '.join(names())}, "
                          "or the path of a .toml file.")  # fmt: skip
    try:
        document = tomllib.loads(file.read_text("utf-8"))
        for path, value in (settings or {}).items():
            table, _, word = path.partition(".")
            _known_table(table)
            document[table] = {**document.get(table, {}), word: value}
        if seed >= EVALUATION if jitter is None else jitter:
            document = jittered(document, seed)
        else:
            document = _filled(document)
        return _plan(file.stem, document)
    except (ValueError, TypeError, KeyError) as error:
        raise BadScenario(f"{file.name}: {error}") from error


def _filled(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the parameters that it leaves to the defaults."""
    made = dict(document)
    for table, values in _defaults().items():
        own = document.get(table, {})
        unknown = set(own) - set(values)
        if unknown:
            raise ValueError(f"[{table}] has no {', '.join(sorted(unknown))}; "
                             f"it has {', '.join(values)}")  # fmt: skip
        made[table] = {**values, **own}
    return made


def jittered(document: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The filled document with what jitter.toml names scaled, by seed and name."""
    made, rules = _filled(document), _jitter()

    def factor(*path: object) -> float:
        spread = rules["spread"]
        return Draw(seed, "jitter", *path).uniform(1.0 - spread, 1.0 + spread)

    for path in rules["parameters"]:
        table, key = path.split(".")
        made[table] = {**made[table], key: _scaled(made[table][key], factor(path))}
    for list_name in ("faults", "adversaries"):
        made[list_name] = [
            {**one, **_some(one, rules[list_name], lambda k, i=i, n=list_name: factor(n, i, k))}
            for i, one in enumerate(document.get(list_name, []))
        ]
    for i, fault in enumerate(made["faults"]):
        fault["advisories"] = [
            {**one, **_some(one, rules["advisories"], lambda k, i=i, j=j: factor(i, j, k))}
            for j, one in enumerate(fault.get("advisories", []))
        ]
        for bounded in ("severity", "probe"):
            if isinstance(fault.get(bounded), float):
                fault[bounded] = min(1.0, fault[bounded])
    return made


def _some(one: Mapping[str, Any], keys: list[str], factor: Any) -> dict[str, Any]:
    return {key: _scaled(one[key], factor(key)) for key in keys if key in one}


def _scaled(value: Any, factor: float) -> Any:
    match value:
        case int() | float():
            return value * factor
        case [*items]:
            return [item * factor for item in items]
        case {"lognormal": [median, sigma]}:
            return {"lognormal": [median * factor, sigma]}
        case {"exponential": mean}:
            return {"exponential": mean * factor}
        case _:
            return value


def _made(kind: type[_T], values: Mapping[str, Any], where: str) -> _T:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    unknown = set(values) - known
    if unknown:
        raise ValueError(f"{where} has no {', '.join(sorted(unknown))}; it has "
                         f"{', '.join(sorted(known))}")  # fmt: skip
    return kind(**values)


def advisory(values: Mapping[str, Any]) -> AdvisoryPlan:
    """Read one table of an advisory."""
    return _made(AdvisoryPlan, values, "an advisory")


def fault(values: Mapping[str, Any]) -> FaultPlan:
    """Read one table of a fault with its advisories."""
    values = {**values, "advisories": [advisory(v) for v in values.get("advisories", [])]}
    plan = _made(FaultPlan, values, "a fault")
    if plan.kind not in KINDS:
        raise ValueError(f"{plan.kind!r} is no kind of fault; kinds are {', '.join(KINDS)}")
    unknown = set(plan.services) - set(SERVICES)
    if unknown or not plan.services:
        raise ValueError(f"services are {', '.join(SERVICES)}, not {', '.join(sorted(unknown))}")
    if bool(plan.onset) == bool(plan.after):
        raise ValueError(f"fault {plan.id} needs an onset, or the fault that it comes after")
    return plan


def _plan(name: str, document: Mapping[str, Any]) -> Plan:
    known = {f.name for f in fields(Plan)} - {"name", "parameters"} | set(_defaults())
    unknown = set(document) - known
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    return Plan(
        name=name,
        title=document["title"],
        story=document.get("story", "").strip(),
        number=document.get("number", 99),
        start=document["start"],
        days=document.get("days", 0.5),
        tail_minutes=document.get("tail_minutes", 180),
        history_days=document.get("history_days", 2),
        tags=document.get("tags", []),
        parameters={table: document[table] for table in _defaults()},
        faults=[fault(v) for v in document.get("faults", [])],
        advisories=[advisory(v) for v in document.get("advisories", [])],
        adversaries=[
            _made(AdversaryPlan, v, "an adversary") for v in document.get("adversaries", [])
        ],
        actions=[_made(ActionPlan, v, "an action") for v in document.get("actions", [])],
        expect=document.get("expect", {}),
        process=document.get("process", ""),
    )
