"""Client reports as they come over the wire: read, judged one by one and normalized."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias

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
from app.core.policy import DEFAULT_POLICY, Policy
from app.core.signal import ClientReport
from app.core.types import Client, SignalKind, Symptom, TenantId
from app.kit.scrub import scrub
from app.kit.wire import Fault, Records
from app.sources.reading import BodyReader, Parsed, parsed

MESSAGE_KEPT = 500  # characters of a message that are stored
CODE_KEPT = 120  # characters of a code that are stored
CACHE_ENTRIES = 32_768  # of each memory: actors of a tenant, meanings, texts

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

# What of a row is the same in many reports, or why they are refused (detail, pointer): fault,
# service, client, symptom, code, fine, region, network, weight. A plain tuple unpacks fastest.
_Meaning: TypeAlias = tuple[
    tuple[str, str] | None,
    str, Client, Symptom, str | None, str | None, str | None, str | None, float,
]  # fmt: skip


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
        self._meanings: dict[tuple[object, ...], _Meaning] = {}
        self._texts: dict[int, str] = {}

    def _translate(
        self, tenant: TenantId, records: Records[ClientReportWire], arrival: Arrival
    ) -> Parsed[ClientReport]:
        desk = self._desk(tenant, hour_of(arrival.now))
        contents: list[bytes] = []
        rows: list[tuple[Any, ...]] = []
        rejected = records.faults
        # Looked up once: this loop is the dearest part of intake.
        encode, add, put = self._encode, contents.append, rows.append
        reporter_of, meaning_of, text_of = desk.reporters.get, self._meanings.get, self._texts.get
        now, oldest = arrival.now, arrival.oldest
        for index, report in zip(records.indexes, records.items, strict=True):
            status = report.http_status
            key = (
                report.service,
                report.client,
                report.code,
                status,
                report.symptom,
                report.region,
                report.network,
            )
            fault, service, client, symptom, code, fine, region, network, weight = meaning_of(
                key
            ) or self._learn(key, report)
            message = report.message
            if message:
                message = text_of(hash(message)) or self._scrub(message)
            at, late, clamped = report.occurred_at, False, False
            if at is None or not (oldest <= at <= now and at.tzinfo is UTC):
                try:
                    at, late, clamped = arrival.settle(at)
                except OverflowError:
                    fault = ("The instant is before year 1.", "/occurred_at")
            if fault is not None:
                rejected.append(Fault(index, *fault))
                continue
            name = report.id
            add(encode(report) if name is None else b"i" + name.encode())
            put(
                (
                    service,
                    client,
                    symptom,
                    reporter_of(hash(report.reporter)) or desk.actor(report),
                    at,
                    now,
                    code,
                    fine,
                    status,
                    message or None,
                    region,
                    network,
                    report.count or 1,
                    weight,
                    late,
                    clamped,
                )
            )
        ids = desk.digests.ids_of(contents)
        return parsed(ClientReport, SignalKind.CLIENT_REPORT, ids, rows, rejected)

    def _desk(self, tenant: TenantId, hour: int) -> _Desk:
        if self._people is not None and hour != self._hour:
            self._places = Digests(
                self._key, EVERYONE, SignalKind.CLIENT_REPORT, people=self._people, hour=hour
            )
            self._meanings.clear()  # they hold networks
            self._hour = hour
        desk = self._desks.get(tenant)
        if desk is None or (desk.hour != hour and self._people is not None):
            digests = Digests(
                self._key, tenant, SignalKind.CLIENT_REPORT, people=self._people, hour=hour
            )
            desk = self._desks[tenant] = _Desk(digests, hour)
        return desk

    def _learn(self, key: tuple[object, ...], report: ClientReportWire) -> _Meaning:
        # The hash stands for the text, so that no text of a user is held here.
        whole = (*key, hash(report.message))
        meaning = self._meanings.get(whole)
        if meaning is None:
            if len(self._meanings) >= CACHE_ENTRIES:
                self._meanings.clear()
            meaning, sure = self._judge(report)
            self._meanings[key if sure else whole] = meaning
        return meaning

    def _judge(self, report: ClientReportWire) -> tuple[_Meaning, bool]:
        service = known_service(report.service)
        if service is None:
            reason = f"Unknown service {report.service!r}: {HOW_TO_LIST}."
            return _refused(reason, "/service"), False
        if not (report.code or report.http_status or report.message or report.symptom):
            reason = "Give at least one of symptom, code, http_status, message."
            return _refused(reason, ""), False
        for name in ("region", "network"):
            if not (getattr(report, name) or "").isprintable():
                return _refused("Control characters are not taken here.", f"/{name}"), False
        found = self._classify(
            report.code or None,
            report.http_status,
            report.message,
            report.symptom,
            client=report.client,
            service=service,
        )
        code = (scrub(found.code, CODE_KEPT) or None) if found.code else None
        client, region = report.client or Client.OTHER, report.region or None
        meaning = (
            None, service, client, found.symptom, code, found.fine, region,
            place_of(report.network, self._places), found.weight,
        )  # fmt: skip
        return meaning, found.sure

    def _scrub(self, message: str) -> str:
        if len(self._texts) >= CACHE_ENTRIES:
            self._texts.clear()
        kept = self._texts[hash(message)] = scrub(message, MESSAGE_KEPT, of_people=True)
        return kept


def _refused(detail: str, pointer: str) -> _Meaning:
    return (detail, pointer), "", Client.OTHER, Symptom.OTHER, None, None, None, None, 0.0
