"""The dedup memory: which derived ids of a tenant are durably stored within the window."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from app.core.batch import KEY_BYTES

HOUR = 3600  # seconds; ids are forgotten an hour at a time


class Seen:
    """Ids of one tenant that are in the log; ``position`` is the last row it knows.

    An id is forgotten when its hour lies wholly before the window. Costs about 100 bytes per id.
    """

    def __init__(self, window: timedelta) -> None:
        self._window = window
        self._known: set[bytes] = set()
        self._hours: dict[int, list[bytes]] = {}
        self.position = 0

    def __contains__(self, key: bytes) -> bool:
        return key in self._known

    def __len__(self) -> int:
        return len(self._known)

    def has_none_of(self, keys: set[bytes]) -> bool:
        """Whether all of these are new."""
        return self._known.isdisjoint(keys)

    def add(self, keys: Sequence[bytes], at: datetime) -> None:
        """Remember ids that were stored at an instant and are not remembered yet."""
        self._known.update(keys)
        self._hours.setdefault(_hour(at), []).extend(keys)

    def learn(self, rows: Iterable[tuple[int, datetime, bytes]]) -> None:
        """Take over rows of the log: position, time and concatenated ids."""
        for position, at, blob in rows:
            keys = (blob[i : i + KEY_BYTES] for i in range(0, len(blob), KEY_BYTES))
            self.add([key for key in keys if key not in self._known], at)
            self.position = max(self.position, position)

    def forget(self, now: datetime) -> None:
        """Drop the hours that lie before the window."""
        oldest = _hour(now - self._window)
        for hour in [hour for hour in self._hours if hour < oldest]:
            self._known.difference_update(self._hours.pop(hour))


def _hour(at: datetime) -> int:
    return int(at.timestamp()) // HOUR
