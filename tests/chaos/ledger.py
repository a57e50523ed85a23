"""A long count in shares: what each found is written down, so that it can be gone on with."""

import json
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Share:
    """So many runs from a seed on: what was wrong, and what was counted."""

    first: int
    runs: int
    wrong: list[str]
    counts: dict[str, int]


class Play(Protocol):
    """Plays a share; it is a function of a module, so that other processes find it."""

    def __call__(self, first: int, runs: int) -> tuple[list[str], Counter[str]]:
        """Play so many runs from a seed on; gives what was wrong, and what is to be counted."""
        ...


def read(path: Path | None) -> list[Share]:
    """What was played before, each share once; a line that was cut off counts for nothing."""
    shares: dict[tuple[int, int], Share] = {}
    for line in path.read_text().splitlines() if path and path.exists() else ():
        try:
            one = Share(**json.loads(line))
        except ValueError:
            continue
        shares[one.first, one.runs] = one
    return list(shares.values())


def play(work: Play, seeds: range, *, share: int, jobs: int, path: Path | None) -> Iterable[Share]:
    """Play what is not in the ledger yet, in so many processes; gives each share when done."""
    done = {(one.first, one.runs) for one in read(path)}
    parts = [
        (first, min(share, seeds.stop - first)) for first in range(seeds.start, seeds.stop, share)
    ]
    parts = [part for part in parts if part not in done]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(work, *part): part for part in parts}
        for future in as_completed(waiting):
            wrong, counts = future.result()
            one = Share(*waiting[future], wrong, dict(counts))
            if path:
                with path.open("a") as file:
                    file.write("\n" + json.dumps(asdict(one)))  # behind a line that was cut off
            yield one


def summary(shares: Iterable[Share]) -> tuple[int, list[str], Counter[str]]:
    """The runs, everything that was wrong, and the sums."""
    runs, wrong, counts = 0, list[str](), Counter[str]()
    for one in shares:
        runs += one.runs
        wrong += one.wrong
        counts.update(one.counts)
    return runs, wrong, counts


def table(name: str, shares: Iterable[Share]) -> str:
    """A row for the documentation."""
    runs, wrong, counts = summary(shares)
    sums = ", ".join(f"{number:,} {word}" for word, number in sorted(counts.items()))
    return f"| {name} | {runs:,} runs | {sums} | {len(wrong)} wrong |"
