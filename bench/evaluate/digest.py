"""Digests of source files: a stored result is of use only while what made it is unchanged."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


MADE_BY = (  # what signals and their truth depend on
    "bench/scenarios",
    "bench/evaluate/run.py",
    "bench/evaluate/truth.py",
    "app/core/signal.py",
    "app/core/state.py",
    "app/core/types.py",
    "app/sources",
    "app/recordings.py",
)


@cache
def _of(parts: tuple[str, ...]) -> str:
    made = hashlib.sha256()
    for part in parts:
        path = ROOT / part
        files: Iterable[Path] = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and file.suffix != ".pyc":
                made.update(file.relative_to(ROOT).as_posix().encode())
                made.update(file.read_bytes())
    return made.hexdigest()


def _short(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()[:16]


def of_scenarios(scenario: str, options: Mapping[str, Any]) -> str:
    """What the signals of a scenario depend on, besides the seed."""
    file = Path(scenario)
    own = file.read_text("utf-8") if file.suffix == ".toml" else ""
    generator = _of(MADE_BY)
    return _short(generator, scenario, own, sorted(options.items()))


def of_run(*wishes: object) -> str:
    """What a result depends on, besides scenario and seed."""
    return _short(_of(("bench/scenarios", "bench/evaluate", "app/core", "app/flow/offline.py",
                       "app/sources", "app/recordings.py")), *wishes)  # fmt: skip


def of_run_options(options: Mapping[str, Any]) -> str:
    """A short word for the options of the generator."""
    return _short(sorted(options.items()))[:6]
