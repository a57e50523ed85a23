"""The tenant that a scenario plays in: its people with their places, its checks, its forms."""

import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.scenarios.almanac import DAY, MINUTE, Almanac
from bench.scenarios.draw import Draw, key, mix
from bench.scenarios.spec import FOLDER, SERVICES, Plan

FEATURES = {
    "EX": "outlook-web",
    "TM": "teams-web",
    "SP": "sites",
    "ID": "sign-in",
    "OD": "files",
    "CP": "chat",
}
CHECKS = {
    "EX": ("owa-front-door", "outlook_web"),
    "TM": ("teams-web", "teams_web"),
    "SP": ("spo-root", "browser"),
    "ID": ("entra-sign-in", "browser"),
    "OD": ("onedrive-web", "browser"),
    "CP": ("copilot-web", "browser"),
}


@cache
def forms() -> dict[str, Any]:
    """The tables of forms.toml."""
    return tomllib.loads((FOLDER / "forms.toml").read_text("utf-8"))


def form(service: str, symptom: str, draw: Draw) -> dict[str, Any]:
    """One way in which a class of symptom looks at a service.

    Raises:
        ValueError: no form is known.
    """
    table = forms()["forms"]
    found = table.get(service, {}).get(symptom) or table["any"].get(symptom)
    if not found:
        raise ValueError(f"there is no form of {symptom!r} for {service}; see forms.toml")
    chosen: dict[str, Any] = draw.of(found)
    return chosen


@dataclass(frozen=True, kw_only=True)
class Person:
    """One user: where, on which network, with which device clock (milliseconds off)."""

    number: int
    site: int
    region: str
    network: str
    clock: int


class World:
    """Everything of a scenario that does not depend on its faults."""

    def __init__(self, plan: Plan, seed: int, *, users: int | None, history_days: float) -> None:
        p = self.parameters = plan.parameters
        self.plan, self.seed = plan, seed
        tenant = p["tenant"]
        self.tenant: str = tenant["id"]
        self.users: int = users or int(tenant["users"])
        self.services: list[str] = tenant["services"]
        self.sites: list[dict[str, Any]] = tenant["sites"]
        self.almanac = Almanac(
            zone=tenant["timezone"],
            first_day=plan.start,
            holidays=tenant["holidays"],
            night=p["background"]["night"],
            weekend=p["background"]["weekend"],
            holiday=p["background"]["holiday"],
        )
        self.zero = self.almanac.at(0)
        self.begin = self.zero - round(history_days * DAY)
        self.end = self.zero + round(plan.days * DAY)
        self._people = key(seed, "people")
        self._known: dict[int, Person] = {}
        names = [site["name"] for site in self.sites] if p["probes"]["sites"] else []
        outside = p["probes"]["external"]
        self.vantages: list[str] = names + ([outside] if outside else [])
        self.checks = self._checks()

    def draw(self, *names: object) -> Draw:
        """A stream of this scenario and seed."""
        return Draw(self.seed, self.plan.name, *names)

    def _checks(self) -> list[str]:
        coverage = self.parameters["probes"]["coverage"]
        if not self.vantages:
            return []
        wanted = max(1, round(coverage * len(self.services))) if coverage else 0
        return self.services[:wanted]

    def person(self, number: int) -> Person:
        """The user of that number, always the same."""
        known = self._known.get(number)
        if known is None:
            known = self._known[number] = self._meet(number)
        return known

    def _meet(self, number: int) -> Person:
        draw = Draw(self._people, number)
        shares = {str(number): place["share"] for number, place in enumerate(self.sites)}
        site = int(draw.pick(shares))
        place, tenant = self.sites[site], self.parameters["tenant"]
        at_office = draw.chance(tenant["office_share"]) or not tenant["providers"]
        network = place["network"] if at_office else draw.of(tenant["providers"])
        transport = self.parameters["transport"]
        clock = round(draw.normal() * transport["skew_seconds"] * 1000)
        if draw.chance(transport["wrong_clock"]):
            sign = 1 if draw.chance(0.5) else -1
            clock += sign * round(transport["wrong_clock_minutes"] * MINUTE)
        return Person(
            number=number, site=site, region=place["region"], network=network, clock=clock
        )

    def people(self, sites: Collection[str], networks: Collection[str]) -> Sequence[int]:
        """The users in a scope; an empty collection limits nothing."""
        if not sites and not networks:
            return range(self.users)
        names = [site["name"] for site in self.sites]
        return [
            number
            for number in range(self.users)
            if (not sites or names[self.person(number).site] in sites)
            and (not networks or self.person(number).network in networks)
        ]

    def header(self) -> dict[str, Any]:
        """The line that describes the tenant to the engine; what it does not know it ignores."""
        tenant = self.parameters["tenant"]
        known = {site["name"]: site for site in self.sites}
        places: list[dict[str, Any]] = [
            {
                "name": name,
                "external": name not in known,
                **{k: known[name][k] for k in ("region", "network") if name in known},
            }
            for name in self.vantages
        ]
        made = {
            "tenant": self.tenant,
            "users": self.users,
            "timezone": tenant["timezone"],
            "locations": places,
        }
        if tenant["declare_holidays"]:
            made["holidays"] = [day.isoformat() for day in tenant["holidays"]]
        return made

    def slug(self, service: str) -> str:
        return SERVICES[service]


def word(*names: object) -> str:
    """A short id that says nothing about what it stands for."""
    return f"{mix(key(*names)):016x}"
