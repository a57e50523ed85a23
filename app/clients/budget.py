"""Budget: how many requests may be sent in a minute and in an hour, counted before they are."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from app.clients.errors import VendorError
from app.kit.windows import Limits, Windows

# Counts one request under a name, or says how long to wait; gives what is counted by then.
Count: TypeAlias = Callable[[str, Limits, datetime], Awaitable[tuple[Windows, timedelta | None]]]


class Budget:
    """Counts the requests of one application at one tenant; never lets one too many go."""

    def __init__(
        self, name: str, limits: Limits, now: Callable[[], datetime], count: Count | None = None
    ) -> None:
        """Prepare.

        Args:
            name: whose share it is; whoever uses the same name uses the same share.
            limits: how large the share is.
            now: gives the time.
            count: where requests are counted, so that others see them; None counts here alone.
        """
        self.limits = limits
        self._name = name
        self._now = now
        self._count = count or self._here
        self._counted: Windows | None = None

    async def take(self) -> None:
        """Count one request that is about to be sent.

        Raises:
            VendorError: ``budget``; ``retry_after`` says when the next one may go.
        """
        self._counted, wait = await self._count(self._name, self.limits, self._now())
        if wait is not None:
            text = "This share of requests is used up for now."
            raise VendorError("budget", text, retry_after=wait)

    def used(self, now: datetime) -> tuple[int, int] | None:
        """How many were counted for the last hour and the last minute when we last asked.

        None as long as we never did.
        """
        return None if self._counted is None else self._counted.used(now)

    async def _here(
        self, _: str, limits: Limits, now: datetime
    ) -> tuple[Windows, timedelta | None]:
        return (self._counted or Windows()).take(limits, now)
