"""Polling: read an advisory source, hand on what changed, and keep account of its freshness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from sqlalchemy import Connection

from app.core import advisory as core
from app.core.events import EventType
from app.core.ports import AdvisoryRead, AdvisorySource, SourceUnreadable
from app.core.signal import Advisory
from app.core.types import SignalId, SourceKind, TenantId
from app.kit.clock import Clock
from app.store import advisories, sources
from app.store.engine import Database
from app.store.sources import SourceRecord

ABSENT_READS = 2  # complete reads without an open advisory before it counts as withdrawn
BACKOFF_DOUBLINGS = 2  # a failing read is tried again after 1, 2, 4, 4, … hot intervals
# Faults of the set-up: a person must act, so hammering helps nobody.
SETTLED = frozenset({"forbidden", "unauthorized", "token_refused"})


class Append(Protocol):
    """Where changed revisions go: ``Intake.append_advisories``."""

    async def __call__(
        self,
        tenant: TenantId,
        advisories: Sequence[Advisory],
        raw: Mapping[str, bytes] | None = None,
        *,
        source: str,
        now: datetime,
    ) -> object:
        """Return after the commit."""
        ...


class Announce(Protocol):
    """Tells a fact that is about no incident: ``Fold.news``."""

    async def __call__(
        self,
        tenant: TenantId,
        kind: EventType,
        facts: dict[str, Any],
        *,
        actor: str,
        reason: str,
    ) -> None:
        """Return after the commit."""
        ...


@runtime_checkable
class Budgeted(Protocol):
    """A source that keeps within a share of requests."""

    def budget(self, now: datetime) -> dict[str, int]:
        """Say how much of the share is used."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often to read: while something is open, while nothing is, and everything."""

    hot: timedelta = timedelta(seconds=60)
    calm: timedelta = timedelta(seconds=300)
    reconcile: timedelta = timedelta(seconds=900)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What is known before a step."""

    record: SourceRecord | None
    open_ids: tuple[str, ...]
    hot: bool

    @property
    def marks(self) -> Mapping[str, Any]:
        """The checkpoint, empty before the first complete read."""
        return (self.record and self.record.checkpoint) or {}


class Poll:
    """Reads one source of one tenant; its caller repeats ``step`` after the wait that it gives."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        source: AdvisorySource,
        *,
        tenant: TenantId,
        append: Append,
        announce: Announce,
        cadence: Cadence,
        kind: str = "graph",
        title: str = "Microsoft Graph service health",
    ) -> None:
        """Prepare.

        Args:
            db: where advisories and the standing of sources are kept.
            clock: gives the time of the story.
            source: what is read.
            tenant: whose services.
            append: takes changed revisions into the intake log.
            announce: tells that the source went stale, recovered, or said an unknown word.
            cadence: how often.
            kind: kind of source, as ``GET /sources`` names it.
            title: name of the source for people.
        """
        self._db = db
        self._clock = clock
        self._source = source
        self._tenant = tenant
        self._append = append
        self._announce = announce
        self._cadence = cadence
        self._kind = kind
        self._title = title
        self._tried_at: datetime | None = None
        self._hold_until: datetime | None = None
        self._failures = 0

    async def step(self) -> timedelta:
        """Read if it is time to, and give the wait until the next step, in time of the story.

        The wait is never longer than the hot interval, so that a calm source notices trouble.
        """
        now = self._clock.now()
        before = await self._db.read(self._look)
        due = self._due_at(before)
        if due is not None and now < due:
            await self._tell_if_stale(before.record, now)
            return min(due - now, self._cadence.hot)
        self._tried_at = now
        full_at = _full_at(before)
        full = full_at is None or now - full_at >= self._cadence.reconcile
        try:
            read = await self._source.read(known_open=before.open_ids, full=full, now=now)
        except SourceUnreadable as error:
            return await self._failed(error, before, now)
        await self._take(read, before, now)
        self._failures, self._hold_until = 0, None
        return max(now + self._cadence.hot - self._clock.now(), timedelta())

    def _look(self, c: Connection) -> _Before:
        open_ids = advisories.open_ids(c, self._tenant)
        return _Before(
            record=sources.get(c, self._tenant, self._source.name),
            open_ids=open_ids,
            hot=bool(open_ids) or sources.trouble_is_open(c, self._tenant),
        )

    def _interval(self, before: _Before) -> timedelta:
        return self._cadence.hot if before.hot else self._cadence.calm

    def _due_at(self, before: _Before) -> datetime | None:
        if self._tried_at is None:
            return None
        return self._hold_until or self._tried_at + self._interval(before)

    # -- a failed read -----------------------------------------------------------------------

    async def _failed(self, error: SourceUnreadable, before: _Before, now: datetime) -> timedelta:
        doublings = min(self._failures, BACKOFF_DOUBLINGS)
        wait = min(self._cadence.hot * float(2**doublings), self._cadence.calm)
        if error.code in SETTLED:
            wait = self._cadence.calm
        wait = max(wait, error.retry_after or timedelta())
        self._failures += 1
        self._hold_until = now + wait
        record = await self._db.write(lambda c: self._note_error(c, error, before, now))
        await self._tell_if_stale(record, now)
        return min(wait, self._cadence.hot)

    def _note_error(
        self, c: Connection, error: SourceUnreadable, before: _Before, now: datetime
    ) -> SourceRecord:
        return sources.record_error(
            c,
            self._tenant,
            self._source.name,
            kind=self._kind,
            name=self._title,
            interval=self._interval(before),
            now=now,
            code=error.code,
            text=error.text,
            remedy=error.remedy,
            budget=self._budget(now),
        )

    async def _tell_if_stale(self, record: SourceRecord | None, now: datetime) -> None:
        if record is None or record.stale_announced or not sources.is_stale(record, now):
            return
        error = record.last_error
        facts = {
            **self._facts(),
            "last_complete_at": _stamp(record.last_complete_at),
            "error": {"code": error.code, "text": error.text, "remedy": error.remedy}
            if error
            else None,
        }
        reason = error.code if error else "silent"
        await self._tell(EventType.SOURCE_STALE, facts, reason=reason)
        await self._db.write(lambda c: sources.mark_stale(c, self._tenant, record.id))

    # -- a complete read ---------------------------------------------------------------------

    async def _take(self, read: AdvisoryRead, before: _Before, now: datetime) -> None:
        """Hand on what changed, then note the read; a crash between the two repeats harmlessly."""
        served = {advisory.vendor_id for advisory in read.advisories}
        absent = _absences(before, {*served, *read.raw}) if read.complete else {}
        gone = {key for key, times in absent.items() if times >= ABSENT_READS}
        known = await self._db.read(lambda c: advisories.by_ids(c, self._tenant, served | gone))
        stored = {key: kept.advisory for key, kept in known.items()}
        primed = before.record is None or before.record.first_read_at is None
        fresh = [self._revision(a, stored.get(a.vendor_id), primed=primed) for a in read.advisories]
        news = [advisory for advisory in fresh if advisory is not None]
        news += [self._withdrawal(stored[key], now) for key in sorted(gone) if key in stored]
        if news:
            raw = {a.vendor_id: read.raw[a.vendor_id] for a in news if a.vendor_id in read.raw}
            await self._append(self._tenant, news, raw, source=self._source.name, now=now)
        told = await self._tell_unknown(read, before)
        if not read.complete:
            return
        if before.record is not None and before.record.stale_announced:
            facts = {**self._facts(), "stale_since": _stamp(before.record.last_complete_at)}
            await self._tell(EventType.SOURCE_RECOVERED, facts, reason="complete_read")
        full_at = now if read.full else _full_at(before)
        marks = {
            "full_at": _stamp(full_at),
            "absent": {key: times for key, times in absent.items() if key not in gone},
            "told": told,
        }
        await self._db.write(lambda c: self._note_complete(c, read, marks, now))

    def _note_complete(
        self,
        c: Connection,
        read: AdvisoryRead,
        marks: Mapping[str, Any],
        now: datetime,
    ) -> None:
        # What this read brought may not be folded yet, and it decides when we come again.
        hot = any(not a.is_resolved for a in read.advisories)
        hot = hot or sources.trouble_is_open(c, self._tenant)
        sources.record_complete(
            c,
            self._tenant,
            self._source.name,
            kind=self._kind,
            name=self._title,
            interval=self._cadence.hot if hot else self._cadence.calm,
            now=now,
            checkpoint=marks,
            unreadable=read.unreadable,
            budget=self._budget(now),
        )

    def _revision(
        self, fresh: Advisory, stored: Advisory | None, *, primed: bool
    ) -> Advisory | None:
        """Make the revision that a read brought, or None where nothing changed its meaning."""
        if stored is None:
            made = replace(fresh, primed=primed)
            return replace(made, id=self._id(made, None))
        merged = core.keep_vanished_posts(fresh, stored)
        # Both are digested here and now, so that a release that digests otherwise changes nothing.
        if core.digest_of(merged) == core.digest_of(stored):
            return None
        made = replace(merged, first_seen_at=stored.first_seen_at, primed=False)
        return replace(made, id=self._id(made, stored))

    def _withdrawal(self, stored: Advisory, now: datetime) -> Advisory:
        gone = core.withdraw(stored, now=now)
        return replace(gone, id=self._id(gone, stored))

    def _id(self, made: Advisory, stored: Advisory | None) -> SignalId:
        follows = None if stored is None else stored.id
        return core.revision_id(
            made, tenant=self._tenant, source=self._source.name, follows=follows
        )

    async def _tell_unknown(self, read: AdvisoryRead, before: _Before) -> list[list[str]]:
        told = [list(pair) for pair in before.marks.get("told") or []]
        for name, value in read.unknown_values:
            if [name, value] in told:
                continue
            facts = {**self._facts(), "field": name, "value": value}
            await self._tell(EventType.SOURCE_UNKNOWN_VALUE, facts, reason="unknown_value")
            told.append([name, value])
        return told

    async def _tell(self, kind: EventType, facts: dict[str, Any], *, reason: str) -> None:
        await self._announce(self._tenant, kind, facts, actor=self._source.name, reason=reason)

    def _facts(self) -> dict[str, Any]:
        return {"source": self._source.name, "kind": SourceKind.ADVISORY.value}

    def _budget(self, now: datetime) -> dict[str, int] | None:
        return self._source.budget(now) if isinstance(self._source, Budgeted) else None


def _absences(before: _Before, served: set[str]) -> dict[str, int]:
    """Count for each open advisory how many complete reads in a row went without it."""
    counts = before.marks.get("absent") or {}
    return {key: counts.get(key, 0) + 1 for key in before.open_ids if key not in served}


def _full_at(before: _Before) -> datetime | None:
    text = before.marks.get("full_at")
    return datetime.fromisoformat(text) if text else None


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
