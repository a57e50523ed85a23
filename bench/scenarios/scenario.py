"""A scenario played: its lines in the order of arrival, and the truth about them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.scenarios.adversaries import Adversaries
from bench.scenarios.almanac import HOUR, MINUTE, stamp
from bench.scenarios.checks import Checks
from bench.scenarios.faults import Fault, happen
from bench.scenarios.people import Background, Sufferers
from bench.scenarios.process import fill
from bench.scenarios.signals import Line, Transport
from bench.scenarios.spec import AdvisoryPlan, BadScenario, Plan, load
from bench.scenarios.truth import tell
from bench.scenarios.vendor import Advisory, Vendor
from bench.scenarios.world import World

CHUNK = 6 * HOUR  # so much is held at once of what is made on the way


@dataclass(kw_only=True)
class Scenario:
    """What ``generate`` gives: ``lines()`` may be walked again and gives the same."""

    name: str
    seed: int
    header: dict[str, Any]
    truth: dict[str, Any]
    begin: int
    end: int
    _background: Background = field(repr=False)
    _checks: Checks = field(repr=False)
    _made: list[Line] = field(repr=False)  # of faults, advisories and adversaries, by arrival

    def lines(self) -> Iterator[Line]:
        """Every signal in the order of arrival."""
        made, place = self._made, 0
        waiting: list[Line] = []
        for since in range(self.begin, self.end, CHUNK):
            until = min(since + CHUNK, self.end)
            waiting += self._background.lines(since, until)
            waiting += self._checks.lines(since, until)
            while place < len(made) and made[place].at < until:
                waiting.append(made[place])
                place += 1
            waiting.sort(key=_order)
            ready = _ready(waiting, until)
            yield from waiting[:ready]
            waiting = waiting[ready:]
        waiting += made[place:]
        yield from sorted(waiting, key=_order)

    def ndjson(self, *, labelled: bool = False) -> Iterator[bytes]:
        """The input of ``sextant fold``: the header, then a line for each signal."""
        yield msgspec.json.encode(self.header) + b"\n"
        for line in self.lines():
            yield self.text(line, labelled=labelled)

    def text(self, line: Line, *, labelled: bool = False) -> bytes:
        """One signal as a line of the input."""
        document = {
            "ref": line.ref,
            "received_at": stamp(line.at),
            "tenant": self.header["tenant"],
            "kind": line.kind,
        }
        if labelled:
            document["label"] = line.label
        return msgspec.json.encode({**document, "body": line.body}) + b"\n"


def _order(line: Line) -> tuple[int, str]:
    return line.at, line.ref


def _ready(lines: list[Line], until: int) -> int:
    """How many of the sorted lines arrive before the instant."""
    place = len(lines)
    while place and lines[place - 1].at >= until:
        place -= 1
    return place


def generate(
    name: str | Path,
    seed: int,
    *,
    jitter: bool | None = None,
    users: int | None = None,
    weeks: float | None = None,
    history_days: float | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Scenario:
    """Throw the dice of a scenario.

    Args:
        name: a named scenario, or the path of a .toml file.
        seed: the same seed gives the same scenario, byte for byte.
        jitter: whether the parameters of jitter.toml move; by default from seed 1000 on.
        users: size of the tenant instead of the scenario's.
        weeks: length of ``random`` and ``noise``.
        settings: parameters of defaults.toml by path, such as ``probes.interval_seconds``.
        history_days: quiet days before the first; a longer history moves nothing else.

    Raises:
        BadScenario: there is none of that name, or it cannot be read.
    """
    plan = load(name, seed, jitter=jitter, settings=settings)
    if weeks is not None:
        if not plan.process:
            raise BadScenario(
                f"{plan.name} has a length of its own; weeks are for random and noise"
            )
        plan.days = weeks * 7
    history = plan.history_days if history_days is None else history_days
    try:
        return _play(plan, seed, users, history)
    except (ValueError, KeyError) as error:
        raise BadScenario(f"{plan.name}: {error}") from error


def _play(plan: Plan, seed: int, users: int | None, history: float) -> Scenario:
    world = World(plan, seed, users=users, history_days=history)
    fill(world)
    transport = Transport(world)
    background = Background(world, transport)
    adversaries = Adversaries(world, transport, background, plan.adversaries)
    adversaries.prepare()
    faults = happen(world, plan.faults)
    checks = Checks(world, faults, adversaries.spoilt)
    sufferers = Sufferers(world, transport, background)
    made = [line for fault in faults for line in sufferers.lines(fault)]
    made += adversaries.lines()
    checks.note(faults)
    advisories = _advisories(world, faults, plan)
    made += [line for advisory in advisories for line in advisory.lines]
    made.sort(key=_order)
    end = _end(world, faults, advisories, adversaries.over)
    return Scenario(
        name=plan.name,
        seed=seed,
        header=world.header(),
        truth=tell(world, faults + adversaries.sprays, advisories, adversaries.told, end),
        begin=world.begin,
        end=end,
        _background=background,
        _checks=checks,
        _made=[line for line in made if line.at < end or line.kind != "advisory"],
    )


def _advisories(world: World, faults: list[Fault], plan: Plan) -> list[Advisory]:
    vendor = Vendor(world)
    found: list[Advisory] = []
    for fault in faults:
        for place, one in enumerate(fault.plan.advisories):
            made = vendor.about(fault, one, place)
            if made is None:
                break  # the vendor is silent about this fault
            found.append(made)
    found += [vendor.alone(one, place) for place, one in enumerate(plan.advisories)]
    return found


def _end(world: World, faults: list[Fault], advisories: list[Advisory], over: int) -> int:
    """The last instant of the lines: the days are over, and what happened has had its tail."""
    tail = round(world.plan.tail_minutes * MINUTE)
    ends = [world.end]
    ends += [fault.end + tail for fault in faults]
    if not world.plan.process:
        ends.append(over + tail)
        ends += [a.resolved + tail for a in advisories if a.fault and a.resolved]
    return max(ends)


__all__ = ["AdvisoryPlan", "BadScenario", "Line", "Scenario", "generate"]
