"""What the house tests look at: the files of the project, as git knows them."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@cache
def files() -> tuple[Path, ...]:
    """Every file that is or would be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = (PROJECT / name for name in sorted(set(listed.split("\0")) - {""}))
    return tuple(path for path in found if path.is_file())


def python(*rooms: str) -> Iterator[Path]:
    """The Python files of these top folders."""
    return (
        path
        for path in files()
        if path.suffix == ".py" and path.relative_to(PROJECT).parts[0] in rooms
    )


def name(path: Path) -> str:
    """The path inside the project, for messages."""
    return path.relative_to(PROJECT).as_posix()


def text(path: str | Path) -> str:
    """The text of a file of the project."""
    return (PROJECT / path).read_text("utf-8")


def syntax(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text("utf-8"), str(path))
