"""A tale: half an hour with an outage in it, taken in and folded as a running installation does."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.core.incident import Incident
from app.core.policy import DEFAULT_POLICY, Policy
from app.core.signal import Advisory, ClientReport, Command, ProbeResult, Signal
from app.core.state import TenantProfile
from app.core.types import TenantId
from app.flow.fold import Fold
from app.flow.ingest import Intake
from app.formats.native_v1 import Renderer
from app.kit.clock import FixedClock
from app.store import events, incidents
from app.store.engine import Database
from app.store.events import StoredEvent
from app.store.incidents import Filters
from tests.core.play import PROFILE, advisory, at, probes, reports

TENANT = PROFILE.id
URL = "https://sextant.example"
RENDER = Renderer(public_url=URL)
BEGIN, END = at("06:00"), at("06:30")
FAILING = dict.fromkeys(("berlin", "london", "new-york"), ("06:05", "06:14"))


def signals() -> list[Signal]:
    """Exchange Online fails from 06:05 to 06:14; the vendor posts at 06:10."""
    told: list[Signal] = [
        *probes(BEGIN, END, failing=FAILING),
        *reports(BEGIN, END, per_minute=0.05, seed=1),
        *reports(at("06:05"), at("06:14"), per_minute=6, seed=3),
        advisory(1, "06:11", "serviceDegradation", posts=(("06:10", "We see it"),)),
        advisory(2, "06:16", "serviceRestored", posts=(("06:10", "We see it"), ("06:15", "Done")),
                 resolved=True),
    ]  # fmt: skip
    return sorted(told, key=lambda s: (s.received_at, s.id))


class Tale:
    """A database with an intake and a fold before it; ``restart`` makes both anew."""

    def __init__(self, db: Database, *, policy: Policy = DEFAULT_POLICY) -> None:
        self.db = db
        self.policy = policy
        self.clock = FixedClock(BEGIN)
        self.committed = 0
        self.planned: list[str] = []
        self.restart()

    def restart(self) -> None:
        """As after a kill: what was in memory is gone."""
        self.intake = Intake(self.db)
        self.fold = self.another()

    def another(self, plan: Callable[..., int] | None = None) -> Fold:
        """Another replica's fold over the same database."""
        return Fold(
            self.db,
            self.clock,
            render=RENDER,
            plan=plan or self._plan,
            policy=self.policy,
            profiles={TENANT: PROFILE, TenantId("idle"): TenantProfile(id=TenantId("idle"),
                                                                       users=10)},
            committed=self._committed,
        )  # fmt: skip

    def _committed(self) -> None:
        self.committed += 1

    def _plan(self, c: Any, tenant: TenantId, planned: Sequence[Any], now: datetime) -> int:
        self.planned += [one.id for one in planned]
        return len(planned)

    async def take(self, arrived: Iterable[Signal]) -> int:
        """Take signals in, each kind by its own door; gives how many were duplicates."""
        doubles, kinds = 0, list(arrived)
        now = self.clock.now()
        results = [s for s in kinds if isinstance(s, ProbeResult)]
        said = [s for s in kinds if isinstance(s, ClientReport)]
        posts = [s for s in kinds if isinstance(s, Advisory)]
        if results:
            receipt = await self.intake.append_probe_results(TENANT, results, source="p", now=now)
            doubles += receipt.duplicates
        if said:
            receipt = await self.intake.append_reports(TENANT, said, source="r", now=now)
            doubles += receipt.duplicates
        if posts:
            await self.intake.append_advisories(TENANT, posts, source="graph", now=now)
        return doubles

    async def settle(self) -> int:
        """Fold until nothing waits; gives the steps that said there may be more."""
        more = 0
        while await self.fold.step(TENANT):
            more += 1
        return more

    async def tell(
        self,
        story: Sequence[Signal],
        *,
        until: datetime = END,
        every: int = 30,
        at_each: Callable[[datetime], Any] | None = None,
    ) -> None:
        """Take every signal in at its arrival and fold every so many seconds."""
        waiting = [s for s in story if s.received_at > self.clock.at]
        while self.clock.at < until:
            self.clock.at += timedelta(seconds=every)
            due = [s for s in waiting if s.received_at <= self.clock.at]
            waiting = waiting[len(due) :]
            await self.take(due)
            await self.settle()
            if at_each is not None:
                await at_each(self.clock.at)

    def incidents(self) -> list[Incident]:
        """All stored incidents, oldest first."""
        return self.db.read_now(lambda c: incidents.page(c, TENANT, Filters(), None, 500))[::-1]

    def events(self) -> list[StoredEvent]:
        """All stored events in their order."""
        return self.db.read_now(lambda c: events.after(c, TENANT, 0, 10_000))


def a_note(incident: str, number: int = 1) -> Command:
    """A person's note on an incident."""
    return Command(
        id=f"note-{number}", name="notes", actor_kind="person", actor="anna",
        received_at=BEGIN, body={"text": "Looking into it.", "visibility": "internal"},
        incident=incident,
    )  # type: ignore[arg-type]  # fmt: skip
