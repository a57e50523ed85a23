"""Durable intake of client reports against a route that stores nothing, in the same run.

Run: ``python -m bench.intake [--seconds 3] [--rounds 5] [--connections 32] [--json]``.

Method. Two servers run as processes of their own on loopback, both uvicorn with uvloop and
httptools: *F*, a FastAPI route with the documented Pydantic schema as its body, which stores
nothing; and *ours*, the real API with all its layers, authentication, dedup and the intake log on
SQLite with ``synchronous=FULL``, which answers after the commit. The load generator is a third
process (this one): raw sockets, keep-alive, one request in flight on each connection. Each report
has an id and an instant of its own; reporters are drawn from 5,200, texts from 200, codes from 12,
as in a storm. Rounds alternate between the two servers and the medians over the rounds are
compared, because a shared machine is noisy: read the ratio, not the absolute figures. Processor
time per report, all threads, is given beside, because other work disturbs it least. ``--steady``
leaves the ids out, so that each report is digested whole; ``--unique`` makes each text its own.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import ConfigDict

from app.api.app import create_api
from app.api.v1.intake_schemas import ClientReportIn
from app.bootstrap import build, open_database
from app.flow import keys
from app.settings.model import DatabaseSettings, Settings
from app.store.keys import Bounds

CODES = ("0x8004011D", "0x80040115", "AADSTS50196", "AADSTS90033", "503", "504", "4.4.101",
         "ErrorServerBusy", "ErrorMailboxFailover", "0xCAA82EE2", "401", "HTTP 500")  # fmt: skip
CLIENTS = ("outlook_desktop", "outlook_web", "outlook_mobile", "activesync")
NETWORKS = ("berlin-office", "munich-office", "vpn", "home")
BATCHES = (100, 1)


class Floor(ClientReportIn):
    """The documented schema; not strict, because FastAPI parses JSON before Pydantic sees it."""

    model_config = ConfigDict(strict=False)


def naive() -> FastAPI:
    """The floor: FastAPI and Pydantic, nothing stored."""
    served = FastAPI()

    @served.post("/v1/client-reports", status_code=202)
    async def take(reports: list[Floor]) -> dict[str, int]:
        return {"accepted": len(reports)}

    return served


def prepare(url: str, scopes: tuple[str, ...] = ("reports:write",)) -> str:
    """Make the tables and an API key."""
    database = open_database(Settings(database=DatabaseSettings(url=url)), may_migrate=True)
    now = datetime.now(UTC)
    everybody = Bounds(voices=0)
    made = asyncio.run(
        keys.create(database, tenant="bench", name="b", scopes=scopes, now=now, bounds=everybody)
    )
    database.close()
    return made.secret


def durable() -> FastAPI:
    """The real API as it is wired, without its loops: nothing folds what is stored."""
    settings = Settings(database=DatabaseSettings(url=os.environ["BENCH_DATABASE"]))
    return create_api(build(settings, open_database(settings, may_migrate=False)))


def reports(count: int, *, ids: bool, texts: int) -> str:
    """Make reports of a storm, as a JSON array."""
    now = datetime.now(UTC)
    made = []
    for _ in range(count):
        at = now - timedelta(microseconds=random.randrange(300_000_000))
        given = f'"id":"{random.getrandbits(64):016x}",' if ids else ""
        made.append(
            f'{{{given}"occurred_at":"{at:%Y-%m-%dT%H:%M:%S.%fZ}","service":"exchange-online",'
            f'"client":"{random.choice(CLIENTS)}","code":"{random.choice(CODES)}",'
            '"http_status":503,"region":"de","count":1,'
            f'"message":"Cannot reach the mailbox server {random.randrange(texts)}",'
            f'"reporter":"user{random.randrange(5200)}@contoso.example",'
            f'"network":"{random.choice(NETWORKS)}"}}'
        )
    return "[" + ",".join(made) + "]"


def requests(key: str, batch: int, count: int, *, ids: bool, texts: int) -> list[bytes]:
    """Make whole HTTP requests."""
    made = []
    for _ in range(count):
        body = reports(batch, ids=ids, texts=texts).encode()
        head = (
            "POST /v1/client-reports HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def _connection(port: int, work: list[bytes], until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while work and time.perf_counter() < until:
        request = work.pop()
        begun = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 202", b"HTTP/1.1 200")), head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append(time.perf_counter() - begun)
    writer.close()


async def load(
    port: int, work: list[bytes], *, seconds: float, connections: int
) -> dict[str, float]:
    """Send for some seconds; requests per second and latency in milliseconds."""
    times: list[float] = []
    begun = time.perf_counter()
    until = begun + seconds
    await asyncio.gather(*(_connection(port, work, until, times) for _ in range(connections)))
    took = time.perf_counter() - begun
    times.sort()
    return {
        "requests": len(times),
        "rate": len(times) / took,
        "p50": times[len(times) // 2] * 1000,
        "p99": times[int(len(times) * 0.99)] * 1000,
    }


class Server:
    """One server process."""

    def __init__(self, name: str, url: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = {**os.environ, "BENCH_DATABASE": url}
        command = [sys.executable, "-m", "uvicorn", "--factory", f"bench.intake:{name}", "--port"]
        options = [
            "--loop",
            "uvloop",
            "--http",
            "httptools",
            "--log-level",
            "warning",
            "--no-access-log",
        ]
        self.process = subprocess.Popen([*command, str(self.port), *options], env=environment)

    def wait(self) -> None:
        """Wait until it listens."""
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError("the server did not start")

    def rss(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def cpu(self) -> float:
        """Processor seconds used so far, of all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)


def compare(batch: int, servers: dict[str, Server], options: argparse.Namespace) -> dict[str, Any]:
    """Alternate rounds of one batch size and compare medians."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
    for number in range(options.rounds + 1):  # the first one warms up
        for name, server in servers.items():
            count = int(options.seconds * (1_000 if batch > 1 else 8_000))
            texts = 10**9 if options.unique else 200
            work = requests(options.key, batch, count, ids=not options.steady, texts=texts)
            before = server.cpu()
            one = asyncio.run(
                load(server.port, work, seconds=options.seconds, connections=options.connections)
            )
            one["cpu_us"] = (server.cpu() - before) * 1e6 / (one.pop("requests") * batch)
            if number:
                found[name].append(one)
    medians = {
        name: {
            key: statistics.median(one[key] for one in ones)
            for key in ("rate", "p50", "p99", "cpu_us")
        }
        for name, ones in found.items()
    }
    ratio = medians["durable"]["rate"] / medians["naive"]["rate"]
    for one in medians.values():
        one["reports_per_second"] = one["rate"] * batch
    cpu = medians["naive"]["cpu_us"] / medians["durable"]["cpu_us"]
    return {"batch": batch, "ratio": ratio, "cpu_ratio": cpu, **medians}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--steady", action="store_true", help="reports without ids")
    parser.add_argument("--unique", action="store_true", help="no text comes twice")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        options.key = prepare(url)
        servers = {name: Server(name, url) for name in ("naive", "durable")}
        try:
            for server in servers.values():
                server.wait()
            results = [compare(batch, servers, options) for batch in BATCHES]
            rss = servers["durable"].rss()
        finally:
            for server in servers.values():
                server.stop()
    if options.json:
        print(json.dumps({"results": results, "rss_mib": rss}))
        return
    for result in results:
        print(
            f"batch of {result['batch']}: {result['ratio']:.2f} of F"
            f" ({result['cpu_ratio']:.2f} by processor time)"
        )
        for name in servers:
            one = result[name]
            print(
                f"  {name:8} {one['reports_per_second']:>10,.0f} reports/s"
                f"   p50 {one['p50']:6.1f} ms   p99 {one['p99']:6.1f} ms"
                f"   {one['cpu_us']:6.1f} us of processor per report"
            )
    print(f"memory of the durable server: {rss:.0f} MiB")


if __name__ == "__main__":
    main()
