"""Stories: a recorded outage as data, and what each of its doors would say at a given instant."""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib import resources
from typing import Any, Self

MINUTE = timedelta(minutes=1)

CHECKS = {  # path prefix of the front door -> check, as the stories name it
    "/owa": "owa",
    "/microsoft-server-activesync": "activesync",
    "/mapi": "mapi",
    "/ews": "ews",
    "/control": "control",
}


class UnknownStory(LookupError):  # noqa: N818 - a word of the field, like StopIteration
    """Raised when no story has that name; its text names those that there are."""


class Kind(StrEnum):
    """How a front door behaves."""

    HEALTHY = "healthy"
    UNAVAILABLE = "unavailable"  # answers 503
    HANG = "hang"  # takes the request and never answers
    AUTH_LOOP = "auth_loop"  # asks for sign-in, again and again
    RESET = "reset"  # breaks the connection without an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What the front door does to one request: which check it meets, and how."""

    check: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place from which probes measure and users work."""

    name: str
    network: str
    region: str
    users: int
    external: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorPhase:
    """A time in which checks at some locations misbehave; ``*`` stands for every check."""

    since: datetime
    until: datetime
    locations: tuple[str, ...]
    checks: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPhase:
    """A time in which users report: how many a minute, out of how many affected, and of what."""

    name: str
    since: datetime
    until: datetime
    per_minute: float
    ramp_minutes: float
    affected: int
    locations: tuple[str, ...]
    mix: str

    def rate(self, now: datetime) -> float:
        """Reports per minute at that instant; rises in a straight line while it ramps."""
        if not self.since <= now < self.until:
            return 0.0
        if not self.ramp_minutes:
            return self.per_minute
        return self.per_minute * min(1.0, (now - self.since) / MINUTE / self.ramp_minutes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestone:
    """A moment that the teller names."""

    at: datetime
    text: str


class Story:
    """One outage as data. Everything it answers depends on its data and the instant alone."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.name: str = document["name"]
        self.label: str = document["label"]
        self.starts_at = _instant(document["starts_at"])
        self.skip_to = _instant(document["skip_to"])
        self.ends_at = _instant(document["ends_at"])
        self.tenant: dict[str, Any] = document["tenant"]
        self.locations = tuple(Location(**item) for item in document["locations"])
        self.milestones = tuple(
            Milestone(at=_instant(item["at"]), text=item["text"]) for item in document["milestones"]
        )
        self.expect = {
            key: _instant(value) if key.endswith(("_at", "_before")) else value
            for key, value in document["expect"].items()
        }
        self._doors = tuple(_door(item) for item in document["front_door"])
        self._reports = tuple(_reports(item) for item in document["reports"])
        self._mixes: dict[str, list[dict[str, Any]]] = document["mixes"]
        self._issue: dict[str, Any] = document["advisory"]["issue"]
        self._revisions: list[dict[str, Any]] = document["advisory"]["revisions"]

    @classmethod
    def load(cls, name: str) -> Self:
        """Read a story of this package.

        Raises:
            UnknownStory: there is none of that name.
        """
        if name not in names():
            raise UnknownStory(f'no story is called "{name}"; there is {", ".join(names())}')
        text = (resources.files("app.demo") / "stories" / f"{name}.json").read_text("utf-8")
        return cls(json.loads(text))

    def location(self, name: str) -> Location | None:
        """Find a location by its name."""
        return next((item for item in self.locations if item.name == name), None)

    def advisory_at(self, now: datetime) -> dict[str, Any] | None:
        """Give the vendor's advisory as Graph would show it then; None before it is published."""
        shown = [item for item in self._revisions if _instant(item["at"]) <= now]
        if not shown:
            return None
        issue = dict(self._issue)
        posts = []
        for revision in shown:
            issue.update(revision["set"])
            posts.append(
                {
                    "createdDateTime": revision["at"],
                    "postType": revision["post"]["postType"],
                    "description": {"contentType": "html", "content": revision["post"]["content"]},
                }
            )
        return issue | {"lastModifiedDateTime": shown[-1]["at"], "posts": posts}

    def front_door(self, location: str, path: str, now: datetime) -> Behaviour:
        """Say what a request from a location to a path meets at that instant."""
        check = next((name for prefix, name in CHECKS.items() if _under(path, prefix)), "other")
        for phase in self._doors:
            there = location in phase.locations and phase.since <= now < phase.until
            if there and (check in phase.checks or "*" in phase.checks):
                return Behaviour(check=check, kind=phase.kind)
        return Behaviour(check=check, kind=Kind.HEALTHY)

    def report_rate(self, now: datetime) -> float:
        """Client reports per minute over all phases at that instant."""
        return sum(phase.rate(now) for phase in self._reports)

    def reports(self, since: datetime, until: datetime) -> list[dict[str, Any]]:
        """Give the client reports of a time in the wire shape of the door, oldest first.

        The same time gives the same reports with the same ids, however it is cut into pieces.
        """
        minute = since.replace(second=0, microsecond=0)
        found: list[tuple[datetime, dict[str, Any]]] = []
        while minute < until:
            for phase in self._reports:
                found += [
                    pair for pair in self._of_minute(phase, minute) if since <= pair[0] < until
                ]
            minute += MINUTE
        found.sort(key=lambda pair: (pair[0], pair[1]["id"]))
        return [report for _, report in found]

    def _of_minute(
        self, phase: ReportPhase, minute: datetime
    ) -> Iterator[tuple[datetime, dict[str, Any]]]:
        rate = phase.rate(minute + MINUTE / 2)
        # Seeded by name and minute, so that chance is part of the story; nothing here is secret.
        chance = random.Random(_seed(self.name, phase.name, minute.isoformat()))  # noqa: S311
        for number in range(int(rate + chance.random())):
            at = minute + timedelta(milliseconds=chance.randrange(60_000))
            report_id = f"{phase.name}-{minute:%H%M}-{number}"
            yield at, self._report(phase, chance, report_id=report_id, at=at)

    def _report(
        self, phase: ReportPhase, chance: random.Random, *, report_id: str, at: datetime
    ) -> dict[str, Any]:
        mix = self._mixes[phase.mix]
        chosen = dict(chance.choices(mix, [item["weight"] for item in mix])[0]["report"])
        places = [item for item in self.locations if item.name in phase.locations]
        place = chance.choices(places, [item.users for item in places])[0]
        pool = max(1, round(phase.affected * place.users / sum(item.users for item in places)))
        user = f"{place.name}-{chance.randrange(pool):04d}"
        if "message" in chosen:
            chosen["message"] = chosen["message"].format(
                utc=f"{at:%Y-%m-%dT%H:%M:%S.000Z}", efe=f"{place.region.upper()}1PR01CA0042"
            )
        return chosen | {
            "id": report_id,
            "occurred_at": at.isoformat().replace("+00:00", "Z"),
            "reporter": f"{user}@{self.tenant['domain']}",
            "device": f"device-{user}",
            "region": place.region,
            "network": place.network,
        }


def names() -> tuple[str, ...]:
    """List the stories of this package."""
    folder = resources.files("app.demo") / "stories"
    found = (item.name.removesuffix(".json") for item in folder.iterdir())
    return tuple(sorted(found))


def _door(item: Mapping[str, Any]) -> DoorPhase:
    return DoorPhase(
        since=_instant(item["from"]),
        until=_instant(item["until"]),
        locations=tuple(item["locations"]),
        checks=tuple(item["checks"]),
        kind=Kind(item["kind"]),
    )


def _reports(item: Mapping[str, Any]) -> ReportPhase:
    return ReportPhase(
        name=item["name"],
        since=_instant(item["from"]),
        until=_instant(item["until"]),
        per_minute=item["per_minute"],
        ramp_minutes=item["ramp_minutes"],
        affected=item["affected"],
        locations=tuple(item["locations"]),
        mix=item["mix"],
    )


def _under(path: str, prefix: str) -> bool:
    lower = path.lower()
    return lower == prefix or lower.startswith((f"{prefix}/", f"{prefix}?"))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _seed(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest())
