"""Random numbers whose streams depend on a seed and a name alone.

Only ``random.Random(int).random()`` is used, which Python promises to keep; every distribution is
built from it here. A stream is named, so one more draw in one place moves nothing elsewhere.
"""

import hashlib
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_T = TypeVar("_T")
UNIT = 2.0**-21  # three draws of 21 bits fit one word


def key(*names: object) -> int:
    """Give the 64-bit number that stands for these names."""
    text = "/".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def mix(number: int) -> int:
    """Scatter a counter over 64 bits (splitmix64): a draw that can be had out of order."""
    z = (number + _STEP) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


class Draw:
    """One stream; times and amounts are in the unit of the arguments."""

    __slots__ = ("random",)

    def __init__(self, *names: object) -> None:
        self.random = random.Random(key(*names)).random

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def exponential(self, mean: float) -> float:
        return -mean * math.log(1.0 - self.random())

    def normal(self) -> float:
        radius = math.sqrt(-2.0 * math.log(1.0 - self.random()))
        return radius * math.cos(2.0 * math.pi * self.random())

    def lognormal(self, median: float, sigma: float) -> float:
        return median * math.exp(sigma * self.normal())

    def gamma(self, shape: int) -> float:
        """Gamma of a whole shape with mean one: the mean of that many exponentials."""
        return sum(self.exponential(1.0) for _ in range(shape)) / shape

    def poisson(self, mean: float) -> int:
        count = 0
        while mean > 16.0:  # the product below would run out of digits
            mean -= 16.0
            count += self._small_poisson(16.0)
        return count + self._small_poisson(mean)

    def _small_poisson(self, mean: float) -> int:
        limit, product, count = math.exp(-mean), self.random(), 0
        while product > limit:
            product *= self.random()
            count += 1
        return count

    def pick(self, weights: Mapping[str, float]) -> str:
        """One of the words, as often as its weight says."""
        rest = self.random() * sum(weights.values())
        word = ""
        for word, weight in weights.items():
            rest -= weight
            if rest < 0:
                return word
        return word

    def of(self, items: Sequence[_T]) -> _T:
        return items[int(self.random() * len(items))]

    def sample(self, items: Sequence[_T], count: int) -> list[_T]:
        """That many different items, in random order (all of them if there are fewer)."""
        pool = list(items)
        count = min(count, len(pool))
        for place in range(count):
            other = place + int(self.random() * (len(pool) - place))
            pool[place], pool[other] = pool[other], pool[place]
        return pool[:count]

    def amount(self, value: Any) -> float:
        """Read a figure of a file: a number, ``[low, high]``, or a named distribution.

        Raises:
            ValueError: the figure is of another shape.
        """
        match value:
            case bool():
                raise ValueError(f"{value!r} is no amount")
            case int() | float():
                return float(value)
            case [low, high]:
                return self.uniform(low, high)
            case {"lognormal": [median, sigma]}:
                return self.lognormal(median, sigma)
            case {"exponential": mean}:
                return self.exponential(mean)
            case {"choice": choices}:
                return float(self.of(choices))
            case _:
                raise ValueError(f"{value!r} is no amount: a number, [low, high], "
                                 "{lognormal = [median, sigma]}, {exponential = mean} "
                                 "or {choice = [..]}")  # fmt: skip
