"""The dedup memory: which derived ids of a tenant are durably stored within the window."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import chain
from struct import Struct

from app.core.batch import KEY_BYTES, keys_in

HOUR = 3600  # seconds; ids are forgotten an hour at a time
HOUR_BYTES = 2  # of the hour beside an id; hours come round after seven years
HALF_ROUND = 1 << 15  # hours; what lies so far ahead lies behind
WIDE_FROM = 8_192  # ids from which on there is a drawer for each two bytes
SWEPT_AT_ONCE = 2_048  # drawers that one call clears of what is forgotten


class Seen:
    """Ids of one tenant that are in the log; ``position`` is the last row it knows.

    An id is forgotten when its hour lies wholly before the window. The first byte of an id (of
    many, the first two) names a drawer; a drawer is one string of bytes that holds the rest of
    each id and its hour. So a million ids cost about 11 MiB where a set of them costs a hundred,
    and a search is one for bytes within a hundred others. Hours only rise within a drawer.
    """

    def __init__(self, window: timedelta) -> None:
        self._window = window
        self._rest = KEY_BYTES - 1  # bytes of an id that stand in its drawer
        self._shape = Struct(f">B{self._rest}s")
        self._drawers = [b""] * 256
        self._hours: dict[int, int] = {}  # ids that were stored in an hour and are remembered
        self._oldest = 0  # the first hour that is remembered
        self._newest = 0
        self._sweep = 0  # drawers before this one still hold what is forgotten
        self.position = 0

    def __contains__(self, key: bytes) -> bool:
        ((place, rest),) = self._shape.iter_unpack(key)
        drawer, width = self._drawers[place], self._rest + HOUR_BYTES
        at = drawer.find(rest)
        while at >= 0:
            if at % width == 0 and self._lives(drawer[at + self._rest : at + width]):
                return True
            at = drawer.find(rest, at + 1)
        return False

    def __len__(self) -> int:
        return sum(self._hours.values())

    def add(self, ids: bytes, at: datetime) -> None:
        """Remember ids that were stored at an instant and are not remembered yet."""
        if not ids:
            return
        mark = self._open(at, len(ids) // KEY_BYTES)
        drawers = self._drawers
        for place, rest in self._shape.iter_unpack(ids):
            drawers[place] += rest + mark

    def take(self, ids: bytes, at: datetime) -> bool:
        """Remember ids that are all new, in one go; False, and nothing, if one may be known.

        One that comes twice is known the second time. What is taken before it is stored is given
        back by ``drop`` if it cannot be stored; nobody may ask meanwhile.
        """
        asked = len(ids) // KEY_BYTES
        mark = self._open(at, asked)
        drawers = self._drawers
        for taken, (place, rest) in enumerate(self._shape.iter_unpack(ids)):
            drawer = drawers[place]
            if rest in drawer:  # also between two others, or forgotten
                self._hours[self._newest] -= asked - taken
                self.drop(ids[: taken * KEY_BYTES])
                return False
            drawers[place] = drawer + rest + mark
        return True

    def drop(self, ids: bytes) -> None:
        """Give back the ids that were remembered last; they are not in the log."""
        width = self._rest + HOUR_BYTES
        for place, _ in self._shape.iter_unpack(ids):
            self._drawers[place] = self._drawers[place][:-width]
        if ids:
            self._hours[self._newest] -= len(ids) // KEY_BYTES

    def _open(self, at: datetime, count: int) -> bytes:
        """Make room for as many ids, counted under the hour of an instant; its mark."""
        if not self._newest:
            self._oldest = _hour(at - self._window)
        hour = self._newest = max(_hour(at), self._newest)
        self._hours[hour] = self._hours.get(hour, 0) + count
        if self._rest == KEY_BYTES - 1 and len(self) > WIDE_FROM:
            self._widen()
        return _mark(hour)

    def learn(self, rows: Iterable[tuple[int, datetime, bytes]]) -> None:
        """Take over rows of the log: position, time and concatenated ids."""
        for position, at, blob in rows:
            if not self.take(blob, at):
                self.add(b"".join(key for key in keys_in(blob) if key not in self), at)
            self.position = max(self.position, position)

    def forget(self, now: datetime) -> None:
        """Drop the hours that lie before the window, a part of the drawers with each call."""
        oldest = _hour(now - self._window)
        gone = [hour for hour in self._hours if hour < oldest]
        if gone:
            self._oldest = oldest
            self._sweep = len(self._drawers)
        for hour in gone:
            del self._hours[hour]
        until = max(0, self._sweep - SWEPT_AT_ONCE)
        for place in range(until, self._sweep):
            drawer = self._drawers[place]
            if drawer and not self._lives(drawer[self._rest : self._rest + HOUR_BYTES]):
                self._drawers[place] = self._without_forgotten(drawer)
        self._sweep = until

    def _without_forgotten(self, drawer: bytes) -> bytes:
        width = self._rest + HOUR_BYTES
        marks = range(self._rest, len(drawer), width)
        living = (at for at in marks if self._lives(drawer[at : at + HOUR_BYTES]))
        return drawer[next(living, len(drawer) + self._rest) - self._rest :]

    def _lives(self, mark: bytes) -> bool:
        return (int.from_bytes(mark) - self._oldest) % (2 * HALF_ROUND) < HALF_ROUND

    def _widen(self) -> None:
        """Lay the ids into 65,536 drawers: the second byte of each names its drawer as well."""
        width = self._rest + HOUR_BYTES
        wide = [[b""] * 256 for _ in self._drawers]
        for drawer, own in zip(self._drawers, wide, strict=True):
            for at in range(0, len(drawer), width):
                own[drawer[at]] += drawer[at + 1 : at + width]
        self._drawers = list(chain.from_iterable(wide))
        self._rest = KEY_BYTES - 2
        self._shape = Struct(f">H{self._rest}s")
        self._sweep = len(self._drawers) if self._sweep else 0


def _hour(at: datetime) -> int:
    return int(at.timestamp()) // HOUR


def _mark(hour: int) -> bytes:
    return (hour % (2 * HALF_ROUND)).to_bytes(HOUR_BYTES)
