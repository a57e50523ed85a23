"""Kills Sextant again and again while it takes in and delivers, and asks afterwards what became.

Run: ``python -m tests.chaos.kill --database sqlite|postgresql --kills 25 --seed 1 [--gentle]``;
without ``--database`` both run side by side.

Each life ends 20 to 600 ms after its first acknowledgement, by SIGKILL; the next one begins at
once. Clients repeat what was not answered, the receiver refuses, dawdles and hangs up. Then both
calm down, Sextant works off what is left, and the checker compares what the outside saw with what
the database holds.
"""

import argparse
import asyncio
import contextlib
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from app.store.engine import Database
from tests.chaos.checker import Verdict, check
from tests.chaos.clients import Client, Operator, Person, Prober, Reporter, Stage
from tests.chaos.cradle import Cradle
from tests.chaos.facts import OWN, Backlog, Facts, backlog, fed_so_far, read
from tests.chaos.followers import Follower
from tests.chaos.history import History
from tests.chaos.process import PROJECT, TENANTS, Server, environment, free_port, prepare
from tests.chaos.receiver import Receiver
from tests.chaos.sabotage import SABOTAGES
from tests.chaos.sent import unheard
from tests.postgres import Postgres

DATABASES = ("sqlite", "postgresql")
SHORTEST, LONGEST = 0.02, 0.6  # seconds from the first acknowledgement of a life to its end
PATIENCE_SECONDS = 1.0  # waited for a delivery to be under way
START_SECONDS = 600.0  # a life that acknowledged nothing by then has failed
DRAIN_SECONDS = 900.0
LOOK_SECONDS = 0.25
SHOWN = 5  # sentences shown of each kind

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do. ``gentle`` ends every life by SIGTERM; ``sabotage`` breaks a promise."""

    url: str
    kills: int
    seed: int = 1
    gentle: bool = False
    sabotage: str | None = None


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run brought; ``restarts`` in seconds from start to first acknowledgement."""

    verdict: Verdict
    facts: Facts
    history: History
    restarts: list[float]
    errors: list[str]
    refusals: list[str]
    backlog: Backlog
    struck: int = 0  # deliveries that were under way when the process died
    seconds: float = 0.0
    orderly: int = 0  # lives that ended in order
    rotated: int = 0  # secrets that receivers were given anew

    @property
    def holds(self) -> bool:
        """Whether every promise was kept and nothing is left to do."""
        return (
            self.verdict.holds and not self.backlog.left and not self.errors and not self.refusals
        )


class Run:
    """One run of a plan."""

    def __init__(self, plan: Plan, folder: Path, say: Say) -> None:
        self.plan = plan
        self.say = say
        self.chance = random.Random(f"{plan.seed}:lives")
        self.history = History()
        self.receiver = Receiver(self.history, random.Random(f"{plan.seed}:receiver"))
        self.cradle = Cradle(PROJECT, environment())
        self.server = self.make_server(folder)
        self.first = asyncio.Event()
        self.restarts: list[float] = []
        self.struck = 0
        self.own = OWN

    def make_server(self, folder: Path) -> Server:
        """Make the process under test, not yet started."""
        return Server(
            self.plan.url, folder, port=free_port(), sabotage=self.plan.sabotage,
            cradle=self.cradle,
        )  # fmt: skip

    def acked(self) -> None:
        """Take note of an acknowledgement; the first of a life sets its clock."""
        if not self.first.is_set():
            self.restarts.append(time.monotonic() - self.server.began)
            self.first.set()

    async def whole(self) -> Report:
        """Prepare, kill, drain, judge."""
        begun = time.monotonic()
        keys = await prepare(self.plan.url)
        stage = Stage(
            base_urls=self.server.base_urls, history=self.history, keys=keys,
            acked=self.acked, listening=self.server.listening, learn=self.receiver.learn,
        )  # fmt: skip
        port = await self.receiver.start()
        watch = asyncio.create_task(self.server.watch())
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._subscribe(stage, port)
            stage.subscribed = {
                tenant: [one for one in self.receiver.names.items() if one[0].startswith(tenant)]
                for tenant in TENANTS
            }
            self.receiver.calm = False
            readers = [
                Follower(stage, tenant, by_stream=bool(number))
                for number, tenant in enumerate(TENANTS)
            ]
            every = (*self._clients(stage), *readers)
            tasks = [asyncio.create_task(client.run()) for client in every]
            await self.lives(stage)
            left = await self._drain(stage, tasks)
            fed = await asyncio.to_thread(fed_so_far, self.plan.url)
            for reader in readers:
                await reader.end()
            await self.server.end(signal.SIGTERM)
        finally:
            for task in (watch, *tasks):
                task.cancel()
            await asyncio.gather(watch, *tasks, return_exceptions=True)
            await self.server.end(signal.SIGKILL)
            await asyncio.to_thread(self.cradle.close)
            await self.receiver.stop()
        found = replace(await asyncio.to_thread(read, self.plan.url), fed=fed, own=self.own)
        return Report(
            verdict=check(
                self.history.acts, self.history.heard, found, told=self.history.told,
                asked=self.history.asked,
            ), facts=found,
            history=self.history, restarts=self.restarts, errors=self.server.errors(),
            refusals=stage.refusals, backlog=left, struck=self.struck,
            orderly=self.server.orderly(), rotated=self.receiver.rotated,
            seconds=time.monotonic() - begun,
        )  # fmt: skip

    def _clients(self, stage: Stage) -> list[Client]:
        made: list[Client] = []
        for letter, tenant in zip("ab", TENANTS, strict=True):
            seed = f"{self.plan.seed}:{tenant}"
            made += [
                Reporter(stage, f"r{letter}{n}", tenant, seed=f"{seed}:r{n}") for n in range(2)
            ]
            made.append(Prober(stage, f"p{letter}", tenant, seed=f"{seed}:p"))
            made.append(Operator(stage, f"o{letter}", tenant, seed=f"{seed}:o"))
            for careful in (True, False):
                name = f"h{letter}{int(careful)}"
                made.append(Person(stage, name, tenant, seed=f"{seed}:{name}", careful=careful))
        return made

    async def _subscribe(self, stage: Stage, port: int) -> None:
        """Start, and make two subscriptions of each tenant active before anything happens."""
        self.server.start()
        for tenant in TENANTS:
            headers = {"authorization": f"Bearer {stage.keys[tenant]}"}
            async with httpx.AsyncClient(
                base_url=stage.base_urls[0], headers=headers, trust_env=False, timeout=5
            ) as http:
                await self._answering(http)
                for form in ("native", "cloudevents"):
                    await self._subscription(http, f"{tenant}-{form}", form, port)
        await self.server.end(signal.SIGTERM)
        self.say("subscriptions are active; the process ended when it was told to")

    async def _answering(self, http: httpx.AsyncClient) -> None:
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    if (await http.get("/readyz")).is_success:
                        return
                except httpx.TransportError:
                    pass
                self.must_live()
                await asyncio.sleep(0.05)

    async def _subscription(self, http: httpx.AsyncClient, path: str, form: str, port: int) -> None:
        signed = "v1" if form == "native" else "v1a"
        wish = {"url": f"http://127.0.0.1:{port}/{path}", "format": form, "signing": signed}
        made = (await http.post("/v1/subscriptions", json=wish)).raise_for_status().json()
        self.receiver.know(path, made["id"], made["secret"])
        async with asyncio.timeout(START_SECONDS):
            while True:
                now = await http.get(f"/v1/subscriptions/{made['id']}")
                if now.json()["state"] == "active":
                    return
                await asyncio.sleep(0.05)

    def must_live(self) -> None:
        """Raise when it ended by itself."""
        if self.server.died:
            raise RuntimeError("Sextant ended by itself:\n" + "\n".join(self.server.errors()))

    async def lives(self, stage: Stage) -> None:
        """Let it live and end, as often as planned."""
        how = signal.SIGTERM if self.plan.gentle else signal.SIGKILL
        for number in range(1, self.plan.kills + 1):
            await self.begin()
            since = time.monotonic()
            lived = self.chance.uniform(SHORTEST, LONGEST)
            await asyncio.sleep(lived)
            if number % 2:  # every other one shall die with a delivery under way
                await self._delivering()
            lived = time.monotonic() - since
            requests, deliveries = stage.in_flight, self.receiver.busy
            self.struck += deliveries
            await self.server.end(how)
            self.say(
                f"life {number}/{self.plan.kills}: first acknowledgement after"
                f" {self.restarts[-1]:.2f} s, {how.name} {1000 * lived:.0f} ms later with"
                f" {requests} requests and {deliveries} deliveries under way;"
                f" {self.history.acknowledged()} signals acknowledged,"
                f" {len(self.history.heard)} delivery attempts so far"
            )

    async def _delivering(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.receiver.working.wait(), PATIENCE_SECONDS)

    async def begin(self) -> None:
        """Begin a life and wait for its first acknowledgement."""
        self.history.life += 1
        self.first.clear()
        self.server.start()
        async with asyncio.timeout(START_SECONDS):
            while not self.first.is_set():
                self.must_live()
                await asyncio.sleep(0.005)

    async def _drain(self, stage: Stage, tasks: Sequence[asyncio.Task[None]]) -> Backlog:
        """Live on, and let clients and receiver calm down until nothing is left to do."""
        await self.begin()
        await asyncio.sleep(LONGEST)
        stage.stopping = True
        await asyncio.wait_for(asyncio.gather(*tasks), DRAIN_SECONDS)
        self.receiver.calm = True
        self.say("clients have ended; the last life works off what is left")
        database = Database(self.plan.url)
        deadline = time.monotonic() + DRAIN_SECONDS
        try:
            left = await database.read(backlog)
            while left.left and time.monotonic() < deadline:
                await asyncio.sleep(LOOK_SECONDS)
                self.must_live()
                left = await database.read(backlog)
        finally:
            database.close()
        return left


async def run(plan: Plan, say: Say) -> Report:
    """Carry out a plan in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="sxchaos") as folder:
        return await Run(plan, Path(folder), say).whole()


def tell(report: Report, say: Say) -> None:
    """Say how it went, the verdict last."""
    restarts = sorted(report.restarts)
    attempts = report.history.heard
    again = sum(bool(one.replay) for one in report.facts.deliveries)
    say(
        f"{report.history.acknowledged()} signals acknowledged,"
        f" {len(report.facts.records)} stored; {len(report.facts.incidents)} incidents,"
        f" {len(report.facts.events)} events; {len(report.facts.deliveries)} deliveries in"
        f" {len(attempts)} attempts, {unheard(report.facts)} of them unheard by us;"
        f" {len(report.history.told)} events by the feed;"
        f" {len(report.facts.replays)} replays of {again} deliveries, {report.rotated} new secrets"
    )
    say(
        f"restart to first acknowledgement: median {statistics.median(restarts):.2f} s,"
        f" worst {restarts[-1]:.2f} s; {report.seconds:.0f} s in all"
    )
    states = {d.state for d in report.facts.deliveries}
    counted = {s: sum(1 for d in report.facts.deliveries if d.state == s) for s in sorted(states)}
    say("deliveries: " + ", ".join(f"{count} {state}" for state, count in counted.items()))
    say("")
    for name, count in report.verdict.counts().items():
        say(f"  {name:<10} {count:>6}{_apart(report) if name == 'duplicate' else ''}")
        for sentence in getattr(report.verdict, name)[:SHOWN]:
            say(f"    {sentence}")
    extra: dict[str, Sequence[object]] = {
        "left undone": [report.backlog] if report.backlog.left else [],
        "errors": report.errors,
        "refusals": report.refusals,
    }
    for name, found in extra.items():
        for one in found[:SHOWN]:
            say(f"  {name}: {one}")
    say("  every promise kept" if report.holds else "  A PROMISE WAS BROKEN")


def _apart(report: Report) -> str:
    """What kinds of duplicates there are: commands, and deliveries that no kill explains."""
    commands = sum(text.startswith("command ") for text in report.verdict.duplicate)
    accepted = [(h.delivery, h.life) for h in report.history.heard if h.accepted]
    within = len(accepted) - len(set(accepted))
    return f"  ({commands} of them commands, {within} deliveries within one life)"


async def both(arguments: Sequence[str]) -> int:
    """Run both databases side by side, each in a process of its own; the worse exit code."""

    async def one(name: str) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.kill", *arguments, "--database", name,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            while process.stdout is not None and (line := await process.stdout.readline()):
                print(f"{name:<10} {line.decode().rstrip()}", flush=True)
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()

    return max(await asyncio.gather(*(one(name) for name in DATABASES)))


def alone(name: str, say: Say, **wanted: Any) -> Report:
    """Run one database that is made for it and removed afterwards."""
    if name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="sxchaos") as folder:
            return asyncio.run(run(Plan(url=f"sqlite:///{folder}/chaos.db", **wanted), say))
    server = Postgres(synchronous_commit="on")
    try:
        return asyncio.run(run(Plan(url=server.url(server.create()), **wanted), say))
    finally:
        server.close()


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; 0 when every promise was kept."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--database", choices=[*DATABASES, "both"], default="both")
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gentle", action="store_true", help="SIGTERM instead of SIGKILL")
    parser.add_argument("--sabotage", choices=sorted(SABOTAGES), help="break a promise on purpose")
    given = parser.parse_args(argv)
    if given.database == "both":
        arguments = ["--kills", str(given.kills), "--seed", str(given.seed)]
        arguments += ["--gentle"] if given.gentle else []
        arguments += ["--sabotage", given.sabotage] if given.sabotage else []
        return asyncio.run(both(arguments))
    say(f"{given.database}: {given.kills} kills, seed {given.seed}")
    wanted = {name: getattr(given, name) for name in ("kills", "seed", "gentle", "sabotage")}
    report = alone(given.database, say, **wanted)
    tell(report, say)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
