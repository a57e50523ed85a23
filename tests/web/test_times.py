"""Instants and spans as words."""

from datetime import timedelta

import pytest

from app.web.times import ago, instant, iso, near, span, stamp
from tests.web.story import at


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (8340, "2 h 19 min"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
        (-120, "2 min"),
    ],
)
def test_a_span_has_at_most_two_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_an_instant_says_how_long_ago_it_was() -> None:
    now = at("08:00")
    assert ago(at("07:48"), now) == "12 min ago"
    assert ago(now, now) == "just now"
    assert ago(at("08:30"), now) == "in 30 min"


def test_another_day_is_named() -> None:
    now = at("08:00")
    assert near(at("06:05"), now) == "06:05"
    assert near(at("06:05") - timedelta(days=1), now) == "15 Mar 06:05"
    assert near(at("06:05") - timedelta(days=400), now) == "9 Feb 2025 06:05"


def test_an_instant_of_another_zone_becomes_utc() -> None:
    moment = instant("2026-03-16T07:05:00+01:00")
    assert moment is not None
    assert iso(moment) == "2026-03-16T06:05:00Z"
    assert stamp(moment) == "2026-03-16 06:05:00 UTC"
    assert instant(None) is None
