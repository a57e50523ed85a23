"""The replica that does a kind of work is killed, for each kind in turn, under load.

``python -m tests.chaos.takeover --rounds 3`` runs two replicas on one PostgreSQL under the clients
of the kills. Both tenants are read at Graph, probed and mirrored as well. Whoever holds the lease
of a tenant's fold, its polls, its probes, its mirror, or sends deliveries, is killed in turn; then
one is stopped as by a pause of its machine, and one by SIGTERM. Told are the seconds until the
other had every lease, and until each kind of work was seen to go on from outside; and reads that
two replicas made of one tenant at once. Then the checker judges the whole run.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import Connection, text

from app.core.lease import FOLD, GRAPH, PROBES
from app.core.types import TenantId
from app.store import states
from app.store.engine import Database
from bench.graph import Cloud
from bench.graph import serving as serving_graph
from tests.chaos.clients import Client, Person, Stage
from tests.chaos.facts import OWN
from tests.chaos.faults import Replicas, Storm
from tests.chaos.kill import START_SECONDS, Plan, Report, Say, say, tell
from tests.chaos.process import SPEED, TENANTS, Server
from tests.postgres import Postgres
from tests.standins.ca import create
from tests.standins.servicenow import Instance, User
from tests.standins.servicenow.serve import serving as serving_tickets

MIRROR, DELIVER = "mirror", "deliver"
KINDS = (FOLD, GRAPH, PROBES, MIRROR, DELIVER)
HOLDS = {DELIVER: "upkeep"}  # deliveries are claimed one by one, by whoever works
WANTED = 10.0  # seconds within which work is taken over
PATIENCE = 60.0
LOOK = 0.05
PERIOD = 2.0  # seconds between two reads of a tenant at Graph
MIN_GAP = PERIOD / 4  # seconds: nearer, two replicas read
QUERY = "SELECT name, owner FROM leases WHERE name NOT LIKE 'replica:%'"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


Points = dict[str, tuple[int, int]]


def _began() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=time.monotonic())


@dataclass(slots=True)
class Outside:
    """What is outside: Graph, an address that is probed, an instance of ServiceNow."""

    began: datetime = field(default_factory=_began)
    cloud: Cloud = field(default_factory=Cloud)
    probed_at: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    instance: Instance = field(init=False)

    def __post_init__(self) -> None:
        """Let in one user for each tenant's mirror."""
        self.instance = Instance(now=lambda: self.began + timedelta(seconds=time.monotonic()))
        for tenant in TENANTS:
            self.instance.add_user(User(name=tenant, password="pw"))

    @asynccontextmanager
    async def open(self, folder: Path) -> AsyncIterator[dict[str, str]]:
        """Serve it; gives what is added to the settings of each tenant."""
        files = create(folder / "ca")
        probed = await asyncio.start_server(self._probed, "127.0.0.1", 0)
        port = probed.sockets[0].getsockname()[1]
        async with (
            serving_graph(self.cloud, files) as graph,
            serving_tickets(self.instance) as tickets,
        ):
            yield {
                tenant: _watched(tenant, f"https://127.0.0.1:{graph}", files.ca_file, port, tickets)
                for tenant in TENANTS
            }
        probed.close()

    async def _probed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.probed_at[head.split(b" ")[1].decode().strip("/")].append(time.monotonic())
            writer.write(ANSWER)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # it was killed in the middle
        finally:
            writer.close()

    def mirrored_at(self, tenant: str) -> list[float]:
        """When the mirror of a tenant asked for anything."""
        return [
            (sent.at - self.began).total_seconds()
            for sent in self.instance.log
            if sent.user == tenant
        ]

    def tickets(self) -> Counter[str]:
        """How many there are of each incident."""
        found = (record["correlation_id"] for record in self.instance.incidents())
        return Counter("inc_" + name.rpartition("inc_")[2].partition(":")[0] for name in found)


def _watched(tenant: str, graph: str, ca_file: Path, port: int, tickets: str) -> str:
    """The tables of a tenant: periods are of the story, which runs faster."""
    period = PERIOD * SPEED
    return f"""
[tenants.graph]
tenant_id = "{tenant}"
client_id = "app"
credential = {{ secret = "s" }}
authority = "{graph}"
base_url = "{graph}"
ca_file = "{ca_file}"
poll_hot_seconds = {period}
poll_calm_seconds = {period}
[[tenants.probes]]
name = "door"
check = "http"
target = "http://127.0.0.1:{port}/{tenant}"
location = "here"
service = "intune"
interval_seconds = {SPEED}
[[tenants.mirrors]]
name = "{tenant}"
base_url = "{tickets}"
credential = {{ basic = {{ username = "{tenant}", password = "pw" }} }}
min_severity = "critical"
debounce_seconds = 0
poll_seconds = {SPEED}
hourly_create_budget = 100000
"""


class Desk(Person):
    """Opens critical incidents, which get a ticket each."""

    opened: list[str]

    async def act(self) -> None:
        """Open one."""
        self.opened = getattr(self, "opened", [])
        answer = await self._command(
            "/v1/incidents",
            lambda mark: {"title": mark, "services": ["intune"], "severity": "critical"},
        )
        if answer is not None and answer.is_success:
            self.opened.append(answer.json()["id"])
        await asyncio.sleep(self.chance.uniform(0.4, 0.8))


@dataclass(slots=True, kw_only=True)
class Change:
    """What became of the work of a replica that ended; seconds.

    ``leases`` by kind: until the other had them all; ``work``: until it was seen to go on.
    """

    turn: str
    leases: dict[str, float] = field(default_factory=dict)
    work: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether all was taken over in time."""
        return max([*self.leases.values(), *self.work.values()]) <= WANTED


class Turns(Storm):
    """A run in which each kind of work loses its replica in turn."""

    def __init__(
        self, plan: Plan, folder: Path, say: Say, postgres: Postgres, *,
        outside: Outside, watched: dict[str, str], turns: Sequence[str],
    ) -> None:  # fmt: skip
        self._watched = watched
        self.outside, self.turns = outside, turns
        self.changes: list[Change] = []
        self.desks: list[Desk] = []
        self.too_near = 0
        super().__init__(plan, folder, say, postgres)
        self.own = OWN | {"advisory", "probe_result"}

    def make_server(self, folder: Path) -> Server:
        """Make the replicas, not yet started."""
        return Replicas(
            self.plan.url, folder, seed=f"{self.plan.seed}:replicas", cradle=self.cradle,
            watched=self._watched,
        )  # fmt: skip

    def _clients(self, stage: Stage) -> list[Client]:
        self.desks = [
            Desk(stage, f"d{n}", tenant, seed=f"{self.plan.seed}:d{n}", careful=True)
            for n, tenant in enumerate(TENANTS)
        ]
        # Persons by the dozen a second would make the folds wait for each other, not for a lease.
        others = [one for one in super()._clients(stage) if not isinstance(one, Person)]
        return [*others, *self.desks]

    async def lives(self, stage: Stage) -> None:
        """End the holder of each kind of work in turn."""
        await self.begin()
        db = Database(self.plan.url)
        try:
            await self._until(lambda: self._is_shared(db))
            for turn in self.turns:
                await asyncio.sleep(self.chance.uniform(0.5, PERIOD))
                self.changes.append(await self._turn(db, turn))
                self.say(f"{turn}: {self.changes[-1]}")
                await self._until(lambda: self._is_shared(db))
            if len(self.turns) > 1:
                await self._look_for_two()
            await self._until(self._all_have_tickets)
        finally:
            db.close()
        if self.plan.kills:
            await super().lives(stage)

    async def _turn(self, db: Database, turn: str) -> Change:
        kind, tenant = turn, self.chance.choice(TENANTS)
        if turn in {"hung", "stopped"}:
            kind = FOLD
        name = HOLDS.get(kind, f"{kind}:{tenant}")
        dead = (await asyncio.to_thread(_owners, db))[name]
        server = self._server_of(dead)
        process = server._process
        assert process is not None
        replicas = self.server
        assert isinstance(replicas, Replicas)
        change = Change(turn=turn)
        with replicas.paused():  # nobody starts it again before the other has its work
            if turn != "stopped":
                process.send_signal(signal.SIGSTOP)
            before = await asyncio.to_thread(db.read_now, _checkpoints)
            if turn == "hung":
                self.history.life += 1
                await self._measure(db, change, dead, before, time.monotonic())
                process.send_signal(signal.SIGCONT)
                return change
            process.send_signal(signal.SIGTERM if turn == "stopped" else signal.SIGKILL)
            self.history.life += 1
            await self._measure(db, change, dead, before, time.monotonic())
        return change

    async def _measure(
        self, db: Database, change: Change, dead: str, before: Points, at: float
    ) -> None:
        seen = len(self.history.heard)
        life = self.history.life

        def leased() -> bool:
            owners = _owners(db)
            for kind in {name.partition(":")[0] for name in owners}:
                mine = [o for name, o in owners.items() if name.partition(":")[0] == kind]
                if dead not in mine and "" not in mine:
                    change.leases.setdefault(kind, round(time.monotonic() - at, 2))
                else:
                    change.leases.pop(kind, None)
            return dead not in owners.values() and "" not in owners.values()

        def folded() -> bool:
            now = db.read_now(_checkpoints)
            return all(now[tenant] > before[tenant] for tenant in TENANTS)

        checks: dict[str, Callable[[], bool]] = {
            FOLD: folded,
            GRAPH: lambda: all(self.outside.cloud.asked_at.get(t, 0) > at for t in TENANTS),
            PROBES: lambda: all(_after(self.outside.probed_at[t], at) for t in TENANTS),
            MIRROR: lambda: all(_after(self.outside.mirrored_at(t), at) for t in TENANTS),
            DELIVER: lambda: any(
                one.life == life and one.accepted for one in self.history.heard[seen:]
            ),
        }
        done = False
        while not done or checks:
            if time.monotonic() > at + PATIENCE:
                raise TimeoutError(sorted(checks), change, _owners(db))
            done = await asyncio.to_thread(leased)
            for name in list(checks):
                if await asyncio.to_thread(checks[name]):
                    change.work[name] = round(time.monotonic() - at, 2)
                    del checks[name]
            await asyncio.sleep(LOOK)

    def _server_of(self, owner: str) -> Server:
        replicas = self.server
        assert isinstance(replicas, Replicas)
        return next(one for one in replicas.each if one.has_said(owner))

    def _is_shared(self, db: Database) -> bool:
        """Whether both replicas have their share of every tenant's work."""
        owners = _owners(db)
        kinds = {k: {owners.get(f"{k}:{t}", "") for t in TENANTS} for k in KINDS[:-1]}
        return all("" not in two and len(two) == len(TENANTS) for two in kinds.values())

    async def _look_for_two(self) -> None:
        """Count reads of one tenant that come too near, while nobody ends."""
        self.outside.cloud.read_at.clear()
        await asyncio.sleep(PERIOD * 3)
        every = list(self.outside.cloud.read_at.values())
        gaps = [b - a for at in every for a, b in pairwise(sorted(at))]
        self.too_near = sum(gap < MIN_GAP for gap in gaps)

    def _all_have_tickets(self) -> bool:
        there = self.outside.tickets()
        return all(there[name] for desk in self.desks for name in desk.opened[:-3])

    def doubled(self) -> list[str]:
        """Incidents with several tickets."""
        return [name for name, number in self.outside.tickets().items() if number > 1]

    async def _until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(START_SECONDS):
            while not await asyncio.to_thread(what):  # noqa: ASYNC110 - looked at from outside
                await asyncio.sleep(LOOK)


def _checkpoints(c: Connection) -> Points:
    """How far each tenant is folded."""
    found = {tenant: states.checkpoint(c, TenantId(tenant)) for tenant in TENANTS}
    return {tenant: (point.tx, point.seq) for tenant, point in found.items()}


def _owners(db: Database) -> dict[str, str]:
    rows = db.read_now(lambda c: c.execute(text(QUERY)).all())
    return {row.name: row.owner for row in rows}


def _after(at: Sequence[float], instant: float) -> bool:
    return bool(at) and at[-1] > instant


async def takeover(
    turns: Sequence[str], seed: int, say: Say, *, faults: int = 0
) -> tuple[Report, Turns]:
    """Carry out a run on a server of its own; so many faults of the storm follow the turns."""
    postgres = await asyncio.to_thread(Postgres, synchronous_commit="on")
    try:
        plan = Plan(url=postgres.url(postgres.create()), kills=faults, seed=seed)
        outside = Outside()
        with tempfile.TemporaryDirectory(prefix="sxturns") as folder:
            async with outside.open(Path(folder)) as watched:
                run = Turns(
                    plan, Path(folder), say, postgres,
                    outside=outside, watched=watched, turns=turns,
                )  # fmt: skip
                return await run.whole(), run
    finally:
        await asyncio.to_thread(postgres.close)


def _table(changes: Sequence[Change], say: Say) -> None:
    """Say the seconds of each kind: median and most, of leases and of work."""
    for name in ("leases", "work"):
        found: dict[str, list[float]] = defaultdict(list)
        for change in changes:
            for kind, seconds in getattr(change, name).items():
                found[kind].append(seconds)
        told = {k: [sorted(v)[len(v) // 2], max(v)] for k, v in sorted(found.items())}
        say(f"{name}: {json.dumps(told)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; 0 when everything was as promised."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="kills of each kind")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    turns = [*KINDS * given.rounds, "hung", "stopped"]
    report, run = asyncio.run(takeover(turns, given.seed, say))
    tell(report, say)
    _table(run.changes, say)
    doubled = run.doubled()
    met = all(change.met for change in run.changes) and not run.too_near and not doubled
    say(
        f"  {sum(run.outside.tickets().values())} tickets, {len(doubled)} incidents with two;"
        f" {run.too_near} reads too near; {'as promised' if met else 'NOT AS PROMISED'}"
    )
    return 0 if report.holds and met else 1


if __name__ == "__main__":
    sys.exit(main())
