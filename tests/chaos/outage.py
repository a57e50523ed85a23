"""PostgreSQL goes away for a while under load, and comes back.

``python -m tests.chaos.outage --gone 60 --times 3`` runs two replicas on one PostgreSQL under the
clients of the kills. The server stops at once, stays away and starts again; with ``--hang`` a proxy
before it keeps all connections and forwards nothing meanwhile. Told are how long the
slowest request of that time waited for its 503, when ``/readyz`` said no and when yes again,
whether ``/livez`` ever failed, and how long after the return the first request was acknowledged.
Then the checker judges the whole run.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.chaos.clients import Stage
from tests.chaos.faults import Replicas, Storm
from tests.chaos.history import Phase
from tests.chaos.kill import START_SECONDS, Plan, Report, Say, say, tell
from tests.chaos.process import Server
from tests.postgres import Postgres
from tests.standins.proxy import Proxy

BEFORE_SECONDS = 2.0  # of load before each outage
LOOK_SECONDS = 0.05
REFUSED_WITHIN = 1.0  # seconds until a request is told 503
READINESS_WITHIN = 2.0  # seconds until /readyz says no
BACK_WITHIN = 5.0  # seconds from the return to the first acknowledgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What one absence looked like from outside, in seconds."""

    slowest_refusal: float
    refused: int
    acknowledged: int  # of what was asked while nothing could be stored
    unready_after: float
    ready_after: float
    acknowledged_after: float
    livez_failed: int

    @property
    def met(self) -> bool:
        """Whether it was as promised."""
        return (
            self.refused > 0
            and self.acknowledged == 0
            and self.livez_failed == 0
            and self.slowest_refusal <= REFUSED_WITHIN
            and self.unready_after <= READINESS_WITHIN
            and self.acknowledged_after <= BACK_WITHIN
        )


class Health:
    """Asks each replica for its health all the time."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self.seen: list[tuple[float, str, bool]] = []  # asked at, replica, ready
        self.dead = 0

    async def run(self) -> None:
        """Ask until cancelled."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http, asyncio.TaskGroup() as g:
            for url in self._urls:
                g.create_task(self._ask(http, url))

    async def _ask(self, http: httpx.AsyncClient, url: str) -> None:
        while True:
            try:
                ready = await http.get(f"{url}/readyz")
                self.seen.append((time.monotonic(), url, ready.is_success))
                self.dead += not (await http.get(f"{url}/livez")).is_success
            except httpx.TransportError:
                self.dead += 1
            await asyncio.sleep(LOOK_SECONDS)

    async def all_ready(self, since: float) -> None:
        """Wait until every replica has said so after an instant."""
        while True:
            if self.until(since, ready=True) < float("inf"):
                return
            await asyncio.sleep(LOOK_SECONDS)

    def until(self, since: float, *, ready: bool) -> float:
        """Seconds from an instant until the last replica said so for the first time after it."""
        found = {url: float("inf") for url in self._urls}
        for at, url, said in self.seen:
            if at >= since and said is ready:
                found[url] = min(found[url], at - since)
        return max(found.values())


class Absence(Storm):
    """A run in which the database is away now and then."""

    def __init__(
        self, plan: Plan, folder: Path, say: Say, postgres: Postgres, *,
        gone: float, proxy: Proxy | None = None,
    ) -> None:  # fmt: skip
        self.gone, self.proxy = gone, proxy
        super().__init__(plan, folder, say, postgres)
        self.outages: list[Outage] = []

    def make_server(self, folder: Path) -> Server:
        """Make the replicas; they reach the database by the proxy, the harness by itself."""
        url = self.plan.url
        if self.proxy is not None:
            name = url.partition("?")[0].rpartition("/")[2]
            url = f"postgresql://postgres@127.0.0.1:{self.proxy.port}/{name}"
        return Replicas(url, folder, seed=f"{self.plan.seed}:replicas", cradle=self.cradle)

    async def lives(self, stage: Stage) -> None:
        """Take the database away as often as planned."""
        await self.begin()
        await asyncio.sleep(BEFORE_SECONDS)
        health = Health(self.server.base_urls)
        asking = asyncio.create_task(health.run())
        try:
            async with asyncio.timeout(START_SECONDS):
                await health.all_ready(0.0)
            for number in range(1, self.plan.kills + 1):
                await asyncio.sleep(BEFORE_SECONDS)
                self.outages.append(await self._one(health))
                self.say(f"absence {number}/{self.plan.kills} of {self.gone:.0f} s: "
                         f"{self.outages[-1]}")  # fmt: skip
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _one(self, health: Health) -> Outage:
        health.dead, begun = 0, len(self.history.acts)
        await self._lose()
        went = time.monotonic()
        await asyncio.sleep(self.gone)
        self.history.life += 1
        self.first.clear()
        await self._regain()
        came = self.server.began = time.monotonic()
        async with asyncio.timeout(START_SECONDS):
            await self.first.wait()
            acknowledged = time.monotonic() - came
            await health.all_ready(came)
        waits, acked = self._told(begun, went, came)
        return Outage(
            slowest_refusal=round(max(waits, default=0.0), 2),
            refused=len(waits),
            acknowledged=acked,
            unready_after=round(health.until(went, ready=False), 2),
            ready_after=round(health.until(came, ready=True), 2),
            acknowledged_after=round(acknowledged, 2),
            livez_failed=health.dead,
        )

    async def _lose(self) -> None:
        if self.proxy is not None:
            self.proxy.hang()
        else:
            await asyncio.to_thread(self.postgres.stop)

    async def _regain(self) -> None:
        if self.proxy is not None:
            self.proxy.go_on()
        else:
            await asyncio.to_thread(self.postgres.start)

    def _told(self, begun: int, went: float, came: float) -> tuple[list[float], int]:
        """How long refusals took that fell into the absence, and how much was acknowledged in it.

        A request counts from when the database went, if it was under way then.
        """
        asked: dict[tuple[str, int], float] = {}
        waits: list[float] = []
        acknowledged = 0
        for act in self.history.acts[begun:]:
            key = (act.client, act.request)
            if act.phase is Phase.INVOKE:
                asked[key] = act.at
                continue
            since = asked.pop(key, went)
            if went < act.at < came and act.phase is Phase.OK:
                acknowledged += since > went
            elif went < act.at < came or since < came < act.at:
                waits.append(min(act.at, came) - max(since, went))
        return waits, acknowledged


async def absence(
    times: int, gone: float, seed: int, say: Say, *, hang: bool = False
) -> tuple[Report, list[Outage], int]:
    """Carry out a run on a server of its own; gives also how many processes gave up."""
    postgres = await asyncio.to_thread(Postgres, synchronous_commit="on")
    try:
        plan = Plan(url=postgres.url(postgres.create()), kills=times, seed=seed)
        proxy = Proxy(postgres.socket) if hang else None
        async with contextlib.AsyncExitStack() as stack:
            if proxy is not None:
                await stack.enter_async_context(proxy.open())
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sxgone"))
            run = Absence(plan, Path(folder), say, postgres, gone=gone, proxy=proxy)
            report = await run.whole()
            assert isinstance(run.server, Replicas)
            return report, run.outages, run.server.gave_up
    finally:
        await asyncio.to_thread(postgres.close)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; 0 when everything was as promised."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--gone", type=float, default=60.0, help="seconds of each absence")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hang", action="store_true", help="it falls silent instead of stopping")
    given = parser.parse_args(argv)
    report, outages, gave_up = asyncio.run(
        absence(given.times, given.gone, given.seed, say, hang=given.hang)
    )
    tell(report, say)
    met = all(outage.met for outage in outages) and not gave_up
    say(f"  {gave_up} processes gave up; {'as promised' if met else 'NOT AS PROMISED'}")
    return 0 if report.holds and met else 1


if __name__ == "__main__":
    sys.exit(main())
