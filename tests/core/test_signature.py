"""A healthy signature is learned from answers, and departures are told."""

from datetime import timedelta

from app.core.signature import LEARNING, LEAST, Signature, departures, learn
from tests.builders import NOW

STEP = timedelta(minutes=10)
GOOD = {"status": "302", "location": "login.example/authorize"}


def learned(*answers: dict[str, str], times: int = 150) -> Signature:
    signature = Signature()
    for number in range(times):
        answer = answers[number % len(answers)]
        signature = learn(signature, answer, NOW + number * STEP)
    return signature


def test_nothing_is_held_against_an_answer_on_the_first_day() -> None:
    young = learned(GOOD, times=int(LEARNING / STEP))
    assert young.learned is None
    assert young.expects == {"location": ("login.example/authorize",), "status": ("302",)}
    old = learn(young, GOOD, NOW + LEARNING)
    assert (old.learned, old.learned_at) == (young.expects, NOW + LEARNING)


def test_a_check_that_runs_rarely_learns_longer() -> None:
    signature = Signature()
    for number in range(LEAST):
        assert signature.learned is None
        signature = learn(signature, GOOD, NOW + number * timedelta(hours=6))
    assert signature.learned is not None


def test_aspects_that_vary_or_are_sometimes_absent_are_left_out() -> None:
    varying = [{"status": "200", "keys": f"k{n}"} for n in range(9)]
    assert learned(*varying).learned == {"status": ("200",)}
    sometimes = learned({"status": "200", "issuer": "A"}, {"status": "200"})
    assert sometimes.learned == {"status": ("200",)}


def test_a_few_values_may_be_healthy_and_a_chance_one_is_not() -> None:
    both = learned({"status": "200"}, {"status": "302"})
    assert both.learned == {"status": ("200", "302")}
    once = learn(learned(GOOD, times=120), GOOD | {"status": "200"}, NOW + 120 * STEP)
    for number in range(121, 200):
        once = learn(once, GOOD, NOW + number * STEP)
    assert once.expects["status"] == ("302",)


def test_a_departure_is_told_with_its_time_and_ends() -> None:
    signature = learned(GOOD)
    at = NOW + 200 * STEP
    changed = learn(signature, {"status": "200"}, at)
    assert changed.departed == {"status": "200", "location": "absent"}
    later = learn(changed, GOOD | {"status": "301"}, at + STEP)
    assert (later.departed, later.departed_at) == ({"status": "301"}, at)
    assert later.counts == signature.counts
    back = learn(later, GOOD, at + 2 * STEP)
    assert (back.departed, back.departed_at) == ({}, None)


def test_an_answer_that_has_more_than_expected_does_not_depart() -> None:
    assert departures({"status": ("200",)}, {"status": "200", "issuer": "new"}) == {}
