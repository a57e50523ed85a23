"""Probe results as they come over the wire: read, judged one by one and normalized."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from app.core.arrival import HOW_TO_LIST, Arrival, Classify, Digests, known_service
from app.core.batch import ResultBatch
from app.core.catalogue import OTHER
from app.core.policy import DEFAULT_POLICY, Policy
from app.core.signal import ProbeResult
from app.core.types import Client, Outcome, SelfCheck, SignalKind, Symptom, TenantId
from app.kit.scrub import scrub
from app.kit.wire import Fault, Records
from app.sources.reading import BodyReader, Parsed, parsed

ERROR_KEPT = 500  # characters of an error text that are stored
NOWHERE = "default"  # the location of a result that names none

Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=86_400_000)]
Word = Annotated[str, msgspec.Meta(max_length=100)]


Told = Annotated[
    dict[
        Annotated[str, msgspec.Meta(min_length=1, max_length=40)],
        Annotated[str, msgspec.Meta(max_length=200)],
    ],
    msgspec.Meta(max_length=24),
]


class PhasesWire(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """How long each phase of a check took, in milliseconds."""

    dns_ms: Milliseconds | None = None
    connect_ms: Milliseconds | None = None
    tls_ms: Milliseconds | None = None
    first_byte_ms: Milliseconds | None = None


PHASES = PhasesWire.__struct_fields__


class ProbeResultWire(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One probe result on the wire, with every constraint of the documented schema."""

    probe: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    outcome: Outcome
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    location: Word | None = None
    service: Word | None = None
    feature: Word | None = None
    client: Client | None = None
    symptom: Symptom | None = None
    http_status: Annotated[int, msgspec.Meta(ge=100, le=599)] | None = None
    error: Annotated[str, msgspec.Meta(max_length=16_384)] | None = None
    latency_ms: Milliseconds | None = None
    phases: PhasesWire | None = None
    self_check: SelfCheck | None = None
    answer: Told | None = None
    diagnostics: Told | None = None
    region: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class ProbeResultReader(BodyReader[ProbeResultWire, ProbeResult]):
    """Reads bodies of probe results; ``key`` makes the derived ids this installation's own."""

    def __init__(self, classify: Classify, *, key: bytes, policy: Policy = DEFAULT_POLICY) -> None:
        super().__init__(ProbeResultWire, classify, key=key, policy=policy)
        self._digests: dict[TenantId, Digests] = {}

    def _translate(
        self, tenant: TenantId, records: Records[ProbeResultWire], arrival: Arrival
    ) -> Parsed[ProbeResult]:
        digests = self._digests.get(tenant)
        if digests is None:
            digests = Digests(self._key, tenant, SignalKind.PROBE_RESULT)
            self._digests[tenant] = digests
        contents: list[str | bytes] = []
        rows: list[tuple[Any, ...]] = []
        rejected = records.faults
        for index, result in zip(records.indexes, records.items, strict=True):
            fault = _judge(result)
            if fault is None:
                try:
                    rows.append(self._row(result, arrival))
                except OverflowError:
                    fault = ("The instant is before year 1.", "/occurred_at")
            if fault is not None:
                rejected.append(Fault(index, *fault))
                continue
            named = "" if result.id is None else "i" + result.id
            contents.append(named or self._encode(result))
        ids = digests.ids_of(contents)
        return parsed(ProbeResult, ResultBatch(ids, rows), rejected)

    def _row(self, result: ProbeResultWire, arrival: Arrival) -> tuple[Any, ...]:
        at, late, clamped = arrival.settle(result.occurred_at)
        service = known_service(result.service or OTHER) or OTHER
        symptom = result.symptom
        if result.outcome is Outcome.OK:
            symptom = None
        elif symptom is None and (result.http_status or result.error):
            symptom = self._classify(
                None, result.http_status, result.error, client=result.client, service=service
            ).symptom
        phases = None if result.phases is None else msgspec.to_builtins(result.phases)
        return (
            result.probe,
            result.location or NOWHERE,
            result.outcome,
            at,
            arrival.now,
            service,
            result.feature or None,
            result.client,
            symptom,
            result.http_status,
            (scrub(result.error, ERROR_KEPT) or None) if result.error else None,
            result.latency_ms,
            phases or None,
            result.self_check or SelfCheck.NONE,
            result.region or None,
            late,
            clamped,
            result.answer or None,
            result.diagnostics or None,
        )


def _judge(result: ProbeResultWire) -> tuple[str, str] | None:
    if result.service and known_service(result.service) is None:
        return f"Unknown service {result.service!r}: {HOW_TO_LIST}.", "/service"
    for name in ("probe", "location", "feature", "region"):
        word = getattr(result, name)
        if word is not None and not word.isprintable():
            return "Control characters are not taken here.", f"/{name}"
    return None


def wire_line(result: ProbeResult) -> bytes:
    """Write a result as the line that this reader reads; one id, so that it counts once."""
    timed = result.phases or {}
    phases = {name: timed[name] for name in PHASES if name in timed}
    return msgspec.json.encode(
        ProbeResultWire(
            probe=result.probe,
            outcome=result.outcome,
            id=result.id,
            occurred_at=result.occurred_at,
            location=result.location,
            service=result.service,
            feature=result.feature,
            client=result.client,
            symptom=result.symptom,
            http_status=result.http_status,
            error=result.error,
            latency_ms=result.latency_ms,
            phases=msgspec.convert(phases, PhasesWire) if phases else None,
            self_check=result.self_check,
            answer=result.answer,
            diagnostics=result.diagnostics,
            region=result.region,
        )
    )
