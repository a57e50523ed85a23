"""What looks like trouble of the vendor and is none: noisy programs, attacks, batches, probes."""

from collections.abc import Sequence
from typing import Any

from bench.scenarios.almanac import MINUTE, SECOND, stamp
from bench.scenarios.checks import LOST, Spoilt
from bench.scenarios.draw import Draw
from bench.scenarios.faults import Fault
from bench.scenarios.people import Background
from bench.scenarios.signals import Held, Line, Transport, stream
from bench.scenarios.spec import AdversaryPlan, FaultPlan
from bench.scenarios.world import World, form

SPRAY = "password_spray"
PROBES = {
    # kind: share of the runs, class of symptom, whether all checks of the vantage
    "flapping_probe": ([0.1, 0.4], "timeout", False),
    "probe_host": (1.0, "network", True),
    "probe_certificate": (1.0, "tls", True),
    "probe_silent": (1.0, LOST, True),
}
RATES = {
    "noisy_client": [5, 20],  # reports a minute
    "actor_storm": [20, 60],
    SPRAY: [10, 40],
    "migration": 2.0,  # factors on the background
    "surge": [1.5, 2.5],
}
# "probes that break alone: local" (design, origins): such an incident is no false claim
ALLOWED = {"probe_host": ["local"], "probe_certificate": ["local"], SPRAY: ["identity"]}
KINDS = (*PROBES, *RATES, "held_batch", "replayed_batch")


class Adversaries:
    """Carries out the plans; order of use: ``prepare``, then ``lines``."""

    def __init__(
        self, world: World, transport: Transport, background: Background,
        plans: Sequence[AdversaryPlan],
    ) -> None:  # fmt: skip
        self.world, self.transport, self.background = world, transport, background
        self.plans = list(plans)
        self.spoilt: list[Spoilt] = []
        self.sprays: list[Fault] = []
        self.told: list[dict[str, Any]] = []
        self.over = 0  # when the last of them is

    def prepare(self) -> None:
        """Set up what changes other streams; and the list for the truth.

        Raises:
            ValueError: a kind is not known.
        """
        for place, plan in enumerate(self.plans):
            if plan.kind not in KINDS:
                raise ValueError(f"{plan.kind!r} is no adversary; kinds are {', '.join(KINDS)}")
            draw = self.world.draw("adversary", place)
            since = self.world.almanac.parse(plan.at)
            until = since + round(draw.amount(plan.minutes) * MINUTE)
            told = {"kind": plan.kind, "from": stamp(since), "until": stamp(until)}
            self.told.append({**told, "allowed_origins": ALLOWED.get(plan.kind, [])})
            self.over = max(self.over, until)
            self._prepare(plan, since, until, draw)

    def _prepare(self, plan: AdversaryPlan, since: int, until: int, draw: Draw) -> None:
        deliver = until + round(draw.amount(plan.deliver) * MINUTE)
        if plan.kind in PROBES and self.world.vantages:
            share, symptom, whole = PROBES[plan.kind]
            share = share if plan.share is None else plan.share
            vantage = plan.site or draw.of(self.world.vantages)
            spoilt = Spoilt(
                vantage=vantage,
                service="" if whole else plan.service,
                since=since,
                until=until,
                chance=draw.amount(share),
                symptom=symptom,
                label=plan.kind,
            )
            self.spoilt.append(spoilt)
        elif plan.kind in {"migration", "surge"}:
            factor = draw.amount(RATES[plan.kind] if plan.rate is None else plan.rate)
            self.background.surges.append((since, until, factor))
        elif plan.kind == "held_batch":
            names = [site["name"] for site in self.world.sites]
            self.transport.held.append(
                Held(
                    site=names.index(plan.site) if plan.site else -1,
                    since=since,
                    until=until,
                    deliver=deliver,
                )
            )
            self.told[-1]["delivered"] = stamp(deliver)
            self.over = max(self.over, deliver)

    def lines(self) -> list[Line]:
        """The arrivals that the adversaries cause themselves."""
        made: list[Line] = []
        for place, plan in enumerate(self.plans):
            draw = self.world.draw("adversary lines", place)
            since = self.world.almanac.parse(plan.at)
            length = self.world.draw("adversary", place).amount(plan.minutes)
            until = since + round(length * MINUTE)
            match plan.kind:
                case "noisy_client":
                    made += self._noisy(plan, place, since, until, draw)
                case "actor_storm":
                    made += self._storm(plan, place, since, until, draw)
                case "password_spray":
                    made += self._spray(plan, place, since, until, draw)
                case "replayed_batch":
                    made += self._replayed(plan, place, since, until, draw)
        return made

    def _ticks(
        self, plan: AdversaryPlan, since: int, until: int, draw: Draw, *, even: bool = False
    ) -> list[int]:
        rate = draw.amount(RATES[plan.kind] if plan.rate is None else plan.rate)
        mean, at, ticks = MINUTE / rate, float(since), []
        while True:
            at += mean * draw.uniform(0.8, 1.2) if even else draw.exponential(mean)
            if at >= until:
                return ticks
            ticks.append(round(at))

    def _noisy(
        self, plan: AdversaryPlan, place: int, since: int, until: int, draw: Draw
    ) -> list[Line]:
        """One program of one person that fails on and on."""
        person = self.world.person(int(draw.random() * self.world.users))
        shape, made = form(plan.service, "timeout", draw), []
        base = stream(self.world, plan.kind, place)
        for number, at in enumerate(self._ticks(plan, since, until, draw, even=True)):
            made += self.transport.report(
                person, service=plan.service, form=shape, met=at, told=at,
                label=plan.kind, draw=draw, number=base + number,
            )  # fmt: skip
        return made

    def _storm(
        self, plan: AdversaryPlan, place: int, since: int, until: int, draw: Draw
    ) -> list[Line]:
        """A script that makes up a new reporter for every report, from one network."""
        network = plan.network or "as64999"
        made: list[Line] = []
        base = stream(self.world, plan.kind, place)
        for number, at in enumerate(self._ticks(plan, since, until, draw)):
            body = {
                "id": f"{base + number & 0xFFFF_FFFF_FFFF_FFFF:016x}",
                "occurred_at": stamp(at),
                "service": self.world.slug(plan.service),
                **form(plan.service, draw.pick({"http5xx": 0.6, "timeout": 0.4}), draw),
                "reporter": f"x{int(draw.random() * 2**40):010x}",
                "device": f"y{int(draw.random() * 2**40):010x}",
                "network": network,
            }
            made += self.transport.bring(body, at, plan.kind, draw)
        return made

    def _spray(
        self, plan: AdversaryPlan, place: int, since: int, until: int, draw: Draw
    ) -> list[Line]:
        """Wrong passwords for many names, each tried once or twice, from one far network."""
        fault = self._as_fault(plan, place, since, until)
        network = plan.network or "as64666"
        made: list[Line] = []
        base = stream(self.world, plan.kind, place)
        for number, at in enumerate(self._ticks(plan, since, until, draw, even=True)):
            known = draw.chance(0.85)
            name = int(draw.random() * self.world.users)
            body = {
                "id": f"{base + number & 0xFFFF_FFFF_FFFF_FFFF:016x}",
                "occurred_at": stamp(at),
                "service": self.world.slug("ID"),
                **form("any", "spray", draw),
                "reporter": f"u{name:05d}" if known else f"guess{name}",
                "network": network,
            }
            lines = self.transport.bring(body, at, fault.id, draw)
            fault.met(at, told=at, arrived=lines[0].at)
            made += lines
        return made

    def _as_fault(self, plan: AdversaryPlan, place: int, since: int, until: int) -> Fault:
        """The record of an attack in the truth: trouble of this tenant's sign-in."""
        named = FaultPlan(
            id=f"spray{place + 1}",
            kind="identity",
            services=["ID"],
            onset=plan.at,
            required=self.world.plan.process == "",
        )
        fault = Fault(
            plan=named, id=named.id, onset=since, end=until, spans=[(since, until)],
            phases=[(since, until)], severity=0.0, starts={"ID": since},
            mix={"ID": {"spray": 1.0}}, sites=[], networks=[], vantages=[], probe=0.0,
        )  # fmt: skip
        self.sprays.append(fault)
        return fault

    def _replayed(
        self, plan: AdversaryPlan, place: int, since: int, until: int, draw: Draw
    ) -> list[Line]:
        """Old reports sent again, all at once, with the ids that they had."""
        arrive = until + round(draw.amount(plan.deliver) * MINUTE)
        return [
            line._replace(
                at=arrive + round(draw.uniform(0, 30 * SECOND)),
                ref=f"{line.ref}~{place}",
                label=plan.kind,
            )
            for line in self.background.lines(since, until)
            if not line.ref.endswith("+")
        ]
