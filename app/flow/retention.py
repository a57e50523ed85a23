"""Retention: once an hour, what is older than the settings keep is deleted, step by step."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from app.core.types import TenantId
from app.kit.clock import Clock
from app.store import journal, retention
from app.store.engine import Database
from app.store.retention import Old

log = logging.getLogger(__name__)

PERIOD = timedelta(hours=1)
IDEMPOTENCY = timedelta(hours=24)  # answers to an Idempotency-Key are promised for so long
PAUSE_SECONDS = 0.05  # between steps, so that other writers come first

Find = Callable[[Connection], Old | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How long each class of what is stored is kept."""

    intake: timedelta
    probe_results: timedelta
    events: timedelta
    incidents: timedelta = timedelta(days=1095)
    audit: timedelta = timedelta(days=400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What of one class is kept no longer: rows written before an instant."""

    what: str
    before: datetime
    rows: int


class Retention:
    """Deletes what is no longer kept; its caller repeats ``step`` after the wait that it gives."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        tenants: Callable[[], Sequence[TenantId]],
        kept: Kept,
    ) -> None:
        self._db = db
        self._clock = clock
        self._tenants = tenants
        self._kept = kept

    def _classes(self, now: datetime) -> Iterator[tuple[str, datetime, Find]]:
        kept = self._kept
        for tenant in self._tenants():
            before = now - kept.intake
            yield "intake", before, partial(retention.old_intake, tenant=tenant, before=before)
        whole: tuple[tuple[str, timedelta, Callable[[datetime], Old]], ...] = (
            ("deliveries", kept.events, retention.old_deliveries),
            ("events", kept.events, retention.old_events),
            ("incidents", kept.incidents, retention.old_incidents),
            ("evidence", kept.incidents, lambda _: retention.old_evidence()),
            ("audit", kept.audit, retention.old_audit),
            ("replays", kept.intake, retention.old_replays),
            ("answers", IDEMPOTENCY, retention.old_answers),
            ("unmapped_codes", kept.intake, retention.old_codes),
            ("probes", kept.probe_results, retention.old_probes),
        )
        for what, age, find in whole:
            yield what, now - age, partial(_found, find=find, before=now - age)

    async def due(self) -> list[Due]:
        """Say what ``step`` would delete now, and delete nothing."""
        found: dict[str, Due] = {}
        for what, before, find in self._classes(self._clock.now()):
            rows = await self._db.read(partial(_count, find=find))
            known = found.get(what)
            total = rows if known is None else known.rows + rows
            found[what] = Due(what=what, before=before, rows=total)
        return list(found.values())

    async def step(self) -> timedelta:
        """Delete everything that is due, and give the wait until the next time."""
        now = self._clock.now()
        for tenant in self._tenants():
            steps = partial(journal.forget, tenant=tenant, before=now - self._kept.intake)
            await self._db.write(steps)
        for what, _, find in self._classes(now):
            await self._all(what, partial(_forget, find=find))
        return PERIOD

    async def _all(self, what: str, unit: Callable[[Connection], int]) -> None:
        total = 0
        while deleted := await self._db.write(unit):
            total += deleted
            if deleted < retention.STEP:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        if total:
            log.info("forgotten", extra={"what": what, "rows": total})


def _found(_: Connection, *, find: Callable[[datetime], Old], before: datetime) -> Old:
    return find(before)


def _count(c: Connection, *, find: Find) -> int:
    old = find(c)
    return 0 if old is None else retention.count(c, old)


def _forget(c: Connection, *, find: Find) -> int:
    old = find(c)
    return 0 if old is None else retention.forget(c, old)
