"""The real monitors, run here: Alertmanager with Prometheus and blackbox exporter, Uptime Kuma.

``python -m tests.standins.monitors --out DIR [--debian ROOT] [--kuma PACKAGE] [--to URL --key K]``
starts a front door that is well, fails, and is well again, lets the programs watch it, and writes
every webhook call as they sent it into DIR. With ``--to`` the calls go on to a running Sextant,
whose answers are printed. Nothing is installed here: ROOT is where the Debian packages
``prometheus``, ``prometheus-alertmanager`` and ``prometheus-blackbox-exporter`` were unpacked by
``apt-get download`` and ``dpkg -x`` (Alertmanager looks for its templates where the package puts
them, under /usr/share/prometheus), PACKAGE is ``node_modules/uptime-kuma``. CI does not run this;
the calls recorded with it are in tests/fixtures/monitors.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

HOST = "127.0.0.1"
WELL_SECONDS, FAILING_SECONDS, AFTER_SECONDS = 8, 14, 14
KUMA_INTERVAL = 2  # seconds between beats


@dataclass
class World:
    """The front door that is watched, and what was told of it."""

    out: Path
    to: str | None = None
    key: str = ""
    address: dict[str, str] = field(default_factory=dict)
    status: str = "200 OK"
    calls: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request: a watched page, or a webhook call to write down."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ", 2)[1]
            length = next(
                (
                    int(x.split(":")[1])
                    for x in head.splitlines()
                    if x.lower()[:15] == "content-length:"
                ),
                0,
            )
            body = await reader.readexactly(length)
            status = self.status
            if path.startswith("/hook/"):
                status = "200 OK"
                await self.note(path.rpartition("/")[2], body)
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode()
            )
            await writer.drain()
        writer.close()

    async def note(self, kind: str, body: bytes) -> None:
        """Write a call down, and pass it on."""
        document = json.loads(body)
        number = sum(name.startswith(kind) for name in self.calls) + 1
        name = f"{kind}_{number}.json"
        self.calls.append(name)
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        (self.out / name).write_text(text, "utf-8")
        print(name, len(body), "bytes", flush=True)
        if self.to is not None:
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.post(
                    f"{self.to}/v1/intake/{kind}{self.address.get(kind, '')}",
                    content=body,
                    headers={
                        "authorization": f"Bearer {self.key}",
                        "content-type": "application/json",
                    },
                )
            print(" ", answer.status_code, answer.text, flush=True)


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def program(*command: str, folder: Path, **environment: str) -> AsyncIterator[None]:
    """Run a program until the block ends; what it says goes to a file in ``folder``."""
    name = Path(command[0]).name
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **environment}
        )
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


@asynccontextmanager
async def prometheus(root: Path, folder: Path, *, door: int) -> AsyncIterator[None]:
    """Prometheus probes the door through the blackbox exporter; Alertmanager tells of it."""
    blackbox, alerting, own = free_port(), free_port(), free_port()
    (folder / "blackbox.yml").write_text(
        "modules:\n  owa_front_door:\n    prober: http\n    timeout: 1s\n"
    )
    (folder / "alertmanager.yml").write_text(
        "route:\n  receiver: sextant\n  group_by: [alertname]\n  group_wait: 0s\n"
        "  group_interval: 1s\nreceivers:\n- name: sextant\n  webhook_configs:\n"
        f"  - url: http://{HOST}:{door}/hook/alertmanager\n"
    )
    (folder / "rules.yml").write_text(
        "groups:\n- name: m365\n  interval: 1s\n  rules:\n  - alert: ProbeFailure\n"
        "    expr: probe_success == 0\n    for: 2s\n    labels: {severity: critical}\n"
        "    annotations:\n      summary: probe_success is 0\n"
        '      description: "{{ $labels.instance }} fails from {{ $labels.location }}"\n'
    )
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        "rule_files: [rules.yml]\nalerting:\n  alertmanagers:\n  - static_configs:\n"
        f"    - targets: ['{HOST}:{alerting}']\nscrape_configs:\n- job_name: m365_blackbox\n"
        "  metrics_path: /probe\n  params: {module: [owa_front_door]}\n  static_configs:\n"
        f"  - targets: ['http://{HOST}:{door}/owa/']\n    labels: "
        "{location: berlin, module: owa_front_door, sextant_service: exchange-online}\n"
        "  relabel_configs:\n  - {source_labels: [__address__], target_label: __param_target}\n"
        "  - {source_labels: [__param_target], target_label: instance}\n"
        f"  - {{target_label: __address__, replacement: '{HOST}:{blackbox}'}}\n"
    )
    tools = root / "usr/bin"
    async with (
        program(
            str(tools / "prometheus-blackbox-exporter"),
            "--config.file=blackbox.yml",
            f"--web.listen-address={HOST}:{blackbox}",
            folder=folder,
        ),
        program(
            str(tools / "prometheus-alertmanager"),
            "--config.file=alertmanager.yml",
            f"--web.listen-address={HOST}:{alerting}",
            f"--web.external-url=http://{HOST}:{alerting}",
            "--cluster.listen-address=",
            "--storage.path=am",
            folder=folder,
        ),
        program(
            str(tools / "prometheus"),
            "--config.file=prometheus.yml",
            f"--web.listen-address={HOST}:{own}",
            f"--web.external-url=http://{HOST}:{own}",
            "--storage.tsdb.path=tsdb",
            "--web.console.libraries=.",
            "--web.console.templates=.",
            folder=folder,
        ),
    ):
        yield


@asynccontextmanager
async def uptime_kuma(package: Path, folder: Path, *, door: int) -> AsyncIterator[None]:
    """Uptime Kuma watches the door by an HTTP monitor and tells of it by its webhook."""
    data = folder / "kuma"
    data.mkdir()
    (data / "db-config.json").write_text('{"type": "sqlite"}')
    # The package of this release has some of its old patches one folder too high.
    for patch in (package / "db").glob("*.sql"):
        if not (package / "db/old_migrations" / patch.name).exists():
            shutil.copy(patch, package / "db/old_migrations")
    node = ("node", "server/server.js", f"--host={HOST}", f"--port={free_port()}")
    async with program(*node, folder=package, DATA_DIR=str(data)):
        await _until(lambda: _has_table(data / "kuma.db", "monitor_tls_info"))
        await asyncio.sleep(6)  # it goes on patching its tables for a while
    hook = {
        "type": "webhook",
        "name": "sextant",
        "webhookURL": f"http://{HOST}:{door}/hook/uptime-kuma",
        "webhookContentType": "json",
    }
    with contextlib.closing(sqlite3.connect(data / "kuma.db")) as db, db:
        db.execute("INSERT INTO user (id, username, password) VALUES (1, 'operator', 'none')")
        db.execute(
            "INSERT INTO monitor (id, name, user_id, interval, retry_interval, url, type, timeout)"
            " VALUES (1, 'EXO OWA front door', 1, ?, 1, ?, 'http', 5)",
            (KUMA_INTERVAL, f"http://{HOST}:{door}/owa/"),
        )
        db.execute(
            "INSERT INTO notification (id, name, config, user_id) VALUES (1, 'sextant', ?, 1)",
            (json.dumps(hook),),
        )
        db.execute("INSERT INTO monitor_notification (monitor_id, notification_id) VALUES (1, 1)")
    async with program(*node, folder=package, DATA_DIR=str(data)):
        yield


async def _until(is_there: Callable[[], bool]) -> None:
    for _ in range(240):
        if is_there():
            return
        await asyncio.sleep(0.5)
    sys.exit("It did not come up in two minutes.")


def _has_table(file: Path, table: str) -> bool:
    if not file.exists():
        return False
    with contextlib.closing(sqlite3.connect(file)) as db:
        query = "SELECT 1 FROM sqlite_master WHERE name = ?"
        return db.execute(query, (table,)).fetchone() is not None


async def play(world: World, *, wait: int, failing: int) -> None:
    """Be well, fail, and be well again."""
    await asyncio.sleep(wait + WELL_SECONDS)
    world.status = "503 Service Unavailable"
    print("the front door fails", flush=True)
    await asyncio.sleep(failing)
    world.status = "200 OK"
    print("the front door is well again", flush=True)
    await asyncio.sleep(AFTER_SECONDS)


async def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="an empty folder for their files")
    parser.add_argument("--debian", type=Path, help="where the Debian packages were unpacked")
    parser.add_argument("--kuma", type=Path, help="node_modules/uptime-kuma")
    parser.add_argument("--to", help="a running Sextant, such as http://127.0.0.1:8000")
    parser.add_argument("--key", default="", help="its API key with the scope intake:write")
    parser.add_argument("--failing", type=int, default=FAILING_SECONDS, help="seconds")
    asked = parser.parse_args()
    for folder in (asked.out, asked.work):
        folder.mkdir(parents=True, exist_ok=True)
    # What Uptime Kuma does not say of its monitor stands in the address.
    address = {"uptime-kuma": "?location=vienna&service=exchange-online"}
    world = World(asked.out, asked.to, asked.key, address)
    server = await asyncio.start_server(world.serve, HOST, 0)
    door = server.sockets[0].getsockname()[1]
    async with contextlib.AsyncExitStack() as stack:
        if asked.debian:
            await stack.enter_async_context(
                prometheus(asked.debian, asked.work.resolve(), door=door)
            )
        if asked.kuma:
            await stack.enter_async_context(
                uptime_kuma(asked.kuma.resolve(), asked.work.resolve(), door=door)
            )
        await play(world, wait=5, failing=asked.failing)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
