"""What advisories, adversaries and scopes look like in the lines of the named scenarios."""

import ast
import re
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from bench.scenarios import Line, generate, names

ROOT = Path(__file__).resolve().parents[2]
GRAPH_STATUSES = {
    "investigating", "serviceDegradation", "serviceInterruption", "restoringService",
    "verifyingService", "extendedRecovery", "serviceRestored", "falsePositive",
    "investigationSuspended", "postIncidentReviewPublished",
}  # fmt: skip
RESOLVED = {"serviceRestored", "falsePositive", "postIncidentReviewPublished"}
START = re.compile(
    r"(?:Incident Start T|Start t)ime: \w+day, \w+ \d{1,2}, \d{4}, at \d{1,2}:\d\d [AP]M UTC"
)


def lines(name: str, seed: int = 2, **options) -> list[Line]:
    return list(generate(name, seed, history_days=0, **{"users": 1000, **options}).lines())


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def test_generator_and_product_do_not_import_each_other() -> None:
    generator = list((ROOT / "bench" / "scenarios").rglob("*.py"))
    product = list((ROOT / "app").rglob("*.py"))
    assert len(generator) > 10
    assert [f.name for f in generator if "app" in imports(f)] == []
    assert [f.name for f in product if "bench" in imports(f)] == []


@pytest.mark.parametrize("name", names())
def test_advisories_are_what_graph_serves(name: str) -> None:
    weeks = {"weeks": 2} if name in {"random", "noise"} else {}
    blind = {"probes.coverage": 0.0}
    made = generate(name, 3, users=60, history_days=0, settings=blind, **weeks)
    truth = {a["id"]: a for a in made.truth["advisories"]}
    last: dict[str, dict] = {}
    for line in made.lines():
        if line.kind != "advisory":
            continue
        body = line.body
        assert body["status"] in GRAPH_STATUSES
        stamps = [post["createdDateTime"] for post in body["posts"]]
        assert stamps == sorted(stamps)
        assert len(body["posts"]) >= len(last.get(body["id"], {"posts": []})["posts"])
        assert body["isResolved"] == (body["status"] in RESOLVED)
        assert (body["endDateTime"] is not None) == body["isResolved"]
        told, start = truth[body["id"]], datetime.fromisoformat(body["startDateTime"])
        if body["isResolved"]:
            assert start == datetime.fromisoformat(told["stated_start"])
        else:  # while it is open the field says when it was made
            made_at = datetime.fromisoformat(told["published_at"])
            assert 0 <= (made_at - start).total_seconds() <= 60
        last[body["id"]] = body
    for body in last.values():
        texts = [post["description"]["content"] for post in body["posts"]]
        if body["status"] == "postIncidentReviewPublished":
            assert texts.pop() == "A post-incident report has been published."
        assert all("user impact: " in text.lower() and "Title: " in text for text in texts)
        assert not START.search(texts[0])
        assert all(START.search(text) for text in texts[1:])


def test_the_told_story_goes_as_told() -> None:
    told = generate("ex931445", 9).truth
    fault, advisory = told["faults"][0], told["advisories"][0]
    assert fault["onset"] == "2026-03-16T08:45:00.000Z"  # 09:45 in Berlin
    assert advisory["published_at"] == "2026-03-16T09:27:00.000Z"
    assert advisory["id"] == "EX931445"
    assert advisory["statuses"] == [
        "investigating", "serviceDegradation", "serviceDegradation", "extendedRecovery",
        "serviceRestored",
    ]  # fmt: skip
    late = datetime.fromisoformat(advisory["resolved_at"]) - datetime.fromisoformat(fault["end"])
    assert late.total_seconds() == 20 * 60


def test_scopes_hold() -> None:
    regional = [x for x in lines("regional_s2") if x.label == "f1" and x.kind != "advisory"]
    assert {x.body.get("region") for x in regional if x.kind == "client_report"} == {"fr"}
    assert {x.body["location"] for x in regional if x.kind == "probe_result"} == {"lyon"}
    local = [x for x in lines("local_net_s3") if x.label == "f1"]
    assert {x.body["network"] for x in local if x.kind == "client_report"} == {"krakow-office"}
    assert {x.body["location"] for x in local if x.kind == "probe_result"} == {"krakow"}
    assert len({x.body["service"] for x in local}) == 4
    path = [x for x in lines("isp_path") if x.label == "f1" and x.kind == "client_report"]
    assert {x.body["network"] for x in path} == {"as64500", "lyon-office"}
    assert {x.body["region"] for x in path} == {"de", "fr", "pl"}
    assert not any(x.kind == "probe_result" for x in lines("no_probes"))


def test_a_fault_that_flaps_is_silent_between() -> None:
    made = generate("flap_onoff", 2, users=1000, history_days=0)
    fault = made.truth["faults"][0]
    assert len(fault["phases"]) == 5
    failed = [x for x in made.lines() if x.label == "f1" and x.kind == "probe_result"]
    for line in failed:
        assert any(a <= line.body["occurred_at"] < b for a, b in fault["phases"])


def test_adversaries_are_who_they_are() -> None:
    noisy = [x for x in lines("noisy_client") if x.label == "noisy_client"]
    assert len({x.body["reporter"] for x in noisy}) == 1
    assert 5 * 240 * 0.9 < len(noisy) < 20 * 240 * 1.1
    storm = [x for x in lines("rotating_actor_storm") if x.label == "actor_storm"]
    assert len({x.body["reporter"] for x in storm}) > 0.97 * len(storm)
    assert {x.body["network"] for x in storm} == {"as64999"}
    spray = [x for x in lines("password_spray") if x.label == "spray1"]
    assert {x.body["code"] for x in spray} <= {"AADSTS50126", "AADSTS50034", "AADSTS50053"}
    assert len({x.body["reporter"] for x in spray}) > 300
    flapping = [x for x in lines("flapping_probe", settings={"transport.duplicates": 0.0})
                if x.label == "flapping_probe"]  # fmt: skip
    assert {(x.body["location"], x.body["service"]) for x in flapping} == {
        ("lyon", "exchange-online")
    }
    assert 0.1 * 300 * 0.6 < len(flapping) < 0.4 * 300 * 1.3


def test_a_held_batch_comes_at_once_and_late() -> None:
    made = generate("clock_skew_batch", 2, users=3000, history_days=0)
    batch = made.truth["adversaries"][0]
    delivered = datetime.fromisoformat(batch["delivered"]).timestamp() * 1000
    late = [x for x in made.lines() if x.kind == "client_report" and 0 <= x.at - delivered < 20_000]
    assert Counter(x.body["region"] for x in late).most_common(1)[0][0] == "fr"
    assert sum(x.label == "f1" for x in late) > 20


def test_a_replay_is_the_same_bodies_under_other_references(tmp_path) -> None:
    file = tmp_path / "replayed.toml"
    file.write_text(
        'title = "Yesterday again"\nstart = 2026-03-17\n[[adversaries]]\nkind = "replayed_batch"\n'
        'at = "0 08:00"\nminutes = 120\ndeliver = 60\n'
    )
    made = list(generate(file, 1, users=20_000, history_days=0).lines())
    replayed = [x for x in made if x.label == "replayed_batch"]
    first = {x.body["id"]: x for x in made if x.label == "background"}
    assert len(replayed) > 20
    assert all(first[x.body["id"]].body == x.body for x in replayed)


def test_the_readme_scenario_can_be_played(tmp_path) -> None:
    text = (ROOT / "bench" / "scenarios" / "README.md").read_text("utf-8")
    file = tmp_path / "own.toml"
    file.write_text(re.search(r"```toml\n(.*?)```", text, re.DOTALL).group(1))
    made = generate(file, 1)
    assert made.truth["expected"] == {
        "incidents": 2, "detected": 1, "vendor_reported": 1, "optional": 0
    }  # fmt: skip
    assert {line.kind for line in made.lines()} == {"client_report", "probe_result", "advisory"}
