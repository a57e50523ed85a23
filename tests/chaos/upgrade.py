"""A rolling upgrade and its way back under load, with the code of an earlier commit.

``python -m tests.chaos.upgrade --old COMMIT`` puts that commit's code beside this one's, brings the
tables to where this code has them, and runs two replicas under the clients of the kills: both of
the old code, then one of each, both of the new, and back again. Each is ended by SIGTERM and
started with the other code; in between clients must be acknowledged. Then the checker judges the
whole run. It needs the history of the repository and the libraries of both.
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.clients import Stage
from tests.chaos.faults import Replicas, Storm
from tests.chaos.kill import START_SECONDS, Plan, Report, Say, say, tell
from tests.chaos.process import PROJECT, Server
from tests.postgres import Postgres

LASTS = 5.0  # seconds of load after each change


@contextmanager
def code_of(commit: str) -> Iterator[Path]:
    """A working tree of a commit, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="sxold") as folder:
        tree = str(Path(folder) / "tree")
        git = ["git", "-C", str(PROJECT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", tree, commit], check=True)
        try:
            yield Path(tree)
        finally:
            subprocess.run([*git, "remove", "--force", tree], check=True)


class Upgrade(Storm):
    """A run in which the replicas change their code, one after the other."""

    def __init__(
        self, plan: Plan, folder: Path, say: Say, postgres: Postgres, *, old: Path
    ) -> None:
        self.old = old
        self.stops: list[float] = []
        super().__init__(plan, folder, say, postgres)

    def make_server(self, folder: Path) -> Server:
        """Make the replicas, not yet started, with the old code."""
        replicas = super().make_server(folder)
        assert isinstance(replicas, Replicas)
        for one in replicas.each:
            one.home = self.old
        return replicas

    async def lives(self, stage: Stage) -> None:
        """Change the code of one after the other, and back."""
        await self.begin()
        replicas = self.server
        assert isinstance(replicas, Replicas)
        await self._go_on("old, old")
        for home, name in ((PROJECT, "new"), (self.old, "old")):
            for one in replicas.each:
                begun = time.monotonic()
                with replicas.paused():
                    await Server.end(one, signal.SIGTERM)
                    self.stops.append(time.monotonic() - begun)
                    one.home = home
                    await asyncio.to_thread(Server.start, one)
                    await asyncio.wait_for(one.listening.wait(), START_SECONDS)
                mix = ("new" if each.home == PROJECT else "old" for each in replicas.each)
                await self._go_on(f"{', '.join(mix)} (one is {name} now)")

    async def _go_on(self, what: str) -> None:
        """Let it run, and see that clients are acknowledged."""
        self.history.life += 1
        before = self.history.acknowledged()
        await asyncio.sleep(LASTS)
        self.first.clear()
        async with asyncio.timeout(START_SECONDS):
            await self.first.wait()
        self.say(f"{what}: {self.history.acknowledged() - before} signals acknowledged")


async def upgrade(commit: str, seed: int, say: Say) -> tuple[Report, Upgrade]:
    """Carry out a run on a server of its own."""
    postgres = await asyncio.to_thread(Postgres, synchronous_commit="on")
    try:
        plan = Plan(url=postgres.url(postgres.create()), kills=0, seed=seed)
        with (
            code_of(commit) as old,
            tempfile.TemporaryDirectory(prefix="sxupgrade") as folder,
        ):
            run = Upgrade(plan, Path(folder), say, postgres, old=old)
            return await run.whole(), run
    finally:
        await asyncio.to_thread(postgres.close)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; 0 when every promise was kept."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--old", required=True, help="a commit of this repository")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    report, run = asyncio.run(upgrade(given.old, given.seed, say))
    tell(report, say)
    say(f"  stops by SIGTERM: {', '.join(f'{seconds:.1f} s' for seconds in run.stops)}")
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
