"""A storm: a million reports, ten times what is usual, and what probes, advisories and reads feel.

Run: ``python -m bench.storm [--reports 1000000] [--noise 10000] [--json]``.

Method. ``serve`` with every loop, held to one processor; the senders are processes of their own on
the others. *Idle*: a read, a probe result and an advisory, one after the other, each on its own
connection, timed to the answer. *Storm*: sixteen connections send NDJSON of 1,000 reports as fast
as they are answered until a million are durable; whoever is shed (503) waits as it is told. The
same three are timed meanwhile, and resident memory is read five times a second. *Noise*: a steady
stream of reports, beside which a burst of 100 opens an incident of a calm tenant, timed to its
webhook.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.door import WAITING
from bench.intake import reports, requests
from bench.rig import (
    ROOT,
    TENANT,
    Process,
    create_key,
    quantile,
    running,
    spread,
    start_sextant,
    write_settings,
)
from bench.webhooks import receiving, subscribe
from bench.wire import Line, request

LINES = 1_000  # reports of one request
CONNECTIONS = 16
WARM = 50_000  # reports before memory is looked at: caches are full then
PACE = 0.02  # seconds between two timed requests of a kind
IDLE_SECONDS = 8.0
BURSTS = 8
CATCH_UP_SECONDS = 300.0


def _body(key: str, tenant: str) -> bytes:
    lines = b"\n".join(
        json.dumps(one).encode() for one in json.loads(reports(LINES, ids=True, texts=200))
    )
    head = (
        "POST /v1/client-reports HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-ndjson\r\n"
        f"Sextant-Tenant: {tenant}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(lines)}\r\n\r\n"
    )
    return head.encode() + lines


class Sender:
    """Sends reports from a process of its own, and counts what became of them."""

    def __init__(self, port: int, key: str, count: int, per_second: float) -> None:
        self.port, self.key = port, key
        self.left = count
        self.per_second = per_second
        self.accepted = self.shed = self.untold = self.renewed = 0

    async def run(self) -> None:
        """Send until all are durable, or until stdin ends."""
        begun = time.perf_counter()
        await asyncio.gather(*(self._one(begun) for _ in range(CONNECTIONS)))

    async def _one(self, begun: float) -> None:
        line = await asyncio.open_connection("127.0.0.1", self.port)
        while self.left > 0:
            self.left -= LINES
            if self.per_second:
                due = begun + (self.accepted + LINES) / self.per_second
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sent, done = _body(self.key, TENANT), False
            while not done:
                try:
                    done = await self._post(*line, sent)
                except (ConnectionError, asyncio.IncompleteReadError):  # it was idle for too long
                    self.renewed += 1
                    line = await asyncio.open_connection("127.0.0.1", self.port)
        line[1].close()

    async def _post(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes
    ) -> bool:
        """Post once; whether it was taken. Whoever is shed has waited as it was told."""
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        if head.startswith(b"http/1.1 202"):
            self.accepted += LINES
            return True
        if not head.startswith(b"http/1.1 503"):
            raise RuntimeError(head[:200])
        self.shed += 1
        if b"retry-after: " not in head:
            self.untold += 1
        told = head.partition(b"retry-after: ")[2].split(b"\r\n")[0]
        await asyncio.sleep(float(told or 1))
        return False


@contextlib.contextmanager
def _sending(
    port: int, key: str, count: int, *, per_second: float = 0
) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-m",
        "bench.storm",
        "--send",
        json.dumps([port, key, count, per_second]),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Memory(threading.Thread):
    """Reads resident memory until it is told to stop."""

    def __init__(self, server: Process) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._over = threading.Event()
        self.seen: list[float] = []

    def run(self) -> None:
        """Read it five times a second."""
        while not self._over.wait(0.2):
            self.seen.append(self._server.rss())

    def stop(self) -> float:
        """Stop; the most that was seen, in MiB."""
        self._over.set()
        self.join()
        return max(self.seen, default=self._server.rss())


def _kinds(key: str) -> dict[str, Callable[[int], bytes]]:
    """What is timed: a request per kind, by a number that makes it new."""

    def read(_: int) -> bytes:
        return request("GET", "/v1/incidents?limit=20", key=key, tenant=None)

    def probe(number: int) -> bytes:
        body = {"probe": "bench", "outcome": "ok", "location": f"place-{number % 7}",
                "id": f"{time.perf_counter_ns()}", "service": "exchange-online"}  # fmt: skip
        return request("POST", "/v1/probe-results", key=key, tenant=TENANT, body=body)

    def advisory(number: int) -> bytes:
        now = datetime.now(UTC).isoformat()
        issue = {
            "id": f"EX{900000 + number}", "title": "Bench", "impactDescription": "Nobody",
            "service": "Exchange Online", "status": "serviceRestored", "isResolved": True,
            "classification": "advisory", "origin": "microsoft", "startDateTime": now,
            "lastModifiedDateTime": now, "feature": "E-Mail", "featureGroup": "E-Mail",
            "posts": [], "details": [],
        }  # fmt: skip
        return request("POST", "/v1/intake/graph", key=key, tenant=TENANT, body=issue)

    return {"read": read, "probe result": probe, "advisory": advisory}


class Timer:
    """Times the three kinds side by side until it is told to stop."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._kinds = port, _kinds(key)
        self._number = 0
        self.over = False

    async def _lane(self, make: Callable[[int], bytes]) -> list[float]:
        line, times = Line(self._port), []
        while not self.over:
            self._number += 1
            sent = make(self._number)
            begun = time.perf_counter()
            await line.send(sent)
            times.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(PACE)
        line.close()
        return times

    async def run(self, until: Callable[[], bool]) -> dict[str, dict[str, float]]:
        """Time until ``until`` says so; milliseconds per kind."""

        async def watch() -> None:
            while not until():  # noqa: ASYNC110 - another process, or time alone
                await asyncio.sleep(0.1)
            self.over = True

        self.over = False
        *found, _ = await asyncio.gather(*(self._lane(m) for m in self._kinds.values()), watch())
        return {
            name: {"p50": round(quantile(times, 0.5), 1), "p99": round(quantile(times, 0.99), 1)}
            for name, times in zip(self._kinds, found, strict=True)
        }


async def _decide(port: int, key: str, tenants: list[str]) -> dict[str, Any]:
    """From the deciding reports of calm tenants to the webhook."""
    async with receiving(port) as (post, line, url):
        for tenant in tenants:
            await subscribe(line, key, url, tenant, ["incident.opened"])
        times = []
        for tenant in tenants:
            await asyncio.sleep(0.7)
            (sent,) = requests(key, 100, 1, ids=True, texts=200)
            named = f"\r\nSextant-Tenant: {tenant}\r\nHost: ".encode()
            times.append((await post.until(tenant, line, sent.replace(b"\r\nHost: ", named, 1)))[1])
        return spread(times)


def _on_one_core(settings: Path) -> Process:
    """Start the server, whose threads inherit one processor."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(mine)})
    try:
        return start_sextant(settings)
    finally:
        os.sched_setaffinity(0, mine)


def _folded(database: Path) -> float:
    """Wait until the storm is folded; seconds."""
    begun = time.perf_counter()
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        while time.perf_counter() - begun < CATCH_UP_SECONDS:
            last, folded, _ = connection.execute(WAITING).fetchone()
            if folded is not None and folded >= last:
                break
            time.sleep(0.2)
    return round(time.perf_counter() - begun, 1)


def measure(*, count: int, noise: float) -> dict[str, Any]:
    """Run the three parts on one server."""
    tenants = [TENANT, *(f"{TENANT}-{number}" for number in range(BURSTS))]
    with tempfile.TemporaryDirectory() as folder:
        settings = write_settings(Path(folder), tenants)
        with running(_on_one_core(settings)) as server:
            key = create_key(settings, "*")
            timer = Timer(server.port, key)
            with _sending(server.port, key, WARM) as warm:
                warm.wait()
            time.sleep(5)  # until it is folded
            give_up = time.perf_counter() + IDLE_SECONDS
            idle = asyncio.run(timer.run(lambda: time.perf_counter() > give_up))
            before, memory = server.rss(), Memory(server)
            memory.start()
            begun = time.perf_counter()
            with _sending(server.port, key, count) as storm:
                during = asyncio.run(timer.run(lambda: storm.poll() is not None))
                told = json.loads(storm.communicate()[0])
            took = time.perf_counter() - begun
            result = {
                "idle": idle, "storm": during, **told, "per_second": round(told["accepted"] / took),
                "mib": {"before": round(before), "most": round(memory.stop()), "after": 0},
            }  # fmt: skip
            print(json.dumps(result), file=sys.stderr, flush=True)
            result["folded_after"] = _folded(Path(folder) / "bench.db")
            result["mib"]["after"] = round(server.rss())
            with _sending(server.port, key, 10**9, per_second=noise) as stream:
                result["webhook"] = asyncio.run(_decide(server.port, key, tenants[1:]))
                result["noise_went_on"] = stream.poll() is None
            return result


def main() -> None:
    """Measure and print; with ``--send`` be a sender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=1_000_000)
    parser.add_argument("--noise", type=float, default=10_000, help="reports per second")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--send", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        sender = Sender(*json.loads(options.send))
        asyncio.run(sender.run())
        names = ("accepted", "shed", "untold", "renewed")
        told = {name: getattr(sender, name) for name in names}
        print(json.dumps(told))
        return
    found = measure(count=options.reports, noise=options.noise)
    print(json.dumps(found, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
