"""The loops: the fold leaves the interpreter to intake while a storm presses."""

import asyncio
import time
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import pytest

from app import workers
from app.core.errors import StorageUnavailable
from app.core.types import TenantId
from app.flow.leases import Lease, Rhythm
from app.kit.wake import Bell

TOOK = 0.1  # seconds of a step
STEPS = 4
MINE = {TenantId("contoso"): Lease("fold:contoso", 1)}


class Stepping:
    """Stands in for the fold: each step takes a while, and rings when something comes in."""

    def __init__(self, bell: Bell, *, pressed: bool, more: bool) -> None:
        self._bell = bell
        self._pressed = pressed
        self._more = more
        self.begun: list[float] = []
        self.enough = asyncio.Event()

    async def due(self, among: Collection[TenantId]) -> list[TenantId]:
        return list(among)

    async def step(self, _: TenantId, lease: Lease) -> bool:
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
    loop = asyncio.create_task(workers.fold_loop(fold, bell, stop, mine=lambda: MINE, speed=1.0))
    await fold.enough.wait()
    stop.set()  # nobody rings: whoever waits for a ring ends none the less
    await loop
    pairs = zip(fold.begun, fold.begun[1:], strict=False)
    return [later - earlier - TOOK for earlier, later in pairs]


@pytest.mark.parametrize("more", [True, False])
async def test_a_pressed_fold_rests_longer_than_it_worked(*, more: bool) -> None:
    assert min(await gaps(pressed=True, more=more)) >= TOOK * workers.REST * 0.9


async def test_a_backlog_alone_is_folded_without_rest() -> None:
    assert min(await gaps(pressed=False, more=True)) < workers.LEAST_WAIT / 2


class Held:
    """Stands in for the leases of a replica: what is ours is said by the test."""

    rhythm = Rhythm(every=timedelta(seconds=0.01))

    def __init__(self) -> None:
        self.tokens: dict[str, int] = {}
        self.above: tuple[str, ...] = ()
        self.given: list[str] = []

    @property
    def held(self) -> tuple[Lease, ...]:
        return tuple(Lease(name, token) for name, token in self.tokens.items())

    async def tend(self, wanted: Collection[str]) -> tuple[str, ...]:
        above, self.above = self.above, ()
        return above

    async def give(self, names: Collection[str]) -> None:
        self.given += names

    async def leave(self) -> None:
        self.given += list(self.tokens)


async def test_loops_run_while_their_leases_are_ours() -> None:
    leases, crew, runs = Held(), workers.Crew(), []

    def starter(lease: Lease) -> workers.Loop:
        async def loop(stop: asyncio.Event) -> None:
            runs.append(("begun", lease.name, lease.token))
            await stop.wait()
            runs.append(("ended", lease.name, lease.token))

        return loop

    async def settled() -> list[tuple[str, str, int]]:
        await shifts.settle()
        await asyncio.sleep(0.01)
        told, runs[:] = list(runs), []
        return told

    shifts = workers.Shifts(crew, leases)  # type: ignore[arg-type]  # the part of it that counts
    shifts.want({"graph:a": starter, "graph:b": starter, "fold:a": None})
    assert await settled() == []
    leases.tokens = {"graph:a": 1, "fold:a": 4}
    assert await settled() == [("begun", "graph:a", 1)]
    assert shifts.folded() == {"a": Lease("fold:a", 4)}
    assert await settled() == []
    leases.tokens = {"graph:a": 3, "graph:b": 1}  # lost and had again: begun anew, under the token
    told = await settled()
    assert sorted(told) == [
        ("begun", "graph:a", 3),
        ("begun", "graph:b", 1),
        ("ended", "graph:a", 1),
    ]
    assert leases.given == []
    leases.tokens, leases.above = {"graph:a": 3}, ("graph:b",)
    assert await settled() == [("ended", "graph:b", 1)]
    assert leases.given == ["graph:b"]  # after its loop had ended
    await shifts.drop(["graph:a", "graph:unheard-of"])
    assert leases.given == ["graph:b", "graph:a"]
    assert len(crew) == 0


async def test_a_loop_whose_database_is_away_waits_and_one_that_breaks_is_an_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "BACKOFF_SECONDS", 0.0)
    stop = asyncio.Event()
    faults: list[Exception] = [
        StorageUnavailable(),
        ExceptionGroup(
            "checks", [StorageUnavailable(), ExceptionGroup("x", [StorageUnavailable()])]
        ),
        ExceptionGroup("checks", [StorageUnavailable(), ValueError("a bug")]),
    ]

    async def run() -> None:
        if not faults:
            stop.set()
            return
        raise faults.pop(0)

    await workers.guarded("probes:contoso", run, stop)
    assert [one.message for one in caplog.records] == ["loop_waits", "loop_waits", "loop_died"]


async def test_work_that_was_ended_already_is_ended_without_a_word() -> None:
    crew = workers.Crew()
    crew.start("probes:contoso", lambda stop: stop.wait())  # type: ignore[arg-type,return-value]
    await crew.end()
    await crew.end(["probes:contoso"])
    assert len(crew) == 0
