"""When: instants in milliseconds since 1970, a tenant's wall clock, and how busy its people are."""

import math
import re
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
HUMPS = ((10.0, 1.0), (14.6, 0.92))  # local hour and height of the two humps of a working day
MOMENT = re.compile(r"(-?\d+) (\d{1,2}):(\d\d)(?::(\d\d))?")
HUMP_HOURS = 1.9  # width of a hump


@lru_cache(maxsize=8192)
def _minute_text(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M:")


def stamp(at: int) -> str:
    """Write an instant as RFC 3339 in UTC with milliseconds."""
    minute, ms = divmod(at, MINUTE)
    return f"{_minute_text(minute)}{ms // 1000:02d}.{ms % 1000:03d}Z"


def moment(at: int) -> datetime:
    """The instant as an aware datetime in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC)


class Almanac:
    """The calendar of one tenant: its zone, its holidays, its first day."""

    def __init__(
        self,
        *,
        zone: str,
        first_day: date,
        holidays: Collection[date],
        night: float,
        weekend: float,
        holiday: float,
    ) -> None:
        self.zone = ZoneInfo(zone)
        self.first_day = first_day
        self.holidays = frozenset(holidays)
        self.night = night
        self.weekend = weekend
        self.holiday = holiday
        self._offsets: dict[int, int] = {}

    def at(self, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
        """The instant of a local time on a day counted from the first."""
        when = self.first_day + timedelta(days=day)
        local = datetime(when.year, when.month, when.day, hour, minute, second, tzinfo=self.zone)
        return round(local.timestamp() * 1000)

    def parse(self, text: str) -> int:
        """Read ``"DAY HH:MM[:SS]"``: a day counted from the first (0), and local time.

        Raises:
            ValueError: the text is of another form.
        """
        found = MOMENT.fullmatch(text)
        if found is None:
            raise ValueError(f'{text!r} is no moment: write "DAY HH:MM", such as "0 09:45"')
        return self.at(*(int(part) for part in found.groups(default="0")))

    def local(self, at: int) -> tuple[date, float]:
        """The local date, and the local hour with its fraction."""
        hour = at // HOUR
        offset = self._offsets.get(hour)
        if offset is None:
            here = datetime.fromtimestamp(hour * 3600, self.zone).utcoffset() or timedelta()
            offset = self._offsets[hour] = round(here.total_seconds() * 1000)
        day, rest = divmod(at + offset, DAY)
        return date(1970, 1, 1) + timedelta(days=day), rest / HOUR

    def busy(self, at: int) -> float:
        """How much is going on, from 0 to 1: two humps on a working day, little at night."""
        day, hour = self.local(at)
        hump = max(
            height * math.exp(-0.5 * ((hour - centre) / HUMP_HOURS) ** 2)
            for centre, height in HUMPS
        )
        level = self.night + (1.0 - self.night) * hump
        if day in self.holidays:
            return level * self.holiday
        return level * self.weekend if day.weekday() >= 5 else level

    def active(self, at: int) -> float:
        """The share of people who would meet a fault at once: those who are at work."""
        return min(1.0, max(0.05, self.busy(at)))
