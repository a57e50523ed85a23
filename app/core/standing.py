"""The standing of one check at one location, and the verdict of all its locations together.

Down after three failures in a row, up after two successes; a check that changes its mind too often
is unstable, judged as Icinga does: the last 20 results, newer changes weigh more, on above 30 per
cent, off below 25 (Icinga 2 documentation, "Flapping").
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

DOWN_AFTER = 3  # failures in a row
UP_AFTER = 2  # successes in a row
WINDOW = 20  # results from which flapping is judged
FLAPS_ABOVE, CALM_BELOW = 0.30, 0.25  # share of weighted changes
OLDEST, NEWEST = 0.8, 1.15  # weight of the oldest and of the newest change
LEAST_FAILING = 2  # locations that must agree before a check fails everywhere


class Standing(StrEnum):
    """How a check stands at a location."""

    UP = "up"
    DOWN = "down"
    UNSTABLE = "unstable"
    UNKNOWN = "unknown"


class Quorum(StrEnum):
    """What the locations of a check say together."""

    UP = "up"
    DOWN = "down"
    LOCAL = "local"  # some fail, too few to accuse the service
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What led to a standing. ``history`` holds the last results, oldest first: + good, - bad."""

    is_down: bool | None = None
    flapping: bool = False
    since: datetime | None = None
    failures: int = 0
    successes: int = 0
    history: str = ""

    @property
    def standing(self) -> Standing:
        """The standing now."""
        if self.flapping:
            return Standing.UNSTABLE
        if self.is_down is None:
            return Standing.UNKNOWN
        return Standing.DOWN if self.is_down else Standing.UP

    @property
    def flap_share(self) -> float:
        """Weighted share of changes among the last results, 0 to 1."""
        return _flap_share(self.history)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """The verdict over locations: how many fail, how many speak, how many must fail."""

    verdict: Quorum
    failing: int
    speaking: int
    abstaining: int
    needed: int


def follow(course: Course, *, good: bool, at: datetime) -> Course:
    """Take in one result that has weight; results come in the order in which they were measured."""
    history = (course.history + ("+" if good else "-"))[-WINDOW:]
    failures = 0 if good else course.failures + 1
    successes = course.successes + 1 if good else 0
    is_down = course.is_down
    if failures >= DOWN_AFTER:
        is_down = True
    elif successes >= UP_AFTER or (good and is_down is None):
        is_down = False
    share = _flap_share(history)
    flapping = share > FLAPS_ABOVE or (course.flapping and share >= CALM_BELOW)
    after = replace(
        course,
        is_down=is_down,
        flapping=flapping,
        failures=failures,
        successes=successes,
        history=history,
    )
    since = course.since if after.standing is course.standing else at
    return replace(after, since=since)


def _flap_share(history: str) -> float:
    if len(history) < WINDOW:
        return 0.0
    changes = [a != b for a, b in pairwise(history)]
    step = (NEWEST - OLDEST) / (len(changes) - 1)
    return sum(OLDEST + step * n for n, changed in enumerate(changes) if changed) / WINDOW


def vote(standings: Iterable[Standing | None]) -> Vote:
    """Count the locations of one check; None abstains (unsound, silent, or in maintenance).

    It fails everywhere when a majority of those that speak, and at least two, find it down. A
    check that has one location only is judged by that one.
    """
    votes = list(standings)
    spoken = [v for v in votes if v is not None and v is not Standing.UNKNOWN]
    failing = sum(v is Standing.DOWN for v in spoken)
    alone = len(votes) == 1
    needed = 1 if alone else max(LEAST_FAILING, len(spoken) // 2 + 1)
    if not spoken:
        verdict = Quorum.UNKNOWN
    elif failing >= needed:
        verdict = Quorum.DOWN
    else:
        verdict = Quorum.LOCAL if failing else Quorum.UP
    return Vote(
        verdict=verdict,
        failing=failing,
        speaking=len(spoken),
        abstaining=len(votes) - len(spoken),
        needed=needed,
    )
