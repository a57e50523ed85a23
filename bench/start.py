"""Cold start and idle memory, beside a bare FastAPI application that is started the same way.

Method. From the moment before ``exec`` to the first 200 of ``/livez`` (it listens) and that of
``/readyz`` (it takes work), asked again every few milliseconds; the second answer of ours comes
after a write to the database. Three kinds are started in turns: the floor, ours on a database that
is there, and ours on none (Alembic makes the tables); files are in the page cache and byte code is
compiled, since one start of each goes before (a ``PYTHONDONTWRITEBYTECODE`` is taken from all:
with it, each start compiles every library anew). Because other work on the machine stretches the
wall time, the processor time until ready stands beside it: on a free core the two are about equal.
Memory is the resident size of the same processes, three seconds after they were ready, with all
loops running.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.rig import start_floor, start_sextant, write_settings

IDLE_SECONDS = 3.0
KEYS = ("listening", "wall", "cpu", "rss")
KINDS = ("floor", "existing", "fresh")


def _once(kind: str, existing: Path) -> dict[str, float]:
    fresh = Path(tempfile.mkdtemp(dir=existing))
    process = (
        start_floor()
        if kind == "floor"
        else start_sextant(write_settings(existing if kind == "existing" else fresh))
    )
    try:
        listening = process.ready("/livez")
        wall = process.ready()
        cpu = process.cpu()
        time.sleep(IDLE_SECONDS)
        return {"listening": listening, "wall": wall, "cpu": cpu, "rss": process.rss()}
    finally:
        process.stop()


def measure(rounds: int) -> dict[str, Any]:
    """Start each kind in turns; medians, and ratios to the floor."""
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):  # the first one warms up
            for kind in KINDS:
                one = _once(kind, Path(folder))
                if number:
                    found[kind].append(one)
    result: dict[str, Any] = {
        kind: {
            "least": min(one["wall"] for one in ones),
            **{key: statistics.median(one[key] for one in ones) for key in KEYS},
        }
        for kind, ones in found.items()
    }
    for kind in KINDS[1:]:
        result[kind]["ratio"] = result[kind]["wall"] / result["floor"]["wall"]
    return result
