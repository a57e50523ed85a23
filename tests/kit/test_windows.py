"""Sliding windows: never one too many in any of them, and no longer waited than there is need."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from app.kit.windows import HOUR, MINUTE, SLOT, Limits, Windows

START = datetime(2026, 3, 16, 6, tzinfo=UTC)
LIMITS = Limits(per_hour=40, per_minute=9)


@pytest.mark.parametrize("seed", range(5))
def test_no_window_ever_holds_more_than_it_may(seed: int) -> None:
    rng, now, counted = random.Random(seed), START, Windows()
    taken: list[datetime] = []
    for _ in range(600):
        now += timedelta(seconds=rng.choice((0, 0, 0.4, 3, 61, 400)))
        counted, wait = counted.take(LIMITS, now)
        if wait is None:
            taken.append(now)
            continue
        assert counted.take(LIMITS, now + wait)[1] is None  # it is long enough …
        assert counted.take(LIMITS, now + wait - SLOT / 1000)[1] is not None  # … and no longer
    assert len(taken) > 100
    for window, most in ((MINUTE, LIMITS.per_minute), (HOUR, LIMITS.per_hour)):
        assert max(sum(end - window < at <= end for at in taken) for end in taken) == most


def test_what_another_clock_counted_ahead_of_ours_is_not_forgotten() -> None:
    counted, _ = Windows().take(LIMITS, START + timedelta(minutes=10))
    counted, _ = counted.take(LIMITS, START)
    assert counted.used(START) == (2, 2)
    assert counted.used(START + HOUR + timedelta(minutes=5)) == (1, 0)


def test_a_clock_that_was_a_year_ahead_does_not_hold_us_up_for_a_year() -> None:
    counted = Windows()
    for _ in range(LIMITS.per_minute):
        counted, _ = counted.take(LIMITS, START + timedelta(days=365))
    counted, wait = counted.take(LIMITS, START)
    assert wait == MINUTE + SLOT
    assert counted.take(LIMITS, START + wait)[1] is None


def test_old_counts_are_let_go() -> None:
    counted = Windows()
    for hour in range(50):
        counted, _ = counted.take(LIMITS, START + 2 * hour * HOUR)
    assert len(counted.slots) == 1
