"""Client reports as they come over the wire: read, judged one by one and normalized."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Annotated, NamedTuple, cast

import msgspec

from app.core.arrival import (
    HOW_TO_LIST,
    NOBODY,
    Arrival,
    Classify,
    Digests,
    KeyOf,
    hour_of,
    known_service,
    place_of,
)
from app.core.batch import ReportBatch, Shared
from app.core.policy import DEFAULT_POLICY, Policy
from app.core.signal import ClientReport
from app.core.types import Client, SignalKind, Symptom, TenantId
from app.kit.scrub import scrub
from app.kit.wire import Fault, Records
from app.sources.reading import BodyReader, Parsed, parsed

MESSAGE_KEPT = 500  # characters of a message that are stored
CODE_KEPT = 120  # characters of a code that are stored
CACHE_ENTRIES = 32_768  # of each memory: actors of a tenant, meanings, texts
ONCE = frozenset({None, 1})  # how a report says that it counts once

_MEANING = attrgetter(
    "service", "client", "code", "http_status", "symptom", "region", "network"
)  # all that tells what a report means, but its text
_MESSAGE, _REPORTER = attrgetter("message"), attrgetter("reporter")
_INSTANT, _COUNT = attrgetter("occurred_at"), attrgetter("count")
_ZONE = attrgetter("tzinfo")

Word = Annotated[str, msgspec.Meta(max_length=256)]


class ClientReportWire(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One client report on the wire, with every constraint of the documented schema."""

    service: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    client: Client | None = None
    code: Annotated[str, msgspec.Meta(max_length=CODE_KEPT)] | None = None
    http_status: Annotated[int, msgspec.Meta(ge=100, le=599)] | None = None
    message: Annotated[str, msgspec.Meta(max_length=16_384)] | None = None
    symptom: Symptom | None = None
    reporter: Word | None = None
    device: Word | None = None
    region: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    network: Word | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None


EVERYONE = TenantId("*")  # whose key addresses are hashed under: a meaning is of no one tenant


@dataclass(slots=True)
class _Desk:
    """What is remembered for one tenant; keys are hashes, so that no identity or text is held."""

    digests: Digests
    hour: int
    reporters: dict[int, str] = field(default_factory=dict)
    devices: dict[int, str] = field(default_factory=dict)
    networks: dict[int, str] = field(default_factory=dict)

    def actor(self, report: ClientReportWire) -> str:
        """What stands for the reporter, else the device, else the network, else everybody."""
        if report.reporter:
            return self._find(self.reporters, b"r", report.reporter)
        if report.device:
            return self._find(self.devices, b"d", report.device)
        if report.network:
            return self._find(self.networks, b"n", report.network)
        return NOBODY

    def _find(self, known: dict[int, str], role: bytes, name: str) -> str:
        key = hash(name)
        actor = known.get(key)
        if actor is None:
            if len(known) >= CACHE_ENTRIES:
                known.clear()
            actor = known[key] = self.digests.actor_of(role, name)
        return actor


class ClientReportReader(BodyReader[ClientReportWire, ClientReport]):
    """Reads bodies of client reports; ``key`` is the secret under which identities are hashed."""

    def __init__(
        self,
        classify: Classify,
        *,
        key: bytes,
        policy: Policy = DEFAULT_POLICY,
        people: KeyOf | None = None,
    ) -> None:
        """Prepare.

        Args:
            classify: reads an error as a symptom.
            key: the secret of derived ids, and of people where they have no keys of their own.
            policy: for the rules of time.
            people: the keys under which people are hashed, by epoch.
        """
        super().__init__(ClientReportWire, classify, key=key, policy=policy)
        self._people = people
        self._places = Digests(key, EVERYONE, SignalKind.CLIENT_REPORT)
        self._hour = 0
        self._desks: dict[TenantId, _Desk] = {}
        self._known = _Meanings()
        self._texts: dict[int, str] = {}

    def _translate(
        self, tenant: TenantId, records: Records[ClientReportWire], arrival: Arrival
    ) -> Parsed[ClientReport]:
        # Column by column, and mostly without a step of Python for each report: this is the
        # dearest part of intake. What is not known yet is looked at one by one.
        desk, items = self._desk(tenant, hour_of(arrival.now)), records.items
        known, which = self._meant(items)
        settled = _Settled(list(map(_INSTANT, items)))
        if not _plain(settled.instants, arrival):
            settled.settle(arrival)
        if settled.faults or (which and min(which) < 0):
            return self._translate(tenant, _without(records, settled, known, which), arrival)
        actors = list(map(desk.reporters.get, map(hash, map(_REPORTER, items))))
        if not all(actors):
            actors = [actor or desk.actor(one) for actor, one in zip(actors, items, strict=True)]
        given = list(map(_COUNT, items))
        encode = self._encode
        contents = [encode(one) if (name := one.id) is None else "i" + name for one in items]
        batch = ReportBatch(
            desk.digests.ids_of(contents),
            {number: known.meaning(number) for number in set(which)},
            which,
            cast("list[str]", actors),
            cast("list[datetime]", settled.instants),
            [arrival.now] * len(items),
            self._told(items),
            [count or 1 for count in given] if set(given) - ONCE else None,
            settled.late,
            settled.clamped,
        )
        return parsed(ClientReport, batch, records.faults)

    def _meant(self, items: Sequence[ClientReportWire]) -> "tuple[_Meanings, list[int]]":
        """The number of what each report means, and where that stands."""
        known = self._known  # held on to: another thread may begin a new one meanwhile
        if len(known.numbers) >= CACHE_ENTRIES:
            known = self._known = _Meanings()
        which = list(map(known.numbers.get, map(_MEANING, items)))
        if not all(which):
            which = [
                number or self._learn(known, _MEANING(one), one)
                for number, one in zip(which, items, strict=True)
            ]
        return known, cast("list[int]", which)

    def _told(self, items: Sequence[ClientReportWire]) -> list[str | None]:
        """The text of each report without what names people."""
        given = list(map(_MESSAGE, items))
        texts = list(map(self._texts.get, map(hash, given)))
        if not all(texts):
            texts = [
                known or (self._scrub(text) or None if text else None)
                for known, text in zip(texts, given, strict=True)
            ]
        return texts

    def _desk(self, tenant: TenantId, hour: int) -> _Desk:
        if self._people is not None and hour != self._hour:
            self._places = Digests(
                self._key, EVERYONE, SignalKind.CLIENT_REPORT, people=self._people, hour=hour
            )
            self._known = _Meanings()  # for these hold networks
            self._hour = hour
        desk = self._desks.get(tenant)
        if desk is None or (desk.hour != hour and self._people is not None):
            digests = Digests(
                self._key, tenant, SignalKind.CLIENT_REPORT, people=self._people, hour=hour
            )
            desk = self._desks[tenant] = _Desk(digests, hour)
        return desk

    def _learn(self, known: "_Meanings", key: tuple[object, ...], report: ClientReportWire) -> int:
        # The hash stands for the text, so that no text of a user is held here.
        whole = (*key, hash(report.message))
        number = known.numbers.get(whole)
        if number is None:
            found, sure = self._judge(report)
            number = known.put(key if sure else whole, found)
        return number

    def _judge(self, report: ClientReportWire) -> "tuple[Shared | _Refusal, bool]":
        """What a report means or why it is refused, and whether its text has no part in that."""
        service = known_service(report.service)
        if service is None:
            reason = f"Unknown service {report.service!r}: {HOW_TO_LIST}."
            return _Refusal(reason, "/service"), False
        if not (report.code or report.http_status or report.message or report.symptom):
            reason = "Give at least one of symptom, code, http_status, message."
            return _Refusal(reason, ""), False
        for name in ("region", "network"):
            if not (getattr(report, name) or "").isprintable():
                return _Refusal("Control characters are not taken here.", f"/{name}"), False
        found = self._classify(
            report.code or None,
            report.http_status,
            report.message,
            report.symptom,
            client=report.client,
            service=service,
        )
        code = (scrub(found.code, CODE_KEPT) or None) if found.code else None
        shared = (
            service, report.client or Client.OTHER, found.symptom, code, found.fine,
            report.http_status, report.region or None, place_of(report.network, self._places),
            found.weight,
        )  # fmt: skip
        return shared, found.sure

    def _scrub(self, message: str) -> str:
        if len(self._texts) >= CACHE_ENTRIES:
            self._texts.clear()
        kept = self._texts[hash(message)] = scrub(message, MESSAGE_KEPT, of_people=True)
        return kept


class _Refusal(NamedTuple):
    detail: str
    pointer: str


class _Meanings:
    """What reports mean, under numbers; a number below zero stands for why they are refused.

    Large bodies are read in a thread of their own beside the small ones.
    """

    def __init__(self) -> None:
        self.numbers: dict[tuple[object, ...], int] = {}  # by all that tells what a report means
        self._shared: list[Shared] = []
        self._refusals: list[_Refusal] = []
        self._lock = threading.Lock()

    def put(self, key: tuple[object, ...], found: Shared | _Refusal) -> int:
        """Remember a meaning, or a reason; its number."""
        with self._lock:
            if isinstance(found, _Refusal):
                number = ~len(self._refusals)
                self._refusals.append(found)
            else:
                self._shared.append(found)
                number = len(self._shared)  # none is 0
            self.numbers[key] = number
        return number

    def meaning(self, number: int) -> Shared:
        """What reports of this number mean."""
        return self._shared[number - 1]

    def refusal(self, number: int) -> _Refusal | None:
        """Why reports of this number are refused; None if they are not."""
        return self._refusals[~number] if number < 0 else None


@dataclass(slots=True)
class _Settled:
    """When reports happened: what came plainly needs no look at each."""

    instants: list[datetime | None]
    late: list[int] = field(default_factory=list)
    clamped: list[int] = field(default_factory=list)
    faults: dict[int, _Refusal] = field(default_factory=dict)

    def settle(self, arrival: Arrival) -> None:
        """Settle each by the rules of time."""
        for place, stated in enumerate(self.instants):
            try:
                self.instants[place], late, clamped = arrival.settle(stated)
            except OverflowError:
                self.faults[place] = _Refusal("The instant is before year 1.", "/occurred_at")
                continue
            if late:
                self.late.append(place)
            if clamped:
                self.clamped.append(place)


def _plain(instants: Sequence[datetime | None], arrival: Arrival) -> bool:
    """Whether all are stated, in UTC, within the window, and not ahead of us."""
    try:
        known = cast("Sequence[datetime]", instants)
        within = arrival.oldest <= min(known) and max(known) <= arrival.now
        return within and set(map(_ZONE, known)) == {UTC}
    except (TypeError, ValueError):  # one is not stated, or there is none
        return False


def _without(
    records: Records[ClientReportWire], settled: _Settled, known: _Meanings, which: Sequence[int]
) -> Records[ClientReportWire]:
    """The records without those that are refused now, which become faults."""
    left: list[tuple[int, ClientReportWire]] = []
    faults = records.faults
    for place, (index, one) in enumerate(zip(records.indexes, records.items, strict=True)):
        refusal = settled.faults.get(place) or known.refusal(which[place])
        if refusal is None:
            left.append((index, one))
        else:
            faults.append(Fault(index, *refusal))
    return Records([one for _, one in left], [index for index, _ in left], faults)
