"""Watch: the loops of every tenant, wired from its settings, and followed when those change."""

import asyncio
import contextlib
import logging
import random
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from sqlalchemy import Connection

from app.channels import channel_loop
from app.core.catalogue import SERVICES
from app.core.errors import SettingsError
from app.core.events import EventType
from app.core.lease import FOLD, PROBE_RUNNER, lease_of
from app.core.maintenance import excused
from app.core.ports import IncidentPictures, StatusFeed
from app.core.signal import ProbeResult
from app.core.state import TenantProfile
from app.core.types import TenantId
from app.flow.corroborate import Corroborate
from app.flow.fold import Fold
from app.flow.ingest import Intake
from app.flow.leases import Lease, Leases
from app.flow.maintenance import Maintenance
from app.flow.poll import Poll
from app.flow.poll_terms import Cadence
from app.flow.probe import Known, ProbeSchedule
from app.kit.clock import Clock, SystemClock
from app.kit.metrics import Registry
from app.kit.windows import Limits, Windows
from app.mirrors import event_loop, mirror_loop
from app.settings import Settings
from app.settings.model import TenantSettings
from app.sources.graph import GraphSettings, Shared, open_graph
from app.sources.probe import Probe, Toolbox, intervals_of
from app.sources.status_feed import SharedPages, feeds_of
from app.store import probes, sources, spending
from app.store.engine import Database
from app.workers import BEATING, Crew, Loop, Shifts, Starter, paced_loop

log = logging.getLogger(__name__)

# Between the first reads of two tenants, on average: a first contact takes in a whole history,
# which costs a fifth of a second of processor time.
FIRST_READS = timedelta(milliseconds=250)


class Rooms(Protocol):
    """What the loops of a tenant work with; the application's context is one."""

    db: Database
    clock: Clock
    settings: Settings
    fold: Fold
    portraits: IncidentPictures
    intake: Intake
    maintenance: Maintenance
    metrics: Registry


@dataclass(frozen=True, slots=True)
class Pages:
    """What the sources of all tenants share."""

    graph: Shared
    feeds: SharedPages
    tools: Toolbox

    async def aclose(self) -> None:
        """Close all connections."""
        await self.graph.aclose()
        await self.feeds.aclose()
        self.tools.close()


async def counted(
    db: Database, name: str, limits: Limits, now: datetime
) -> tuple[Windows, timedelta | None]:
    """Count a request where all replicas and tenants count; durable before it is sent."""
    return await db.write(lambda c: spending.take(c, name, limits, now))


def profile_of(tenant: TenantSettings, default_users: int) -> TenantProfile:
    """What the engine knows of a tenant beforehand."""
    return TenantProfile(
        id=TenantId(tenant.id),
        users=tenant.users or default_users,
        external=frozenset(probe.location for probe in tenant.probes if probe.external),
        reads_vendor=tenant.graph is not None,
        service_names={service.slug: service.name for service in SERVICES},
        timezone=tenant.timezone,
        holidays=frozenset(day.isoformat() for day in tenant.holidays),
    )


def profiles_of(settings: Settings) -> Mapping[TenantId, TenantProfile]:
    """What the engine knows beforehand, by tenant."""
    users = settings.policy.default_users
    return {TenantId(t.id): profile_of(t, users) for t in settings.tenants}


def cadence_of(graph: GraphSettings, tenants: int) -> Cadence:
    """How often a tenant is read; the first reads of many are spread over a calm interval."""
    calm = timedelta(seconds=graph.poll_calm_seconds)
    return Cadence(
        hot=timedelta(seconds=graph.poll_hot_seconds),
        calm=calm,
        reconcile=timedelta(seconds=graph.reconcile_seconds),
        spread=min(FIRST_READS * (tenants - 1), calm),
    )


def tenant_work(rooms: Rooms, tenant: TenantSettings, pages: Pages) -> dict[str, Starter | None]:
    """What is done for one tenant, each by one replica: its fold, its advisories, its probes."""
    work: dict[str, Starter | None] = {f"{FOLD}:{tenant.id}": None}
    if tenant.graph is not None:
        work[lease_of("graph", tenant.id)] = partial(_poll_loop, rooms, tenant, tenant.graph, pages)
    for feed in feeds_of(tenant.status_feed, pages.feeds):
        work[lease_of(feed.name, tenant.id)] = partial(_feed_loop, rooms, tenant, feed)
    if tenant.probes:
        work[lease_of(PROBE_RUNNER, tenant.id)] = lambda lease: (
            probe_schedule(rooms, tenant, pages.tools, lease).run
        )
    owner = TenantId(tenant.id)
    for settings in tenant.mirrors:
        if settings.keeps_tickets:
            work[f"mirror:{settings.name}"] = partial(
                _unleased, partial(mirror_loop, rooms, owner, settings)
            )
        if settings.sends_events:
            work[f"events:{settings.name}"] = partial(
                _unleased, partial(event_loop, rooms, owner, settings)
            )
    for channel in tenant.channels:
        work[f"channel:{channel.name}"] = partial(
            _unleased, partial(channel_loop, rooms, owner, channel)
        )
    return work


def _unleased(loop: Loop, _: Lease) -> Loop:
    """A loop that a change of replicas does not harm: links have leases, events have keys."""
    return loop


def _poll_loop(
    rooms: Rooms, tenant: TenantSettings, graph: GraphSettings, pages: Pages, lease: Lease
) -> Loop:
    poll = Poll(
        lease.fence(rooms.db),
        rooms.clock,
        open_graph(graph, pages.graph),
        tenant=TenantId(tenant.id),
        append=partial(rooms.intake.append_advisories, lease=lease),
        announce=_News(rooms, lease).tell,
        cadence=cadence_of(graph, len(rooms.settings.tenants)),
        witness=_Results(rooms, lease).append_probe_results,
        draw=random.SystemRandom().random,
    )
    return partial(paced_loop, lease.name, poll, speed=rooms.settings.clock.speed)


def _feed_loop(rooms: Rooms, tenant: TenantSettings, feed: StatusFeed, lease: Lease) -> Loop:
    corroborate = Corroborate(
        lease.fence(rooms.db),
        rooms.clock,
        feed,
        tenant=TenantId(tenant.id),
        take=_Results(rooms, lease).append_probe_results,
        announce=_News(rooms, lease).tell,
        period=timedelta(seconds=tenant.status_feed.poll_seconds),
        draw=random.SystemRandom().random,
    )
    return partial(paced_loop, lease.name, corroborate, speed=rooms.settings.clock.speed)


@dataclass(frozen=True, slots=True)
class _News:
    """Tells facts about a source while a lease is ours."""

    rooms: Rooms
    lease: Lease

    async def tell(
        self, tenant: TenantId, kind: EventType, facts: dict[str, Any], *,
        actor: str, reason: str, also: Callable[[Connection], Any],
    ) -> None:  # fmt: skip
        """Emit the event together with what ``also`` writes; returns after the commit."""

        def both(c: Connection) -> None:
            self.lease.check(c)
            also(c)

        await self.rooms.fold.news(tenant, kind, facts, actor=actor, reason=reason, also=both)


@dataclass(frozen=True, slots=True)
class _Results:
    """The door for results while a lease is ours; asked just before, as their commit is shared."""

    rooms: Rooms
    lease: Lease

    async def append_probe_results(
        self, tenant: TenantId, signals: Sequence[ProbeResult], *, source: str, now: datetime
    ) -> object:
        """Append results; returns after the commit."""
        await self.rooms.db.read(self.lease.check)
        intake = self.rooms.intake
        return await intake.append_probe_results(tenant, signals, source=source, now=now)


def probe_schedule(
    rooms: Rooms, tenant: TenantSettings, tools: Toolbox, lease: Lease
) -> ProbeSchedule:
    """The schedule of one tenant's checks; results, newest state and freshness are stored."""
    owner, db = TenantId(tenant.id), lease.fence(rooms.db)
    pace = rooms.settings.clock.speed
    account = tenant.probe_account
    checks = [
        Probe(p, tenant=owner, tools=tools, account=account, pace=pace) for p in tenant.probes
    ]
    shortest = min(check.interval for check in checks)
    intervals = intervals_of(tenant.probes)

    async def record(results: Sequence[ProbeResult]) -> Known:
        if not results:
            return await db.read(lambda c: probes.remembered(c, owner))
        windows = rooms.maintenance.of(owner)
        counted = [excused(result, windows) for result in results]
        return await db.write(lambda c: probes.record(c, owner, counted, intervals=intervals))

    async def heartbeat(at: datetime) -> None:
        await db.write(
            lambda c: sources.record_complete(
                c,
                owner,
                PROBE_RUNNER,
                kind="probe",
                name="Probes run by Sextant",
                interval=shortest,
                now=at,
            )
        )

    return ProbeSchedule(
        owner,
        checks,
        intake=_Results(rooms, lease),
        record=record,
        heartbeat=heartbeat,
        clock=rooms.clock,
        jitter=random.SystemRandom().random,
        pace=pace,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What a new reading of the settings changed; ``ignored`` are tables that need a restart."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    ignored: tuple[str, ...]


class Watch:
    """Keeps the loops of all tenants running while the block lasts."""

    def __init__(
        self, rooms: Rooms, *, works: bool, wake: Callable[[], None] = lambda: None
    ) -> None:
        """Prepare.

        Args:
            rooms: what the loops work with; its settings are replaced when they are followed.
            works: whether this process runs loops at all, or serves only.
            wake: called when work came to this replica, so that the fold looks at once.
        """
        self._rooms = rooms
        self._works = works
        self._pages = Pages(
            Shared(rooms.clock, partial(counted, rooms.db)), SharedPages(), Toolbox()
        )
        self._names: dict[str, tuple[str, ...]] = {}
        self._lock = asyncio.Lock()
        self.crew = Crew()
        self.shifts = Shifts(
            self.crew, Leases(rooms.db, SystemClock(), metrics=rooms.metrics), wake
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.crew.end(name for name in list(self.crew) if name != BEATING)
        await self.crew.end()
        if self._works:
            await self.shifts.leave()
        await self._pages.aclose()

    async def start(self) -> None:
        """Start the loops of all tenants, as far as no other replica runs them."""
        for tenant in self._rooms.settings.tenants:
            self._begin(tenant)
        if self._works:
            await self.shifts.settle()
            self.crew.start(BEATING, self.shifts.run)

    def _begin(self, tenant: TenantSettings) -> None:
        work = tenant_work(self._rooms, tenant, self._pages) if self._works else {}
        self._names[tenant.id] = tuple(work)
        self.shifts.want(work)

    async def follow(self, fresh: Settings) -> Followed:
        """Take up the tenants of new settings: end what is gone or changed, start what is new."""
        async with self._lock:
            present = self._rooms.settings
            old = {tenant.id: tenant for tenant in present.tenants}
            new = {tenant.id: tenant for tenant in fresh.tenants}
            changed = [key for key in old.keys() & new.keys() if old[key] != new[key]]
            ended = [*changed, *(old.keys() - new.keys())]
            await self.shifts.drop([name for key in ended for name in self._names.pop(key, ())])
            self._rooms.settings = present.model_copy(update={"tenants": fresh.tenants})
            self._rooms.fold.know(profiles_of(self._rooms.settings))
            for tenant in fresh.tenants:
                if tenant.id not in old or tenant.id in changed:
                    self._begin(tenant)
            if self._works:
                await self.shifts.settle()
        tables = (name for name in Settings.model_fields if name != "tenants")
        return Followed(
            added=tuple(sorted(new.keys() - old.keys())),
            removed=tuple(sorted(old.keys() - new.keys())),
            changed=tuple(sorted(changed)),
            ignored=tuple(n for n in tables if getattr(present, n) != getattr(fresh, n)),
        )

    @contextlib.contextmanager
    def following(self, read_again: Callable[[], Settings]) -> Iterator[None]:
        """Follow the settings at every SIGHUP, where the platform and the thread know it."""
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGHUP, asked.set)
        except (AttributeError, NotImplementedError, RuntimeError, ValueError):
            yield
            return
        self.crew.start("settings", partial(self._listen, asked, read_again))
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    async def _listen(
        self, asked: asyncio.Event, read_again: Callable[[], Settings], stop: asyncio.Event
    ) -> None:
        stopped = asyncio.create_task(stop.wait())
        while not stop.is_set():
            waiting = asyncio.create_task(asked.wait())
            await asyncio.wait({stopped, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if asked.is_set():
                asked.clear()
                await self._again(read_again)

    async def _again(self, read_again: Callable[[], Settings]) -> None:
        """Read the settings; a mistake in them is told, and what ran goes on."""
        try:
            fresh = await asyncio.to_thread(read_again)
        except SettingsError as error:
            log.warning("settings_not_followed", extra={"why": str(error)})
            return
        told = await self.follow(fresh)
        log.info(
            "settings_followed",
            extra={
                "added": ",".join(told.added),
                "removed": ",".join(told.removed),
                "changed": ",".join(told.changed),
                "needs_restart": ",".join(told.ignored),
            },
        )
