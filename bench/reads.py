"""Reading incidents over the API, beside a FastAPI route that has them in memory.

Method. The real server with its loops holds 51 incidents; a page of 50 and one incident are read
with a key, eight connections, one request in flight on each. The floor gives the same documents out
of memory with the documented response models. Rounds alternate; medians and ratios.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.floor import PAGE
from bench.rig import (
    Process,
    Wire,
    create_key,
    quantile,
    running,
    start_floor,
    start_sextant,
    write_settings,
)
from bench.wire import hammer, request

INCIDENTS = 51
CONNECTIONS = 8


def _side(process: Process, sent: bytes, seconds: float) -> dict[str, float]:
    begun = time.perf_counter()
    work = hammer(process.port, sent, seconds=seconds, connections=CONNECTIONS)
    times = asyncio.run(work)
    took = time.perf_counter() - begun
    return {
        "rate": len(times) / took,
        "p50": statistics.median(times) * 1000,
        "p99": quantile(times, 0.99) * 1000,
    }


def _compare(
    servers: dict[str, Process], sent: bytes, *, rounds: int, seconds: float
) -> dict[str, Any]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
    for number in range(rounds + 1):  # the first one warms up
        for name, process in servers.items():
            one = _side(process, sent, seconds)
            if number:
                found[name].append(one)
    result: dict[str, Any] = {
        name: {key: statistics.median(one[key] for one in ones) for key in ones[0]}
        for name, ones in found.items()
    }
    result["ratio"] = result["ours"]["rate"] / result["floor"]["rate"]
    return result


def measure(*, rounds: int, seconds: float) -> dict[str, Any]:
    """Read a page of 50 incidents and one incident."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = write_settings(folder)
        with running(start_sextant(settings)) as ours:
            key = create_key(settings)
            wire = Wire(ours.port, key)
            body = {"title": "Bench", "services": ["intune"], "severity": "minor"}
            for _ in range(INCIDENTS):
                wire.must("POST", "/v1/incidents", body)
            page = wire.must("GET", "/v1/incidents?limit=50")
            file = folder / "page.json"
            file.write_text(json.dumps(page))
            os.environ[PAGE] = str(file)
            one = page["items"][0]["id"]
            with running(start_floor("bench.floor:reading")) as floor:
                servers = {"floor": floor, "ours": ours}
                return {
                    kind: _compare(
                        servers, request("GET", path, key=key), rounds=rounds, seconds=seconds
                    )
                    for kind, path in (
                        ("list", "/v1/incidents?limit=50"),
                        ("one", f"/v1/incidents/{one}"),
                    )
                }
