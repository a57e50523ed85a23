"""A long run in pieces: each piece is a whole run of its own, and leaves a line in a ledger.

Run: ``python -m tests.chaos.campaign sqlite --target 1000 --piece 50 [--minutes 30]``. It goes on
where the ledger ends, under the next seed, until the target is reached, the minutes are over or so
many ``--pieces`` were run; who is interrupted loses the piece under way. ``--again`` first runs
anew what did not hold, under its own seed: its line then counts, the old one stays in the list.
Who runs two of a kind side by side gives each a ``--ledger`` and a ``--seed`` far from the other's,
and puts the files together afterwards.
``python -m tests.chaos.campaign table`` writes what the ledger holds into ``bench/chaos.md``.
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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How far to go: to a target in all, in pieces, at most so many of them, at most so long."""

    target: int
    piece: int = 50
    pieces: int = 1_000_000
    minutes: float = 24 * 60.0
    seed: int = FIRST_SEED  # of new pieces the first, where the ledger is not beyond it
    again: bool = False


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


def counted(found: Iterable[Line]) -> list[Line]:
    """The lines that count: of pieces that were run again the last."""
    last = {(line["kind"], line["seed"]): line for line in found}
    return list(last.values())


def done(ledger: Path, kind: str) -> tuple[int, int]:
    """How many were done of a kind, and the seed of its next piece."""
    mine = [line for line in counted(lines(ledger)) if line["kind"] == kind]
    seeds = [line["seed"] for line in mine]
    return sum(line["done"] for line in mine), max(seeds, default=FIRST_SEED - 1) + 1


def broken(ledger: Path, kind: str) -> list[tuple[int, int]]:
    """Count and seed of the pieces of a kind that did not hold."""
    mine = [line for line in counted(lines(ledger)) if line["kind"] == kind]
    return [(line["done"], line["seed"]) for line in mine if not line["holds"]]


def _revision() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=7"]
    told = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def run(kind: str, ledger: Path, count: int, seed: int) -> bool:
    """Run one piece and write its line; False when it broke a promise."""
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
    return bool(line["holds"])


def go_on(kind: str, ledger: Path, wish: Wish) -> bool:
    """Run pieces until the wish is met or its time is over; False when one broke a promise."""
    until = time.monotonic() + 60 * wish.minutes
    held, left = True, wish.pieces
    for count, seed in broken(ledger, kind) if wish.again else ():
        if left and time.monotonic() < until:
            say(f"{kind}: again {count}, seed {seed}")
            held, left = run(kind, ledger, count, seed) and held, left - 1
    while left and time.monotonic() < until:
        so_far, following = done(ledger, kind)
        seed = max(following, wish.seed)
        if so_far >= wish.target:
            break
        count = min(wish.piece, wish.target - so_far)
        say(f"{kind}: {so_far} of {wish.target} done; {count} more, seed {seed}")
        held, left = run(kind, ledger, count, seed) and held, left - 1
    return held


def table(found: Iterable[Line]) -> str:
    """The sums of a ledger as a table in Markdown."""
    heads = ["run", "done", "of", "pieces", "that held", "acknowledged", "attempts"]
    heads += ["lost", "phantom", "inverted", "drifted", "duplicates", "unheard"]
    heads += ["replays", "new secrets", "hours"]
    rows = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    every = list(found)
    counting = counted(every)
    for kind, title in TITLES.items():
        mine = [line for line in counting if line["kind"] == kind]
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


def _pieces(every: Sequence[Line]) -> list[str]:
    """One line per piece, so that each can be run again."""
    heads = ["piece", "done", "seed", "revision", "ended", "minutes", "load", "held"]
    heads += [*KINDS[:-1], "duplicates", "unheard", "restart p50, worst (s)"]
    rows = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    counting = counted(every)
    for line in every:
        held = "yes" if line["holds"] else "no" if line in counting else "no, run again"
        restart = f"{line['restart_median']}, {line['restart_worst']}" if "events" in line else "-"
        cells = [
            line["kind"], f"{line['done']:,}", line["seed"], line["revision"], line["ended_at"],
            line["minutes"], line["load"], held,
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
    parser.add_argument("--pieces", type=int, default=1_000_000, help="no more than so many")
    parser.add_argument("--minutes", type=float, default=24 * 60.0)
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="of new pieces the first")
    parser.add_argument("--again", action="store_true", help="first those that did not hold")
    parser.add_argument("--ledger", type=Path, default=LEDGER)
    given = parser.parse_args(argv)
    if given.kind == "table":
        _write(given.ledger)
        return 0
    wish = Wish(
        target=given.target or TARGETS[given.kind], piece=given.piece, pieces=given.pieces,
        minutes=given.minutes, seed=given.seed, again=given.again,
    )  # fmt: skip
    held = go_on(given.kind, given.ledger, wish)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
