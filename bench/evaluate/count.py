"""The count: the runs that make the page, part by part, as a file lists them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from app.core.errors import SettingsError

COUNT = Path(__file__).with_name("count.toml")
OPTIONS = ("weeks", "users", "history_days", "settings")  # of the generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: which scenarios and seeds, and what is asked of each.

    ``only_order``: nothing is judged but whether other orders of the signals group alike.
    """

    name: str
    scenarios: str
    seeds: int
    first_seed: int = 1000
    permutations: int = 0
    baselines: bool = False
    only_order: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Counted:
    """What came of the parts: judged runs, runs of order alone, and how much of each part."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    done: list[tuple[str, int, int]] = field(default_factory=list)  # part, runs done, runs asked


def read(word: str) -> list[Part]:
    """Read the parts of a file; ``count`` is the one that makes the page.

    Raises:
        SettingsError: there is no such file, or it cannot be read.
    """
    file = COUNT if word == "count" else Path(word)
    known = {one.name for one in fields(Part)} - {"options"}
    try:
        rows = tomllib.loads(file.read_text("utf-8"))["parts"]
        return [
            Part(
                options={key: row[key] for key in OPTIONS if key in row},
                **{key: value for key, value in row.items() if key in known},
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"The parts {file} cannot be read: {error}") from error
