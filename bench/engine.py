"""The engine alone: what one step of ``decide`` costs, and how many reports it folds.

Method. In this process, without a server. *Story*: the outage of the tests' player (three
locations probed each minute, reports, advisories: five hours), one step a minute. *Storm*: batches
of 1,000 reports of one service from 5,200 users, one batch a second of the story's time, from a
calm start through the opened incident; then steps without signals over the state that they left,
because each note, tick and probe result pays for that. The floor is the least that a fold could do
with a report: one look at its fields and one count in a dict.
"""

import statistics
import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from app.core.signal import ClientReport, Signal
from bench.rig import spread
from tests.core.play import World, at, outage, reports

BATCH = 1_000


class Timed(World):
    """A player that times its steps."""

    def fold(self, now: datetime, signals: Iterable[Signal] = ()) -> None:
        """Fold, and note how long it took."""
        given = list(signals)
        begun = time.perf_counter()
        super().fold(now, given)
        self.times.append((time.perf_counter() - begun) * 1000)

    @property
    def times(self) -> list[float]:
        """Milliseconds of each step so far."""
        kept: list[float] = self.__dict__.setdefault("kept", [])
        return kept


def _story() -> dict[str, Any]:
    signals = outage()
    world = Timed()
    world.play(signals, until=at("09:30"))
    seconds = sum(world.times) / 1000
    return {
        "step": spread(world.times),
        "steps_per_second": len(world.times) / seconds,
        "signals_per_second": len(signals) / seconds,
    }


def _count(batch: list[ClientReport]) -> float:
    begun = time.perf_counter()
    cells: Counter[object] = Counter()
    for one in batch:
        key = (one.service, one.client, one.symptom, one.region, one.actor)
        cells[key, one.occurred_at.minute] += one.count
    return time.perf_counter() - begun


def _storm(batches: int) -> dict[str, Any]:
    world = Timed()
    begin = at("06:00")
    world.fold(begin)
    minutes = BATCH * 60.0
    end = begin + timedelta(seconds=batches)
    storm = reports(begin, end, per_minute=minutes, seed=7, pool=5_200)
    world.times.clear()
    floor = 0.0
    full = [storm[n : n + BATCH] for n in range(0, len(storm) - BATCH + 1, BATCH)]
    for number, batch in enumerate(full):
        floor += _count(batch)
        world.fold(begin + timedelta(seconds=number + 7), batch)
    folding = list(world.times)
    world.times.clear()
    for number in range(20):
        world.fold(end + timedelta(seconds=10 + number))
    rate = len(full) * BATCH / (sum(folding) / 1000)
    return {
        "step": spread(folding),
        "last": folding[-1],
        "reports_per_second": rate,
        "floor_ratio": rate / (len(full) * BATCH / floor),
        "idle_step": spread(world.times),
    }


def measure(*, rounds: int, batches: int) -> dict[str, Any]:
    """Play the story and the storm several times; the round with the median rate of each."""
    stories = [_story() for _ in range(rounds)]
    storms = [_storm(batches) for _ in range(rounds)]

    def middle(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
        wanted = statistics.median_low(one[name] for one in found)
        return next(one for one in found if one[name] == wanted)

    return {
        "story": middle(stories, "steps_per_second"),
        "storm": middle(storms, "reports_per_second"),
    }
