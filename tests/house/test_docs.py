"""Whatever the outside relies on is documented, and nothing is documented that is not there."""

import ast
import re

from fastapi import FastAPI

from app.api.openapi import document
from app.core.events import EventType
from tests.house.settings_keys import keys
from tests.house.tree import files, name, python, syntax, text

SCOPE = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
METHODS = {"get", "post", "put", "patch", "delete"}


def rows(page: str) -> list[str]:
    """The first column of every table of a page."""
    return SCOPE.findall(text(page))


def test_every_setting_is_documented_with_its_default() -> None:
    found = {}
    for line in text("docs/settings.md").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            key, kind, unit, default, meaning = cells
            assert all((kind, unit)), line
            assert meaning.rstrip("|").strip().endswith("."), line
            found[key.strip("| `")] = default.strip("`")
    assert found == dict(keys())


def test_every_event_type_is_documented() -> None:
    assert rows("docs/events.md") == [kind.value for kind in EventType]


def test_every_route_is_documented(application: FastAPI) -> None:
    served = {
        f"{method.upper()} {path}"
        for path, operations in document(application)["paths"].items()
        for method in operations
        if method in METHODS
    }
    assert set(rows("docs/api.md")) == served


def test_every_metric_is_documented() -> None:
    made = set()
    for path in python("app"):
        for node in ast.walk(syntax(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"counter", "gauge", "histogram"}
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                made.add(node.args[0].value)
    assert set(rows("docs/metrics.md")) == made


def test_every_dependency_has_its_reason() -> None:
    project = text("pyproject.toml")
    named = re.findall(r'^  "([a-z0-9-]+)(?:\[[a-z]+\])?>=', project, re.MULTILINE)
    assert sorted(rows("docs/decisions/dependencies.md")) == sorted(named)


def test_links_between_pages_lead_somewhere() -> None:
    pages = (path for path in files() if path.suffix == ".md")
    broken = [
        f"{name(page)}: {target}"
        for page in pages
        for target in LINK.findall(page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []
