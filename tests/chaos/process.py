"""Sextant as a process of its own: started, killed and started again on the same database."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from app.core.types import TenantId
from app.flow import keys
from app.kit.clock import SystemClock
from app.store import migrate
from app.store.engine import Database
from tests.chaos.cradle import Cradle, Life

PROJECT = Path(__file__).resolve().parents[2]
TENANTS = ("alpha", "beta-works")
SCOPES = ("reports:write", "probes:write", "incidents:write", "subscriptions:write")
SPEED = 60  # a minute of the story each second, so that incidents open, resolve and close
WATCH_SECONDS = 0.01
# Settings of ours, and what would make each life compile every file anew.
HIDDEN = ("SEXTANT_", "PYTHONDONTWRITEBYTECODE")
GRACE_SECONDS = 15.0  # what a stop by SIGTERM may take
AFRESH = 10  # every so many lives one is not forked

# Thresholds are low and periods short: the engine shall have much to say, not be right.
SETTINGS = """
allow_inline_secrets = true
[database]
url = {url}
[server]
port = {port}
public_url = "http://127.0.0.1:{port}"
[egress]
allow = [{{ cidr = "127.0.0.1/32" }}]
[delivery]
schedule_seconds = {schedule}
deadline_seconds = 1.0
[limits]
api_requests_per_second = 0
[clock]
start = "2026-03-16T06:00:00Z"
speed = {speed}
mark = {mark}
[policy]
false_incidents_per_week = 200.0
actor_window_minutes = 5
active_window_minutes = 4
quiet_minutes = 2
quiet_minutes_vendor_open = 3
low_evidence_minutes = 6
power_nats = 0.5
reopen_minutes = 4
update_seconds = 20
close_hours = 1
{tenants}
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
    return port


def environment() -> dict[str, str]:
    """Give the environment of this process without what would change the one under test."""
    return {k: v for k, v in os.environ.items() if not k.startswith(HIDDEN)}


async def prepare(url: str) -> dict[str, str]:
    """Make the tables and a key for each tenant; gives tenant → key."""
    database = Database(url)
    try:
        migrate.upgrade(database)
        made = {}
        for tenant in TENANTS:
            key = await keys.create(
                database, tenant=TenantId(tenant), name="chaos", scopes=list(SCOPES),
                now=SystemClock().now(),
            )  # fmt: skip
            made[tenant] = key.secret
    finally:
        database.close()
    return made


class Server:
    """The process, over all its lives; one log file for them all."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        port: int,
        sabotage: str | None = None,
        mark: float | None = None,
        cradle: Cradle | None = None,
        watched: Mapping[str, str] | None = None,
    ) -> None:
        """Write the settings; ``watched`` adds to the table of a tenant."""
        self.port = port
        self._cradle = None if sabotage else cradle
        self.base_urls: tuple[str, ...] = (f"http://127.0.0.1:{port}",)
        self._module = ["app.cli"] if sabotage is None else ["tests.chaos.sabotage", sabotage]
        self.home = PROJECT  # where its code is
        self.lives = 0
        self.began = 0.0
        self.listening = asyncio.Event()
        self._config = folder / f"sextant-{port}.toml"
        self._log = folder / f"serve-{port}.log"
        self._process: subprocess.Popen[bytes] | Life | None = None
        schedule = [0, *[15] * 4, *[30] * 30]  # seconds of the story: nothing parks by itself
        more = watched or {}
        tenants = "\n".join(
            f'[[tenants]]\nid = "{name}"\nusers = 500\n{more.get(name, "")}' for name in TENANTS
        )
        self._config.write_text(
            SETTINGS.format(
                url=json.dumps(url), port=port, schedule=schedule, speed=SPEED,
                mark=mark or time.time(), tenants=tenants,
            )
        )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the next life; every tenth, and the first, as an interpreter of its own."""
        self.lives += 1
        self.began = time.monotonic()
        arguments = ["serve", "--config", str(self._config), "--port", str(self.port)]
        if self._cradle is not None and self.lives % AFRESH != 1 and self.home == PROJECT:
            self._process = self._cradle.start(arguments, self._log)
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._module, *arguments],
                cwd=self.home, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    async def watch(self) -> None:
        """Set ``listening`` whenever the port begins to answer; runs until it is cancelled."""
        while True:
            if self._process is not None and not self.listening.is_set():
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    self.listening.set()
                    writer.close()
            await asyncio.sleep(WATCH_SECONDS)

    @property
    def died(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    async def end(self, how: signal.Signals) -> int:
        """Send a signal to the process and wait until it is gone; gives its exit code."""
        process = self._process
        if process is None:
            return 0
        self._process = None
        if process.poll() is None:
            process.send_signal(how)
        self.listening.clear()
        try:
            code = await asyncio.to_thread(process.wait, GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = await asyncio.to_thread(process.wait)
            self.complain(f"did not end within {GRACE_SECONDS:.0f} s of {how.name}")
        return code

    def complain(self, text: str) -> None:
        """Add a line to the log of the process, as one of its errors."""
        with self._log.open("a") as log:
            log.write(json.dumps({"level": "error", "action": text}) + "\n")

    def errors(self) -> list[str]:
        """What the process itself called an error, over all its lives."""
        return [line[:2000] for line in self._lines() if _is_error(line)]

    def has_said(self, word: str) -> bool:
        """Whether a word is in the log."""
        return any(f'"{word}"' in line for line in self._lines())

    def orderly(self) -> int:
        """How many lives ended in order, by the word of the process."""
        return sum('"action": "stopped"' in line for line in self._lines())

    def _lines(self) -> list[str]:
        return self._log.read_text("utf-8", "replace").splitlines()


def _is_error(line: str) -> bool:
    try:
        return json.loads(line)["level"] in {"error", "critical"}
    except (ValueError, TypeError, KeyError):
        return line.startswith("Traceback")  # it did not live long enough to log
