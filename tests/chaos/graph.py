"""Polls by the thousand against a vendor that changes and fails: ``python -m tests.chaos.graph``.

Time is virtual; everything else is the real thing: msal, the client, the budget, lanes, the intake
log, the fold and a database. What is wrong at the end is named in ``Verdict``: nothing must be.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlmodel import SQLModel

import app.store.tables  # noqa: F401 - the tables register themselves with the metadata
from app.clients.budget import Budget
from app.clients.credentials import Application, Secret
from app.clients.entra import EntraTokens
from app.clients.graph import GraphClient
from app.core.policy import DEFAULT_POLICY
from app.core.ports import AdvisoryRead, SourceUnreadable
from app.core.signal import Advisory
from app.core.state import TenantProfile
from app.core.types import TenantId
from app.flow.fold import Fold
from app.flow.ingest import Intake
from app.flow.poll import Poll
from app.flow.poll_terms import Cadence
from app.formats.native_v1 import Renderer
from app.kit.clock import FixedClock
from app.kit.windows import Limits
from app.sources.graph import GraphSettings, GraphSource
from app.sources.graph.source import REQUESTS_PER_MINUTE
from app.store import advisories, spending
from app.store import events as stored_events
from app.store.advisories import StoredAdvisory
from app.store.engine import Database
from tests.chaos.vendor import SignInRoad, Vendor, Weather, meaning
from tests.standins.entra import Entra, Registration
from tests.standins.faults import Throttle
from tests.standins.graph import Graph, recorded_services

TENANT, DIRECTORY, CLIENT = TenantId("chaos"), "0f6a3c1e-5b7d-4a52-9c1b-2d8e4f60a7b9", "app"
START = datetime(2026, 3, 16, 6, tzinfo=UTC)
PER_HOUR = 700
SETTLING = 40  # polls in good weather before the picture is compared
SETTINGS = GraphSettings(
    tenant_id=DIRECTORY, client_id=CLIENT, credential={"secret": "s"}, requests_per_hour=PER_HOUR
)


@dataclass(slots=True)
class Verdict:
    """What went wrong; and how much was tried."""

    wrong: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    over_budget: int = 0
    unsafe: int = 0
    tried: dict[str, Any] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether nothing went wrong."""
        lists = (self.wrong, self.invented, self.duplicates)
        return not any(lists) and not self.over_budget and not self.unsafe


class Counted(GraphSource):
    """A source that counts the readings that failed."""

    failed = 0

    async def read(self, *, known_open: Sequence[str], full: bool, now: datetime) -> AdvisoryRead:
        """Read, or count."""
        try:
            return await super().read(known_open=known_open, full=full, now=now)
        except SourceUnreadable:
            self.failed += 1
            raise


class Run:
    """One run by a seed."""

    def __init__(self, db: Database, seed: int) -> None:
        self.db, self.rng, self.clock = db, random.Random(seed), FixedClock(START)
        self.entra = Entra(
            registrations=[Registration(tenant=DIRECTORY, client=CLIENT, secrets={"s": None})],
            wall=lambda: datetime.now(UTC),
            lifetime=timedelta(seconds=300),  # too short for msal to keep: every use signs in
        )
        self.graph = Graph(
            entra=self.entra,
            now=self.clock.now,
            throttle=Throttle(now=self.clock.now),
            services=recorded_services(),
            largest_page=9,
        )
        self.entra_down_until = START
        self.vendor = Vendor(self.clock, self.graph, self.rng)
        self.verdict = Verdict()
        self.handed: dict[str, list[Advisory]] = {}
        self.seen_events: Counter[str] = Counter()

    async def go(self, polls: int) -> Verdict:
        """Poll so often, let it settle, and judge."""
        self._wire()
        for _ in range(12):
            self.vendor._open()
        begun = time.perf_counter()
        done = 0
        while done < polls:
            self._weather()
            done += await self._poll(chance=0.25)
        self.weather.chance, self.weather.burst = 0.0, 0
        self.entra_down_until, self.vendor.skew = self.clock.at, timedelta()
        settled = 0
        while settled < SETTLING:
            settled += await self._poll(chance=0.0)
        await self._judge()
        self.verdict.tried = {
            "polls": done + settled,
            "failed": self.source.failed,
            "requests": len(self.weather.sent),
            "changes": self.vendor.changes,
            "revisions": sum(map(len, self.handed.values())),
            "events": sum(self.seen_events.values()),
            "days": round((self.clock.at - START) / timedelta(days=1), 1),
            "refused_sign_ins": self.road.refused,
            "faults": dict(sorted(self.weather.met.items())),
            "seconds": round(time.perf_counter() - begun, 1),
        }
        return self.verdict

    def _wire(self) -> None:
        app = self.graph.app()
        loop = asyncio.get_running_loop()
        self.road = SignInRoad(app, loop, lambda: self.clock.at < self.entra_down_until)
        self.weather = Weather(httpx.ASGITransport(app), self.clock, self.rng)
        self.weather.entra = self.entra
        self.graph.between_pages = lambda: self.vendor.live(0.05 if self.weather.chance else 0)
        who = Application(
            authority=f"https://login.test/{DIRECTORY}", client_id=CLIENT,
            scope="https://graph.test/.default", credential=Secret("s"),
        )  # fmt: skip
        tokens = EntraTokens(
            lambda: httpx.Client(transport=self.road),
            who,
            monotonic=self._elapsed,
        )
        budget = Budget(
            "graph:chaos", Limits(PER_HOUR, REQUESTS_PER_MINUTE), self.clock.now,
            lambda *asked: self.db.write(lambda c: spending.take(c, *asked)),
        )  # fmt: skip
        http = httpx.AsyncClient(transport=self.weather)
        client = GraphClient(
            lambda: http, tokens, base_url="https://graph.test",
            allow=budget.take,
        )  # fmt: skip
        self.fold = Fold(
            self.db, self.clock, render=Renderer(public_url="http://127.0.0.1:8000"),
            plan=lambda *_: 0, policy=DEFAULT_POLICY,
            profiles={TENANT: TenantProfile(id=TENANT, users=500, reads_vendor=True)},
            committed=lambda: None,
        )  # fmt: skip
        self.intake = Intake(self.db)
        self.source = Counted(client, SETTINGS, budget=budget)
        self.poll = Poll(
            self.db, self.clock, self.source, tenant=TENANT,
            append=self._take, announce=self.fold.news, cadence=Cadence(), draw=self.rng.random,
        )  # fmt: skip

    def _elapsed(self) -> float:
        return (self.clock.at - START).total_seconds()

    def _weather(self) -> None:
        if self.rng.random() < 0.02:
            self.weather.chance = self.rng.choice((0.0, 0.02, 0.1, 0.5, 0.9))
        if self.rng.random() < 0.003:
            self.entra_down_until = self.clock.at + timedelta(minutes=10)

    async def _poll(self, *, chance: float) -> int:
        """Step once; 1 when that was a poll."""
        self.vendor.live(chance)
        before = len(self.weather.sent) + self.road.refused
        wait = await self.poll.step()
        await self._folded()
        self.clock.at += max(wait, timedelta(seconds=1))
        return int(len(self.weather.sent) + self.road.refused > before)

    async def _take(
        self, tenant: TenantId, made: Sequence[Advisory],
        raw: Mapping[str, bytes] | None = None, *, source: str, now: datetime,
    ) -> None:  # fmt: skip
        for advisory in made:
            self._check(advisory)
            self.handed.setdefault(advisory.vendor_id, []).append(advisory)
        await self.intake.append_advisories(tenant, made, raw, source=source, now=now)

    def _check(self, made: Advisory) -> None:
        """Hold a revision against everything that was ever true of it."""
        vendor_id = made.vendor_id
        earlier = self.handed.get(vendor_id, [])
        if earlier and earlier[-1].digest == made.digest:
            self.verdict.duplicates.append(f"{vendor_id} twice the same at {self.clock.at}")
        if made.withdrawn:
            if vendor_id in self.vendor.issues and vendor_id not in self.vendor.removed:
                self.verdict.invented.append(f"{vendor_id} withdrawn while served")
            return
        if said(made) not in self.vendor.ever.get(vendor_id, set()):
            self.verdict.invented.append(f"{vendor_id} was never {said(made)}")

    async def _folded(self) -> None:
        last = await self.db.read(lambda c: stored_events.bounds(c, TENANT)[1])
        before = sum(self.seen_events.values())
        while await self.fold.step(TENANT):
            pass
        made = await self.db.read(lambda c: stored_events.after(c, TENANT, before, 500))
        assert last >= before
        self.seen_events.update(str(event.type) for event in made)

    async def _judge(self) -> None:
        for vendor_id, issue in self.vendor.issues.items():
            stored = await self._stored(vendor_id)
            if stored is None:
                self.verdict.wrong.append(f"{vendor_id} is not known")
            else:
                self._compare(stored.advisory, issue)
        for vendor_id in self.vendor.removed:
            stored = await self._stored(vendor_id)
            still = stored is not None and not stored.advisory.is_resolved
            if stored is not None and still and not stored.advisory.withdrawn:
                self.verdict.wrong.append(f"{vendor_id} is gone and not withdrawn")
        updates = self.seen_events["incident.advisory_updated"]
        revisions = sum(len(made) - 1 for made in self.handed.values())
        if updates > revisions:
            self.verdict.duplicates.append(f"{updates} updates told of {revisions} revisions")
        self._judge_budget()

    async def _stored(self, vendor_id: str) -> StoredAdvisory | None:
        return await self.db.read(lambda c: advisories.get(c, TENANT, vendor_id))

    def _compare(self, stored: Advisory, issue: dict[str, Any]) -> None:
        if stored.withdrawn or said(stored) != meaning(issue):
            self.verdict.wrong.append(f"{stored.vendor_id}: {said(stored)} is {meaning(issue)}")
        texts = {post.created_at for post in stored.posts}
        stamps = {datetime.fromisoformat(post["createdDateTime"]) for post in issue["posts"]}
        if not stamps <= texts:
            self.verdict.wrong.append(f"{stored.vendor_id} misses posts")
        if [p.created_at for p in stored.posts] != sorted(p.created_at for p in stored.posts):
            self.verdict.wrong.append(f"{stored.vendor_id} has posts out of order")
        self.verdict.unsafe += sum("script" in post.html for post in stored.posts)

    def _judge_budget(self) -> None:
        windows = ((timedelta(minutes=1), REQUESTS_PER_MINUTE), (timedelta(hours=1), PER_HOUR))
        for window, most in windows:
            inside: deque[datetime] = deque()
            for at in self.weather.sent:
                inside.append(at)
                while at - inside[0] >= window:
                    inside.popleft()
                self.verdict.over_budget += len(inside) > most


def said(made: Advisory) -> str:
    """What an advisory says, in the form of ``meaning``."""
    words = (made.status, made.classification, made.service_name, made.title, made.is_resolved)
    times = (None if at is None else at.isoformat() for at in (made.started_at, made.ended_at))
    return json.dumps([*(str(word).casefold() for word in words), *times])


async def run(polls: int, seed: int, directory: Path) -> Verdict:
    """Make a database and go."""
    db = Database(f"sqlite:///{directory}/chaos.db")
    SQLModel.metadata.create_all(db.engine)
    try:
        return await Run(db, seed).go(polls)
    finally:
        db.close()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.graph", description=__doc__)
    parser.add_argument("--polls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        verdict = asyncio.run(run(asked.polls, asked.seed, Path(directory)))
    print(json.dumps(verdict.tried, indent=1))
    for name in ("wrong", "invented", "duplicates", "over_budget", "unsafe"):
        print(f"{name}: {getattr(verdict, name) or 0}")
    raise SystemExit(not verdict.is_clean)


if __name__ == "__main__":
    main()
