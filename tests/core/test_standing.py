"""A check is down after three failures, up after two successes, and unstable when it flaps."""

from datetime import timedelta

import pytest

from app.core.standing import Course, Quorum, Standing, follow, vote
from tests.builders import NOW

UP, DOWN, UNSTABLE, UNKNOWN = Standing.UP, Standing.DOWN, Standing.UNSTABLE, Standing.UNKNOWN


def course(marks: str, start: Course | None = None) -> Course:
    found = start or Course()
    for number, mark in enumerate(marks):
        found = follow(found, good=mark == "+", at=NOW + timedelta(minutes=number))
    return found


@pytest.mark.parametrize(
    ("marks", "standing"),
    [
        ("", UNKNOWN), ("+", UP), ("-", UNKNOWN), ("--", UNKNOWN), ("---", DOWN),
        ("+--", UP), ("+---", DOWN), ("---+", DOWN), ("---++", UP), ("---+-", DOWN),
        ("---+-++", UP),
    ],
)  # fmt: skip
def test_a_standing_needs_results_in_a_row(marks: str, standing: Standing) -> None:
    assert course(marks).standing is standing


def test_the_time_of_a_standing_is_that_of_its_change() -> None:
    found = course("+++---")
    assert (found.standing, found.since) == (DOWN, NOW + timedelta(minutes=5))
    assert (found.failures, found.successes) == (3, 0)
    assert course("-", found).since == found.since


def test_a_check_that_keeps_changing_is_unstable_until_it_is_calm() -> None:
    calm = course("+" * 20)
    assert calm.flap_share == 0
    flapping = course("-+" * 5, calm)
    assert flapping.standing is UNSTABLE
    assert flapping.flap_share > 0.3
    assert course("+" * 20, flapping).standing is UP
    assert course("-" * 20, flapping).standing is DOWN


def test_between_the_two_limits_nothing_changes() -> None:
    # Six changes lie between a quarter and thirty per cent of the twenty results.
    marks = "+-+-+-+" + "+" * 13
    assert 0.24 < course(marks).flap_share < 0.30
    assert course(marks).standing is UP
    flapping = course("+-" * 10)
    assert flapping.standing is UNSTABLE
    held = flapping
    while held.flap_share >= 0.25:
        assert held.flapping
        held = course("+", held)
    assert not held.flapping


def test_few_results_never_flap() -> None:
    assert course("+-" * 9).flap_share == 0


@pytest.mark.parametrize(
    ("standings", "verdict", "needed"),
    [
        ([], Quorum.UNKNOWN, 2),
        ([None], Quorum.UNKNOWN, 1),
        ([DOWN], Quorum.DOWN, 1),
        ([UP, UP, UP], Quorum.UP, 2),
        ([DOWN, UP, UP], Quorum.LOCAL, 2),
        ([DOWN, DOWN, UP], Quorum.DOWN, 2),
        ([DOWN, DOWN, UP, UP], Quorum.LOCAL, 3),
        ([DOWN, None, None], Quorum.LOCAL, 2),
        ([DOWN, DOWN, None], Quorum.DOWN, 2),
        ([UNKNOWN, UNKNOWN], Quorum.UNKNOWN, 2),
        ([UNSTABLE, DOWN, DOWN], Quorum.DOWN, 2),
    ],
)
def test_a_majority_of_those_that_speak_decides(
    standings: list[Standing | None], verdict: Quorum, needed: int
) -> None:
    found = vote(standings)
    assert (found.verdict, found.needed) == (verdict, needed)
    assert found.speaking + found.abstaining == len(standings)
