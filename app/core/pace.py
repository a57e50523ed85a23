"""Pace: how soon a tenant is worth another look when nothing new came in for it."""

from collections.abc import Iterable
from datetime import timedelta

from app.core.incident import Incident
from app.core.signal import Advisory, Command, ProbeResult, Signal
from app.core.types import OPEN_STATUSES, Outcome

TICK = timedelta(seconds=10)  # between looks while the picture moves
CALM = timedelta(seconds=300)  # while only the vendor's clocks of hours and days run
LIVELY = timedelta(seconds=120)  # so long after a bad signal looks are short


def is_bad(signal: Signal) -> bool:
    """Whether a signal may move the picture within seconds; a healthy one can wait its turn."""
    return not isinstance(signal, ProbeResult) or signal.outcome is not Outcome.OK


def stirs(signal: Signal) -> bool:
    """Whether a signal is weighed on for minutes; the vendor's word is said at once."""
    return is_bad(signal) and not isinstance(signal, Advisory | Command)


def look_after(incidents: Iterable[Incident], *, lively: bool) -> timedelta:
    """How long a tenant may be left alone while nothing comes in.

    Only evidence of our own is weighed by the minute. What the vendor alone reports changes by its
    word, which is a signal; what time does to it, and to what is resolved, takes hours.

    Args:
        incidents: those that live.
        lively: something that ``stirs`` was said within ``LIVELY``.
    """
    own = any(i.detected_at is not None and i.status in OPEN_STATUSES for i in incidents)
    return TICK if lively or own else CALM
