"""The loops: the fold leaves the interpreter to intake while a storm presses."""

import asyncio
import time
from typing import Any

import pytest

from app import workers
from app.core.types import TenantId
from app.kit.wake import Bell

TOOK = 0.1  # seconds of a step
STEPS = 4


class Stepping:
    """Stands in for the fold: each step takes a while, and rings when something comes in."""

    def __init__(self, bell: Bell, *, pressed: bool, more: bool) -> None:
        self._bell = bell
        self._pressed = pressed
        self._more = more
        self.begun: list[float] = []
        self.enough = asyncio.Event()

    async def due(self) -> list[TenantId]:
        return [TenantId("contoso")]

    async def step(self, _: TenantId) -> bool:
        self.begun.append(time.monotonic())
        if len(self.begun) == STEPS:
            self.enough.set()
        await asyncio.sleep(TOOK)
        if self._pressed:
            self._bell.ring()
        return self._more


async def gaps(*, pressed: bool, more: bool) -> list[float]:
    """How long it was from the end of a step to the next."""
    bell, stop = Bell(), asyncio.Event()
    fold: Any = Stepping(bell, pressed=pressed, more=more)
    loop = asyncio.create_task(workers.fold_loop(fold, bell, stop, speed=1.0))
    await fold.enough.wait()
    stop.set()
    bell.ring()
    await loop
    pairs = zip(fold.begun, fold.begun[1:], strict=False)
    return [later - earlier - TOOK for earlier, later in pairs]


@pytest.mark.parametrize("more", [True, False])
async def test_a_pressed_fold_rests_longer_than_it_worked(*, more: bool) -> None:
    assert min(await gaps(pressed=True, more=more)) >= TOOK * workers.REST * 0.9


async def test_a_backlog_alone_is_folded_without_rest() -> None:
    assert min(await gaps(pressed=False, more=True)) < workers.LEAST_WAIT / 2
