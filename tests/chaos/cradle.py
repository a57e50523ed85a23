"""A process that has imported Sextant and does nothing but fork lives of it on demand.

Of the three seconds of processor time that a start takes, nine tenths are imports, which no kill
can break. A life that is forked is a process of its own all the same: it reads its settings, opens
its files and connections, and dies by a signal. What it shares with its siblings is the seed of
Python's hashes; therefore every tenth life of a run begins as a new interpreter.

Protocol, one line each way: ``{"start": [arguments], "log": path}`` gives the process id,
``{"poll": id}`` the exit code, or null while it runs. Without a reader on the other side all end.
"""

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.002
# What a start imports, also what it imports when it first needs it.
IMPORTED = (
    "app.cli",
    "app.main",
    "app.bootstrap",
    "app.kit.guarded",
    "alembic.command",
    "alembic.autogenerate",
    "sqlalchemy.dialects.postgresql.psycopg",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)


class Life:
    """A forked process, with what is used of ``subprocess.Popen``."""

    def __init__(self, cradle: "Cradle", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._cradle = cradle

    def poll(self) -> int | None:
        """Give the exit code, None while it runs."""
        if self.returncode is None:
            self.returncode = self._cradle.ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        until = time.monotonic() + (timeout if timeout is not None else float("inf"))
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("a life", timeout or 0.0)
            time.sleep(POLL_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        """Signal it; who has ended is nobody else meanwhile, because only ``poll`` reaps."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


class Cradle:
    """The harness's end: starts lives, from any thread."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.cradle"],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def start(self, arguments: list[str], log: Path) -> Life:
        """Start ``sextant`` with these arguments; it appends to the log."""
        return Life(self, self.ask({"start": arguments, "log": str(log)}))

    def ask(self, question: dict[str, Any]) -> Any:
        """Ask for one thing; waits for the answer."""
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End it, and whoever it still has."""
        self._process.communicate()


def _live(arguments: list[str], log: str) -> int:
    """Be a life; gives its exit code."""
    from app import cli  # noqa: PLC0415 - imported by now

    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(out, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return cli.main(arguments)


def _fork(arguments: list[str], log: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = _live(arguments, log)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the last words of a process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _polled(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def main() -> None:
    """Import everything, then serve the harness until it goes."""
    from app.kit import lean  # noqa: PLC0415 - before what it leaves out

    lean.leave_out()
    for name in IMPORTED:
        import_module(name)

    gc.freeze()
    lives: set[int] = set()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if "start" in asked:
            answer: int | None = _fork(asked["start"], asked["log"])
            lives.add(answer or 0)
        else:
            answer = _polled(asked["poll"])
            if answer is not None:
                lives.discard(asked["poll"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in lives:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
