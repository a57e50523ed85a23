"""An agent that is killed at the worst moments loses nothing, doubles nothing, and keeps order."""

import asyncio
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.bootstrap import create_app
from app.core.signal import ProbeResult
from app.core.types import TenantId
from app.flow import keys
from app.kit.clock import SystemClock
from app.settings.model import DatabaseSettings, Settings, TenantSettings
from app.store import intake
from app.store.engine import Database
from tests.standins.server import serving

TENANT = TenantId("contoso")
CHECKS = 4
ENOUGH = 8  # results in the spool before the first kill


class KillsSender:
    """Passes requests on; kills the sender when its first batch is durable, before it hears so."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.victim: asyncio.subprocess.Process | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def deliver(message: Message) -> None:
            if message["type"] == "http.response.start" and self.victim is not None:
                victim, self.victim = self.victim, None
                victim.send_signal(signal.SIGKILL)
                await victim.wait()
            await send(message)

        await self.app(scope, receive, deliver)


@asynccontextmanager
async def quiet_port() -> AsyncIterator[tuple[int, list[int]]]:
    """A server that takes connections, for checks to reach."""
    reached: list[int] = []

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(1)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], reached
    finally:
        server.close()


def configure(folder: Path, url: str, key: str, port: int) -> Path:
    checks = "\n".join(
        f'[[probes]]\nname = "check-{n}"\ncheck = "tcp"\ntarget = "127.0.0.1:{port}"\n'
        f'location = "office"\nservice = "exchange-online"\ninterval_seconds = 1\n'
        for n in range(CHECKS)
    )
    (folder / "key").write_text(key)
    file = folder / "agent.toml"
    file.write_text(f'url = "{url}"\nkey = {{ file = "key" }}\nspool_file = "spool.db"\n\n{checks}')
    return file


async def start(config: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "probe", "agent", "--config", str(config),
        stderr=asyncio.subprocess.DEVNULL, cwd=Path(__file__).parents[2], env=dict(os.environ),
    )  # fmt: skip


def spooled(folder: Path) -> list[tuple[str, datetime]]:
    """Check and instant of what waits in the spool, oldest first."""
    try:
        with sqlite3.connect(f"file:{folder / 'spool.db'}?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT line FROM spool ORDER BY seq").fetchall()
    except sqlite3.OperationalError:
        return []
    found = [msgspec.json.decode(line) for (line,) in rows]
    return [(one["probe"], datetime.fromisoformat(one["occurred_at"])) for one in found]


async def until(condition: Any, seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - watches another process
            await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def stored(db: Database) -> list[ProbeResult]:
    rows = db.read_now(lambda c: intake.after(c, TENANT, 0, 0, 10_000))
    return [s for row in rows for s in row.signals if isinstance(s, ProbeResult)]


async def test_an_agent_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sextant.db'}"
    settings = Settings(database=DatabaseSettings(url=url), tenants=(TenantSettings(id=TENANT),))
    app = create_app(settings, roles=("api",))
    context = app.state.context
    made = await keys.create(
        context.db, tenant=TENANT, name="agent", scopes=["probes:write"], now=SystemClock().now()
    )
    async with quiet_port() as (target, reached):
        # Sextant cannot be reached: everything waits on disk, and a kill loses none of it.
        config = configure(tmp_path, f"http://127.0.0.1:{free_port()}", made.secret, target)
        agent = await start(config)
        await until(lambda: len(spooled(tmp_path)) >= ENOUGH)
        agent.send_signal(signal.SIGKILL)
        await agent.wait()
        first = spooled(tmp_path)
        assert len(first) >= ENOUGH
        door = KillsSender(app)
        async with serving(door, None) as root:
            # It is killed when its first batch is durable there, before it has heard of that.
            configure(tmp_path, root, made.secret, target)
            door.victim = agent = await start(config)
            await until(lambda: agent.returncode is not None)
            waiting = spooled(tmp_path)
            assert waiting[: len(first)] == first
            assert len(stored(context.db)) >= ENOUGH
            # Started again it sends the batch once more, and goes on.
            agent = await start(config)
            await until(lambda: len(stored(context.db)) >= len(waiting) + CHECKS)
            await until(lambda: not spooled(tmp_path))
            agent.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(agent.wait(), 30) == 0
    kept = stored(context.db)
    assert reached
    assert len({result.id for result in kept}) == len(kept)
    runs = [(result.probe, result.occurred_at) for result in kept]
    assert len(set(runs)) == len(runs)  # no run counts twice
    assert [run for run in runs if run in set(waiting)] == waiting  # all of them, in order
    for check in range(CHECKS):
        at = [result.occurred_at for result in kept if result.probe == f"check-{check}"]
        assert at == sorted(at)
    context.db.close()
