"""Sources: where signals come from, and how fresh each is."""

from datetime import datetime, timedelta
from typing import Any

from fastapi import Request

from app.api.deps import Context, Reader, resource, tenants_of
from app.api.picture import Pictures, Source
from app.api.v1.schemas import Out
from app.core.lease import Holder
from app.core.types import SourceState
from app.store.sources import SourceRecord, is_overdue

router = resource("sources")


class SourceErrorOut(Out):
    """What the last failed read met, and what to do about it."""

    code: str
    text: str
    remedy: str
    at: datetime


class LaneOut(Out):
    """One lane of a source: ``open`` (what is open, read often) or ``all`` (everything)."""

    name: str
    last_complete_at: datetime
    interval_seconds: float
    stale: bool


class UnreadableOut(Out):
    """One record that could not be translated, by the vendor's id, with the reason."""

    id: str
    reason: str


class LeaseOut(Out):
    """Which replica reads a source, since when, and whether that replica still beats."""

    replica: str
    since: datetime
    alive: bool


class SourceOut(Out):
    """One source; ``unreadable`` counts records that could not be translated.

    ``lease`` is null where nobody reads: what is posted to us, or work that waits for a replica.
    """

    id: str
    tenant: str
    kind: str
    name: str
    state: SourceState
    last_complete_at: datetime | None
    last_error: SourceErrorOut | None
    checkpoint: dict[str, Any] | None
    unreadable: int
    unreadable_items: list[UnreadableOut]
    lanes: list[LaneOut]
    budget: dict[str, Any] | None
    lease: LeaseOut | None


class SourceList(Out):
    """All sources."""

    items: list[SourceOut]
    next: None


@router.get("/sources", summary="List the sources and their freshness")
async def list_sources(request: Request, app: Context, caller: Reader) -> SourceList:
    """List the sources; a stale one is not trusted to say that all is well."""
    pictures: Pictures = request.app.state.pictures
    now = app.clock.now()
    found = [
        _shown(source, now)
        for tenant in tenants_of(app, caller)
        for source in await pictures.sources(tenant)
    ]
    return SourceList(items=found, next=None)


def _shown(source: Source, now: datetime) -> SourceOut:
    record = source.record
    error = None if record is None else record.last_error
    return SourceOut(
        id=source.id,
        tenant=source.tenant,
        kind=source.kind,
        name=source.name,
        state=source.state,
        last_complete_at=source.last_complete_at,
        last_error=None
        if error is None
        else SourceErrorOut(code=error.code, text=error.text, remedy=error.remedy, at=error.at),
        checkpoint=_plain(None if record is None else record.checkpoint),
        unreadable=0 if record is None else record.unreadable,
        unreadable_items=_unreadable(record),
        lanes=[] if record is None else _lanes(record, now),
        budget=_plain(None if record is None else record.budget),
        lease=_lease(source.holder),
    )


def _lanes(record: SourceRecord, now: datetime) -> list[LaneOut]:
    lanes: dict[str, Any] = (record.checkpoint or {}).get("lanes") or {}
    return [
        LaneOut(
            name=name,
            last_complete_at=(at := datetime.fromisoformat(lane["at"])),
            interval_seconds=(seconds := float(lane["interval_seconds"])),
            stale=is_overdue(at, timedelta(seconds=seconds), now),
        )
        for name, lane in sorted(lanes.items())
    ]


def _unreadable(record: SourceRecord | None) -> list[UnreadableOut]:
    checkpoint = (None if record is None else record.checkpoint) or {}
    items: dict[str, str] = checkpoint.get("unreadable") or {}
    return [UnreadableOut(id=key, reason=why) for key, why in sorted(items.items())]


def _lease(holder: Holder | None) -> LeaseOut | None:
    if holder is None:
        return None
    return LeaseOut(replica=holder.replica, since=holder.since, alive=holder.alive)


def _plain(value: Any) -> dict[str, Any] | None:
    return None if value is None else dict(value)
