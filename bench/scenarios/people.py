"""What people meet and tell: the errors of any day, and those of a fault."""

from collections.abc import Iterator
from datetime import datetime
from math import sin, tau
from typing import Any

from bench.scenarios.almanac import DAY, HOUR, MINUTE
from bench.scenarios.draw import Draw
from bench.scenarios.faults import Fault
from bench.scenarios.signals import Line, Transport, stream
from bench.scenarios.world import World, form, forms

BIN = 15 * MINUTE
DRIFT_PERIOD = 1.37 * DAY  # not a whole number of days, so that it has no hour of its own


class Background:
    """The reports of any day, bin by bin; a bin depends on nothing but its own time."""

    def __init__(self, world: World, transport: Transport) -> None:
        p = world.parameters["background"]
        self.world, self.transport = world, transport
        self.surges: list[tuple[int, int, float]] = []  # since, until, factor
        self._p = p
        weights = {s: p["weights"][s] for s in world.services}
        self._weights = {s: w / sum(weights.values()) for s, w in weights.items()}
        self._phase = world.draw("drift").uniform(0, 1)
        self._ids = stream(world, "background")

    def level(self, at: int) -> float:
        """Reports expected in a bin of 15 minutes over all services, without bursts."""
        level: float = self._p["per_user_hour"] * self.world.users * BIN / HOUR
        level *= self.world.almanac.busy(at + BIN // 2)
        level *= 1 + self._p["drift"] * sin(tau * (at / DRIFT_PERIOD + self._phase))
        for since, until, factor in self.surges:
            if since <= at + BIN // 2 < until:
                level *= factor
        return level

    def expected(self, at: int, service: str) -> float:
        """Reports of a service expected in a bin."""
        return self.level(at) * self._weights[service]

    def lines(self, since: int, until: int) -> Iterator[Line]:
        """The arrivals of what was met in the bins that begin in this time."""
        for at in range(-(-since // BIN) * BIN, until, BIN):
            draw = self.world.draw("background", at)
            level = self.level(at) * draw.gamma(int(self._p["burst_shape"]))
            for service, weight in self._weights.items():
                for _ in range(draw.poisson(level * weight)):
                    yield from self.one(at, service, draw, "background", forms()["background"])

    def one(
        self, at: int, service: str, draw: Draw, label: str, mixes: dict[str, Any]
    ) -> list[Line]:
        """One error of some user in the bin, and its arrivals."""
        met = at + int(draw.uniform(0, BIN))
        person = self.world.person(self._who(draw))
        wait = 0.5 * draw.exponential(self.world.parameters["reporting"]["tell_minutes"]) * MINUTE
        return self.transport.report(
            person,
            service=service,
            form=form(service, draw.pick(mixes[service]), draw),
            met=met,
            told=met + round(wait),
            label=label,
            draw=draw,
            number=self._ids ^ int(draw.random() * 2**53),
        )

    def _who(self, draw: Draw) -> int:
        users = self.world.users
        if draw.chance(self._p["chronic_share"]):
            return int(draw.random() * max(1, users * self._p["chronic_users"]))
        return int(draw.random() * users)


class Sufferers:
    """The people whom one fault hits, and what they tell."""

    def __init__(self, world: World, transport: Transport, background: Background) -> None:
        self.world, self.transport, self.background = world, transport, background
        self._p = world.parameters["reporting"]

    def lines(self, fault: Fault) -> list[Line]:
        """Every arrival that the fault causes; notes in the fault what was met first."""
        if not fault.plan.visible:
            return []
        made: list[Line] = []
        for service in fault.plan.services:
            if fault.plan.rate is not None:
                made += self._raised(fault, service)
            else:
                made += self._hit(fault, service)
        return made

    def _raised(self, fault: Fault, service: str) -> list[Line]:
        draw = self.world.draw("raised", fault.id, service)
        extra = draw.amount(fault.plan.rate) - 1.0
        mixes = {service: fault.mix[service]}
        made: list[Line] = []
        for at in range(fault.onset // BIN * BIN, fault.end, BIN):
            for _ in range(draw.poisson(self.background.expected(at, service) * extra)):
                lines = self.background.one(at, service, draw, fault.id, mixes)
                first = lines[0]
                met = _met(first, self.world)
                if fault.fails(met, service):
                    fault.met(met, told=met, arrived=first.at)
                    made += lines
        return made

    def _hit(self, fault: Fault, service: str) -> list[Line]:
        draw = self.world.draw("hit", fault.id, service)
        scope = self.world.people(fault.sites, fault.networks)
        usage = self._p["usage"][service]
        share = self._p[self._p["mode"]]
        affected = len(scope) * usage * fault.severity
        telling = draw.sample(scope, _round(affected * share, draw))
        hurry = draw.uniform(*self._p["hurry"]) * MINUTE
        start, ramp = fault.starts[service], draw.amount(fault.plan.ramp) * MINUTE
        # who says nothing meets it all the same: the first of them counts for the truth
        silent = max(0.0, affected - len(telling)) * self.world.almanac.active(start)
        if silent >= 1:
            first = start + draw.exponential(self._p["hit_minutes"]) * hurry / silent
            if fault.fails(round(first), service):
                fault.met(round(first))
        made: list[Line] = []
        for number in telling:
            at = start + draw.uniform(0, ramp)
            at = self._come(at, draw)
            made += self._tell(fault, service, number, at=at, hurry=hurry, draw=draw)
        return made

    def _come(self, at: float, draw: Draw) -> float:
        """When the person begins to use the service: now if at work, else in the next hours."""
        if draw.chance(self.world.almanac.active(round(at))):
            return at
        for _ in range(48):  # thinning: they come when others are at work
            at += draw.exponential(self._p["arrival_minutes"]) * MINUTE
            if draw.chance(self.world.almanac.active(round(at))):
                break
        return at

    def _tell(
        self, fault: Fault, service: str, number: int, *, at: float, hurry: float, draw: Draw
    ) -> list[Line]:
        p, made = self._p, []
        person, symptom = self.world.person(number), draw.pick(fault.mix[service])
        shape = form(service, symptom, draw)  # a program fails in its own way, again and again
        ids = stream(self.world, fault.id, service, number)
        met = at + draw.exponential(p["hit_minutes"]) * hurry
        told = met + draw.exponential(p["tell_minutes"]) * hurry
        while met < fault.end:
            if not fault.fails(round(met), service):
                phase = fault.next_phase(round(met))
                if phase is None:
                    break
                met = phase[0] + draw.exponential(p["hit_minutes"]) * hurry
                told = met + draw.exponential(p["tell_minutes"]) * hurry
                continue
            ids += 1
            lines = self.transport.report(
                person, service=service, form=shape, met=round(met), told=round(told),
                label=fault.id, draw=draw, number=ids,
            )  # fmt: skip
            fault.met(round(met), told=round(told), arrived=lines[0].at)
            made += lines
            wait = draw.exponential(p["repeat_minutes"]) + p["repeat_floor_minutes"]
            if draw.chance(p["give_up"]):
                wait += draw.exponential(p["comeback_minutes"])
            met = told = max(met, told) + wait * MINUTE
        return made


def _round(amount: float, draw: Draw) -> int:
    """A whole number whose mean is the amount."""
    return int(amount) + draw.chance(amount - int(amount))


def _met(line: Line, world: World) -> int:
    """When the event of a line was met by the true clock."""
    person = world.person(int(line.body["reporter"][1:]))
    stated = datetime.fromisoformat(line.body["occurred_at"])
    return round(stated.timestamp() * 1000) - person.clock
