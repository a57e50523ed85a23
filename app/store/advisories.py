"""Advisories: the newest revision of each, beside the vendor's own JSON."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, or_, select, update
from sqlalchemy.sql import Select

from app.core.signal import Advisory
from app.core.types import IncidentId, TenantId
from app.store import packing
from app.store.tables import AdvisoryRow
from app.store.upserts import insert_into

T = AdvisoryRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Advisory)
CHUNK = 500  # ids per query; SQLite takes a limited number of variables


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAdvisory:
    """An advisory as it is kept; ``revision`` starts at 1, ``incidents`` hold it now."""

    advisory: Advisory
    revision: int
    incidents: tuple[IncidentId, ...]


def upsert(
    c: Connection, tenant: TenantId, advisory: Advisory, raw: bytes | None, revision: int
) -> None:
    """Store a revision in place of the former one; without ``raw`` the vendor's JSON stays."""
    put(c, tenant, [(advisory, raw, revision)])


def put(
    c: Connection, tenant: TenantId, revised: Sequence[tuple[Advisory, bytes | None, int]]
) -> None:
    """Store many revisions as ``upsert`` does one, in one statement.

    First contact brings hundreds, and whoever else writes waits meanwhile.
    """
    if not revised:
        return
    new = insert_into(c, T)
    kept: dict[str, Any] = {
        name: new.excluded[name]
        for name in ("revision", "service", "is_resolved", "withdrawn", "last_modified_at", "state")
    }
    kept["raw"] = func.coalesce(new.excluded.raw, T.c.raw)
    c.execute(
        new.on_conflict_do_update(index_elements=[T.c.tenant, T.c.id], set_=kept),
        [
            {
                "tenant": tenant,
                "id": advisory.vendor_id,
                "revision": revision,
                "service": advisory.service,
                "is_resolved": advisory.is_resolved,
                "withdrawn": advisory.withdrawn,
                "last_modified_at": advisory.last_modified_at,
                "incidents": "[]",
                "state": packing.pack(_ENCODER.encode(advisory)),
                "raw": None if raw is None else packing.pack(raw),
            }
            for advisory, raw, revision in revised
        ],
    )


def set_incidents(
    c: Connection, tenant: TenantId, vendor_id: str, incidents: Sequence[str]
) -> None:
    """Say which incidents hold an advisory now; nothing happens for one that is not stored."""
    text = json.dumps(list(incidents))
    c.execute(update(T).where(T.c.tenant == tenant, T.c.id == vendor_id).values(incidents=text))


def get(c: Connection, tenant: TenantId, vendor_id: str) -> StoredAdvisory | None:
    """One advisory by the vendor's id, or None."""
    query = _query().where(T.c.tenant == tenant, T.c.id == vendor_id)
    row = c.execute(query).one_or_none()
    return None if row is None else _stored(row)


def by_ids(
    c: Connection, tenant: TenantId, vendor_ids: Collection[str]
) -> dict[str, StoredAdvisory]:
    """Those of some advisories that are stored, by the vendor's id."""
    wanted = sorted(vendor_ids)
    found: dict[str, StoredAdvisory] = {}
    for start in range(0, len(wanted), CHUNK):
        part = wanted[start : start + CHUNK]
        for row in c.execute(_query().where(T.c.tenant == tenant, T.c.id.in_(part))):
            stored = _stored(row)
            found[stored.advisory.vendor_id] = stored
    return found


def raw(c: Connection, tenant: TenantId, vendor_id: str) -> bytes | None:
    """The vendor's JSON of the newest revision, or None."""
    query = select(T.c.raw).where(T.c.tenant == tenant, T.c.id == vendor_id)
    found: bytes | None = c.execute(query).scalar_one_or_none()
    return None if found is None else packing.unpack(found)


def page(
    c: Connection,
    tenant: TenantId,
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
    services: Sequence[str] = (),
    is_resolved: bool | None = None,
) -> list[StoredAdvisory]:
    """List advisories, the last modified first.

    Args:
        c: the connection.
        tenant: whose.
        limit: most to give.
        after: (``last_modified_at``, vendor id) of the last one that was given before.
        services: slugs; empty narrows nothing.
        is_resolved: by the vendor's word; None narrows nothing.
    """
    query = _query().where(T.c.tenant == tenant)
    if services:
        query = query.where(T.c.service.in_(services))
    if is_resolved is not None:
        query = query.where(T.c.is_resolved == is_resolved)
    if after is not None:
        at, vendor_id = after
        earlier = T.c.last_modified_at < at
        query = query.where(or_(earlier, (T.c.last_modified_at == at) & (T.c.id > vendor_id)))
    ordered = query.order_by(T.c.last_modified_at.desc(), T.c.id).limit(limit)
    return [_stored(row) for row in c.execute(ordered)]


def open_ids(c: Connection, tenant: TenantId, *, since: datetime | None = None) -> tuple[str, ...]:
    """The vendor's ids of what it still calls open and still serves, sorted.

    ``since`` narrows to those that the vendor modified at that instant or later.
    """
    query = select(T.c.id).where(
        T.c.tenant == tenant, T.c.is_resolved.is_(False), T.c.withdrawn.is_(False)
    )
    if since is not None:
        query = query.where(T.c.last_modified_at >= since)
    return tuple(c.execute(query.order_by(T.c.id)).scalars())


def decode(state: bytes) -> Advisory:
    """Read the normalized state of a row."""
    return _DECODER.decode(packing.unpack(state))


def _query() -> Select[Any]:
    return select(T.c.state, T.c.revision, T.c.incidents)


def _stored(row: Any) -> StoredAdvisory:
    return StoredAdvisory(
        advisory=decode(row.state),
        revision=row.revision,
        incidents=tuple(IncidentId(held) for held in json.loads(row.incidents)),
    )
