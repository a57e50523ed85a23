"""What follows an attempt, row by row."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.ports import AttemptOutcome
from app.core.retry import (
    DISABLED_AFTER,
    SCHEDULE,
    Delivered,
    Disable,
    Park,
    RetryAt,
    Standing,
    Why,
    next_step,
    standing_after_failure,
)
from tests.builders import NOW


def answered(status: int | None, outcome: str = "refused", **more: object) -> AttemptOutcome:
    return AttemptOutcome(outcome=outcome, status=status, **more)  # type: ignore[arg-type]


TABLE = [
    (answered(200, "delivered"), Delivered(Why.ACCEPTED)),
    (answered(204, "delivered"), Delivered(Why.ACCEPTED)),
    (answered(299, "delivered"), Delivered(Why.ACCEPTED)),
    (answered(301), RetryAt(NOW + timedelta(seconds=5), Why.REDIRECTED)),
    (answered(307), RetryAt(NOW + timedelta(seconds=5), Why.REDIRECTED)),
    (answered(400), RetryAt(NOW + timedelta(seconds=5), Why.REJECTED)),
    (answered(401), RetryAt(NOW + timedelta(seconds=5), Why.UNAUTHORIZED)),
    (answered(403), RetryAt(NOW + timedelta(seconds=5), Why.UNAUTHORIZED)),
    (answered(408), RetryAt(NOW + timedelta(seconds=5), Why.OVERLOADED)),
    (answered(410, "gone"), Disable(Why.GONE)),
    (answered(429), RetryAt(NOW + timedelta(seconds=5), Why.OVERLOADED)),
    (answered(500), RetryAt(NOW + timedelta(seconds=5), Why.UNREACHABLE)),
    (answered(503), RetryAt(NOW + timedelta(seconds=5), Why.OVERLOADED)),
    (answered(None, "timeout"), RetryAt(NOW + timedelta(seconds=5), Why.UNREACHABLE)),
    (answered(None, "dns_failure"), RetryAt(NOW + timedelta(seconds=5), Why.UNREACHABLE)),
    (answered(None, "unknown"), RetryAt(NOW + timedelta(seconds=5), Why.UNKNOWN_OUTCOME)),
    (answered(None, "blocked"), Park(Why.BLOCKED)),
    (answered(400, wish="abort-message"), Park(Why.ABORTED)),
    (answered(503, wish="abort-message"), Park(Why.ABORTED)),
    (answered(500, wish="disable"), Disable(Why.GONE)),
    (answered(101), RetryAt(NOW + timedelta(seconds=5), Why.REJECTED)),
]


@pytest.mark.parametrize(("outcome", "step"), TABLE, ids=lambda value: str(value)[:60])
def test_what_follows_the_first_attempt(outcome: AttemptOutcome, step: object) -> None:
    assert next_step(outcome, attempt=1, now=NOW, jitter=1.0) == step


def test_the_schedule_is_the_promised_one_and_then_the_delivery_is_parked() -> None:
    waits = []
    for attempt in range(1, len(SCHEDULE)):
        step = next_step(answered(500), attempt=attempt, now=NOW, jitter=1.0)
        assert isinstance(step, RetryAt)
        waits.append((step.at - NOW).total_seconds())
    assert waits == [5, 30, 120, 600, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert next_step(answered(500), attempt=12, now=NOW, jitter=1.0) == Park(Why.EXHAUSTED)


@pytest.mark.parametrize("status", [400, 404, 405, 413, 415, 422])
def test_a_permanent_refusal_is_tried_three_times_within_the_hour(status: int) -> None:
    second = next_step(answered(status), attempt=2, now=NOW, jitter=1.0)
    assert second == RetryAt(NOW + timedelta(minutes=55), Why.REJECTED)
    assert next_step(answered(status), attempt=3, now=NOW, jitter=1.0) == Park(Why.REJECTED)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (timedelta(seconds=1), timedelta(seconds=5)),
        (timedelta(minutes=7), timedelta(minutes=7)),
        (timedelta(days=9), timedelta(hours=24)),
    ],
)
def test_retry_after_is_honoured_within_a_day(asked: timedelta, waited: timedelta) -> None:
    step = next_step(answered(429, retry_after=asked), attempt=1, now=NOW, jitter=1.0)
    assert step == RetryAt(NOW + waited, Why.OVERLOADED)


@given(jitter=st.floats(0.8, 1.2), attempt=st.integers(1, 11), status=st.integers(500, 599))
def test_jitter_moves_a_retry_by_a_fifth_at_most(jitter: float, attempt: int, status: int) -> None:
    step = next_step(answered(status), attempt=attempt, now=NOW, jitter=jitter)
    assert isinstance(step, RetryAt)
    wait = SCHEDULE[attempt]
    assert wait * 0.799 <= step.at - NOW <= wait * 1.201


@pytest.mark.parametrize(
    ("standing", "attempt", "days", "after"),
    [
        (Standing.ACTIVE, 1, 0, Standing.ACTIVE),
        (Standing.ACTIVE, 4, 0, Standing.FAILING),
        (Standing.FAILING, 1, 0, Standing.FAILING),
        (Standing.FAILING, 1, 5, Standing.DISABLED),
        (Standing.UNVERIFIED, 9, 9, Standing.UNVERIFIED),
        (Standing.DISABLED, 9, 9, Standing.DISABLED),
    ],
)
def test_how_a_subscription_stands_after_a_failure(
    standing: Standing, attempt: int, days: int, after: Standing
) -> None:
    since = NOW - timedelta(days=days)
    assert standing_after_failure(standing, attempt=attempt, failing_since=since, now=NOW) == after
    assert timedelta(days=5) == DISABLED_AFTER
