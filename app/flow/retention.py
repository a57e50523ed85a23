"""Retention: once an hour, what is older than the settings keep is deleted, step by step."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection

from app.core.types import TenantId
from app.kit.clock import Clock
from app.store import idempotency, journal, probes, refolds, retention, unmapped
from app.store.engine import Database

log = logging.getLogger(__name__)

PERIOD = timedelta(hours=1)
IDEMPOTENCY = timedelta(hours=24)  # answers to an Idempotency-Key are promised for so long
PAUSE_SECONDS = 0.05  # between steps, so that other writers come first


class Retention:
    """Deletes what is no longer kept; its caller repeats ``step`` after the wait that it gives."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        tenants: Callable[[], Sequence[TenantId]],
        intake: timedelta,
        probe_results: timedelta,
        events: timedelta,
    ) -> None:
        self._db = db
        self._clock = clock
        self._tenants = tenants
        self._intake = intake
        self._probe_results = probe_results
        self._events = events

    async def step(self) -> timedelta:
        """Delete everything that is due, and give the wait until the next time."""
        now = self._clock.now()
        for tenant in self._tenants():
            unit = partial(retention.forget_intake, tenant=tenant, before=now - self._intake)
            await self._all("intake", unit)
            steps = partial(journal.forget, tenant=tenant, before=now - self._intake)
            await self._db.write(steps)
        events = now - self._events
        await self._all("deliveries", partial(retention.forget_deliveries, before=events))
        await self._all("events", partial(retention.forget_events, before=events))
        await self._all("replays", partial(refolds.forget, before=now - self._intake))
        kept = now - IDEMPOTENCY
        await self._all("idempotency", partial(idempotency.forget, before=kept))
        await self._all("unmapped_codes", partial(unmapped.forget, before=now - self._intake))
        silent = now - self._probe_results
        await self._all("probes", partial(probes.forget, before=silent))
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
