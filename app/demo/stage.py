"""The stage of a demo: a directory, the stand-ins and Sextant itself, each a process of its own."""

import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

import app
from app.demo.story import Story
from app.kit.clock import ScaledClock, SystemClock
from app.kit.http import client

ROOT = Path(app.__file__).resolve().parents[1]
HOST = "127.0.0.1"
HEAD_START_SECONDS = 5.0  # real time in which everything starts before the story does, at least
STARTS = 3.0  # else so many times what making the first key took: the machine is slow, or busy
READY_SECONDS = 45.0  # real time that a process may take to be ready
END_SECONDS = 10.0  # real time that a process may take to end when asked
SECRET_VARIABLE = "STANDIN_CLIENT_SECRET"  # noqa: S105 - a name, not a secret
SCOPES = "incidents:read,subscriptions:write,reports:write"
CHECKS = (  # name, path, feature, client
    ("owa", "owa/", "outlook-web", "outlook_web"),
    ("activesync", "Microsoft-Server-ActiveSync", "activesync", "activesync"),
    ("mapi", "mapi/emsmdb/", "mapi", "outlook_desktop"),
)


class DemoFailed(Exception):  # noqa: N818 - a word of the field, like StopIteration
    """Raised when the demo cannot go on; its text is one sentence for the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What is running, and how to reach it."""

    url: str
    control: str
    receiver: str
    key: str
    clock: ScaledClock
    directory: Path
    server: asyncio.subprocess.Process

    def check_alive(self) -> None:
        """Make sure that Sextant still runs.

        Raises:
            DemoFailed: it has ended.
        """
        if self.server.returncode is not None:
            raise DemoFailed(f"Sextant ended by itself: {_tail(self.directory / 'serve.log')}")


@asynccontextmanager
async def opened(
    story: Story, *, port: int, speed: float, listening: Callable[[str], None]
) -> AsyncIterator[Stage]:
    """Set the stage: start everything, and end everything afterwards, whatever happened.

    ``listening`` is called with Sextant's address as soon as a browser may open it.

    Raises:
        DemoFailed: the port is taken, the stand-ins are not there, or a process did not start.
    """
    _check_port(port)
    if not (ROOT / "tests" / "standins" / "__main__.py").is_file():
        raise DemoFailed(
            "The demo plays against the stand-ins of the source tree, which are not installed "
            "with the package: clone the repository and run `make demo`."
        )
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sextant-demo-")))
        begun = time.monotonic()
        key = await _create_key(story, directory)
        head_start = max(HEAD_START_SECONDS, STARTS * (time.monotonic() - begun))
        mark = SystemClock().now().timestamp() + head_start
        environ = _environment(story.skip_to, speed=speed, mark=mark)
        facts = await _start_standins(stack, story, directory, environ, speed=speed, mark=mark)
        config = directory / "sextant.toml"
        config.write_text(settings(story, facts, port=port, directory=directory), "utf-8")
        serve = ["-m", "app.cli", "serve", "--config", str(config), "--port", str(port)]
        server = await _start(stack, "serve", serve, directory=directory, environ=environ)
        url = f"http://{HOST}:{port}"
        await _until_ready(server, url, directory / "serve.log")
        listening(url)
        yield Stage(
            url=url,
            control=facts["control"],
            receiver=facts["receiver"],
            key=key,
            clock=ScaledClock(start=story.skip_to, speed=speed, mark=mark),
            directory=directory,
            server=server,
        )


def settings(story: Story, facts: Mapping[str, Any], *, port: int, directory: Path) -> str:
    """Write the settings file of the demo."""
    quoted = json.dumps  # a JSON string of plain text is a TOML string too
    tenant = story.tenant
    lines = [
        f"# The demo {story.name}. {story.label}",
        _database(directory),
        "[server]",
        f"public_url = {quoted(f'http://{HOST}:{port}')}",
        "[egress]",
        f'allow = [{{ cidr = "{HOST}/32", ports = [{facts["ports"]["receiver"]}] }}]',
        "[[tenants]]",
        f"id = {quoted(tenant['id'])}",
        f"name = {quoted(tenant['name'])}",
        f"users = {tenant['users']}",
        "  [tenants.status]",
        '  languages = ["en", "de"]',
        "  [tenants.graph]",
        f"  tenant_id = {quoted(facts['tenant_id'])}",
        f"  client_id = {quoted(facts['client_id'])}",
        f'  credential = {{ secret = {{ env = "{SECRET_VARIABLE}" }} }}',
        f"  authority = {quoted(facts['authority'])}",
        f"  base_url = {quoted(facts['base_url'])}",
        f"  ca_file = {quoted(facts['ca_file'])}",
        "  poll_hot_seconds = 60",
        "  poll_calm_seconds = 120",
        "  reconcile_seconds = 900",
    ]
    for place in story.locations:
        common = [
            f"  location = {quoted(place.name)}",
            f"  region = {quoted(place.region)}",
            f"  external = {quoted(place.external)}",
            f"  ca_file = {quoted(facts['ca_file'])}",
            "  interval_seconds = 60",
            "  first_byte_seconds = 1.0  # real seconds, in which much of the story passes",
            "  total_seconds = 1.5",
        ]
        root = f"{facts['front_door']}/{place.name}"
        for name, path, feature, client_slug in CHECKS:
            lines += [
                "  [[tenants.probes]]",
                f"  name = {quoted(name)}",
                f"  check = {quoted(name)}",
                f"  target = {quoted(f'{root}/{path}')}",
                '  service = "exchange-online"',
                f"  feature = {quoted(feature)}",
                f"  client = {quoted(client_slug)}",
                *common,
            ]
        lines += [
            "  [[tenants.probes]]",
            '  name = "control"',
            '  check = "control"',
            f"  target = {quoted(f'{root}/control')}",
            *common,
        ]
    return "\n".join(lines) + "\n"


def _check_port(port: int) -> None:
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise DemoFailed(
            f"Port {port} is in use; end what listens there, or choose another with --port."
        ) from error


def _database(directory: Path) -> str:
    url = f"sqlite:///{directory / 'sextant.db'}"
    return f"[database]\nurl = {json.dumps(url)}\n"


def _environment(start: datetime, *, speed: float, mark: float) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEXTANT_")}
    return kept | {
        "SEXTANT_CLOCK__START": start.isoformat(),
        "SEXTANT_CLOCK__SPEED": str(speed),
        "SEXTANT_CLOCK__MARK": str(mark),
        SECRET_VARIABLE: "demo-only-secret",
        "PYTHONUNBUFFERED": "1",
    }


async def _start_standins(
    stack: AsyncExitStack,
    story: Story,
    directory: Path,
    environ: Mapping[str, str],
    *,
    speed: float,
    mark: float,
) -> dict[str, Any]:
    arguments = [
        "-m", "tests.standins", "--directory", str(directory / "tls"), "--story", story.name,
        "--start", story.skip_to.isoformat(), "--speed", str(speed), "--mark", str(mark), "--quiet",
    ]  # fmt: skip
    process = await _start(
        stack, "standins", arguments, directory=directory, environ=environ, talks=True
    )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    try:
        async with asyncio.timeout(READY_SECONDS):
            line = (await process.stdout.readline()).decode()
    except TimeoutError:
        line = ""
    if not line.startswith("READY "):
        raise DemoFailed(f"The stand-ins did not start: {_tail(directory / 'standins.log')}")
    facts: dict[str, Any] = json.loads(line.removeprefix("READY "))
    return facts


async def _start(
    stack: AsyncExitStack,
    name: str,
    arguments: list[str],
    *,
    directory: Path,
    environ: Mapping[str, str],
    talks: bool = False,
) -> asyncio.subprocess.Process:
    """Start a process of ours that is ended when the stack unwinds.

    It gets a session of its own, so that Ctrl-C reaches the player alone, which then ends all in
    order. Its standard input is a pipe that closes when the player dies.
    """
    log = stack.enter_context((directory / f"{name}.log").open("wb"))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env=dict(environ),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE if talks else log,
        stderr=log,
        start_new_session=True,
    )
    stack.push_async_callback(_end, process)
    return process


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _until_ready(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + READY_SECONDS
    async with client(base_url=url, timeout_seconds=2) as http:
        while loop.time() < give_up and process.returncode is None:
            try:
                if (await http.get("/readyz")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise DemoFailed(f"Sextant did not start: {_tail(log)}")


async def _create_key(story: Story, directory: Path) -> str:
    """Make the tables and the first key, before the server that will use them."""
    config = directory / "first.toml"
    config.write_text(
        _database(directory) + f"[[tenants]]\nid = {json.dumps(story.tenant['id'])}\n"
    )
    environ = _environment(story.skip_to, speed=1.0, mark=SystemClock().now().timestamp())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "keys", "create", "--config", str(config),
        "--tenant", story.tenant["id"], "--scopes", SCOPES, "--name", "demo", "--voices", "0",
        cwd=ROOT, env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complaint = await process.communicate()
    lines = said.decode().split()
    if process.returncode or not lines:
        raise DemoFailed(f"No API key could be made: {complaint.decode().strip()[-500:]}")
    return lines[-1]


def _tail(log: Path) -> str:
    try:
        text = log.read_text("utf-8", "replace").strip()
    except OSError:
        text = ""
    return "\n".join(text.splitlines()[-15:]) or "it said nothing"
