"""Client reports as they come over the wire: read, judged one by one and normalized."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from app.core.arrival import HOW_TO_LIST, NOBODY, Arrival, Classify, Digests, arrive, known_service
from app.core.batch import REPORT_FIELDS, Batch, signal_id
from app.core.errors import InvalidInput, UnsupportedMediaType
from app.core.policy import DEFAULT_POLICY, Policy
from app.core.signal import ClientReport
from app.core.types import Client, SignalKind, Symptom, TenantId
from app.kit.scrub import scrub
from app.kit.wire import BodyRefused, Fault, MediaRefused, RecordReader, Records

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


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a body held: the good reports as a batch, and the refused ones."""

    batch: Batch
    rejected: list[Fault]

    @property
    def good(self) -> list[ClientReport]:
        """The good reports as objects; for readers of few."""
        return [
            ClientReport(id=signal_id(key), **dict(zip(REPORT_FIELDS, row, strict=True)))
            for key, row in zip(self.batch.ids, self.batch.rows, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What of a row is the same in many reports, or why they are refused (detail, pointer)."""

    fault: tuple[str, str] | None
    service: str = ""
    client: Client = Client.OTHER
    symptom: Symptom = Symptom.OTHER
    fine: str | None = None
    weight: float = 0.0
    code: str | None = None
    region: str | None = None
    network: str | None = None


@dataclass(slots=True)
class _Desk:
    """What is remembered for one tenant; keys are hashes, so that no identity or text is held."""

    digests: Digests
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


class ClientReportReader:
    """Reads bodies of client reports; ``key`` is the secret under which identities are hashed."""

    def __init__(self, classify: Classify, *, key: bytes, policy: Policy = DEFAULT_POLICY) -> None:
        self._classify = classify
        self._key = key
        self._policy = policy
        self._records = RecordReader(ClientReportWire)
        self._encode = msgspec.msgpack.Encoder().encode
        self._desks: dict[TenantId, _Desk] = {}
        self._meanings: dict[tuple[object, ...], _Meaning] = {}
        self._texts: dict[int, str] = {}

    def parse(
        self, tenant: TenantId, body: bytes, content_type: str | None, *, now: datetime
    ) -> Parsed:
        """Read an object, an array or NDJSON that arrived now; bad records are told apart.

        Raises:
            UnsupportedMediaType: the content type is neither JSON nor NDJSON.
            InvalidInput: the body cannot be read as a whole.
        """
        try:
            records = self._records.read(body, content_type)
        except MediaRefused as error:
            raise UnsupportedMediaType(str(error)) from error
        except BodyRefused as error:
            errors = [{"pointer": "", "detail": str(error)}]
            raise InvalidInput(str(error), errors=errors) from error
        return self._translate(tenant, records, arrive(now, self._policy))

    def _translate(
        self, tenant: TenantId, records: Records[ClientReportWire], arrival: Arrival
    ) -> Parsed:
        desk = self._desk(tenant)
        contents: list[bytes] = []
        rows: list[tuple[Any, ...]] = []
        rejected = records.faults
        # Looked up once: this loop is the dearest part of intake.
        encode, reporters = self._encode, desk.reporters
        meanings, texts = self._meanings, self._texts
        now, oldest = arrival.now, arrival.oldest
        for index, report in zip(records.indexes, records.items, strict=True):
            key = (
                report.service,
                report.client,
                report.code,
                report.http_status,
                report.symptom,
                report.region,
                report.network,
            )
            meaning = meanings.get(key) or self._learn(key, report)
            message = report.message
            if message:
                message = texts.get(hash(message)) or self._scrub(message)
            fault = meaning.fault
            at, late, clamped = report.occurred_at, False, False
            if at is None or not (oldest <= at <= now and at.tzinfo is UTC):
                try:
                    at, late, clamped = arrival.settle(at)
                except OverflowError:
                    fault = ("The instant is before year 1.", "/occurred_at")
            if fault is not None:
                rejected.append(Fault(index, *fault))
                continue
            contents.append(encode(report) if report.id is None else b"i" + report.id.encode())
            rows.append(
                (
                    meaning.service,
                    meaning.client,
                    meaning.symptom,
                    reporters.get(hash(report.reporter)) or desk.actor(report),
                    at,
                    now,
                    meaning.code,
                    meaning.fine,
                    report.http_status,
                    message or None,
                    meaning.region,
                    meaning.network,
                    report.count or 1,
                    meaning.weight,
                    late,
                    clamped,
                )
            )
        rejected.sort(key=lambda one: one.index)
        ids = desk.digests.ids_of(contents)
        return Parsed(Batch(SignalKind.CLIENT_REPORT, ids, rows), rejected)

    def _desk(self, tenant: TenantId) -> _Desk:
        desk = self._desks.get(tenant)
        if desk is None:
            digests = Digests(self._key, tenant, SignalKind.CLIENT_REPORT)
            desk = self._desks[tenant] = _Desk(digests)
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
            return _Meaning((reason, "/service")), False
        if not (report.code or report.http_status or report.message or report.symptom):
            reason = "Give at least one of symptom, code, http_status, message."
            return _Meaning((reason, "")), False
        for name in ("region", "network"):
            if not (getattr(report, name) or "").isprintable():
                return _Meaning(("Control characters are not taken here.", f"/{name}")), False
        found = self._classify(
            report.code or None,
            report.http_status,
            report.message,
            report.symptom,
            client=report.client,
            service=service,
        )
        meaning = _Meaning(
            None,
            service=service,
            client=report.client or Client.OTHER,
            symptom=found.symptom,
            fine=found.fine,
            weight=found.weight,
            code=(scrub(found.code, CODE_KEPT) or None) if found.code else None,
            region=report.region or None,
            network=report.network or None,
        )
        return meaning, found.sure

    def _scrub(self, message: str) -> str:
        if len(self._texts) >= CACHE_ENTRIES:
            self._texts.clear()
        kept = self._texts[hash(message)] = scrub(message, MESSAGE_KEPT)
        return kept
