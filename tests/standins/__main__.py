"""Runs the stand-ins in one process: ``python -m tests.standins --directory DIR …``.

Prints one line ``READY {json}`` when all listen, with ports and files; then a line per delivery
that the receiver got. Ends on SIGTERM, SIGINT, or when its standard input closes.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn

from app.demo.story import Story
from app.kit.clock import ScaledClock
from tests.standins.ca import Certificates, create
from tests.standins.entra import Entra, Registration
from tests.standins.faults import Throttle
from tests.standins.front_door import FrontDoor
from tests.standins.graph import Graph, recorded_issues, recorded_services
from tests.standins.receiver import PATH, Receiver
from tests.standins.reporters import Reporters
from tests.standins.server import Server

TENANT = "0f6a3c1e-5b7d-4a52-9c1b-2d8e4f60a7b9"  # made up
CLIENT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"  # made up
SECRET_VARIABLE = "STANDIN_CLIENT_SECRET"
HOST = "127.0.0.1"


@dataclass(slots=True, kw_only=True)
class StandIns:
    """All of them, with the sockets they listen on."""

    graph: Graph
    front_door: FrontDoor
    receiver: Receiver
    reporters: Reporters
    certificates: Certificates
    sockets: dict[str, socket.socket]

    def facts(self) -> dict[str, Any]:
        """Say where everything is."""
        ports = {name: sock.getsockname()[1] for name, sock in self.sockets.items()}
        return {
            "ports": ports,
            "authority": f"https://{HOST}:{ports['graph']}",
            "base_url": f"https://{HOST}:{ports['graph']}",
            "front_door": f"https://{HOST}:{ports['front_door']}",
            "receiver": f"http://{HOST}:{ports['receiver']}{PATH}",
            "control": f"http://{HOST}:{ports['receiver']}/_standin",
            "ca_file": str(self.certificates.ca_file),
            "tenant_id": TENANT,
            "client_id": CLIENT,
        }

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Serve until told to stop."""
        files = self.certificates
        secure = {"ssl_certfile": str(files.cert_file), "ssl_keyfile": str(files.key_file)}
        servers = {
            "graph": Server(_config(self.graph.app(), **secure)),
            "receiver": Server(_config(self.receiver.app(self.reporters.routes()))),
        }
        door = await self.front_door.start(
            self.sockets["front_door"], self.certificates.server_context()
        )
        tasks = [
            asyncio.create_task(server.serve(sockets=[self.sockets[name]]))
            for name, server in servers.items()
        ]
        while not all(server.started for server in servers.values()):  # noqa: ASYNC110 - uvicorn tells by a flag alone
            await asyncio.sleep(0.01)
        ready()
        await stop.wait()
        await self.reporters.stop()
        door.close()
        self.front_door.stop()
        for server in servers.values():
            server.should_exit = server.force_exit = True
        await asyncio.gather(*tasks)


def build(
    *,
    story: Story,
    now: Callable[[], datetime],
    directory: Path,
    secret: str,
    port_base: int = 0,
) -> StandIns:
    """Make all stand-ins of a story and bind their ports; port base 0 takes free ones."""
    registration = Registration(tenant=TENANT, client=CLIENT, secrets={secret: None})
    names = ("graph", "front_door", "receiver")
    return StandIns(
        graph=Graph(
            entra=Entra(registrations=[registration], wall=_wall),
            now=now,
            throttle=Throttle(now=now),
            story=story,
            history=recorded_issues(),
            services=recorded_services(),
        ),
        front_door=FrontDoor(story=story, now=now),
        receiver=Receiver(now=now, wall=_wall),
        reporters=Reporters(story=story, now=now),
        certificates=create(directory),
        sockets={
            name: socket.create_server((HOST, port_base and port_base + number))
            for number, name in enumerate(names)
        },
    )


def _wall() -> datetime:
    return datetime.now(UTC)


def _config(app: Any, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(app, log_level="critical", lifespan="off", access_log=False, **more)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.standins", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where certificates go")
    parser.add_argument("--story", default="exchange-2026-03")
    parser.add_argument("--port-base", type=int, default=0, help="first port; 0 takes free ones")
    parser.add_argument("--start", help="virtual time at the mark, RFC 3339")
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--mark", type=float, help="unix time at which virtual time is --start")
    parser.add_argument("--secret", default=os.environ.get(SECRET_VARIABLE, "stand-in-secret"))
    parser.add_argument("--quiet", action="store_true", help="no line per delivery")
    return parser.parse_args(argv)


async def _main(argv: list[str]) -> None:
    asked = _arguments(argv)
    story = Story.load(asked.story)
    start = datetime.fromisoformat(asked.start) if asked.start else story.skip_to
    clock = ScaledClock(start=start, speed=asked.speed, mark=asked.mark)
    standins = build(
        story=story,
        now=clock.now,
        directory=asked.directory,
        secret=asked.secret,
        port_base=asked.port_base,
    )
    if not asked.quiet:
        standins.receiver.say = lambda line: print(line, flush=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with contextlib.suppress(OSError, ValueError, PermissionError):  # a file cannot be watched
        loop.add_reader(sys.stdin.fileno(), _until_closed, stop)
    await standins.run(stop, lambda: print(f"READY {json.dumps(standins.facts())}", flush=True))


def _until_closed(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
