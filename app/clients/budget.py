"""Budget: how many requests may be sent in a minute and in an hour, counted as they are sent."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from app.clients.errors import VendorError

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Budget:
    """Counts the requests of one application at one tenant; never lets one too many go.

    Both windows slide, as those of the vendor do, so no boundary can be straddled.
    """

    def __init__(self, per_hour: int, per_minute: int, now: Callable[[], datetime]) -> None:
        self.per_hour = per_hour
        self.per_minute = per_minute
        self._now = now
        self._sent: deque[datetime] = deque()

    def take(self) -> None:
        """Count one request that is about to be sent.

        Raises:
            VendorError: ``budget``; ``retry_after`` says when the next one may go.
        """
        now = self._now()
        wait = self._wait(now)
        if wait is not None:
            text = "This share of requests is used up for now."
            raise VendorError("budget", text, retry_after=wait)
        self._sent.append(now)

    def resume(self, hour: int, minute: int, at: datetime) -> None:
        """Count what a process before this one sent in the hour and the minute up to an instant.

        Whoever counts already counts on; when each request left is not known, so all count as late
        as can be.
        """
        if not self._sent:
            lately = min(minute, hour)
            self._sent.extend([at - MINUTE] * (hour - lately) + [at] * lately)

    def used(self, now: datetime) -> tuple[int, int]:
        """How many were sent in the last hour and in the last minute."""
        while self._sent and self._sent[0] <= now - HOUR:
            self._sent.popleft()
        return len(self._sent), sum(1 for at in self._sent if at > now - MINUTE)

    def _wait(self, now: datetime) -> timedelta | None:
        hour, minute = self.used(now)
        if hour >= self.per_hour:
            return self._sent[hour - self.per_hour] + HOUR - now
        if minute >= self.per_minute:
            return self._sent[hour - self.per_minute] + MINUTE - now
        return None
