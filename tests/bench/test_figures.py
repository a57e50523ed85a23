"""Figures and their intervals, against values that can be looked up or counted by hand."""

from math import inf

import pytest

from bench.evaluate import figures
from bench.evaluate.partition import agreement, groups


def test_a_quantile_lies_between_ranks_and_a_miss_is_last() -> None:
    assert figures.quantile([4, 1, 3, 2], 0.5) == 2.5
    assert figures.quantile([1, 2, inf], 1.0) == inf
    assert figures.quantile([1, 2, inf], 0.5) == 2
    assert figures.quantile([1, 2, inf], 0.6) == inf
    assert figures.quantile([], 0.5) is None


@pytest.mark.parametrize(
    ("count", "low", "high"), [(1, 0.0253, 5.5716), (5, 1.6235, 11.6683), (100, 81.364, 121.627)]
)
def test_poisson_intervals_are_the_exact_ones_of_the_books(
    count: int, low: float, high: float
) -> None:
    assert figures.poisson(count) == (
        pytest.approx(low, rel=1e-3),
        pytest.approx(high, rel=1e-3),
    )


def test_nothing_seen_is_the_rule_of_three() -> None:
    found = figures.rate(0, 60.0)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.05)
    assert figures.rate(1, 0.0).value is None


def test_a_share_without_a_miss_still_has_a_width() -> None:
    found = figures.share([1, 1, 1, 1], lambda one: (one, 1))
    assert (found.value, found.low, found.high, found.n) == (1.0, 0.25, 1.0, 4)


def test_a_bootstrap_interval_holds_the_value_and_is_repeatable() -> None:
    units = [1, 0, 1, 1, 0, 1, 1, 1, 0, 1]
    first = figures.share(units, lambda one: (one, 1))
    assert first == figures.share(units, lambda one: (one, 1))
    assert first.low is not None
    assert first.high is not None
    assert first.low < 0.7 < first.high


def test_the_calibration_error_is_the_mean_distance() -> None:
    samples = [(0.95, 1.0, 1.0)] * 9 + [(0.95, 0.0, 1.0)] + [(0.15, 0.0, 1.0)] * 10
    assert figures.calibration_error(samples) == pytest.approx(0.5 * 0.05 + 0.5 * 0.15)
    assert [row.weight for row in figures.reliability(samples)] == [10, 10]


def test_equal_partitions_agree_whatever_the_names() -> None:
    truth = {"a": "f1", "b": "f1", "c": "f2", "d": "f2", "e": None}
    told = {"a": "x", "b": "x", "c": "y", "d": "y", "e": None}
    found = agreement(truth, told)
    assert (found.pair_f1, found.bcubed_f1, found.ari, found.v_measure) == (1, 1, 1, 1)
    assert groups(truth) == groups(told)


def test_merging_two_faults_costs_precision_and_splitting_one_recall() -> None:
    truth = {"a": "f1", "b": "f1", "c": "f2", "d": "f2"}
    merged = agreement(truth, dict.fromkeys(truth, "x"))
    assert (merged.pair_precision, merged.pair_recall) == (pytest.approx(2 / 6), 1)
    split = agreement(truth, {"a": "x", "b": "z", "c": "y", "d": "y"})
    assert (split.pair_precision, split.pair_recall) == (1, 0.5)
    assert split.bcubed_f1 == pytest.approx(2 * 0.75 / 1.75)


def test_noise_held_by_an_incident_counts_and_noise_left_alone_does_not() -> None:
    truth: dict[str, str | None] = {"a": "f1", "b": "f1", "n": None, "m": None}
    held = agreement(truth, {"a": "x", "b": "x", "n": "x", "m": None})
    assert held.pair_precision == pytest.approx(1 / 3)
    assert agreement({"n": None}, {"n": None}).pair_f1 is None
    assert agreement(truth, {}).pair_f1 == 0
