"""Polling: read an advisory source, hand on what changed, and keep account of its freshness."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from app.core import advisory as core
from app.core.events import EventType
from app.core.ports import AdvisoryRead, AdvisorySource, SourceUnreadable
from app.core.signal import Advisory
from app.core.types import SignalId, SourceKind, TenantId
from app.flow.marks import ABSENT_READS, ALL, OPEN, Lane, Marks, is_older
from app.flow.poll_terms import Announce, Append, Budgeted, Cadence
from app.flow.witness import TakeResults, Witness, probes_are_red
from app.kit.clock import Clock
from app.store import advisories, sources
from app.store.engine import Database
from app.store.sources import SourceRecord

BACKOFF_DOUBLINGS = 2  # a failing read is tried again after 1, 2, 4, 4, … hot intervals
FULL_DOUBLINGS = 6  # a failing read of everything is put off for longer, the open ones go on
# What moved so recently is worth reading often; some advisories stay open for months.
HOT_FOR = timedelta(hours=12)
# Faults of the set-up: a person must act, so hammering helps nobody.
SETTLED = frozenset(
    {"forbidden", "unauthorized", "token_refused", "credential_unreadable", "ca_unreadable"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What is known before a step."""

    record: SourceRecord | None
    open_ids: tuple[str, ...]
    hot: bool
    trouble: bool  # an incident is open and moves

    @property
    def marks(self) -> Marks:
        """The memory, empty before the first complete read."""
        return Marks.read(None if self.record is None else self.record.checkpoint)

    @property
    def is_first(self) -> bool:
        """Whether the source was never read completely."""
        return self.record is None or self.record.first_read_at is None


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
        witness: TakeResults | None = None,
        draw: Callable[[], float] = lambda: 0.5,
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
            witness: takes failed readings as evidence beside other trouble; None keeps silent.
            draw: from 0 to 1, for jitter; 0.5 is none.
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
        self._witness = None if witness is None else Witness(tenant, source.name, witness)
        self._draw = draw
        self._kind = kind
        self._title = title
        self._begun_at = clock.now()
        self._first_at = self._begun_at + cadence.spread * draw()
        self._tried_at: datetime | None = None
        self._factor = 1.0
        self._hot = False  # what the last read itself said, which may not be folded yet
        self._hold_until: datetime | None = None
        self._failures = 0
        self._full_failures = 0
        self._full_hold: datetime | None = None

    async def step(self) -> timedelta:
        """Read if it is time to, and give the wait until the next step, in time of the story.

        The wait is never longer than the hot interval, so that a calm source notices trouble.
        """
        now = self._clock.now()
        before = await self._db.read(lambda c: self._look(c, now))
        due = self._due_at(before)
        if now < due:
            await self._tell_if_stale(before.record, now)
            return min(due - now, self._cadence.hot)
        self._tried_at, self._factor = now, 1 + self._cadence.jitter * (2 * self._draw() - 1)
        full = self._is_full_due(before, now)
        try:
            read = await self._source.read(known_open=before.open_ids, full=full, now=now)
        except SourceUnreadable as error:
            return await self._failed(error, before, now, full=full)
        self._hot = await self._take(read, before, now)
        self._failures, self._hold_until = 0, None
        if read.full:
            self._full_failures, self._full_hold = 0, None
        interval = self._cadence.hot if self._hot else self._cadence.calm
        wait = now + interval * self._factor - self._clock.now()
        return max(min(wait, self._cadence.hot), timedelta())

    def _look(self, c: Connection, now: datetime) -> _Before:
        trouble = sources.trouble_is_open(c, self._tenant, since=now - HOT_FOR)
        moving = advisories.open_ids(c, self._tenant, since=now - HOT_FOR)
        return _Before(
            record=sources.get(c, self._tenant, self._source.name),
            open_ids=self._own(advisories.open_ids(c, self._tenant)),
            hot=trouble or bool(self._own(moving)),
            trouble=trouble,
        )

    def _own(self, vendor_ids: Sequence[str]) -> tuple[str, ...]:
        return tuple(key for key in vendor_ids if self._source.owns(key))

    def _due_at(self, before: _Before) -> datetime:
        interval = self._cadence.hot if before.hot or self._hot else self._cadence.calm
        if self._tried_at is None:  # whoever takes over keeps the step of who read before
            read_at = before.record.last_complete_at if before.record else None
            if read_at is not None and self._begun_at - interval < read_at <= self._begun_at:
                return read_at + interval
            return self._first_at
        return self._hold_until or self._tried_at + interval * self._factor

    def _is_full_due(self, before: _Before, now: datetime) -> bool:
        """Whether to read everything; while that fails, the open ones are still worth reading."""
        full_at = before.marks.read_at(ALL)
        if before.is_first or full_at is None:
            return True
        if self._full_hold is not None and now < self._full_hold:
            return False
        return now - full_at >= self._cadence.reconcile

    # -- a failed read -----------------------------------------------------------------------

    async def _failed(
        self, error: SourceUnreadable, before: _Before, now: datetime, *, full: bool
    ) -> timedelta:
        doublings = min(self._failures, BACKOFF_DOUBLINGS)
        wait = min(self._cadence.hot * float(2**doublings), self._cadence.calm)
        if error.code in SETTLED:
            wait = self._cadence.calm
        wait = max(wait * self._factor, error.retry_after or timedelta())
        self._failures += 1
        self._hold_until = now + wait
        if full:
            longer = self._cadence.hot * float(2 ** min(self._full_failures, FULL_DOUBLINGS))
            self._full_hold = now + min(longer + wait, self._cadence.reconcile)
            self._full_failures += 1
        record = await self._db.write(lambda c: self._note_error(c, error, before, now))
        if self._witness is not None:
            red = await self._db.read(lambda c: probes_are_red(c, self._tenant, now))
            await self._witness.failed(error.code, error.text, trouble=red, now=now)
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
            interval=self._cadence.hot if before.hot else self._cadence.calm,
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
        await self._tell(
            EventType.SOURCE_STALE, facts, reason=reason,
            also=lambda c: sources.mark_stale(c, self._tenant, record.id),
        )  # fmt: skip

    # -- a complete read ---------------------------------------------------------------------

    async def _take(self, read: AdvisoryRead, before: _Before, now: datetime) -> bool:
        """Hand on what changed, then note the read; a crash between the two repeats harmlessly.

        Returns:
            Whether the source is worth reading often now.
        """
        marks = before.marks
        served = {advisory.vendor_id for advisory in read.advisories}
        absent = marks.absences(before.open_ids, {*served, *read.raw}) if read.complete else {}
        gone = {key for key, times in absent.items() if times >= ABSENT_READS}
        known = await self._db.read(lambda c: advisories.by_ids(c, self._tenant, served | gone))
        stored = {key: kept.advisory for key, kept in known.items()}
        older: dict[str, str] = {}
        news = []
        for fresh in read.advisories:
            made = self._revision(fresh, stored.get(fresh.vendor_id), before, older)
            news += [] if made is None else [made]
        news += [self._withdrawal(stored[key], now) for key in sorted(gone) if key in stored]
        if news:
            raw = {a.vendor_id: read.raw[a.vendor_id] for a in news if a.vendor_id in read.raw}
            await self._append(self._tenant, news, raw, source=self._source.name, now=now)
        told = await self._tell_unknown(read, marks)
        moved = [a.last_modified_at for a in read.advisories if not a.is_resolved]
        fresh_news = any(not a.is_resolved for a in news)
        hot = before.trouble or fresh_news or any(now - at < HOT_FOR for at in moved)
        if read.complete:
            await self._complete(read, before, now, hot=hot, marks=replace(
                marks,
                absent={key: times for key, times in absent.items() if key not in gone},
                older=older,
                told=told,
                unreadable=marks.still_unreadable(read),
            ))  # fmt: skip
        return hot

    async def _complete(
        self, read: AdvisoryRead, before: _Before, now: datetime, *, hot: bool, marks: Marks
    ) -> None:
        if before.record is not None and before.record.stale_announced:
            facts = {**self._facts(), "stale_since": _stamp(before.record.last_complete_at)}
            await self._tell(
                EventType.SOURCE_RECOVERED, facts, reason="complete_read",
                also=lambda c: sources.mark_stale(c, self._tenant, self._source.name, stale=False),
            )  # fmt: skip
        interval = self._cadence.hot if hot else self._cadence.calm
        lanes = {**marks.lanes, OPEN: Lane(now, interval)}
        if read.full:
            lanes[ALL] = Lane(now, self._cadence.reconcile)
        document = replace(marks, lanes=lanes).document()
        unreadable = max(read.unreadable, len(marks.unreadable))
        await self._db.write(
            lambda c: sources.record_complete(
                c,
                self._tenant,
                self._source.name,
                kind=self._kind,
                name=self._title,
                interval=interval,
                now=now,
                checkpoint=document,
                unreadable=unreadable,
                budget=self._budget(now),
            )
        )
        if self._witness is not None:
            await self._witness.succeeded(now=now)

    def _revision(
        self, fresh: Advisory, stored: Advisory | None, before: _Before, older: dict[str, str]
    ) -> Advisory | None:
        """Make the revision that a read brought, or None where nothing changed its meaning.

        What comes under an older stamp is put into ``older`` and waits until it is seen again.
        """
        if stored is None:
            made = replace(fresh, primed=before.is_first)
            return replace(made, id=self._id(made, None))
        if fresh.digest == stored.digest:  # the same words: the rule, and worth being quick about
            return None
        merged = core.keep_vanished_posts(fresh, stored)
        # Both are digested here and now, so that a release that digests otherwise changes nothing.
        digest = core.digest_of(merged)
        if digest == core.digest_of(stored):
            return None
        seen = before.marks.older.get(fresh.vendor_id) == digest
        if is_older(fresh, stored) and not seen:
            older[fresh.vendor_id] = digest
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

    async def _tell_unknown(self, read: AdvisoryRead, marks: Marks) -> tuple[tuple[str, str], ...]:
        told = marks.told
        for name, value in read.unknown_values:
            if (name, value) in told:
                continue
            facts = {**self._facts(), "field": name, "value": value}
            told = (*told, (name, value))
            document = replace(marks, told=told).document()
            await self._tell(
                EventType.SOURCE_UNKNOWN_VALUE, facts, reason="unknown_value",
                also=partial(self._remember, document),
            )  # fmt: skip
        return told

    def _remember(self, document: Mapping[str, Any], c: Connection) -> None:
        sources.put_checkpoint(c, self._tenant, self._source.name, document)

    async def _tell(
        self, kind: EventType, facts: dict[str, Any], *, reason: str,
        also: Callable[[Connection], Any],
    ) -> None:  # fmt: skip
        await self._announce(
            self._tenant, kind, facts, actor=self._source.name, reason=reason, also=also
        )

    def _facts(self) -> dict[str, Any]:
        return {"source": self._source.name, "kind": SourceKind.ADVISORY.value}

    def _budget(self, now: datetime) -> dict[str, int] | None:
        return self._source.budget(now) if isinstance(self._source, Budgeted) else None


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
