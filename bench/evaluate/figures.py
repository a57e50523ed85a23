"""Figures with their uncertainty: quantiles, bootstrap over seeds, Poisson for counts, ECE."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from typing import TypeVar

T = TypeVar("T")

RESAMPLES = 400  # of the bootstrap
SEED = 20260101  # of the bootstrap: the same runs give the same interval
TAIL = 0.025  # on each side of a 95 % interval
BINS = 10  # of the reliability table


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval and what it rests on."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0


def quantile(values: Sequence[float], part: float) -> float | None:
    """The value below which a part (0 to 1) lies; linear between ranks, infinite ones last."""
    if not values:
        return None
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    if ordered[low] == ordered[high] or place == low:
        return ordered[low]
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def mean(values: Sequence[float]) -> float | None:
    """The mean, or None of nothing."""
    return sum(values) / len(values) if values else None


def bootstrap(
    units: Sequence[T], figure: Callable[[Sequence[T]], float | None]
) -> tuple[float | None, float | None]:
    """The percentile interval of a figure over resampled units (the runs of seeds)."""
    if len(units) < 2:
        return None, None
    chance = random.Random(SEED)
    found = [figure(chance.choices(units, k=len(units))) for _ in range(RESAMPLES)]
    told = [value for value in found if value is not None]
    return quantile(told, TAIL), quantile(told, 1 - TAIL)


def _tail_at_most(count: int, rate: float) -> float:
    """P(N <= count) of a Poisson variable."""
    term = total = exp(-rate)
    for k in range(1, count + 1):
        term *= rate / k
        total += term
    return total


def _root(wanted: Callable[[float], bool], high: float) -> float:
    low = 0.0
    for _ in range(80):
        middle = (low + high) / 2
        if wanted(middle):
            low = middle
        else:
            high = middle
    return low


def poisson(count: int) -> tuple[float, float]:
    """The exact 95 % interval of an expected count, of which ``count`` were seen.

    Of none seen the upper end is the one-sided 3.0 ("rule of three").
    """
    if count == 0:
        return 0.0, 3.0
    most = 20.0 + 3.0 * count
    low = _root(lambda rate: 1 - _tail_at_most(count - 1, rate) < TAIL, most)
    high = _root(lambda rate: _tail_at_most(count, rate) > TAIL, most)
    return low, high


def rate(count: int, exposure: float) -> Figure:
    """A count per exposure with its Poisson interval; ``n`` is the count."""
    if exposure <= 0:
        return Figure(None, n=count)
    low, high = poisson(count)
    return Figure(count / exposure, low / exposure, high / exposure, count)


def ratio(units: Sequence[T], parts: Callable[[T], tuple[float, float]]) -> Figure:
    """A sum over another (incidents for each fault), with its bootstrap interval over units."""

    def of(chosen: Sequence[T]) -> float | None:
        told = [parts(unit) for unit in chosen]
        under = sum(below for _, below in told)
        return sum(above for above, _ in told) / under if under else None

    value = of(units)
    n = round(sum(parts(unit)[1] for unit in units))
    return Figure(value, *bootstrap(units, of), n) if value is not None else Figure(None)


def share(units: Sequence[T], parts: Callable[[T], tuple[float, float]]) -> Figure:
    """A share (hits of all, over all units) with its interval.

    Bootstrap over units; of no miss (or no hit) at all, which a bootstrap cannot see past, the
    rule of three.
    """

    def of(chosen: Sequence[T]) -> float | None:
        told = [parts(unit) for unit in chosen]
        every = sum(all_ for _, all_ in told)
        return sum(hit for hit, _ in told) / every if every else None

    value = of(units)
    n = round(sum(parts(unit)[1] for unit in units))
    if value is None:
        return Figure(None)
    if value >= 1:
        return Figure(value, max(0.0, 1 - 3 / n), 1.0, n)
    if value <= 0:
        return Figure(value, 0.0, min(1.0, 3 / n), n)
    return Figure(value, *bootstrap(units, of), n)


def spread(units: Sequence[T], values: Callable[[T], Sequence[float]], part: float) -> Figure:
    """A quantile over the values of all units, with its bootstrap interval over units."""

    def of(chosen: Sequence[T]) -> float | None:
        return quantile([value for unit in chosen for value in values(unit)], part)

    found = of(units)
    n = sum(len(values(unit)) for unit in units)
    return Figure(found, *bootstrap(units, of), n) if found is not None else Figure(None)


def average(units: Sequence[T], value: Callable[[T], float | None]) -> Figure:
    """The mean of a figure of each unit, with its bootstrap interval; units without it are left."""
    kept = [unit for unit in units if value(unit) is not None]

    def of(chosen: Sequence[T]) -> float | None:
        return mean([value(unit) or 0.0 for unit in chosen])

    return Figure(of(kept), *bootstrap(kept, of), len(kept)) if kept else Figure(None)


@dataclass(frozen=True, slots=True)
class Bin:
    """One row of the reliability table: what was said, what was so, and how often."""

    said: float
    was: float
    weight: float


def reliability(samples: Sequence[tuple[float, float, float]]) -> list[Bin]:
    """Gather (probability said, 1 or 0, weight) into bins of equal width."""
    bins: list[list[tuple[float, float, float]]] = [[] for _ in range(BINS)]
    for sample in samples:
        bins[min(int(sample[0] * BINS), BINS - 1)].append(sample)
    rows = []
    for kept in bins:
        weight = sum(w for _, _, w in kept)
        if weight > 0:
            said = sum(p * w for p, _, w in kept) / weight
            rows.append(Bin(said, sum(y * w for _, y, w in kept) / weight, weight))
    return rows


def calibration_error(samples: Sequence[tuple[float, float, float]]) -> float | None:
    """The expected calibration error: the mean distance between said and was."""
    rows = reliability(samples)
    weight = sum(row.weight for row in rows)
    return sum(abs(r.said - r.was) * r.weight for r in rows) / weight if weight else None
