"""Durable intake through the whole server, beside a route that stores nothing, in the same run.

Method. As ``bench.intake``, whose requests, load and floor these are, but the server is ``sextant
serve``, twice: *door* with ``--roles api`` alone, which answers after the commit and leaves the
fold to another replica, and *house* with every loop, which also folds what it takes in, on the same
interpreter, while it answers. In each round each of the three has its turn while the others idle:
the next turn waits until the house has folded its backlog. The ratio is the median of the rounds'
ratios, each taken within one round. Reports per second from the first request until nothing waits
any more is what one process carries from the door to the incident.
"""

import asyncio
import contextlib
import shutil
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.intake import load, requests
from bench.rig import (
    Process,
    create_key,
    running,
    start_floor,
    start_sextant,
    write_settings,
)

CONNECTIONS = 32
ROLES = {"door": "api", "house": "api,work"}
CATCH_UP_SECONDS = 60.0
WAITING = (
    "SELECT (SELECT max(seq) FROM intake), (SELECT max(seq) FROM fold_state),"
    " (SELECT sum(count) FROM intake WHERE seq > ?)"
)


def _prepare(folders: dict[str, Path]) -> str:
    """Make one database with a key, and copies of it."""
    first, *others = folders.values()
    settings = write_settings(first)
    with running(start_sextant(settings)):
        key = create_key(settings)
    for folder in others:
        for file in first.glob("bench.db*"):
            shutil.copy(file, folder)
    return key


def _folded(database: Path) -> int:
    """The last row of the log that is folded."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        (seq,) = connection.execute("SELECT max(seq) FROM fold_state").fetchone()
    return int(seq or 0)


def _catch_up(database: Path, first: int, begun: float) -> float:
    """Wait until the fold has taken everything after ``first``; reports per second since begun."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        while True:
            last, folded, count = connection.execute(WAITING, (first,)).fetchone()
            took = time.perf_counter() - begun
            if folded is not None and folded >= last:
                return float(count / took)
            if took > CATCH_UP_SECONDS:
                partly = "SELECT sum(count) FROM intake WHERE seq > ? AND seq <= ?"
                (done,) = connection.execute(partly, (first, folded or 0)).fetchone()
                return float((done or 0) / took)
            time.sleep(0.02)


def _side(process: Process, work: list[bytes], batch: int, seconds: float) -> dict[str, float]:
    before = process.cpu()
    one = asyncio.run(load(process.port, work, seconds=seconds, connections=CONNECTIONS))
    taken = one.pop("requests") * batch
    one["cpu_us"] = (process.cpu() - before) * 1e6 / taken
    one["reports_per_second"] = one["rate"] * batch
    return one


def _round(
    batch: int, key: str, servers: dict[str, Process], database: Path, seconds: float
) -> dict[str, dict[str, float]]:
    count = int(seconds * (2_500 if batch > 1 else 10_000))
    found = {}
    for name, server in servers.items():
        work = requests(key, batch, count, ids=True, texts=200)
        first, begun = _folded(database), time.perf_counter()
        found[name] = _side(server, work, batch, seconds)
        if name == "house":
            found[name]["carried"] = _catch_up(database, first, begun)
        if name in ROLES:
            found[name]["rss"] = server.rss()
    return found


def measure(batch: int, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Run rounds of one batch size; medians, and the ratios of ours to the floor."""
    with contextlib.ExitStack() as stack:
        folders = {name: Path(stack.enter_context(tempfile.TemporaryDirectory())) for name in ROLES}
        keys = _prepare(folders)
        servers = {"floor": start_floor("bench.intake:naive")}
        stack.enter_context(running(servers["floor"], "/openapi.json"))
        for name, roles in ROLES.items():
            servers[name] = start_sextant(write_settings(folders[name]), roles)
            stack.enter_context(running(servers[name]))
        database = folders["house"] / "bench.db"
        found = [_round(batch, keys, servers, database, seconds) for _ in range(rounds + 1)]
    found = found[1:]  # the first one warmed up
    result: dict[str, Any] = {
        side: {key: statistics.median(one[side][key] for one in found) for key in found[0][side]}
        for side in found[0]
    }
    for side in ROLES:
        for key, name, way in (("ratio", "rate", 1), ("cpu_ratio", "cpu_us", -1)):
            pairs = [(one[side][name] / one["floor"][name]) ** way for one in found]
            result[side][key] = statistics.median(pairs)
    return {"batch": batch, **result}
