"""The clock: the one place that reads the time of day."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Gives the present instant, UTC and aware."""

    def now(self) -> datetime:
        """The present instant."""
        ...


class SystemClock:
    """Wall clock at start plus monotonic time, so that a step of the wall clock moves nothing."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> datetime:
        """The present instant; resynchronized when wall and monotonic drift apart by over 60 s."""
        at, wall = self._offset + time.monotonic(), time.time()
        if abs(wall - at) > 60:  # noqa: PLR2004 - a step, not drift
            self._offset, at = wall - time.monotonic(), wall
        return datetime.fromtimestamp(at, UTC)


class ScaledClock:
    """Virtual time from a given instant, running ``speed`` times as fast; for the demo."""

    def __init__(self, *, start: datetime, speed: float, mark: float | None = None) -> None:
        self._start = start
        self._speed = speed
        self._mark = time.time() if mark is None else mark

    def now(self) -> datetime:
        """The present virtual instant."""
        return self._start + timedelta(seconds=(time.time() - self._mark) * self._speed)


class FixedClock:
    """A clock that stands until it is moved; for tests and virtual runs."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """The instant it was set to."""
        return self.at
