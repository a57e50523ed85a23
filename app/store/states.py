"""The engine's state of each tenant, with its checkpoint; compared and swapped by revision."""

from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection, exists, select, tuple_, update

from app.core.state import EngineState
from app.core.types import TenantId
from app.store import intake, packing
from app.store.tables import FoldStateRow
from app.store.upserts import insert_into

T = FoldStateRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(EngineState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where the fold of a tenant stands; ``revision`` 0 means that it never ran."""

    revision: int = 0
    tx: int = 0
    seq: int = 0
    sequence: int = 0
    number: int = 0


def encode(state: EngineState) -> bytes:
    """Pack a state."""
    return packing.pack(_ENCODER.encode(state))


def decode(body: bytes) -> EngineState:
    """Unpack a state."""
    return _DECODER.decode(packing.unpack(body))


def checkpoint(c: Connection, tenant: TenantId) -> Checkpoint:
    """Where the fold of a tenant stands, without its state."""
    query = select(T.c.revision, T.c.tx, T.c.seq, T.c.sequence, T.c.number)
    row = c.execute(query.where(T.c.tenant == tenant)).one_or_none()
    return Checkpoint() if row is None else Checkpoint(**row._mapping)  # noqa: SLF001 - documented


def standings(c: Connection) -> dict[TenantId, tuple[int, bool]]:
    """Where every tenant's fold stands: its revision, and whether anything waits to be folded.

    One question for all tenants, because most of them have nothing to say most of the time.
    """
    newer = exists().where(
        intake.T.c.tenant == T.c.tenant,
        tuple_(intake.T.c.tx, intake.T.c.seq) > tuple_(T.c.tx, T.c.seq),
        *intake.settled(c),
    )
    rows = c.execute(select(T.c.tenant, T.c.revision, newer))
    return {TenantId(tenant): (revision, bool(waits)) for tenant, revision, waits in rows}


def load(c: Connection, tenant: TenantId) -> tuple[Checkpoint, EngineState]:
    """Where the fold of a tenant stands, and its state."""
    row = c.execute(select(T.c.body).where(T.c.tenant == tenant)).scalar_one_or_none()
    return checkpoint(c, tenant), EngineState() if row is None else decode(row)


def swap(
    c: Connection,
    tenant: TenantId,
    before: Checkpoint,
    after: Checkpoint,
    *,
    body: bytes,
    policy: str,
    now: datetime,
) -> bool:
    """Put the next state in place of the one that was read; False when another step came first."""
    values = {
        "revision": after.revision,
        "tx": after.tx,
        "seq": after.seq,
        "sequence": after.sequence,
        "number": after.number,
        "policy": policy,
        "folded_at": now,
        "body": body,
    }
    if before.revision == 0:
        # Two replicas may make a tenant's first step at once: the second finds the row there.
        first = insert_into(c, T).values(tenant=tenant, **values).on_conflict_do_nothing()
        return c.execute(first.returning(T.c.tenant)).first() is not None
    same = (T.c.tenant == tenant) & (T.c.revision == before.revision)
    return c.execute(update(T).where(same).values(**values)).rowcount == 1
