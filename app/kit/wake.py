"""Bells: coalesced wake-ups between loops of one process; polling is the backstop."""

import asyncio
from collections.abc import Callable


class Bell:
    """Rung by whoever made work, awaited by the loop that does it; many rings are one wake-up."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._followers: list[Callable[[], None]] = []
        self._rings = 0
        self._listeners: set[asyncio.Future[None]] = set()

    def follow(self, called: Callable[[], None]) -> None:
        """Have something called at each ring that was made here."""
        self._followers.append(called)

    def ring(self, *, here: bool = True) -> None:
        """Wake the waiter; must be called on the event loop's thread.

        ``here`` is False for a ring that another process made, which nobody is told of again.
        """
        self._event.set()
        self._rings += 1
        for listener in self._listeners:
            if not listener.done():
                listener.set_result(None)
        if here:
            for called in self._followers:
                called()

    @property
    def is_rung(self) -> bool:
        """Whether it was rung since the last wait ended."""
        return self._event.is_set()

    @property
    def rings(self) -> int:
        """How often it was rung."""
        return self._rings

    async def beyond(self, rings: int, timeout_seconds: float) -> int:
        """Wait, at most so long, until it was rung more often than so; gives how often it was.

        Any number may listen like this, and none of them misses a ring or takes another's.
        """
        if self._rings == rings:
            listener = asyncio.get_running_loop().create_future()
            self._listeners.add(listener)
            try:
                async with asyncio.timeout(timeout_seconds):
                    await listener
            except TimeoutError:
                pass
            finally:
                self._listeners.discard(listener)
        return self._rings

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for a ring, at most so long; True when rung."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
