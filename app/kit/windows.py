"""Windows: how many of something happened in the last minute and hour, counted in short slots."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SLOT = timedelta(seconds=10)  # what falls into one is counted as if it came at its end


@dataclass(frozen=True, slots=True)
class Limits:
    """How many may happen in any hour, and in any minute."""

    per_hour: int
    per_minute: int


@dataclass(frozen=True, slots=True)
class Windows:
    """Counts by the number of their slot since 1970, oldest first.

    Both windows slide, so no boundary can be straddled; a slot counts until all of it has left.
    """

    slots: tuple[tuple[int, int], ...] = ()

    def take(self, limits: Limits, now: datetime) -> tuple["Windows", timedelta | None]:
        """Count one more, or say how long to wait until there is room for it."""
        kept = self._lately(now)
        wait = max(
            _room(kept, limits.per_hour, HOUR, now), _room(kept, limits.per_minute, MINUTE, now)
        )
        if wait > timedelta():
            return Windows(tuple(kept)), wait
        return Windows(tuple(_sums([*kept, (_slot(now), 1)]))), None

    def used(self, now: datetime) -> tuple[int, int]:
        """How many in the last hour, and in the last minute."""
        kept = self._lately(now)
        return sum(n for _, n in kept), sum(n for slot, n in kept if _end(slot, MINUTE) > _at(now))

    def _lately(self, now: datetime) -> list[tuple[int, int]]:
        """What lies in the hour.

        Another replica's clock may go ahead of ours; what lies more than an hour ahead was counted
        by a clock that was wrong, and counts as now, so that it ends some time.
        """
        most = _slot(now + HOUR)
        placed = ((_slot(now) if slot > most else slot, n) for slot, n in self.slots)
        return _sums(one for one in placed if _end(one[0], HOUR) > _at(now))


def _room(kept: list[tuple[int, int]], most: int, window: timedelta, now: datetime) -> timedelta:
    """How long until one more fits: until so many of the oldest have left the window."""
    inside = [(slot, n) for slot, n in kept if _end(slot, window) > _at(now)]
    too_many = sum(n for _, n in inside) + 1 - most
    for slot, n in inside:
        if too_many <= 0:
            break
        too_many -= n
        if too_many <= 0:
            return timedelta(seconds=_end(slot, window) - _at(now))
    return timedelta()


def _sums(counts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    total: Counter[int] = Counter()
    for slot, n in counts:
        total[slot] += n
    return sorted(total.items())


def _slot(at: datetime) -> int:
    return int(at.timestamp() // SLOT.total_seconds())


def _end(slot: int, window: timedelta) -> float:
    """When all of a slot has left a window, in seconds since 1970."""
    return (slot + 1) * SLOT.total_seconds() + window.total_seconds()


def _at(now: datetime) -> float:
    return now.timestamp()
