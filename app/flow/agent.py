"""An agent's results: durable in its spool first, then handed to Sextant, oldest first, once.

A batch is deleted only after Sextant said that it is durable there. If the agent dies in between,
the batch is sent again, and Sextant knows each result by its id; so nothing is lost, and nothing
counts twice.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from app.core.ports import Posted, PostVerdict, Upstream
from app.core.signal import ProbeResult
from app.core.types import TenantId
from app.kit.wake import Bell
from app.store import spool
from app.store.engine import Database

log = logging.getLogger(__name__)

BATCH = 500  # results of one request, about 250 kB before compression
IDLE_SECONDS = 5.0  # between two looks into an empty spool
WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)  # seconds after a failed request; the last repeats
SPREAD = 0.2  # of a wait, to either side, so that many agents do not come back together


class Spool:
    """Takes results in, as ``flow.probe.ResultIntake`` wants it."""

    def __init__(
        self, db: Database, *, encode: Callable[[ProbeResult], bytes], bell: Bell, most: int
    ) -> None:
        """Prepare; ``most`` results are kept, and older ones given up."""
        self._db = db
        self._encode = encode
        self._bell = bell
        self._most = most

    async def append_probe_results(
        self, tenant: TenantId, signals: Sequence[ProbeResult], *, source: str, now: datetime
    ) -> None:
        """Keep results; returns when they are durable here.

        Raises:
            StorageUnavailable: the file cannot be written; nothing was kept.
        """
        del tenant, source, now
        lines = [self._encode(signal) for signal in signals]
        lost = await self._db.write(lambda c: spool.append(c, lines, most=self._most))
        if lost:
            log.error("spool_overflows", extra={"lost": lost, "most": self._most})
        self._bell.ring()


class Courier:
    """Hands the spool over, one request at a time, so that the order holds."""

    def __init__(
        self, db: Database, upstream: Upstream, *, bell: Bell, jitter: Callable[[], float]
    ) -> None:
        """Prepare; ``jitter`` draws from 0 to 1."""
        self._db = db
        self._upstream = upstream
        self._bell = bell
        self._jitter = jitter
        self._size = BATCH
        self._failures = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until told to stop."""
        while not stop.is_set():
            wait = await self.step()
            if wait > 0:
                await self._rest(stop, wait)

    async def step(self) -> float:
        """Deliver one batch; gives the seconds to wait before the next."""
        size = self._size
        batch = await self._db.read(lambda c: spool.oldest(c, size))
        if not batch:
            return IDLE_SECONDS
        posted = await self._upstream.post([waiting.line for waiting in batch])
        match posted.verdict:
            case PostVerdict.TAKEN:
                self._failures = 0
                self._size = min(BATCH, self._size * 2)
                for index, detail in posted.rejected:
                    log.error("result_rejected", extra={"index": index, "detail": detail})
            case PostVerdict.TOO_LARGE if size > 1:
                self._size = size // 2
                return 0.0
            case PostVerdict.TOO_LARGE | PostVerdict.UNREADABLE:
                facts = {"count": len(batch), "detail": posted.detail}
                log.error("results_refused", extra=facts)  # asking again would not change it
            case PostVerdict.LATER:
                return self._wait(posted)
        last = batch[-1].seq
        await self._db.write(lambda c: spool.forget(c, last))
        return 0.0

    def _wait(self, posted: Posted) -> float:
        wait = WAITS[min(self._failures, len(WAITS) - 1)]
        self._failures += 1
        asked = posted.retry_after.total_seconds() if posted.retry_after else 0.0
        log.warning("sextant_unreachable", extra={"detail": posted.detail, "wait": wait})
        return max(min(asked, WAITS[-1] * 5), wait * (1 + SPREAD * (2 * self._jitter() - 1)))

    async def _rest(self, stop: asyncio.Event, seconds: float) -> None:
        """Wait; a new result ends the idling, but not the wait after a failure."""
        idle = self._failures == 0
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
        if idle:
            tasks.append(asyncio.create_task(self._bell.wait(seconds)))
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
