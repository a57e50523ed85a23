"""Two replicas on one PostgreSQL, and everything that may happen to them while they work.

Run: ``python -m tests.chaos.faults --faults 40 --seed 1``. Each fault is one of three: a replica is
killed (SIGKILL), all connections to the database are cut, or PostgreSQL itself stops at once and
recovers. Clients go to whichever replica answers. Then all calm down, what is left is worked off,
and the same checker as of the kills compares the outside with the database.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chaos.clients import Stage
from tests.chaos.cradle import Cradle
from tests.chaos.kill import LONGEST, START_SECONDS, Plan, Report, Run, Say, say, tell
from tests.chaos.process import Server, free_port
from tests.postgres import Postgres

REPLICAS = 2
SHARES = {"kill": 0.68, "cut": 0.22, "crash": 0.1}  # of all faults
LOOK_SECONDS = 0.05


class Replicas(Server):
    """Several processes on one database, treated as one; who gives up is started again."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        seed: str,
        cradle: Cradle,
        watched: Mapping[str, str] | None = None,
    ) -> None:
        more: dict[str, Any] = {"mark": time.time(), "cradle": cradle, "watched": watched}
        super().__init__(url, folder, port=free_port(), **more)
        self.others = [Server(url, folder, port=free_port(), **more) for _ in range(REPLICAS - 1)]
        self.base_urls = tuple(url for one in self.each for url in one.base_urls)
        self.gave_up = 0
        self.chance = random.Random(seed)
        self._wanted = False
        self._starting = threading.Lock()

    @property
    def each(self) -> list[Server]:
        """All of them; the first is this one."""
        return [self, *self.others]

    @property
    def died(self) -> bool:
        """Never for good: whoever supervises processes starts them again."""
        return False

    def start(self) -> None:
        """Start those that do not run."""
        self._wanted = True
        for one in self.each:
            if not one.alive:
                Server.start(one)

    def kill_one(self) -> None:
        """Kill one and start it again at once."""
        with self._starting:  # whoever watches must not start it as well
            one = self.chance.choice([one for one in self.each if one.alive] or self.each)
            if one.alive and one._process is not None:
                one._process.kill()
                one._process.wait()
            Server.start(one)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Start nobody again until the end of the block."""
        self._wanted = False
        try:
            yield
        finally:
            self._wanted = True

    async def watch(self) -> None:
        """Watch all of them, and start again who ended by itself."""
        looking = [asyncio.create_task(Server.watch(one)) for one in self.each]
        try:
            while True:
                with self._starting:
                    for one in self.each:
                        if self._wanted and one._process is not None and not one.alive:
                            self.gave_up += 1
                            Server.start(one)
                if any(one.listening.is_set() for one in self.others):
                    self.listening.set()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for task in looking:
                task.cancel()

    async def end(self, how: signal.Signals) -> int:
        """End all of them."""
        self._wanted = False
        codes = [await Server.end(one, how) for one in self.each]
        return max(codes, key=abs)

    def errors(self) -> list[str]:
        """What the processes themselves called an error."""
        return [line for one in self.each for line in Server.errors(one)]


class Storm(Run):
    """A run in which the database is struck as well."""

    def __init__(self, plan: Plan, folder: Path, say: Say, postgres: Postgres) -> None:
        super().__init__(plan, folder, say)
        self.postgres = postgres
        self.name = plan.url.rpartition("/")[2].partition("?")[0]
        self.struck_by: Counter[str] = Counter()

    def make_server(self, folder: Path) -> Server:
        """Make the replicas, not yet started."""
        return Replicas(
            self.plan.url, folder, seed=f"{self.plan.seed}:replicas", cradle=self.cradle
        )

    async def lives(self, stage: Stage) -> None:
        """Strike again and again, each time after work has gone on."""
        await self.begin()
        kinds, weights = list(SHARES), list(SHARES.values())
        for number in range(1, self.plan.kills + 1):
            await asyncio.sleep(self.chance.uniform(0.05, LONGEST))
            kind = self.chance.choices(kinds, weights)[0]
            deliveries = self.receiver.busy
            self.struck += deliveries
            self.struck_by[kind] += 1
            self.history.life += 1
            self.first.clear()
            begun = self.server.began = time.monotonic()
            await asyncio.to_thread(self._strike, kind)
            async with asyncio.timeout(START_SECONDS):
                await self.first.wait()
            self.say(
                f"fault {number}/{self.plan.kills}: {kind} with {deliveries} deliveries under way;"
                f" acknowledged again after {time.monotonic() - begun:.2f} s;"
                f" {self.history.acknowledged()} signals, {len(self.history.heard)} attempts so far"
            )

    def _strike(self, kind: str) -> None:
        replicas = self.server
        assert isinstance(replicas, Replicas)
        if kind == "kill":
            replicas.kill_one()
        elif kind == "cut":
            self.postgres.terminate(self.name)
        else:
            self.postgres.crash()


async def storm(faults: int, seed: int, say: Say) -> tuple[Report, Counter[str]]:
    """Carry out a storm on a server of its own."""
    postgres = await asyncio.to_thread(Postgres, synchronous_commit="on")
    try:
        plan = Plan(url=postgres.url(postgres.create()), kills=faults, seed=seed)
        with tempfile.TemporaryDirectory(prefix="sxstorm") as folder:
            run = Storm(plan, Path(folder), say, postgres)
            return await run.whole(), run.struck_by
    finally:
        await asyncio.to_thread(postgres.close)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; 0 when every promise was kept."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--faults", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    report, kinds = asyncio.run(storm(given.faults, given.seed, say))
    tell(report, say)
    say("  " + ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items())))
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
