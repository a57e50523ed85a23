"""Schemathesis over the whole document, against the application as it is served.

The gate runs a part of it on a fixed seed, ``make chaos`` all of it:
``python -m tests.api.fuzz --seed 7 --max-examples 50``.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from tests.api.surface import furnish, served
from tests.standins.server import serving

CONFIG = Path(__file__).with_name("schemathesis.toml")


class Crowd:
    """Gives each request an address of its own: who guesses keys from one is turned away."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._numbers = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        number = next(self._numbers)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        await self._app(scope | {"client": (address, 40_000)}, receive, send)


async def fuzz(url: str, *options: str) -> tuple[int, str]:
    """Serve one of everything from a database and let Schemathesis loose on it.

    Returns:
        Its exit code and what it said.
    """
    surface = served(url)
    surface.api.state.stopping.set()  # an open stream ends after its first breath
    try:
        await furnish(surface)
        async with serving(Crowd(surface.api), None) as base:
            running = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).with_name("st")),
                "--config-file", str(CONFIG),
                "run", "openapi/v1.json", "--url", base,
                "-H", f"Authorization:{surface.admin['authorization']}",
                *options,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            said, _ = await running.communicate()
            return running.returncode or 0, said.decode()
    finally:
        surface.db.close()


def main() -> int:
    """Run it for as long as it is told to."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", default="")
    given, rest = options.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        code, said = asyncio.run(fuzz(given.database or f"sqlite:///{folder}/fuzz.db", *rest))
    print(said)
    return code


if __name__ == "__main__":
    sys.exit(main())
