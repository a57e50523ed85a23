"""The tree is what a stranger may see: files of one subject, plain words, nothing of a machine."""

import ast
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.house.tree import PROJECT, files, name, python, syntax

LONGEST = 400  # lines
ROOMS = ("app", "tests", "bench", "alembic")
# Written in pieces, so that this file does not find itself.
PLACES = re.compile(
    r"(?<![\w.])/(?:work|root|home|Users)/\w"
    r"|(?:files\.)?python" + r"hosted\.org|pypi\.(?:org|python)|registry\.npm" + r"js"
    r"|--(?:extra-)?index" + r"-url\b"
)
WORDS = re.compile(
    r"(Manager|Helper|Utils?|Handler|Processor|Observation|Notification|(?<=.)Service)$"
)
STEMS = re.compile(r"(^|_)(alerts?|managers?|helpers?|utils?|handlers?|processors?|misc|common)$")
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")


def test_no_file_is_longer_than_a_subject() -> None:
    long = {
        name(path): lines
        for path in python(*ROOMS)
        if (lines := len(path.read_text("utf-8").splitlines())) > LONGEST
    }
    assert long == {}


def hosts() -> list[str]:
    """The package index that this machine installs from, if it says."""
    variables = ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL")
    found = (urlsplit(os.environ.get(variable, "")).hostname for variable in variables)
    return [host for host in found if host]


def test_no_file_names_a_machine_or_a_package_index() -> None:
    patterns = [PLACES, *(re.compile(re.escape(host)) for host in hosts())]
    found = []
    for path in files():
        if path.suffix in {".png", ".ico", ".otf", ".woff2", ".gz", ".zst"}:
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            found += [
                f"{name(path)}:{number}: {match.group()}"
                for pattern in patterns
                if (match := pattern.search(line))
            ]
    assert found == []


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{name(path)}:{number}"
        for path in python(*ROOMS)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("room", ["app"])
def test_classes_and_files_use_the_words_of_the_glossary(room: str) -> None:
    classes = [
        f"{name(path)}: {node.name}"
        for path in python(room)
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.ClassDef) and WORDS.search(node.name)
    ]
    stems = [name(path) for path in python(room) if STEMS.search(path.stem)]
    assert classes + stems == []


def test_only_the_workers_and_the_edge_catch_everything() -> None:
    allowed = {
        "app/workers.py",
        "app/api/middleware.py",
    }  # a loop survives its step, an edge answers
    found = [
        f"{name(path)}:{node.lineno}"
        for path in python("app")
        if name(path) not in allowed
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.ExceptHandler)
        and isinstance(node.type, ast.Name)
        and node.type.id in {"Exception", "BaseException"}
        and not hands_on(path, node)
    ]
    assert found == []


def hands_on(path: Path, node: ast.ExceptHandler) -> bool:
    """Whether the error is passed on: raised again, or said so in a noqa with its reason."""
    line = path.read_text("utf-8").splitlines()[node.lineno - 1]
    raises = any(isinstance(part, ast.Raise) for part in ast.walk(node))
    return raises or "noqa: BLE001 - " in line


def test_every_module_says_what_it_is_about() -> None:
    bare = [
        name(path)
        for path in python("app", "alembic")
        if path.name != "__init__.py" and ast.get_docstring(syntax(path)) is None
    ]
    assert bare == []


def test_the_locks_name_no_index_and_hash_everything() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = Path(PROJECT / lock).read_text("utf-8")
        pinned = re.findall(r"^[a-z0-9_.-]+(?:\[[a-z0-9,_-]+\])?==", text, re.MULTILINE)
        assert len(pinned) > 20
        blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
        bare = [block for block in blocks if "==" in block and "--hash=sha256:" not in block]
        assert bare == []
