"""``python -m bench.scenarios SCENARIO --seed N``: what ``sextant simulate`` does."""

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.scenarios import BadScenario, generate, names


def _setting(text: str) -> tuple[str, Any]:
    """Read one ``table.key=value``."""
    path, _, value = text.partition("=")
    try:
        return path.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is no TOML value: {error}") from error


def run(arguments: argparse.Namespace) -> int:
    """Print a scenario's signals as NDJSON, and write its truth if asked; ``list``: the names."""
    if arguments.scenario == "list":
        print("\n".join(names()))
        return 0
    made = generate(
        arguments.scenario,
        arguments.seed,
        users=arguments.users,
        weeks=arguments.weeks,
        history_days=arguments.history_days,
        settings=dict(arguments.set or []),
    )
    if arguments.truth:
        text = json.dumps(made.truth, indent=1, ensure_ascii=False) + "\n"
        Path(arguments.truth).write_text(text, "utf-8")
    try:
        for text in made.ndjson(labelled=not arguments.plain):
            sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Read the arguments and print the scenario; gives the exit code."""
    parser = argparse.ArgumentParser(prog="sextant simulate", description=run.__doc__)
    parser.add_argument("scenario", metavar="SCENARIO", help="name, path of a .toml, or list")
    parser.add_argument("--seed", type=int, default=0, help="from 1000 on: for evaluation")
    parser.add_argument("--truth", metavar="FILE", help="write what really happened, as JSON")
    parser.add_argument("--plain", action="store_true", help="without the labels")
    parser.add_argument("--users", type=int, help="size of the tenant")
    parser.add_argument("--weeks", type=float, help="length of random and noise")
    parser.add_argument("--history-days", type=float, help="quiet days before the first")
    parser.add_argument(
        "--set", action="append", type=_setting, metavar="TABLE.KEY=VALUE",
        help="another parameter of defaults.toml, the value in TOML; may be given again",
    )  # fmt: skip
    try:
        return run(parser.parse_args(argv))
    except BadScenario as error:
        print(f"sextant: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
