"""Bells: coalesced wake-ups between loops of one process; polling is the backstop."""

import asyncio


class Bell:
    """Rung by whoever made work, awaited by the loop that does it; many rings are one wake-up."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the waiter; must be called on the event loop's thread."""
        self._event.set()

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
