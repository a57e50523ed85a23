"""The intake log: one row per group of accepted signals, and the encoding of its body."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    RowMapping,
    Text,
    and_,
    cast,
    func,
    insert,
    select,
    tuple_,
)
from sqlalchemy.sql import ColumnElement

from app.core.batch import KEY_BYTES, key_of
from app.core.signal import Advisory, Command, Signal
from app.core.types import SignalKind, TenantId
from app.store import chunks, packing
from app.store.tables import IntakeRow

T = IntakeRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

OBJECTS = "objects1+zstd"  # [[signal, …], {vendor id: raw bytes}] in msgpack
ROWS_AT_ONCE = 100  # of ids, read into memory together
FOLDED_TX = -1  # marks a row that was folded in the transaction that stored it
ANY_NUMBER = 2**63 - 1
DEDUPLICATED = (SignalKind.CLIENT_REPORT, SignalKind.PROBE_RESULT)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeRecord:
    """One row of the log as it is read back; (``tx``, ``seq``) is its position."""

    seq: int
    tx: int
    tenant: TenantId
    kind: SignalKind
    source: str
    intake_id: str
    received_at: datetime
    count: int
    codec: str
    body: bytes

    @property
    def signals(self) -> tuple[Signal, ...]:
        """The signals of this row."""
        return decode(self.kind, self.codec, self.body)


_encoder = msgspec.msgpack.Encoder()
_advisories = msgspec.msgpack.Decoder(tuple[tuple[Advisory, ...], dict[str, bytes]])
_commands = msgspec.msgpack.Decoder(tuple[tuple[Command, ...], dict[str, bytes]])


def encode(signals: Sequence[Advisory | Command], raw: dict[str, bytes] | None = None) -> bytes:
    """Encode advisories or commands, with the vendor's own JSON beside; codec ``OBJECTS``."""
    return packing.pack(_encoder.encode((signals, raw or {})))


def decode(kind: SignalKind | str, codec: str, body: bytes) -> tuple[Signal, ...]:
    """Decode the body of a row.

    Raises:
        ValueError: the codec is not known.
    """
    plain = _unpack(codec, body)
    match SignalKind(kind):
        case SignalKind.CLIENT_REPORT:
            return chunks.decode_reports(plain, codec)
        case SignalKind.PROBE_RESULT:
            return chunks.decode_results(plain)
        case SignalKind.ADVISORY:
            return _advisories.decode(plain)[0]
        case SignalKind.COMMAND:
            return _commands.decode(plain)[0]


def raw_of(codec: str, body: bytes) -> dict[str, bytes]:
    """The vendor's own JSON per vendor id, where the row kept it."""
    if codec != OBJECTS:
        return {}
    raw: dict[str, bytes] = msgspec.msgpack.decode(
        _unpack(codec, body), type=tuple[Any, dict[str, bytes]]
    )[1]
    return raw


def _unpack(codec: str, body: bytes) -> bytes:
    if codec not in {chunks.ROWS, chunks.COLUMNS, OBJECTS}:
        raise ValueError(f"the intake log holds a row of the unknown codec {codec!r}")
    return packing.unpack(body)


def append(
    c: Connection,
    *,
    tenant: TenantId,
    kind: SignalKind,
    source: str,
    intake_id: str,
    received_at: datetime,
    ids: bytes,
    codec: str,
    body: bytes,
    folded: bool = False,
) -> int:
    """Append one row and return its ``seq``; ``folded`` keeps it from being folded again."""
    values: dict[str, Any] = {
        "tx": _present_tx(c, folded=folded),
        "tenant": tenant,
        "kind": kind.value,
        "source": source,
        "intake_id": intake_id,
        "received_at": received_at,
        "count": len(ids) // KEY_BYTES,
        "codec": codec,
        "ids": ids,
        "body": body,
    }
    return int(c.execute(insert(T).values(values).returning(T.c.seq)).scalar_one())


def append_rows(
    c: Connection,
    tenant: TenantId,
    kind: SignalKind,
    parts: Sequence[bytes],
    *,
    ids: bytes,
    source: str,
    intake_id: str,
    received_at: datetime,
) -> int:
    """Append packed reports or results and return the ``seq`` of their row."""
    return append(
        c,
        tenant=tenant,
        kind=kind,
        source=source,
        intake_id=intake_id,
        received_at=received_at,
        ids=ids,
        codec=chunks.codec_of(kind),
        body=chunks.encode_chunks(ids, parts),
    )


def append_signals(
    c: Connection,
    tenant: TenantId,
    signals: Sequence[Advisory] | Sequence[Command],
    *,
    source: str,
    intake_id: str,
    received_at: datetime,
    raw: dict[str, bytes] | None = None,
    folded: bool = False,
) -> int:
    """Append advisories or commands (at least one, of one kind) and return the row's ``seq``."""
    advisory = isinstance(signals[0], Advisory)
    return append(
        c,
        tenant=tenant,
        kind=SignalKind.ADVISORY if advisory else SignalKind.COMMAND,
        source=source,
        intake_id=intake_id,
        received_at=received_at,
        ids=b"".join(key_of(signal.id) for signal in signals),
        codec=OBJECTS,
        body=encode(signals, raw),
        folded=folded,
    )


def after(
    c: Connection, tenant: TenantId, tx: int, seq: int, limit: int, *, most: int = ANY_NUMBER
) -> list[IntakeRecord]:
    """Read the rows that follow a position, in the order to fold them; (0, 0) is before the first.

    At most ``limit`` rows, and none after the one with which ``most`` signals are reached.
    On PostgreSQL a transaction that began earlier may commit later, so only rows are given that no
    running transaction can precede any more; the position is (``tx``, ``seq``) for this reason.
    """
    query = (
        select(T)
        .where(T.c.tenant == tenant, tuple_(T.c.tx, T.c.seq) > tuple_(tx, seq), *settled(c))
        .order_by(T.c.tx, T.c.seq)
        .limit(limit)
    )
    records: list[IntakeRecord] = []
    for row in c.execute(query).mappings():
        records.append(_record(row))
        most -= row["count"]
        if most <= 0:
            break
    return records


def held_since(c: Connection, tenant: TenantId, tx: int, seq: int) -> list[datetime]:
    """When the oldest row came that is stored and that ``after`` does not give yet, if any.

    On PostgreSQL any transaction that takes long, also one of another program, holds back the rows
    that were stored since it began.
    """
    present = settled(c)
    if not present:
        return []
    beyond = tuple_(T.c.tx, T.c.seq) > tuple_(tx, seq)
    query = select(func.min(T.c.received_at)).where(T.c.tenant == tenant, beyond, ~and_(*present))
    return [at for at in c.execute(query).scalars() if at is not None]


def _record(row: RowMapping) -> IntakeRecord:
    return IntakeRecord(
        seq=row["seq"],
        tx=row["tx"],
        tenant=TenantId(row["tenant"]),
        kind=SignalKind(row["kind"]),
        source=row["source"],
        intake_id=row["intake_id"],
        received_at=row["received_at"],
        count=row["count"],
        codec=row["codec"],
        body=row["body"],
    )


def settled(c: Connection) -> list[ColumnElement[bool]]:
    """What tells rows that no running transaction can precede any more; see ``after``."""
    if c.dialect.name != "postgresql":
        return []
    return [T.c.tx < _number(func.pg_snapshot_xmin(func.pg_current_snapshot()))]


def ids_since(
    c: Connection, tenant: TenantId, since: datetime
) -> Iterator[tuple[int, datetime, bytes]]:
    """Read what rebuilds the dedup memory: ``seq``, time and ids of each row from an instant on.

    A row at a time, for a day may have held millions.
    """
    return _ids(c, T.c.tenant == tenant, T.c.received_at >= since)


def ids_after(
    c: Connection, tenant: TenantId, seq: int, since: datetime
) -> Iterator[tuple[int, datetime, bytes]]:
    """The same of the rows that follow a ``seq``; whole only under ``lock_tenant``."""
    return _ids(c, T.c.tenant == tenant, T.c.seq > seq, T.c.received_at >= since)


def _ids(c: Connection, *where: ColumnElement[bool]) -> Iterator[tuple[int, datetime, bytes]]:
    query = (
        select(T.c.seq, T.c.received_at, T.c.ids)
        .where(*where, T.c.kind.in_([kind.value for kind in DEDUPLICATED]))
        .order_by(T.c.seq)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    return ((row.seq, row.received_at, row.ids) for row in c.execute(query))


def lock_tenant(c: Connection, tenant: TenantId) -> None:
    """Let one replica at a time append deduplicated rows of a tenant, until its commit.

    So a replica that holds the lock sees every row that another one has been told is stored. On
    SQLite the one writer is lock enough.
    """
    if c.dialect.name == "postgresql":
        c.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"intake:{tenant}", 0))))


def _present_tx(c: Connection, *, folded: bool) -> Any:
    if folded:
        return FOLDED_TX
    return _number(func.pg_current_xact_id()) if c.dialect.name == "postgresql" else 0


def _number(transaction: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(cast(transaction, Text), BigInteger)  # xid8 has no direct way to bigint
