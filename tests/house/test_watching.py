"""The dashboard and the alert rules in deploy/: they parse, and ask only for metrics that exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.house.test_docs import rows

DASHBOARD = Path("deploy/grafana/sextant.json")
RULES = Path("deploy/prometheus/rules.yaml")
# Prometheus makes the first itself; the others come with its Python library.
FOREIGN = {"up", "process_resident_memory_bytes"}
SUFFIX = re.compile(r"_(?:total|bucket|count|sum)$")
NAME = re.compile(r"\b(?:sextant|process)_[a-z_]+\b|\bup\b")
SEVERITIES = {"critical", "major", "minor", "warning", "info"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return found


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def test_every_metric_that_is_asked_for_exists() -> None:
    known = set(rows("docs/metrics.md")) | FOREIGN
    asked = {name for one in expressions() for name in NAME.findall(one)}
    assert {name for name in asked if SUFFIX.sub("", name) not in known} == set()
    shown = {SUFFIX.sub("", name) for name in asked}
    assert set(rows("docs/metrics.md")) <= shown  # what is measured is also looked at


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_an_expression_is_whole(expression: str) -> None:
    bare = re.sub(r'"[^"]*"', '""', expression)
    for left, right in ("()", "[]", "{}"):
        assert bare.count(left) == bare.count(right)
    for name in re.findall(r"\b(?:rate|increase)\(([a-z_]+)", bare):
        assert name.endswith(("_total", "_bucket"))  # a rate of a gauge says nothing


def test_each_rule_says_what_is_wrong_and_what_to_do() -> None:
    assert len(rules()) == len({rule["alert"] for rule in rules()})
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["action"].endswith(".")


def test_panels_lie_beside_each_other_and_ask_the_chosen_source() -> None:
    places = [(one["gridPos"]["x"], one["gridPos"]["y"]) for one in panels()]
    assert len(places) == len(set(places))
    assert len({one["id"] for one in panels()}) == len(panels())
    assert {one["datasource"]["uid"] for one in panels()} == {"${source}"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus' own reader is not here")
def test_prometheus_itself_reads_the_rules() -> None:
    read = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, check=False)
    assert read.returncode == 0, read.stdout.decode() + read.stderr.decode()
