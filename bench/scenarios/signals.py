"""Signals on their way: what was met at one instant arrives later, perhaps twice, perhaps wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Any, NamedTuple

from bench.scenarios.almanac import MINUTE, SECOND, stamp
from bench.scenarios.draw import Draw, key, mix
from bench.scenarios.world import Person, World


class Line(NamedTuple):
    """One signal as it arrives: the instant in milliseconds, and what the file says of it."""

    at: int
    ref: str
    kind: str
    label: str
    body: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Held:
    """A gateway that kept the reports of one site and gave them all at once."""

    site: int  # -1 for all
    since: int
    until: int
    deliver: int


class Transport:
    """Brings reports of people; ``held`` is set by the adversary of that name."""

    def __init__(self, world: World) -> None:
        p = world.parameters["transport"]
        self.world = world
        self.held: list[Held] = []
        self._lag = p["lag_seconds"] * SECOND
        self._late, self._late_mean = p["late"], p["late_minutes"] * MINUTE
        self._twice, self._twice_mean = p["duplicates"], p["duplicate_seconds"] * SECOND

    def bring(self, body: dict[str, Any], told: int, label: str, draw: Draw) -> list[Line]:
        """The arrivals of one report: one, or two of the same."""
        ref = f"r-{body['id']}"
        at = told + round(draw.exponential(self._lag))
        if draw.chance(self._late):
            at += round(draw.exponential(self._late_mean))
        lines = [Line(at, ref, "client_report", label, body)]
        if draw.chance(self._twice):
            again = at + round(draw.exponential(self._twice_mean))
            lines.append(Line(again, ref + "+", "client_report", label, body))
        return lines

    def report(
        self,
        person: Person,
        *,
        service: str,
        form: Mapping[str, Any],
        met: int,
        told: int,
        label: str,
        draw: Draw,
        number: int,
    ) -> list[Line]:
        """The arrivals of a person's report of what was met; ``number`` makes its id."""
        body = {
            "id": f"{mix(number):016x}",
            "occurred_at": stamp(met + person.clock),
            "service": self.world.slug(service),
            **form,
            "reporter": f"u{person.number:05d}",
            "device": f"d{person.number:05d}",
            "region": person.region,
            "network": person.network,
        }
        for held in self.held:
            if held.site in {-1, person.site} and held.since <= met < held.until:
                at = held.deliver + round(draw.uniform(0, 20 * SECOND))
                return [Line(at, f"r-{body['id']}", "client_report", label, body)]
        return self.bring(body, told, label, draw)


def hasten(bits: int, mean: float) -> float:
    """An exponential amount from 21 random bits."""
    return -mean * log((bits + 1) * 2.0**-21)


def stream(world: World, *names: object) -> int:
    """The number from which the ids of a stream of signals are counted."""
    return key(world.seed, world.plan.name, "ids", *names)
