"""What the checks measure: every run of every check from every vantage, each its own dice.

The draws of a run come from its number, so that a run can be looked at out of order: the truth is
computed over the faults alone, and a longer history moves nothing.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from bench.scenarios.almanac import MINUTE, SECOND, stamp
from bench.scenarios.draw import Draw, key, mix
from bench.scenarios.faults import Fault
from bench.scenarios.signals import Line
from bench.scenarios.world import CHECKS, FEATURES, World, forms

_LOW = (1 << 21) - 1
_WAYS = 1024  # entries of the tables that turn bits into amounts
_NORMAL = [math.exp(0.3 * NormalDist().inv_cdf((i + 0.5) / _WAYS)) for i in range(_WAYS)]
_EXPONENTIAL = [-math.log((i + 0.5) / _WAYS) for i in range(_WAYS)]
JITTER = 0.2  # of the interval, to each side
LOST = "lost"  # outcome of a run that nobody hears of


@dataclass(frozen=True, kw_only=True)
class Spoilt:
    """A time in which a vantage or one of its checks goes wrong by itself."""

    vantage: str
    service: str  # "" for every check of the vantage
    since: int
    until: int
    chance: float
    symptom: str  # class of forms.toml, or "lost"
    label: str


@dataclass(kw_only=True)
class _Track:
    """One check at one vantage: where its runs lie, and what may spoil them."""

    service: str
    vantage: str
    base: int
    offset: int
    healthy: dict[str, Any]
    faults: list[Fault]
    spoilt: list[Spoilt]


class Checks:
    """All runs of all checks."""

    def __init__(self, world: World, faults: Sequence[Fault], spoilt: Sequence[Spoilt]) -> None:
        p, t = world.parameters["probes"], world.parameters["transport"]
        self.world = world
        self._interval = round(p["interval_seconds"] * SECOND)
        self._false = int(p["false_failure"] * (_LOW + 1))
        self._latency = p["latency_ms"]
        self._lag = t["lag_seconds"] * SECOND
        self._late, self._late_mean = t["late"], t["late_minutes"] * MINUTE
        self._twice, self._twice_mean = t["duplicates"], t["duplicate_seconds"] * SECOND
        # the narrower one is met first: who cannot leave the house does not reach the vendor
        order = {"local": 0, "third_party": 1, "regional": 2, "vendor": 3, "identity": 4}
        ordered = sorted(faults, key=lambda fault: order[fault.plan.kind])
        self._tracks = [
            self._track(service, vantage, ordered, spoilt)
            for service in world.checks
            for vantage in world.vantages
        ]

    def _track(
        self, service: str, vantage: str, faults: Sequence[Fault], spoilt: Sequence[Spoilt]
    ) -> _Track:
        base = key(self.world.seed, self.world.plan.name, "runs", service, vantage)
        check, client = CHECKS[service]
        return _Track(
            service=service,
            vantage=vantage,
            base=base,
            offset=mix(base) % self._interval,
            healthy={
                "probe": check,
                "location": vantage,
                "service": self.world.slug(service),
                "feature": FEATURES[service],
                "client": client,
                "outcome": "ok",
                "http_status": 200,
            },
            faults=[
                f for f in faults
                if f.probe and f.plan.visible and service in f.starts and vantage in f.vantages
            ],
            spoilt=[s for s in spoilt if s.vantage == vantage and s.service in {"", service}],
        )  # fmt: skip

    def note(self, faults: Sequence[Fault]) -> None:
        """Tell each fault of the first run that it fails."""
        for fault in faults:
            for track in self._tracks:
                if fault in track.faults:
                    for start, end in fault.phases:
                        self._note(fault, track, start, end)

    def _note(self, fault: Fault, track: _Track, start: int, end: int) -> None:
        for line in self._runs(track, start, end):
            if line.label == fault.id:
                # the end of the run, not its beginning, is when a failure is known
                met = self.time(track, int(line.ref.rsplit("-", 1)[1]))
                fault.met(met, told=met, arrived=line.at)
                return

    def time(self, track: _Track, number: int) -> int:
        """When a run begins."""
        bits = mix((track.base + 2 * number + 1) & ((1 << 64) - 1))
        share = ((bits >> 42) & _LOW) * 2.0**-21 * 2 - 1
        return track.offset + int((number + JITTER * share) * self._interval)

    def lines(self, since: int, until: int) -> Iterator[Line]:
        """The arrivals of the runs that begin in this time."""
        for track in self._tracks:
            yield from self._runs(track, since, until)

    def _runs(self, track: _Track, since: int, until: int) -> Iterator[Line]:
        interval = self._interval
        first = (since - track.offset) // interval - 1
        last = (until - track.offset) // interval + 1
        for number in range(first, last + 1):
            bits = mix((track.base + 2 * number + 1) & ((1 << 64) - 1))
            share = ((bits >> 42) & _LOW) * 2.0**-21 * 2 - 1
            at = track.offset + int((number + JITTER * share) * interval)
            if since <= at < until:
                yield from self._run(track, number, at, bits)

    def _run(self, track: _Track, number: int, at: int, bits: int) -> Sequence[Line]:
        """The arrivals of one run: none if it was lost, two if it came twice."""
        label, symptom = "healthy", ""
        if track.faults or track.spoilt:
            label, symptom = self._verdict(track, number, at, bits)
        if label == "healthy" and bits & _LOW < self._false:
            label, symptom = "probe_false", "timeout" if bits & 1 else "http5xx"
        if symptom == LOST:
            return ()
        more = mix((track.base + 2 * number + 2) & ((1 << 64) - 1))
        latency = round(self._latency * _NORMAL[more & 1023], 1)
        word = f"{more:016x}"
        body: dict[str, Any] = {"id": word, "occurred_at": stamp(at), **track.healthy}
        if symptom:
            told = forms()["probe"][symptom]
            body.pop("http_status")
            body.update(told)
            latency = _slow(symptom, latency)
        body["latency_ms"] = latency
        arrival = at + int(latency) + int(self._lag * _EXPONENTIAL[(more >> 10) & 1023])
        if ((more >> 20) & _LOW) < self._late * (_LOW + 1):
            arrival += int(self._late_mean * _EXPONENTIAL[(more >> 30) & 1023])
        ref = f"p-{track.service}-{track.vantage}-{number}"
        line = Line(arrival, ref, "probe_result", label, body)
        if (more >> 43) < self._twice * (_LOW + 1):
            again = arrival + int(self._twice_mean * _EXPONENTIAL[(more >> 12) & 1023])
            return line, line._replace(at=again, ref=ref + "+")
        return (line,)

    def _verdict(self, track: _Track, number: int, at: int, bits: int) -> tuple[str, str]:
        """What goes wrong in this run: label and class of symptom; healthy and none if nothing."""
        for spoilt in track.spoilt:
            if spoilt.since <= at < spoilt.until:
                dice = (mix(bits ^ key(spoilt.label, spoilt.since)) >> 11) * 2.0**-53
                if dice < spoilt.chance:
                    return spoilt.label, spoilt.symptom
        for fault in track.faults:
            if fault.fails(at, track.service):
                dice = Draw(track.base, number, fault.id)
                if dice.chance(fault.probe):
                    seen = {k: w for k, w in fault.mix[track.service].items() if k in PROBED}
                    return fault.id, dice.pick(seen or {"timeout": 1.0})
        return "healthy", ""


PROBED = set(forms()["probe"]) - {"mailflow", "sync"}


def _slow(symptom: str, latency: float) -> float:
    """How long a run of that outcome took, in milliseconds."""
    longer = {"timeout": 15_000.0, "network": 3_000.0, "latency": 9_000.0, "dns": 2_000.0}
    return longer.get(symptom, 0.0) + latency
