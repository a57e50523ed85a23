"""Token buckets: how often one caller may ask; each process counts for itself."""

import math
import time
from collections.abc import Callable

from app.core.errors import RateLimited

BURST_SECONDS = 4.0  # a bucket holds what is allowed in so long (design: 50 per second, burst 200)
MOST_BUCKETS = 10_000  # callers remembered; when there are more, full buckets are forgotten


class Buckets:
    """One bucket per caller; ``rate`` is in requests per second, 0 for no limit.

    ``burst`` is how many requests a full bucket holds; None: what comes in ``BURST_SECONDS``.
    """

    def __init__(
        self,
        rate: float,
        *,
        burst: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._size = max(rate * BURST_SECONDS if burst is None else burst, 1.0)
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> float:
        """Take one request out of a caller's bucket; gives how many are left.

        Raises:
            RateLimited: it is empty; ``retry_after_seconds`` says when one is there again.
        """
        if self._rate <= 0:
            return math.inf
        now = self._clock()
        level = self._level(caller, now)
        if level < 1.0:
            wait = math.ceil((1.0 - level) / self._rate)
            raise RateLimited(retry_after_seconds=wait)
        if len(self._levels) >= MOST_BUCKETS:
            self._forget(now)
        self._levels[caller] = (level - 1.0, now)
        return level - 1.0

    def _level(self, caller: str, now: float) -> float:
        level, at = self._levels.get(caller, (self._size, now))
        return min(self._size, level + (now - at) * self._rate)

    def _forget(self, now: float) -> None:
        self._levels = {
            caller: kept
            for caller, kept in self._levels.items()
            if self._level(caller, now) < self._size
        }
