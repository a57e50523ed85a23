"""Bells: coalesced wake-ups between loops of one process; polling is the backstop."""

import asyncio
from collections.abc import Callable


class Bell:
    """Rung by whoever made work, awaited by the loop that does it; many rings are one wake-up."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._followers: list[Callable[[], None]] = []

    def follow(self, called: Callable[[], None]) -> None:
        """Have something called at each ring that was made here."""
        self._followers.append(called)

    def ring(self, *, here: bool = True) -> None:
        """Wake the waiter; must be called on the event loop's thread.

        ``here`` is False for a ring that another process made, which nobody is told of again.
        """
        self._event.set()
        if here:
            for called in self._followers:
                called()

    @property
    def is_rung(self) -> bool:
        """Whether it was rung since the last wait ended."""
        return self._event.is_set()

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for a ring, at most so long; True when rung."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
