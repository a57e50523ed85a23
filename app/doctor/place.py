"""The place: disk and clock of this machine."""

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from app.doctor.finding import Finding, problem, warning, well
from app.doctor.stored import Known
from app.settings import Settings

Free = Callable[[Path], tuple[int, int]]

GIB = 1024**3
LEAST = GIB // 4  # bytes; below it a storm of reports fills the disk within hours
LOW = 2 * GIB
SKEW = timedelta(seconds=60)  # signed requests and tokens fail beyond 5 minutes


def free_of(folder: Path) -> tuple[int, int]:
    """Total and free bytes of the disk that holds a folder."""
    usage = shutil.disk_usage(folder)
    return usage.total, usage.free


def disk(folder: Path, free: Free) -> Iterator[Finding]:
    """Whether there is room where the database lies, or else where this program runs."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    total, left = free(folder)
    text = f"{left / GIB:.1f} GiB of {total / GIB:.1f} GiB are free at {folder}."
    if left < LEAST:
        yield problem("disk", text, "Make room now: without it nothing is acknowledged.")
    elif left < LOW:
        yield warning("disk", text, "Make room: an outage brings more reports than a usual week.")
    else:
        yield well("disk", text)


def clock(known: Known, now: datetime, settings: Settings) -> Iterator[Finding]:
    """Whether this machine's clock can be believed, by what others say."""
    if settings.clock.start is not None:
        yield warning(
            "clock",
            "The clock is virtual: [clock] start is set.",
            "Take [clock] out: it is for the demo.",
        )
        return
    ahead = None if known.instant is None else now - known.instant
    if ahead is not None and abs(ahead) > SKEW:
        text = f"This machine and the database differ by {abs(ahead).total_seconds():.0f} s."
        yield problem("clock", text, "Set both clocks by NTP.")
    elif known.newest_at is not None and known.newest_at > now + SKEW:
        text = f"The newest event is of {known.newest_at:%Y-%m-%d %H:%M:%S} UTC, which is to come."
        yield problem("clock", text, "The clock went backwards: set it by NTP, then restart.")
    elif ahead is not None:
        yield well(
            "clock",
            f"This machine and the database agree within {abs(ahead).total_seconds():.1f} s.",
        )
    else:
        yield well("clock", f"It is {now:%Y-%m-%d %H:%M:%S} UTC here; no stored event is later.")
