"""The command ``serve``: the port listens first, and the house is built behind it."""

import argparse
import gc
import json
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from app.cli_keys import WrongUsage
from app.core.errors import Overloaded, SettingsError
from app.kit import logs
from app.kit.lean import leave_out

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.settings import Settings

TURN_SECONDS = 0.001  # for which a thread computes while others wait
GRACE_SECONDS = 5  # what requests get to end after the server was told to


def register(add: Callable[..., Any]) -> None:
    """Add the command to the command line."""
    serve = add("serve", _serve, "Serve the API and the console, and do the work.")
    serve.add_argument("--host", help="address to listen on (default from the settings)")
    serve.add_argument("--port", type=int, help="port to listen on (default from the settings)")
    serve.add_argument("--roles", default="api,work", help="api, work or both (default both)")
    serve.add_argument("--migrate", action="store_true", help="bring PostgreSQL's tables up first")


def _serve(arguments: argparse.Namespace) -> int:
    gc.disable()  # nothing of what the start makes is garbage; looking for it costs a fifth of it
    leave_out()
    import uvicorn  # noqa: PLC0415 - slow to import, and only this command needs it

    from app.kit.bounded import BoundedProtocol  # noqa: PLC0415 - the same
    from app.kit.egress import LOOPBACK  # noqa: PLC0415 - the same
    from app.kit.entrance import Entrance  # noqa: PLC0415 - the same

    settings, roles = _read(arguments)
    logs.configure()
    host, port = settings.server.host, settings.server.port
    listening = _listen(host, port)

    def make() -> "FastAPI":
        from app.bootstrap import create_app  # noqa: PLC0415 - takes most of the start
        from app.main import read_settings  # noqa: PLC0415 - the same

        return create_app(
            settings, roles=roles, may_migrate=arguments.migrate,
            read_again=partial(read_settings, arguments.config),
        )  # fmt: skip

    def opened() -> None:
        gc.collect()  # what the imports left behind
        gc.freeze()  # what is there now stays, so later collections need not look at it
        gc.enable()
        if host in LOOPBACK:
            print(f"Sextant listens on http://{host}:{port}/ (Ctrl-C ends it)", file=sys.stderr)

    def failed() -> None:
        server.should_exit = True

    entrance = Entrance(make, busy=_busy(settings.server.public_url), opened=opened, failed=failed)
    config = uvicorn.Config(
        entrance,
        http=BoundedProtocol,
        ws="none",
        host=host,
        port=port,
        log_config=None,
        log_level="warning",  # of the server's own words; ours say when it started and stopped
        access_log=False,
        proxy_headers=False,  # whom to believe is ``server.trusted_proxies``, not the environment
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )

    class Server(uvicorn.Server):
        """Tells the streams to end before it waits for them."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if entrance.inside is not None:
                entrance.inside.state.stopping.set()
            await super().shutdown(sockets)

    server = Server(config)
    # A thread that computes (the fold, a large body) hands over after a fifth of Python's 5 ms, so
    # that a request which comes meanwhile is answered about as soon as in quiet times.
    sys.setswitchinterval(TURN_SECONDS)
    server.run(sockets=[listening])
    if entrance.failure is not None:
        raise entrance.failure
    return 0


def _read(arguments: argparse.Namespace) -> tuple["Settings", tuple[str, ...]]:
    """The settings as the command line changes them, and the roles.

    Raises:
        WrongUsage: a role is not known.
        SettingsError: there is nothing to serve.
    """
    from app.main import read_settings  # noqa: PLC0415 - slow to import
    from app.settings.model import ROLES  # noqa: PLC0415 - the same

    settings = read_settings(arguments.config)
    roles = tuple(part for part in arguments.roles.split(",") if part)
    if not roles or set(roles) - set(ROLES):
        raise WrongUsage(f"--roles takes {', '.join(ROLES)}, separated by commas.")
    if not settings.tenants:
        raise SettingsError(
            "No tenant is configured: write a [[tenants]] table with an id into sextant.toml "
            "and name the file with --config."
        )
    server = settings.server.model_copy(
        update={
            "host": arguments.host or settings.server.host,
            "port": arguments.port or settings.server.port,
        }
    )
    return settings.model_copy(update={"server": server}), roles


def _busy(public_url: str) -> bytes:
    """The problem that stands for the API's own while there is no API yet."""
    return json.dumps(
        {
            "type": f"{public_url.rstrip('/')}/problems/overloaded",
            "title": Overloaded.title,
            "status": 503,
            "detail": "Sextant is starting; ask again in a second.",
            "instance": None,
            "fault": "starting",
        }
    ).encode()


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything else starts, so that a taken port is one sentence.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"Cannot listen on {host} port {port}: {why}. Choose another with --port."
        ) from error
