"""The disk is full again and again while Sextant works on SQLite.

``python -m tests.chaos.space --fills 20`` (as root, for it mounts a small memory disk) lets the
clients of the kills work, and fills what is left of the disk to the last byte. Writes must be
refused with 503, reads and ``/livez`` go on; when the space comes back, so must acknowledgements,
without a restart. Then the checker judges the whole run, and with it the file.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.chaos.clients import Stage
from tests.chaos.history import Phase
from tests.chaos.kill import START_SECONDS, Plan, Report, Run, Say, say, tell
from tests.chaos.process import TENANTS

DISK_MIB = 64
FULL_SECONDS = 1.5  # from the first refusal on
BLOCK = bytes(4096)
LOOK_SECONDS = 0.02


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of ``DISK_MIB`` of its own."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(place)], check=True
    )
    try:
        yield place
    finally:
        subprocess.run(["/bin/umount", str(place)], check=True)


def fill(file: Path) -> None:
    """Take all that is left, to the last block."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        with suppress(OSError):
            while True:
                os.write(handle, BLOCK)
    finally:
        os.close(handle)


class Tight(Run):
    """A run whose disk is full now and then."""

    def __init__(self, plan: Plan, folder: Path, say: Say, ballast: Path) -> None:
        super().__init__(plan, folder, say)
        self.ballast = ballast
        self.broken: list[str] = []

    async def lives(self, stage: Stage) -> None:
        """Fill the disk as often as planned; the process goes on all the time."""
        await self.begin()
        headers = {"authorization": f"Bearer {stage.keys[TENANTS[0]]}"}
        async with httpx.AsyncClient(
            base_url=stage.base_urls[0], headers=headers, trust_env=False, timeout=20
        ) as http:
            for number in range(1, self.plan.kills + 1):
                await asyncio.sleep(self.chance.uniform(0.1, 1.0))
                await self._full(number, http)

    async def begin(self) -> None:
        """Begin a life, or go on with the one that there is."""
        if not self.server.alive:
            await super().begin()
            return
        self.first.clear()
        async with asyncio.timeout(START_SECONDS):
            await self.first.wait()

    async def _full(self, number: int, http: httpx.AsyncClient) -> None:
        begun = len(self.history.acts)
        await asyncio.to_thread(fill, self.ballast)
        filled = time.monotonic()
        async with asyncio.timeout(START_SECONDS):
            while not self._refused(begun):
                fill(self.ballast)  # what a checkpoint gave back
                await asyncio.sleep(LOOK_SECONDS)
        refused = time.monotonic() - filled
        until = time.monotonic() + FULL_SECONDS
        while time.monotonic() < until:
            fill(self.ballast)
            for path in ("/livez", "/v1/incidents", "/v1/services"):
                answer = await http.get(path)
                if not answer.is_success:
                    self.broken.append(f"{path} said {answer.status_code} on a full disk")
            await asyncio.sleep(LOOK_SECONDS)
        self.ballast.unlink()
        self.first.clear()
        back = self.server.began = time.monotonic()
        async with asyncio.timeout(START_SECONDS):
            await self.first.wait()
        self.must_live()
        self.say(
            f"full {number}/{self.plan.kills}: refused after {refused:.2f} s; acknowledged"
            f" {time.monotonic() - back:.2f} s after the space came back"
        )

    def _refused(self, begun: int) -> bool:
        return any(a.phase is Phase.INFO and a.status for a in self.history.acts[begun:])


async def space(fills: int, seed: int, say: Say) -> tuple[Report, list[str]]:
    """Carry out a run; gives also what reads met while the disk was full."""
    with tempfile.TemporaryDirectory(prefix="sxspace") as folder, small_disk(Path(folder)) as disk:
        plan = Plan(url=f"sqlite:///{disk}/sextant.db", kills=fills, seed=seed)
        run = Tight(plan, Path(folder), say, disk / "ballast")
        return await run.whole(), run.broken


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; 0 when every promise was kept."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--fills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    report, broken = asyncio.run(space(given.fills, given.seed, say))
    tell(report, say)
    for sentence in broken[:5]:
        say(f"  broken: {sentence}")
    return 0 if report.holds and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
