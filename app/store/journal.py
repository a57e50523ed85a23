"""The journal of the fold: which step ran when and over what, and where one can begin again.

A step that changes the state is stored with one row here, so that the past can be folded again
exactly as it was. Once a day all that the fold carries is kept beside, because the steps before the
oldest kept intake cannot be run again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import zstandard
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, tuple_

from app.core.incident import Incident
from app.core.signal import Signal
from app.core.state import EngineState, Snapshot
from app.core.types import TenantId
from app.store import intake
from app.store.journal_tables import FoldMarkRow, FoldStepRow
from app.store.states import Checkpoint
from app.store.tables import IntakeRow

S = FoldStepRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it
M = FoldMarkRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it
I = IntakeRow.__table__  # type: ignore[attr-defined]  # noqa: E741 - the intake, as elsewhere T

MARK_EVERY = timedelta(hours=24)
SLACK = timedelta(hours=1)  # what was folded so late after its arrival may miss its intake
LEVEL = 3  # of zstd: a mark is written once a day


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stored step with what it folded, in its order."""

    revision: int
    folded_at: datetime
    policy: str
    signals: tuple[Signal, ...]
    waiting_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a replay can begin: before the step after ``revision``; no instant is the very start.

    ``incidents`` are those that lived then; ``sequence`` and ``number`` go on from there.
    """

    revision: int
    taken_at: datetime | None
    tx: int
    seq: int
    state: EngineState
    incidents: tuple[Incident, ...]
    sequence: int
    number: int


class _Body(msgspec.Struct, array_like=True):
    state: EngineState
    incidents: tuple[Incident, ...]
    sequence: int
    number: int


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Body)


def pack(snapshot: Snapshot) -> bytes:
    """Pack what the fold carried before a step."""
    body = _Body(snapshot.state, snapshot.incidents, snapshot.sequence, snapshot.number)
    return zstandard.ZstdCompressor(level=LEVEL).compress(_ENCODER.encode(body))


def append(
    c: Connection,
    tenant: TenantId,
    after: Checkpoint,
    *,
    now: datetime,
    policy: str,
    waiting_since: datetime | None,
    command: int | None = None,
) -> None:
    """Note a step in the transaction that stores it; ``command`` is the ``seq`` of its row."""
    c.execute(
        insert(S).values(
            tenant=tenant,
            revision=after.revision,
            folded_at=now,
            tx=after.tx,
            seq=after.seq,
            command=command,
            waiting_since=waiting_since,
            policy=policy,
        )
    )


def marked_at(c: Connection, tenant: TenantId) -> datetime | None:
    """When the last mark was taken."""
    query = select(func.max(M.c.taken_at)).where(M.c.tenant == tenant)
    found: datetime | None = c.execute(query).scalar_one()
    return found


def mark(
    c: Connection, tenant: TenantId, before: Checkpoint, *, now: datetime, body: bytes
) -> None:
    """Keep what the fold carried before the step that is being stored."""
    c.execute(
        insert(M).values(
            tenant=tenant,
            revision=before.revision,
            taken_at=now,
            tx=before.tx,
            seq=before.seq,
            body=body,
        )
    )


def start(c: Connection, tenant: TenantId, since: datetime) -> Mark | None:
    """The latest place at or before an instant to begin from, else the earliest; None is none.

    The very start is such a place as long as the first step is still in the journal.
    """
    query = select(M).where(M.c.tenant == tenant)
    before = query.where(M.c.taken_at <= since).order_by(M.c.revision.desc()).limit(1)
    row = c.execute(before).mappings().one_or_none()
    if row is not None:
        return _mark(row)
    first = c.execute(select(func.min(S.c.revision)).where(S.c.tenant == tenant)).scalar_one()
    if first == 1:
        return Mark(revision=0, taken_at=None, tx=0, seq=0, state=EngineState(), incidents=(),
                    sequence=0, number=0)  # fmt: skip
    row = c.execute(query.order_by(M.c.revision).limit(1)).mappings().one_or_none()
    return None if row is None else _mark(row)


def _mark(row: Any) -> Mark:
    plain = zstandard.ZstdDecompressor().decompress(row["body"])
    body = _DECODER.decode(plain)
    return Mark(
        revision=row["revision"],
        taken_at=row["taken_at"],
        tx=row["tx"],
        seq=row["seq"],
        state=body.state,
        incidents=body.incidents,
        sequence=body.sequence,
        number=body.number,
    )


def steps(
    c: Connection,
    tenant: TenantId,
    after: tuple[int, int, int],
    until: datetime,
    limit: int,
) -> tuple[list[Step], tuple[int, int, int]]:
    """Read the steps that follow a place (revision, tx, seq) up to an instant, with what they fold.

    Returns:
        The steps in their order, and the place of the last one.
    """
    query = select(S).where(*_within(c, tenant, after[0], until))
    rows = c.execute(query.order_by(S.c.revision).limit(limit)).mappings().all()
    if not rows:
        return [], after
    last = (rows[-1]["revision"], rows[-1]["tx"], rows[-1]["seq"])
    records = _records(c, tenant, after[1:], last[1:])
    commands = _commands(c, [row["command"] for row in rows if row["command"] is not None])
    found = []
    for row in rows:
        signals: list[Signal] = []
        while records and (records[0][0], records[0][1]) <= (row["tx"], row["seq"]):
            signals.extend(records.pop(0)[2])
        if row["command"] is not None:
            signals.extend(commands.get(row["command"], ()))
        found.append(Step(revision=row["revision"], folded_at=row["folded_at"],
                          policy=row["policy"], signals=tuple(signals),
                          waiting_since=row["waiting_since"]))  # fmt: skip
    return found, last


def _records(
    c: Connection, tenant: TenantId, after: tuple[int, ...], until: tuple[int, ...]
) -> list[tuple[int, int, tuple[Signal, ...]]]:
    place = tuple_(I.c.tx, I.c.seq)
    query = (
        select(I.c.tx, I.c.seq, I.c.kind, I.c.codec, I.c.body)
        .where(I.c.tenant == tenant, place > tuple_(*after), place <= tuple_(*until))
        .order_by(I.c.tx, I.c.seq)
    )
    return [
        (row.tx, row.seq, intake.decode(row.kind, row.codec, row.body)) for row in c.execute(query)
    ]


def _commands(c: Connection, rows: Sequence[int]) -> dict[int, tuple[Signal, ...]]:
    if not rows:
        return {}
    query = select(I.c.seq, I.c.kind, I.c.codec, I.c.body).where(I.c.seq.in_(rows))
    return {row.seq: intake.decode(row.kind, row.codec, row.body) for row in c.execute(query)}


def count(c: Connection, tenant: TenantId, revision: int, until: datetime) -> int:
    """How many steps follow a revision up to an instant."""
    query = select(func.count()).where(*_within(c, tenant, revision, until))
    found: int = c.execute(query).scalar_one()
    return found


def _within(
    c: Connection, tenant: TenantId, revision: int, until: datetime
) -> list[ColumnElement[bool]]:
    """The steps after a revision and before the first that ran later than an instant.

    A backlog is folded at the time of its records, so instants may go back between two steps.
    """
    later = select(func.min(S.c.revision)).where(
        S.c.tenant == tenant, S.c.revision > revision, S.c.folded_at > until
    )
    ceiling = c.execute(later).scalar_one()
    found = [S.c.tenant == tenant, S.c.revision > revision]
    return found if ceiling is None else [*found, S.c.revision < ceiling]


def forget(c: Connection, tenant: TenantId, *, before: datetime) -> None:
    """Drop the steps whose intake is no longer kept, and marks that nothing leads on from."""
    old = select(func.max(S.c.revision)).where(S.c.tenant == tenant, S.c.folded_at < before + SLACK)
    edge = c.execute(old).scalar_one()
    if edge is not None:
        c.execute(delete(M).where(M.c.tenant == tenant, M.c.revision < edge))
        c.execute(delete(S).where(S.c.tenant == tenant, S.c.revision <= edge))
