"""A long run in pieces: each piece is a whole run of its own, and leaves a line in a ledger.

Run: ``python -m tests.chaos.campaign sqlite --target 1000 --piece 50 [--minutes 30]``. It goes on
where the ledger ends, under the next seed, until the target is reached or the minutes are over; who
is interrupted loses the piece under way. ``python -m tests.chaos.campaign table`` writes what the
ledger holds into ``bench/chaos.md``.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import disorder
from tests.chaos.faults import storm
from tests.chaos.kill import Report, alone, say, tell
from tests.chaos.process import PROJECT
from tests.chaos.sent import unheard

LEDGER = PROJECT / "chaos.jsonl"  # not in git: what it says is in the page
PAGE = PROJECT / "bench" / "chaos.md"
BEGIN, END = "<!-- campaign -->", "<!-- /campaign -->"
KINDS = ("lost", "phantom", "inverted", "drifted", "duplicate")
FIRST_SEED = 1000
TITLES = {
    "sqlite": "kill -9, SQLite",
    "postgresql": "kill -9, PostgreSQL",
    "faults": "kills, cuts and crashes, two replicas on PostgreSQL",
    "disorder": "deliveries, a fifth of the attempts failing",
}
TARGETS = {"sqlite": 1000, "postgresql": 200, "faults": 400, "disorder": 1_000_000}

Line = dict[str, Any]


def _kept(report: Report) -> Line:
    """What the ledger keeps of a run of lives."""
    restarts = sorted(report.restarts)
    return {
        "holds": report.holds, **report.verdict.counts(),
        "acknowledged": report.history.acknowledged(), "stored": len(report.facts.records),
        "events": len(report.facts.events), "deliveries": len(report.facts.deliveries),
        "attempts": len(report.history.heard), "unheard": unheard(report.facts),
        "undone": report.backlog.left, "replays": len(report.facts.replays),
        "rotated": report.rotated,
        "errors": len(report.errors), "refusals": len(report.refusals),
        "restart_median": round(statistics.median(restarts), 2),
        "restart_worst": round(restarts[-1], 2),
    }  # fmt: skip


def _kill(database: str) -> Callable[[int, int], Line]:
    def piece(count: int, seed: int) -> Line:
        report = alone(database, say, kills=count, seed=seed)
        tell(report, say)
        return _kept(report)

    return piece


def _faults(count: int, seed: int) -> Line:
    report, struck = asyncio.run(storm(count, seed, say))
    tell(report, say)
    return {**_kept(report), "struck": dict(struck)}


def _disorder(count: int, seed: int) -> Line:
    found = disorder.measure(count, seed=seed)
    say(json.dumps(found))
    return found


PIECES: Mapping[str, Callable[[int, int], Line]] = {
    "sqlite": _kill("sqlite"),
    "postgresql": _kill("postgresql"),
    "faults": _faults,
    "disorder": _disorder,
}


def lines(ledger: Path) -> list[Line]:
    """Read what was run so far, oldest first."""
    if not ledger.exists():
        return []
    return [json.loads(line) for line in ledger.read_text("utf-8").splitlines() if line]


def done(ledger: Path, kind: str) -> tuple[int, int]:
    """How many were done of a kind, and the seed of its next piece."""
    mine = [line for line in lines(ledger) if line["kind"] == kind]
    seeds = [line["seed"] for line in mine]
    return sum(line["done"] for line in mine), max(seeds, default=FIRST_SEED - 1) + 1


def _revision() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=7"]
    told = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def go_on(kind: str, ledger: Path, *, target: int, piece: int, minutes: float) -> bool:
    """Run pieces until the target is reached or time is over; False when one broke a promise."""
    until = time.monotonic() + 60 * minutes
    held = True
    while time.monotonic() < until:
        so_far, seed = done(ledger, kind)
        if so_far >= target:
            break
        count = min(piece, target - so_far)
        say(f"{kind}: {so_far} of {target} done; {count} more, seed {seed}")
        revision, begun = _revision(), time.monotonic()
        found = PIECES[kind](count, seed)
        line = {
            "kind": kind, "seed": seed, "done": count, "revision": revision,
            "ended_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}",
            "minutes": round((time.monotonic() - begun) / 60, 1),
            "load": round(os.getloadavg()[1], 1), **found,
        }  # fmt: skip
        with ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        held = held and line["holds"]
    return held


def table(found: Iterable[Line]) -> str:
    """The sums of a ledger as a table in Markdown."""
    heads = ["run", "done", "of", "pieces", "that held", "acknowledged", "attempts"]
    heads += ["lost", "phantom", "inverted", "drifted", "duplicates", "unheard"]
    heads += ["replays", "new secrets", "hours"]
    rows = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    every = list(found)
    for kind, title in TITLES.items():
        mine = [line for line in every if line["kind"] == kind]
        total: Counter[str] = Counter()
        for line in mine:
            total.update({k: v for k, v in line.items() if isinstance(v, int | float)})
        cells = [
            title, f"{total['done']:,}", f"{TARGETS[kind]:,}", len(mine),
            sum(bool(line["holds"]) for line in mine), f"{total['acknowledged']:,}",
            f"{total['attempts']:,}", *(f"{total[name]:,}" for name in KINDS),
            f"{total['unheard']:,}", f"{total['replays']:,}", f"{total['rotated']:,}",
            f"{total['minutes'] / 60:.1f}",
        ]  # fmt: skip
        rows.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join([*rows, "", *_pieces(every)])


def _pieces(every: Iterable[Line]) -> list[str]:
    """One line per piece, so that each can be run again."""
    heads = ["piece", "done", "seed", "revision", "ended", "minutes", "load", "held"]
    heads += [*KINDS[:-1], "duplicates", "unheard", "restart p50, worst (s)"]
    rows = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for line in every:
        restart = f"{line['restart_median']}, {line['restart_worst']}" if "events" in line else "-"
        cells = [
            line["kind"], f"{line['done']:,}", line["seed"], line["revision"], line["ended_at"],
            line["minutes"], line["load"], "yes" if line["holds"] else "no",
            *(line[name] for name in KINDS), line["unheard"], restart,
        ]  # fmt: skip
        rows.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return rows


def _write(ledger: Path) -> None:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(lines(ledger))}\n{END}{after}", "utf-8")


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; 0 when every piece kept every promise."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("kind", choices=[*PIECES, "table"])
    parser.add_argument("--target", type=int, help="the usual one of its kind, unless given")
    parser.add_argument("--piece", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=24 * 60.0)
    parser.add_argument("--ledger", type=Path, default=LEDGER)
    given = parser.parse_args(argv)
    if given.kind == "table":
        _write(given.ledger)
        return 0
    held = go_on(
        given.kind, given.ledger, target=given.target or TARGETS[given.kind],
        piece=given.piece, minutes=given.minutes,
    )  # fmt: skip
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
