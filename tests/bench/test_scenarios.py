"""Scenarios: one seed gives the same bytes, every line is labelled, the truth is consistent."""

import hashlib
from collections import Counter

import pytest

from bench.scenarios import BadScenario, Scenario, generate, names
from bench.scenarios.truth import NOISE

NAMED = [name for name in names() if name not in {"random", "noise"}]
PROCESSES = ["random", "noise"]


def small(name: str, seed: int = 5) -> Scenario:
    weeks = 0.3 if name in PROCESSES else None
    return generate(name, seed, users=500, history_days=0, weeks=weeks)


def digest(made: Scenario) -> str:
    total = hashlib.sha256()
    for line in made.ndjson(labelled=True):
        total.update(line)
    return total.hexdigest()


def test_the_thirty_of_the_reference_are_there() -> None:
    numbers = [generate(name, 0, users=60, history_days=0).truth["number"] for name in NAMED]
    assert numbers == list(range(1, 31))


@pytest.mark.parametrize("name", ["isp_path", "random", "no_probes"])
def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(name: str) -> None:
    first, second = small(name), small(name)
    assert digest(first) == digest(second)
    assert first.truth == second.truth
    assert digest(small(name, seed=6)) != digest(first)


@pytest.mark.parametrize("name", names())
def test_every_line_is_labelled_and_the_truth_agrees_with_the_labels(name: str) -> None:
    made = small(name)
    known = set(NOISE) | {fault["id"] for fault in made.truth["faults"]}
    refs, served, last = set(), set(), 0
    seen: Counter[str] = Counter()
    for count, line in enumerate(made.lines(), start=1):
        assert line.at >= last
        last = line.at
        refs.add(line.ref)
        assert len(refs) == count  # no reference twice
        assert line.label in known
        if line.kind == "advisory":
            served.add(line.body["id"])
        else:
            seen[line.label] += 1
            assert line.label not in line.body.values()
            assert line.label == "healthy" or not line.ref.startswith(line.label)
    for fault in made.truth["faults"]:
        agrees(fault, seen[fault["id"]])
    told = {a["id"] for a in made.truth["advisories"]}
    assert served <= told
    assert made.truth["number"] > 30 or served == told
    assert {one for fault in made.truth["faults"] for one in fault["advisories"]} <= told


def agrees(fault: dict, signals: int) -> None:
    assert (signals > 0) == fault["visible"], fault["id"]
    assert fault["onset"] < fault["end"]
    # a fault that an incident is demanded for is one that can be seen
    assert fault["visible"] or not fault["required"]
    if fault["visible"]:
        assert fault["onset"] <= fault["first_failing_at"] <= fault["first_signal_at"]
        assert fault["first_signal_at"] <= fault["end"]
        assert fault["first_signal_at"] <= fault["first_received_at"]


def test_a_longer_history_moves_nothing() -> None:
    short, long = (generate("regional_s2", 3, users=300, history_days=d) for d in (0.1, 0.3))
    kept = [line for line in short.lines() if line.at >= short.begin + 3_600_000]
    same = {line.ref: line for line in long.lines()}
    assert [same[line.ref] for line in kept] == kept
    changing = {"from"}
    assert {k: v for k, v in short.truth.items() if k not in changing} == {
        k: v for k, v in long.truth.items() if k not in changing
    }


def test_jitter_moves_only_seeds_for_evaluation() -> None:
    def length(seed: int, *, jitter: bool | None = None) -> float:
        fault = generate("ex931445", seed, users=60, history_days=0, jitter=jitter).truth["faults"]
        return float(fault[0]["severity"])

    assert {length(seed) for seed in range(5)} == {0.8}
    moved = {length(seed) for seed in range(1000, 1010)}
    assert len(moved) > 3
    assert all(0.56 <= value <= 1.0 for value in moved)
    assert length(1000, jitter=False) == 0.8


def test_an_unknown_name_or_key_is_one_sentence(tmp_path) -> None:
    with pytest.raises(BadScenario, match="There is no scenario nowhere; known: ex931445"):
        generate("nowhere", 0)
    file = tmp_path / "own.toml"
    file.write_text('title = "x"\nstart = 2026-03-02\n[[faults]]\nid = "f"\nkynd = "vendor"\n')
    with pytest.raises(BadScenario, match=r"own\.toml: a fault has no kynd; it has advisories"):
        generate(file, 0)
    file.write_text('title = "x"\nstart = 2026-03-02\n[reporting]\nmoode = "human"\n')
    with pytest.raises(BadScenario, match=r"\[reporting\] has no moode"):
        generate(file, 0)
