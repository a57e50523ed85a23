"""Scenarios: the same seed gives the same bytes, every line is labelled, the truth is consistent."""

import hashlib
import json
from collections import Counter

import pytest

from bench.scenarios import BadScenario, Scenario, generate, names
from bench.scenarios.truth import NOISE

NAMED = [name for name in names() if name not in {"random", "noise"}]
PROCESSES = ["random", "noise"]


def small(name: str, seed: int = 5) -> Scenario:
    weeks = 1.0 if name in PROCESSES else None
    return generate(name, seed, users=500, history_days=0.1, weeks=weeks)


def digest(made: Scenario) -> str:
    total = hashlib.sha256()
    for line in made.ndjson(labelled=True):
        total.update(line)
    return total.hexdigest()


def test_the_thirty_of_the_reference_are_there() -> None:
    numbers = [generate(name, 0, users=60, history_days=0).truth["number"] for name in NAMED]
    assert numbers == list(range(1, 31))


@pytest.mark.parametrize("name", ["ex931445", "isp_path", "noise", "random", "clock_skew_batch"])
def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(name: str) -> None:
    first, second = small(name), small(name)
    assert digest(first) == digest(second) == digest(first)
    assert first.truth == second.truth
    assert digest(small(name, seed=6)) != digest(first)


@pytest.mark.parametrize("name", names())
def test_every_line_is_labelled_and_comes_in_the_order_of_arrival(name: str) -> None:
    made = small(name)
    known = set(NOISE) | {fault["id"] for fault in made.truth["faults"]}
    refs: Counter[str] = Counter()
    last = 0
    for line in made.lines():
        assert line.at >= last
        last = line.at
        refs[line.ref] += 1
        assert line.label in known
        assert line.body["id"]
    assert max(refs.values()) == 1


@pytest.mark.parametrize("name", names())
def test_the_truth_agrees_with_the_labels(name: str) -> None:
    made = small(name)
    seen: Counter[str] = Counter()
    first: dict[str, int] = {}
    for line in made.lines():
        if line.kind != "advisory":
            seen[line.label] += 1
            first.setdefault(line.label, line.at)
    served = {line.body["id"] for line in made.lines() if line.kind == "advisory"}
    for fault in made.truth["faults"]:
        assert (seen[fault["id"]] > 0) == fault["visible"], fault["id"]
        assert fault["onset"] < fault["end"]
        assert not fault["required"] or fault["visible"] or fault["severity"] < 0.3
        if fault["visible"]:
            assert fault["onset"] <= fault["first_failing_at"] <= fault["first_signal_at"]
            assert fault["first_signal_at"] <= fault["end"]
        assert set(fault["advisories"]) <= {a["id"] for a in made.truth["advisories"]}
    assert served <= {a["id"] for a in made.truth["advisories"]}
    if made.truth["number"] <= 30:
        assert served == {a["id"] for a in made.truth["advisories"]}


def test_ids_and_bodies_do_not_tell_the_label() -> None:
    for line in small("spray_during_outage").lines():
        text = json.dumps(line.body)
        if line.kind != "advisory":
            assert not any(word in text for word in ('"f1', "spray1", "label", "probe_false"))
            assert not line.ref.startswith(line.label)


def test_a_longer_history_moves_nothing() -> None:
    short, long = (generate("regional_s2", 3, users=300, history_days=d) for d in (0.2, 1.0))
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
