"""The command: a file of signals with its truth, one seed shown, the page with its pictures."""

import argparse
import json
import random
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.cli import main
from app.core.errors import SettingsError
from app.core.policy import DEFAULT_POLICY
from app.sources.recorded import Line
from bench.evaluate import command, count, order, page
from bench.evaluate.run import Case, Wish, judged, make, play
from bench.evaluate.show import detail
from tests.core.play import PROFILE, at, outage

STORM = 40


def files(directory: Path) -> tuple[Path, Path]:
    """Forty users who cannot reach their mail for four minutes, and the truth about it."""
    rows: list[dict[str, object]] = [
        {"tenant": "contoso", "users": 500, "locations": [{"name": "ny", "external": True}]}
    ]
    for number in range(STORM):
        moment = (at("06:00") + timedelta(seconds=6 * number)).isoformat()
        rows.append({
            "ref": f"r{number}", "received_at": moment, "tenant": "contoso",
            "kind": "client_report", "label": "f1",
            "body": {"service": "exchange-online", "http_status": 503, "occurred_at": moment,
                     "reporter": f"u{number}", "network": f"n{number % 3}"},
        })  # fmt: skip
    truth = {
        "faults": [
            {
                "id": "f1",
                "origin": "vendor",
                "services": ["exchange-online"],
                "onset": at("06:00").isoformat(),
                "end": at("06:04").isoformat(),
            }
        ]
    }
    signals, told = directory / "signals.ndjson", directory / "truth.json"
    signals.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    told.write_text(json.dumps(truth), "utf-8")
    return signals, told


def test_anybodys_file_is_scored_against_its_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signals, truth = files(tmp_path)
    asked = ["evaluate", "--signals", str(signals), "--truth", str(truth), "--json", "--baselines"]
    assert main(asked) == 0
    document = json.loads(capsys.readouterr().out)
    (run,) = document["runs"]
    (fault,) = run["scores"]["sextant"]["faults"]
    assert fault["said"] == "vendor"
    assert 0 < fault["delay"] < 240
    assert run["scores"]["vendor"]["faults"][0]["delay"] is None  # a miss: the vendor said nothing
    recall = next(t for t in document["targets"] if t["name"] == "vendor-fault recall")
    assert (recall["value"], recall["n"]) == (1.0, 1)


def test_a_file_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--signals", "nowhere.ndjson"]) == 1
    assert "nowhere.ndjson" in capsys.readouterr().err
    assert main(["evaluate", "--show", "ex931445"]) == 1
    assert "SCENARIO:SEED" in capsys.readouterr().err
    assert main(["evaluate", "--scenarios", "no_such_thing"]) == 1
    assert "no_such_thing" in capsys.readouterr().err


@pytest.fixture(scope="module")
def case() -> Case:
    """The seventy minutes around the onset of a named scenario, so that the test is short."""
    whole = make("no_probes", 0, {"history_days": 0, "users": 500})
    onset = whole.truth.faults[0].started_at
    near = [x for x in whole.lines if -600 < (x.received_at - onset).total_seconds() < 3600]
    return Case(scenario=whole.scenario, seed=0, profile=whole.profile, lines=near,
                truth=whole.truth)  # fmt: skip


def test_a_named_scenario_is_found_by_its_truth(case: Case) -> None:
    played = play(case, DEFAULT_POLICY, tick=30)
    text = "\n".join(detail(played))
    assert "[right of f1]" in text
    assert "EX" in text


def test_signals_that_were_kept_are_those_that_are_made_anew() -> None:
    options = {"history_days": 0, "users": 60}
    first, kept = make("no_probes", 1, options), make("no_probes", 1, options)
    assert first.lines == kept.lines
    assert first.truth == kept.truth
    assert make("no_probes", 2, options).lines != kept.lines


def test_the_page_and_its_pictures_are_written(case: Case, tmp_path: Path) -> None:
    run = judged(case, Wish(options={}, baselines=True, permutations=1, tick=30))
    assert run["order"]["asked"] == 1
    page.write(tmp_path / "evaluation.md", [run, {**run, "seed": 1}], tick=30)
    text = (tmp_path / "evaluation.md").read_text("utf-8")
    assert "development seeds" in text
    assert text.index("Where it loses") < text.index("Metric and target")
    assert "| no_probes | 2 |" in text
    for picture in (tmp_path / "img").glob("*.svg"):
        assert ET.parse(picture).getroot().tag.endswith("svg")
    assert len(list((tmp_path / "img").glob("*.svg"))) == 3
    cost = {"signals_per_second": 5.0, "state_growth": 1.0, "look_ms": 49.0, "worst_look_ms": 51.0}
    page.write(tmp_path / "evaluation.md", [{**run, "seed": 1000}], tick=30, cost=cost)
    assert "| **missed** | signals folded per second" in (tmp_path / "evaluation.md").read_text()
    assert "**evaluation seeds**" in (tmp_path / "evaluation.md").read_text("utf-8")


def test_a_permutation_moves_signals_within_the_window_and_keeps_their_content() -> None:
    lines = [Line(ref=f"s{n}", tenant=PROFILE.id, received_at=s.received_at, signal=s)
             for n, s in enumerate(outage())]  # fmt: skip
    moved = order.shuffled(lines, random.Random(1), 3)
    by_ref = {line.ref: line for line in moved}
    assert len(moved) > len(lines)  # some came twice
    assert [x.ref for x in moved if "#" not in x.ref] != [x.ref for x in lines]
    assert all(by_ref[x.ref].signal == x.signal for x in lines)
    window = timedelta(minutes=order.LATENESS_MINUTES)
    assert all(timedelta(0) <= by_ref[x.ref].received_at - x.received_at < window for x in lines)


def test_the_permuted_time_is_the_busiest_and_no_line_of_it_is_too_late() -> None:
    lines = [Line(ref=f"s{n}", tenant=PROFILE.id, received_at=s.received_at, signal=s)
             for n, s in enumerate(outage())]  # fmt: skip
    late = replace(lines[0], ref="late", received_at=lines[0].received_at + timedelta(hours=1))
    some = order.busiest([*lines, late])
    assert some
    assert "late" not in {line.ref for line in some}
    assert some[-1].received_at - some[0].received_at <= order.SPAN


def test_a_plan_runs_its_parts_until_the_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("""
        [[parts]]
        name = "a"
        scenarios = "noise"
        seeds = 2
        weeks = 0.1
        [[parts]]
        name = "b"
        scenarios = "named"
        seeds = 1
        only_order = true
    """)
    first, second = count.read(str(plan))
    assert (first.options, first.only_order) == ({"weeks": 0.1}, False)
    assert second.only_order
    monkeypatch.setattr(command, "STORE", tmp_path)
    arguments = argparse.Namespace(plan=str(plan), minutes=0.0, tick=10, jobs=1, fresh=True)
    counted = command._count(arguments, DEFAULT_POLICY)
    assert [done for _, done, _ in counted.done] == [0, 0]
    assert counted.done[0][2] == 2


@pytest.mark.parametrize("text", ["", "parts = 3", '[[parts]]\nname = "x"'])
def test_a_plan_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"bad\.toml"):
        count.read(str(tmp_path / "bad.toml"))


def test_the_plan_of_the_page_asks_for_unseen_seeds_and_enough_weeks() -> None:
    parts = count.read("count")
    assert all(part.first_seed >= page.DEVELOPMENT for part in parts)
    noise = [part for part in parts if part.scenarios == "noise"]
    assert sum(part.seeds * part.options["weeks"] for part in noise) >= 200
    assert max(part.permutations for part in parts) >= 1000
