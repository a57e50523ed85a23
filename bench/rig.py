"""What every measurement stands on: settings, a server of its own, and its clock and memory."""

import contextlib
import http.client
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
TENANT = "bench"
READY_SECONDS = 60.0
POLL_SECONDS = 0.004  # between two looks at a server that starts
OPTIONS = ("--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log")
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def write_settings(folder: Path, tenants: Sequence[str] = (TENANT,)) -> Path:
    """Write the settings of a server without request limits; loopback receivers are allowed."""
    file = folder / "sextant.toml"
    lines = [
        f'[database]\nurl = "sqlite:///{folder}/bench.db"',
        "[limits]\napi_requests_per_second = 0",
        f'[egress]\nallow = [{{ cidr = "{HOST}/32" }}]',
        *(f'[[tenants]]\nid = "{name}"\nusers = 5200' for name in tenants),
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


@dataclass(slots=True)
class Process:
    """A server process: how long it took to be ready, how much memory and processor it uses."""

    process: subprocess.Popen[bytes]
    port: int
    begun: float
    log: IO[bytes]

    def ready(self, path: str = "/readyz") -> float:
        """Wait for the first 200; seconds since the start."""
        while time.perf_counter() - self.begun < READY_SECONDS:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if Wire(self.port).call("GET", path)[0] == 200:
                    return time.perf_counter() - self.begun
            if self.process.poll() is not None:
                break
            time.sleep(POLL_SECONDS)
        self.log.seek(0)
        raise RuntimeError(f"a server did not start: {self.log.read()[-2000:].decode()}")

    def rss(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def cpu(self) -> float:
        """Processor seconds used so far, of all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self) -> None:
        """End it, and be sure."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _environment() -> dict[str, str]:
    """Ours, but byte code is kept, as on any machine where nobody forbade it."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _start(arguments: Sequence[str], port: int) -> Process:
    log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process is looked at
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=log, stderr=log, env=_environment()
    )
    return Process(process, port, begun, log)


def start_sextant(settings: Path, roles: str = "api,work") -> Process:
    """Start ``sextant serve``, unless told otherwise with all its loops."""
    port = free_port()
    command = ["-m", "app.cli", "serve", "--config", str(settings), "--roles", roles]
    return _start([*command, "--port", str(port)], port)


def start_floor(name: str = "bench.floor:application") -> Process:
    """Start a bare application with uvicorn."""
    port = free_port()
    return _start(["-m", "uvicorn", "--factory", name, "--port", str(port), *OPTIONS], port)


@contextlib.contextmanager
def running(process: Process, path: str = "/readyz") -> Iterator[Process]:
    """Have a server until the block ends."""
    try:
        process.ready(path)
        yield process
    finally:
        process.stop()


def create_key(settings: Path, tenant: str = TENANT) -> str:
    """Make an API key that may do everything."""
    command = ["-m", "app.cli", "keys", "create", "--config", str(settings)]
    options = ["--tenant", tenant, "--scopes", "admin", "--name", "bench"]
    said = subprocess.run(
        [sys.executable, *command, *options], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return said.stdout.split()[-1]


class Wire:
    """One keep-alive connection for single requests."""

    def __init__(self, port: int, key: str | None = None, tenant: str | None = None) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=30)
        self._headers = {"content-type": "application/json"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"
        if tenant is not None:
            self._headers["sextant-tenant"] = tenant

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send one request; status and document."""
        sent = None if body is None else json.dumps(body)
        self._connection.request(method, path, sent, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        is_json = (answer.getheader("content-type") or "").endswith("json")
        return answer.status, json.loads(text) if is_json else text.decode()

    def must(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request that has to succeed; the document."""
        status, document = self.call(method, path, body)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {document}")
        return document


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value below which that share lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and number of measurements."""
    return {
        "p50": statistics.median(values),
        "p99": quantile(values, 0.99),
        "most": max(values),
        "count": len(values),
    }


def machine() -> str:
    """Tell in one line where this ran."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    cores = os.cpu_count()
    return f"{cores} cores ({model}), {platform.system()}, Python {platform.python_version()}"
