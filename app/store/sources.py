"""Sources: when each was last read completely, what went wrong, and where it stands."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from app.core.signal import SourceFreshness
from app.core.types import SourceKind, SourceState, TenantId
from app.store.tables import IncidentRow, SourceRow

T = SourceRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
_INCIDENTS = IncidentRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

INTERVALS = 3  # a source is stale after so many of its intervals …
GRACE = timedelta(seconds=10)  # … and this
# Which of the three sightings a kind of source brings; intake formats bring reports or results. A
# public page speaks as a check does: of one thing, and not for the vendor's record.
SIGHTINGS: Mapping[str, SourceKind] = {
    "graph": SourceKind.ADVISORY,
    "status_feed": SourceKind.PROBE,
    "probe": SourceKind.PROBE,
    "client_report": SourceKind.CLIENT_REPORT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceError:
    """What the last failed read met; ``since`` is when this run of failures began."""

    code: str
    text: str
    remedy: str
    at: datetime
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """How a source stands. ``checkpoint`` and ``budget`` are the source's own small documents."""

    tenant: TenantId
    id: str
    kind: str
    name: str
    interval: timedelta
    stale_announced: bool = False
    first_read_at: datetime | None = None
    last_complete_at: datetime | None = None
    last_error: SourceError | None = None
    checkpoint: Mapping[str, Any] | None = None
    unreadable: int = 0
    budget: Mapping[str, Any] | None = None


def state_of(record: SourceRecord, now: datetime) -> SourceState:
    """Say how well a source can be read: fresh, failing (but not for long), stale, never read."""
    if record.last_complete_at is None:
        return SourceState.NEVER_READ if record.last_error is None else SourceState.FAILING
    if is_stale(record, now):
        return SourceState.STALE
    failed = record.last_error is not None and record.last_error.at > record.last_complete_at
    return SourceState.FAILING if failed else SourceState.FRESH


def is_stale(record: SourceRecord, now: datetime) -> bool:
    """Whether three intervals and ten seconds went by since it was last read completely.

    A source that was never read counts from its first failure.
    """
    last = record.last_complete_at
    if last is None and record.last_error is not None:
        last = record.last_error.since
    return last is not None and is_overdue(last, record.interval, now)


def is_overdue(last: datetime, interval: timedelta, now: datetime) -> bool:
    """Whether three intervals and ten seconds went by since a complete read."""
    return now - last > interval * INTERVALS + GRACE


def get(c: Connection, tenant: TenantId, source: str) -> SourceRecord | None:
    """How one source stands, or None before its first attempt."""
    row = c.execute(select(T).where(T.c.tenant == tenant, T.c.id == source)).one_or_none()
    return None if row is None else _record(row)


def listing(c: Connection, tenant: TenantId) -> list[SourceRecord]:
    """How all sources of a tenant stand, sorted by kind and id."""
    query = select(T).where(T.c.tenant == tenant).order_by(T.c.kind, T.c.id)
    return [_record(row) for row in c.execute(query)]


def first_read(c: Connection, tenant: TenantId, source: str) -> datetime | None:
    """When a source was first read completely, or None."""
    query = select(T.c.first_read_at).where(T.c.tenant == tenant, T.c.id == source)
    found: datetime | None = c.execute(query).scalar_one_or_none()
    return found


def record_complete(
    c: Connection,
    tenant: TenantId,
    source: str,
    *,
    kind: str,
    name: str,
    interval: timedelta,
    now: datetime,
    checkpoint: Mapping[str, Any] | None = None,
    unreadable: int = 0,
    budget: Mapping[str, Any] | None = None,
) -> None:
    """Note a complete read: it is fresh again; the last error stays to be seen."""
    known = get(c, tenant, source)
    values: dict[str, Any] = {
        "kind": kind,
        "name": name,
        "interval_seconds": interval.total_seconds(),
        "stale_announced": False,
        "first_read_at": now
        if known is None or known.first_read_at is None
        else known.first_read_at,
        "last_complete_at": now,
        "checkpoint": _text(checkpoint),
        "unreadable": unreadable,
        "budget": _text(budget),
    }
    _put(c, tenant, source, values)


def record_error(
    c: Connection,
    tenant: TenantId,
    source: str,
    *,
    kind: str,
    name: str,
    interval: timedelta,
    now: datetime,
    code: str,
    text: str,
    remedy: str = "",
    budget: Mapping[str, Any] | None = None,
) -> SourceRecord:
    """Note a failed read and give how the source stands now.

    ``interval`` counts only for a source that was never read; else that of its last complete read
    stays, so that staleness is measured by the promise under which it was read. Without a
    ``budget`` the one that is known stays.
    """
    known = get(c, tenant, source)
    since = now
    if known is not None and known.last_error is not None:
        recovered = known.last_complete_at
        if recovered is None or recovered < known.last_error.at:
            since = known.last_error.since
    error = {"code": code, "text": text, "remedy": remedy}
    error |= {"at": now.isoformat(), "since": since.isoformat()}
    values: dict[str, Any] = {
        "kind": kind, "name": name, "last_error": _text(error)
    }  # fmt: skip
    if budget is not None:
        values["budget"] = _text(budget)
    if known is None or known.last_complete_at is None:
        values["interval_seconds"] = interval.total_seconds()
    _put(c, tenant, source, values)
    found = get(c, tenant, source)
    if found is None:  # we have just written it
        raise LookupError(source)
    return found


def mark_stale(c: Connection, tenant: TenantId, source: str, *, stale: bool = True) -> None:
    """Note that ``source.stale`` was told, or that ``source.recovered`` was."""
    here = (T.c.tenant == tenant, T.c.id == source)
    c.execute(update(T).where(*here).values(stale_announced=stale))


def put_checkpoint(
    c: Connection, tenant: TenantId, source: str, checkpoint: Mapping[str, Any]
) -> None:
    """Change what a source remembers and nothing else; one that was never read has nothing yet."""
    here = (T.c.tenant == tenant, T.c.id == source)
    c.execute(update(T).where(*here).values(checkpoint=_text(checkpoint)))


def freshness(c: Connection, tenant: TenantId, now: datetime) -> tuple[SourceFreshness, ...]:
    """How fresh each source is, as the fold is told."""
    return tuple(
        SourceFreshness(
            source=record.id,
            kind=SIGHTINGS.get(record.kind, SourceKind.CLIENT_REPORT).value,
            stale=is_stale(record, now),
        )
        for record in listing(c, tenant)
    )


def trouble_is_open(c: Connection, tenant: TenantId, *, since: datetime) -> bool:
    """Whether an open incident of the tenant changed at that instant or later.

    Then its sources are worth reading more often; what has stood still for long is not.
    """
    here = (
        _INCIDENTS.c.tenant == tenant,
        _INCIDENTS.c.is_open.is_(True),
        _INCIDENTS.c.updated_at >= since,
    )
    return c.execute(select(_INCIDENTS.c.id).where(*here).limit(1)).first() is not None


def _put(c: Connection, tenant: TenantId, source: str, values: dict[str, Any]) -> None:
    here = (T.c.tenant == tenant, T.c.id == source)
    if c.execute(update(T).where(*here).values(values)).rowcount == 0:
        blank = {"stale_announced": False, "unreadable": 0}
        c.execute(insert(T).values({**blank, **values, "tenant": tenant, "id": source}))


def _text(document: Mapping[str, Any] | None) -> str | None:
    return None if document is None else json.dumps(document, sort_keys=True)


def _document(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)


def _record(row: Any) -> SourceRecord:
    error = _document(row.last_error)
    return SourceRecord(
        tenant=TenantId(row.tenant),
        id=row.id,
        kind=row.kind,
        name=row.name,
        interval=timedelta(seconds=row.interval_seconds),
        stale_announced=row.stale_announced,
        first_read_at=row.first_read_at,
        last_complete_at=row.last_complete_at,
        last_error=None if error is None else _error(error),
        checkpoint=_document(row.checkpoint),
        unreadable=row.unreadable,
        budget=_document(row.budget),
    )


def _error(document: Mapping[str, Any]) -> SourceError:
    return SourceError(
        code=document["code"],
        text=document["text"],
        remedy=document["remedy"],
        at=datetime.fromisoformat(document["at"]),
        since=datetime.fromisoformat(document["since"]),
    )
