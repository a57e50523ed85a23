"""Chunks: what one request brought of reports or results, as it stands in the intake log."""

from collections.abc import Sequence
from datetime import datetime
from itertools import compress
from typing import Any

import msgspec

from app.core.arrival import ACTOR_BYTES
from app.core.batch import KEY_BYTES, Batch, ReportBatch, ResultBatch
from app.core.signal import ClientReport, ProbeResult
from app.core.types import Client, Outcome, SelfCheck, SignalKind, Symptom
from app.store import packing

# Both hold [bytes of all ids, [chunk, …]] in msgpack, a chunk being what one request brought.
ROWS = "rows1+zstd"  # a chunk is [row, …] in msgpack; results, and reports of earlier releases
COLUMNS = "columns1+zstd"  # a chunk is ``_Columns`` in msgpack; reports

ACTOR = 2 * ACTOR_BYTES  # characters of what stands for a reporter


class _Report(msgspec.Struct, array_like=True, gc=False):
    service: str
    client: Client
    symptom: Symptom
    actor: str
    occurred_at: datetime
    received_at: datetime
    code: str | None = None
    fine: str | None = None
    http_status: int | None = None
    message: str | None = None
    region: str | None = None
    network: str | None = None
    count: int = 1
    weight: float = 1.0
    late: bool = False
    clamped: bool = False
    id: str = ""


class _Shared(msgspec.Struct, array_like=True, gc=False):
    service: str
    client: Client
    symptom: Symptom
    code: str | None
    fine: str | None
    http_status: int | None
    region: str | None
    network: str | None
    weight: float


class _Columns(msgspec.Struct, array_like=True):
    """``ReportBatch`` without its ids; what is added later goes to the end, with a default."""

    shared: dict[int, _Shared]
    which: list[int]
    actors: bytes | list[str]  # sixteen bytes each, or as they are where that is not what they are
    instants: list[datetime]
    arrivals: list[datetime]
    messages: list[str | None]
    counts: list[int] | None = None
    late: list[int] = []
    clamped: list[int] = []


class _Result(msgspec.Struct, array_like=True, gc=False):
    probe: str
    location: str
    outcome: Outcome
    occurred_at: datetime
    received_at: datetime
    service: str = "other"
    feature: str | None = None
    client: Client | None = None
    symptom: Symptom | None = None
    http_status: int | None = None
    error: str | None = None
    latency_ms: float | None = None
    phases: dict[str, float] | None = None
    self_check: SelfCheck = SelfCheck.NONE
    region: str | None = None
    late: bool = False
    clamped: bool = False
    answer: dict[str, str] | None = None
    diagnostics: dict[str, str] | None = None
    id: str = ""


_LAYOUTS = {SignalKind.CLIENT_REPORT: _Report, SignalKind.PROBE_RESULT: _Result}

_encoder = msgspec.msgpack.Encoder()
_chunks = msgspec.msgpack.Decoder(tuple[bytes, list[bytes]])
_columns = msgspec.msgpack.Decoder(_Columns)
_rows = msgspec.msgpack.Decoder(list[list[Any]])
_reports = msgspec.msgpack.Decoder(list[_Report])
_results = msgspec.msgpack.Decoder(list[_Result])


def layout(kind: SignalKind) -> tuple[str, ...]:
    """The names of a stored row's values in their order; it may only grow, at its end."""
    return _LAYOUTS[kind].__struct_fields__[:-1]


def pack(batch: Batch) -> bytes:
    """Write what one request brought as a chunk; bytes wait for their commit more cheaply."""
    if isinstance(batch, ResultBatch):
        return _encoder.encode(batch.rows)
    return _encoder.encode((
        batch.shared, batch.which, _pack_actors(batch.actors), batch.instants, batch.arrivals,
        batch.messages, batch.counts, batch.late, batch.clamped,
    ))  # fmt: skip


def pick(kind: SignalKind, chunk: bytes, chosen: Sequence[bool]) -> bytes:
    """Keep only the chosen signals of a chunk."""
    if kind is SignalKind.PROBE_RESULT:
        return _encoder.encode(list(compress(_rows.decode(chunk), chosen)))
    return pack(_held(chunk).only(chosen))


def _held(chunk: bytes) -> ReportBatch:
    """The reports of a chunk, whose ids stand elsewhere."""
    held = _columns.decode(chunk)
    shared = {number: msgspec.structs.astuple(one) for number, one in held.shared.items()}
    return ReportBatch(
        b"", shared, held.which, _unpack_actors(held.actors), held.instants, held.arrivals,
        held.messages, held.counts, held.late, held.clamped,
    )  # fmt: skip


def _pack_actors(actors: Sequence[str]) -> bytes | Sequence[str]:
    """Actors as bytes, half as long, if all are what the doors make."""
    whole = "".join(actors)
    try:
        packed = bytes.fromhex(whole)
    except ValueError:
        return actors
    return packed if packed.hex() == whole and set(map(len, actors)) <= {ACTOR} else actors


def _unpack_actors(held: bytes | list[str]) -> list[str]:
    if isinstance(held, list):
        return held
    whole = held.hex()
    return [whole[at : at + ACTOR] for at in range(0, len(whole), ACTOR)]


def codec_of(kind: SignalKind) -> str:
    """How signals of a kind that come in batches are written now."""
    return COLUMNS if kind is SignalKind.CLIENT_REPORT else ROWS


def encode_chunks(ids: bytes, chunks: Sequence[bytes]) -> bytes:
    """Encode reports or results; see ``codec_of``."""
    return packing.pack(_encoder.encode((ids, chunks)))


def decode_reports(plain: bytes, codec: str) -> tuple[ClientReport, ...]:
    """The reports of a row, as they were before compression."""
    keys, chunks = _chunks.decode(plain)
    if codec == COLUMNS:
        reports = [_Report(*row) for chunk in chunks for row in _held(chunk).rows]
    else:
        reports = [report for chunk in chunks for report in _reports.decode(chunk)]
    _name(keys, reports)
    return tuple(msgspec.convert(reports, list[ClientReport], from_attributes=True))


def decode_results(plain: bytes) -> tuple[ProbeResult, ...]:
    """The results of a row, as they were before compression."""
    keys, chunks = _chunks.decode(plain)
    results = [result for chunk in chunks for result in _results.decode(chunk)]
    _name(keys, results)
    return tuple(msgspec.convert(results, list[ProbeResult], from_attributes=True))


def _name(keys: bytes, signals: Sequence[_Report | _Result]) -> None:
    text = keys.hex()
    width = KEY_BYTES * 2
    for position, signal in enumerate(signals):
        signal.id = text[position * width : (position + 1) * width]
