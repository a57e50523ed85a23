"""The tempo of a check: how long its answers usually take at this hour, and when they drag.

An answer that comes is no failure, however late; but one that takes three times as long as at the
same hour of the last seven days, again and again for five minutes, tells of a service that is
slow before it is down. What is usual is learned from medians of hours, so that one slow answer
teaches nothing, and a lasting change is the new usual after some days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import median

DAYS = 7  # medians kept of each hour of the day
SAMPLES = 30  # answers of one hour that make its median
LEAST = 5  # answers without which an hour teaches nothing
SAME_HOUR = 3  # days from which the same hour is compared
ANY_HOUR = 12  # hours from which all of them are, until then nothing is
TIMES = 3.0  # so many times the usual is slow
MARGIN_MS = 200.0  # and at least so much more: three times a few milliseconds hurts nobody
WITHIN = timedelta(minutes=5)
SLOW_ANSWERS = 3  # of the last five minutes; one other may be quick
HOUR = 3600  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """What was learned of one check at one location.

    ``medians``: hour of the day in UTC → milliseconds, one per day, oldest first. ``hour`` counts
    from 1970; ``answers`` are those of that hour so far, in milliseconds.
    """

    medians: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    hour: int = 0
    answers: tuple[float, ...] = ()

    def usual_ms(self, at: datetime) -> float | None:
        """What an answer usually takes at that time of day; None while too little is known."""
        same = self.medians.get(at.hour, ())
        if len(same) >= SAME_HOUR:
            return median(same)
        known = [value for values in self.medians.values() for value in values]
        return median(known) if len(known) >= ANY_HOUR else None


def learn(tempo: Tempo, took_ms: float, at: datetime) -> Tempo:
    """Take in how long one answer took; answers come in the order in which they were measured.

    Args:
        tempo: what was known.
        took_ms: milliseconds.
        at: when it was asked, in UTC.
    """
    hour = int(at.timestamp()) // HOUR
    if hour == tempo.hour:
        if len(tempo.answers) >= SAMPLES:
            return tempo
        return replace(tempo, answers=(*tempo.answers, round(took_ms, 1)))
    medians = dict(tempo.medians)
    if len(tempo.answers) >= LEAST:
        of_day = tempo.hour % 24
        medians[of_day] = (*medians.get(of_day, ())[1 - DAYS :], median(tempo.answers))
    return Tempo(medians=medians, hour=hour, answers=(round(took_ms, 1),))


def recent(
    answers: Sequence[tuple[datetime, float]], took_ms: float, at: datetime
) -> list[tuple[datetime, float]]:
    """The answers of the last five minutes, as (instant, milliseconds), with the newest."""
    return [*(one for one in answers if at - one[0] < WITHIN), (at, took_ms)]


def drags(answers: Sequence[tuple[datetime, float]], usual_ms: float | None) -> bool:
    """Whether the answers of the last five minutes are slow, as ``recent`` keeps them."""
    if usual_ms is None or not answers:
        return False
    limit = max(TIMES * usual_ms, usual_ms + MARGIN_MS)
    slow = [took > limit for _, took in answers]
    return slow[-1] and sum(slow) >= SLOW_ANSWERS and sum(slow) >= len(slow) - 1
