"""What follows an attempt: arithmetic over its outcome, the schedule and a drawn jitter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from app.core.ports import AttemptOutcome

SCHEDULE = tuple(
    timedelta(seconds=number)
    for number in (0, 5, 30, 120, 600, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
)  # waits before each attempt; design section 8
MAX_RETRY_AFTER = timedelta(hours=24)  # a receiver may put us off so long
JITTER = 0.2  # the drawn factor lies within 1 ± this
PERMANENT = frozenset({400, 404, 405, 413, 415, 422})  # another try seldom helps
PERMANENT_SCHEDULE = (timedelta(0), timedelta(seconds=5), timedelta(minutes=55))
FAILING_AFTER = 4  # failed attempts of one event
DISABLED_AFTER = timedelta(days=5)  # without one success
BREAKS_AFTER = 10  # failed attempts in a row open the breaker of a subscription
PROBE_EVERY = timedelta(seconds=60)  # an open breaker lets one delivery through so often


class Why(StrEnum):
    """Why a delivery stands as it does."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    REDIRECTED = "redirected"
    REJECTED = "rejected"
    UNAUTHORIZED = "unauthorized"
    OVERLOADED = "overloaded"
    UNREACHABLE = "unreachable"
    UNKNOWN_OUTCOME = "unknown_outcome"
    GONE = "gone"
    ABORTED = "aborted_by_receiver"
    BLOCKED = "blocked"
    EXHAUSTED = "exhausted"
    SUPERSEDED = "superseded"
    EXPIRED = "event_expired"
    DISABLED = "subscription_disabled"
    DELETED = "subscription_deleted"
    CANCELLED = "replay_cancelled"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""

    reason: Why


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again then."""

    at: datetime
    reason: Why


@dataclass(frozen=True, slots=True)
class Park:
    """Stop trying; a person may redeliver."""

    reason: Why


@dataclass(frozen=True, slots=True)
class Disable:
    """The receiver wants nothing any more."""

    reason: Why


Step: TypeAlias = Delivered | RetryAt | Park | Disable

_BY_STATUS = {
    401: Why.UNAUTHORIZED, 403: Why.UNAUTHORIZED, 407: Why.UNAUTHORIZED, 408: Why.OVERLOADED,
    410: Why.GONE, 425: Why.OVERLOADED, 429: Why.OVERLOADED, 503: Why.OVERLOADED,
}  # fmt: skip
_BY_CLASS = {2: Why.ACCEPTED, 3: Why.REDIRECTED, 4: Why.REJECTED, 5: Why.UNREACHABLE}
_BY_OUTCOME = {"blocked": Why.BLOCKED, "unknown": Why.UNKNOWN_OUTCOME}


def next_step(
    outcome: AttemptOutcome,
    *,
    attempt: int,
    now: datetime,
    jitter: float,
    schedule: Sequence[timedelta] = SCHEDULE,
) -> Step:
    """Say what follows the attempt with number ``attempt`` (from 1).

    ``jitter`` is a factor drawn within 1 ± ``JITTER``. ``Retry-After`` is honoured up to a day.
    """
    reason = _classify(outcome)
    if reason is Why.ACCEPTED:
        return Delivered(reason)
    if reason is Why.GONE or outcome.wish == "disable":
        return Disable(Why.GONE)
    if outcome.wish == "abort-message":
        return Park(Why.ABORTED)
    if reason is Why.BLOCKED:
        return Park(reason)
    permanent = outcome.status in PERMANENT
    waits = PERMANENT_SCHEDULE[: len(schedule)] if permanent else schedule
    if attempt >= len(waits):
        return Park(reason if permanent else Why.EXHAUSTED)
    wait = waits[attempt] * jitter
    if outcome.retry_after is not None:
        wait = max(wait, min(outcome.retry_after, MAX_RETRY_AFTER))
    return RetryAt(now + wait, reason)


def _classify(outcome: AttemptOutcome) -> Why:
    if outcome.status is None:
        return _BY_OUTCOME.get(outcome.outcome, Why.UNREACHABLE)
    known = _BY_STATUS.get(outcome.status)
    return known or _BY_CLASS.get(outcome.status // 100, Why.REJECTED)


class Standing(StrEnum):
    """How a subscription stands."""

    UNVERIFIED = "unverified"
    ACTIVE = "active"
    FAILING = "failing"
    DISABLED = "disabled"


def standing_after_failure(
    standing: Standing, *, attempt: int, failing_since: datetime, now: datetime
) -> Standing:
    """Say how a subscription stands after a failed attempt, the first of the row at that time."""
    if standing in {Standing.UNVERIFIED, Standing.DISABLED}:
        return standing
    if now - failing_since >= DISABLED_AFTER:
        return Standing.DISABLED
    return Standing.FAILING if attempt >= FAILING_AFTER else standing
