"""Client reports as they come over the wire: read, judged one by one and normalized."""

from dataclasses import dataclass, field
from datetime import datetime
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
CACHE_ENTRIES = 65_536  # remembered actors, and remembered meanings, of one tenant

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
    symptom: Symptom
    fine: str | None
    weight: float
    code: str | None
    message: str | None


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
        self._services: dict[str, str] = {}
        self._meanings: dict[tuple[object, ...], _Meaning] = {}

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
        desk = self._desks.get(tenant)
        if desk is None:
            digests = Digests(self._key, tenant, SignalKind.CLIENT_REPORT)
            desk = self._desks[tenant] = _Desk(digests)
        ids: list[bytes] = []
        rows: list[tuple[Any, ...]] = []
        rejected = records.faults
        id_of, encode, now = desk.digests.id_of, self._encode, arrival.now
        for index, report in zip(records.indexes, records.items, strict=True):
            service = self._services.get(report.service) or self._service(report.service)
            fault = _judge(report, service)
            at, late, clamped = now, False, False
            try:
                if report.occurred_at is not None:
                    at, late, clamped = arrival.settle(report.occurred_at)
            except OverflowError:
                fault = ("The instant is before year 1.", "/occurred_at")
            if fault is not None:
                rejected.append(Fault(index, *fault))
                continue
            meaning = self._meaning(report)
            ids.append(id_of(encode(report) if report.id is None else b"i" + report.id.encode()))
            rows.append(
                (
                    service,
                    report.client or Client.OTHER,
                    meaning.symptom,
                    desk.actor(report),
                    at,
                    now,
                    meaning.code,
                    meaning.fine,
                    report.http_status,
                    meaning.message,
                    report.region or None,
                    report.network or None,
                    report.count or 1,
                    meaning.weight,
                    late,
                    clamped,
                )
            )
        rejected.sort(key=lambda one: one.index)
        return Parsed(Batch(SignalKind.CLIENT_REPORT, ids, rows), rejected)

    def _service(self, word: str) -> str | None:
        slug = known_service(word)
        if slug is not None:
            if len(self._services) >= CACHE_ENTRIES:
                self._services.clear()
            self._services[word] = slug
        return slug

    def _meaning(self, report: ClientReportWire) -> _Meaning:
        key = (report.code, report.http_status, hash(report.message), report.symptom, report.client)
        known = self._meanings.get(key)
        if known is None:
            found = self._classify(
                report.code or None,
                report.http_status,
                report.message,
                report.symptom,
                client=report.client,
                service=report.service,
            )
            code = scrub(found.code, CODE_KEPT) if found.code else None
            message = scrub(report.message, MESSAGE_KEPT) if report.message else None
            known = _Meaning(found.symptom, found.fine, found.weight, code, message or None)
            if len(self._meanings) >= CACHE_ENTRIES:
                self._meanings.clear()
            self._meanings[key] = known
        return known


def _judge(report: ClientReportWire, service: str | None) -> tuple[str, str] | None:
    if service is None:
        return f"Unknown service {report.service!r}: {HOW_TO_LIST}.", "/service"
    if not (report.code or report.http_status or report.message or report.symptom):
        return "Give at least one of symptom, code, http_status, message.", ""
    if report.region is not None and not report.region.isprintable():
        return "Control characters are not taken here.", "/region"
    if report.network is not None and not report.network.isprintable():
        return "Control characters are not taken here.", "/network"
    return None
