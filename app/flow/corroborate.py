"""Corroboration: the vendor's public pages read on a period, their word stored as evidence."""

from collections.abc import Callable
from datetime import timedelta

from app.core.events import EventType
from app.core.ports import SourceUnreadable, StatusFeed
from app.core.types import TenantId
from app.flow.poll_terms import Announce
from app.flow.witness import TakeResults
from app.kit.clock import Clock
from app.store import sources
from app.store.engine import Database

KIND = "status_feed"
JITTER = 0.05  # share of the period


class Corroborate:
    """Reads one feed for one tenant; its caller repeats ``step`` after the wait that it gives.

    A page that cannot be reached is a stale source of little weight, and never an outage.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        feed: StatusFeed,
        *,
        tenant: TenantId,
        take: TakeResults,
        announce: Announce,
        period: timedelta,
        draw: Callable[[], float] = lambda: 0.5,
    ) -> None:
        """Prepare.

        Args:
            db: where the standing of sources is kept.
            clock: gives the time of the story.
            feed: what is read.
            tenant: whose evidence it becomes.
            take: takes results into the intake log.
            announce: tells that the source went stale or recovered.
            period: between two reads.
            draw: from 0 to 1, for jitter; 0.5 is none.
        """
        self._db = db
        self._clock = clock
        self._feed = feed
        self._tenant = tenant
        self._take = take
        self._announce = announce
        self._period = period
        self._draw = draw

    async def step(self) -> timedelta:
        """Read, store, and give the wait until the next read, in time of the story."""
        now = self._clock.now()
        wait = self._period * (1 + JITTER * (2 * self._draw() - 1))
        name, tenant = self._feed.name, self._tenant
        try:
            read = await self._feed.read(tenant=tenant, now=now)
        except SourceUnreadable as error:
            return max(wait, await self._failed(error))
        if read.results:
            await self._take(tenant, read.results, source=name, now=now)
        before = await self._db.read(lambda c: sources.get(c, tenant, name))
        if before is not None and before.stale_announced:
            facts = {"source": name, "kind": KIND}
            await self._announce(
                tenant, EventType.SOURCE_RECOVERED, facts, actor=name, reason="complete_read",
                also=lambda c: sources.mark_stale(c, tenant, name, stale=False),
            )  # fmt: skip
        await self._db.write(
            lambda c: sources.record_complete(
                c,
                tenant,
                name,
                kind=KIND,
                name=self._feed.title,
                interval=self._period,
                now=now,
                checkpoint={"said": list(read.said)},
            )
        )
        return wait

    async def _failed(self, error: SourceUnreadable) -> timedelta:
        now, name, tenant = self._clock.now(), self._feed.name, self._tenant
        record = await self._db.write(
            lambda c: sources.record_error(
                c,
                tenant,
                name,
                kind=KIND,
                name=self._feed.title,
                interval=self._period,
                now=now,
                code=error.code,
                text=error.text,
                remedy=error.remedy,
            )
        )
        if sources.is_stale(record, now) and not record.stale_announced:
            facts = {
                "source": name,
                "kind": KIND,
                "error": {"code": error.code, "text": error.text, "remedy": error.remedy},
            }
            await self._announce(
                tenant, EventType.SOURCE_STALE, facts, actor=name, reason=error.code,
                also=lambda c: sources.mark_stale(c, tenant, name),
            )  # fmt: skip
        return error.retry_after or timedelta()
