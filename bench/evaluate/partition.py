"""Partitions: how well predicted groups of signals agree with the true ones."""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import comb, log


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two partitions agree; each figure is None where nothing was to be grouped."""

    pair_precision: float | None
    pair_recall: float | None
    pair_f1: float | None
    bcubed_f1: float | None
    ari: float | None
    v_measure: float | None


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _entropy(sizes: Mapping[Hashable, int], n: int) -> float:
    return -sum(size / n * log(size / n) for size in sizes.values())


def agreement(
    truth: Mapping[str, str | None], told: Mapping[str, str | None]
) -> Agreement:  # fmt: skip
    """Compare the incident of each signal with its fault.

    A signal without a fault (or without an incident) is a group of its own. Signals that have
    neither are left out: they would make any figure look well.
    """
    cells: Counter[tuple[Hashable, Hashable]] = Counter()
    for ref, fault in truth.items():
        incident = told.get(ref)
        if fault is not None or incident is not None:
            cells[(fault or ("alone", ref), incident or ("alone", ref))] += 1
    n = sum(cells.values())
    if n == 0:
        return Agreement(None, None, None, None, None, None)
    true: Counter[Hashable] = Counter()
    said: Counter[Hashable] = Counter()
    for (fault_, incident_), count in cells.items():
        true[fault_] += count
        said[incident_] += count
    several = sum(count > 1 for count in true.values()) > 1  # of one group these say nothing
    both = sum(comb(count, 2) for count in cells.values())
    true_pairs = sum(comb(count, 2) for count in true.values())
    said_pairs = sum(comb(count, 2) for count in said.values())
    precision = both / said_pairs if said_pairs else float(true_pairs == 0)
    recall = both / true_pairs if true_pairs else float(said_pairs == 0)
    b_precision = sum(c * c / said[i] for (_, i), c in cells.items()) / n
    b_recall = sum(c * c / true[f] for (f, _), c in cells.items()) / n
    return Agreement(
        precision,
        recall,
        _f1(precision, recall),
        _f1(b_precision, b_recall),
        _ari(both, true_pairs, said_pairs, comb(n, 2)) if several else None,
        _v_measure(cells, true, said, n) if several else None,
    )


def _ari(both: int, true_pairs: int, said_pairs: int, pairs: int) -> float:
    if pairs == 0:
        return 1.0
    chance = true_pairs * said_pairs / pairs
    most = (true_pairs + said_pairs) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)


def _v_measure(
    cells: Mapping[tuple[Hashable, Hashable], int],
    true: Mapping[Hashable, int],
    said: Mapping[Hashable, int],
    n: int,
) -> float:
    h_true, h_said = _entropy(true, n), _entropy(said, n)
    h_true_said = -sum(c / n * log(c / said[i]) for (_, i), c in cells.items())
    h_said_true = -sum(c / n * log(c / true[f]) for (f, _), c in cells.items())
    homogeneity = 1.0 if h_true == 0 else 1 - h_true_said / h_true
    completeness = 1.0 if h_said == 0 else 1 - h_said_true / h_said
    return _f1(homogeneity, completeness)


def groups(told: Mapping[str, str | None]) -> frozenset[frozenset[str]]:
    """The groups of a partition without their names; two partitions are equal when these are."""
    kept: dict[str, set[str]] = {}
    for ref, incident in told.items():
        if incident is not None:
            kept.setdefault(incident, set()).add(ref)
    return frozenset(frozenset(refs) for refs in kept.values())
