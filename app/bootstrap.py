"""Bootstrap: the one place that knows every name; everything is wired here in one straight line."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from fastapi import FastAPI
from sqlalchemy import make_url

from app.api.app import add_routes, create_api
from app.core.catalogue import SERVICES
from app.core.errors import SettingsError, StorageUnavailable
from app.core.foreign import ForeignFormat
from app.core.maintenance import excused
from app.core.ports import Format
from app.core.signal import ProbeResult
from app.core.state import TenantProfile
from app.core.types import TenantId
from app.doors import open_doors
from app.flow.corroborate import Corroborate
from app.flow.deliver import Deliver, Pace
from app.flow.fold import Fold
from app.flow.foreign import ForeignIntake
from app.flow.ingest import Intake
from app.flow.maintenance import Maintenance
from app.flow.poll import Cadence, Poll
from app.flow.probe import Known, ProbeSchedule
from app.flow.retention import Retention
from app.flow.standing import Standing
from app.flow.subscriptions import Subscriptions
from app.flow.upkeep import Rhythm, Upkeep
from app.formats.cloudevents_v1 import CloudEventsV1
from app.formats.native import NativeV1
from app.formats.native_v1 import Renderer
from app.kit.clock import Clock, ScaledClock, SystemClock
from app.kit.egress import Egress
from app.kit.http import LatePoster, Poster
from app.kit.metrics import Registry
from app.kit.vault import Vault
from app.kit.wake import Bell
from app.settings import Settings
from app.settings.model import ClockSettings, TenantSettings
from app.sinks.webhook import WebhookSender
from app.sources.client_report import ClientReportReader
from app.sources.graph import GraphSettings, Shared, open_graph
from app.sources.probe import Probe, Toolbox, intervals_of
from app.sources.probe_result import ProbeResultReader
from app.sources.status_feed import SharedPages, feeds_of
from app.store import deliveries, instance, migrate, probes, sources
from app.store.engine import Database
from app.web.routes import create_router
from app.workers import fold_loop, paced_loop, running

log = logging.getLogger(__name__)

ROLES = ("api", "work")
FIRST_READS = timedelta(milliseconds=100)  # between the first reads of two tenants, on average
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(slots=True)
class Bells:
    """Wake-ups between the loops of this process."""

    intake: Bell
    feed: Bell
    deliver: Bell


@dataclass(slots=True)
class Context:
    """What the doors work with; see ``app.api.context``."""

    db: Database
    clock: Clock
    settings: Settings
    fold: Fold
    intake: Intake
    maintenance: Maintenance
    subscriptions: Subscriptions
    report_reader: ClientReportReader
    result_reader: ProbeResultReader
    foreign: ForeignIntake
    mappers: dict[str, ForeignFormat]
    standing: Standing
    deliver: Deliver
    upkeep: Upkeep
    poster: LatePoster
    public_url: str
    secret: bytes
    open_console: bool
    metrics: Registry
    bells: Bells


def make_clock(settings: ClockSettings) -> Clock:
    """The clock of the story: the wall's, unless a demo says otherwise."""
    if settings.start is None:
        return SystemClock()
    return ScaledClock(start=settings.start, speed=settings.speed, mark=settings.mark)


def open_database(settings: Settings, *, may_migrate: bool) -> Database:
    """Open the database and see that its tables are of this version.

    Raises:
        SettingsError: they are not, and migrating was not asked for; or it cannot be opened.
    """
    db = Database(settings.database.url)
    try:
        return _ready(db, may_migrate=may_migrate)
    except StorageUnavailable as error:
        db.close()
        where = make_url(db.url).render_as_string(hide_password=True)
        raise SettingsError(error.detail or f"The database {where} cannot be opened.") from error


def _ready(db: Database, *, may_migrate: bool) -> Database:
    if db.dialect == "sqlite" or may_migrate:
        migrate.upgrade(db)
    elif not migrate.is_current(db):
        db.close()
        raise SettingsError(
            "The tables in PostgreSQL are not of this version: run `sextant migrate` first, "
            "or start with `sextant serve --migrate`."
        )
    return db


def profile_of(tenant: TenantSettings, default_users: int) -> TenantProfile:
    """What the engine knows of a tenant beforehand."""
    return TenantProfile(
        id=TenantId(tenant.id),
        users=tenant.users or default_users,
        external=frozenset(probe.location for probe in tenant.probes if probe.external),
        reads_vendor=tenant.graph is not None,
        service_names={service.slug: service.name for service in SERVICES},
    )


def guarded(egress: Egress) -> Poster:
    """What posts to receivers; its library costs a tenth of the start, so it comes late."""
    from app.kit.guarded import GuardedPoster  # noqa: PLC0415 - see above

    return GuardedPoster(egress)


def build(settings: Settings, db: Database) -> Context:
    """Wire everything that does not run by itself."""
    clock = make_clock(settings.clock)
    speed = settings.clock.speed
    bells = Bells(intake=Bell(), feed=Bell(), deliver=Bell())
    given = settings.server.secret_key
    secret = given.get_secret_value() if given is not None else instance.secret(db, "instance")
    identity = instance.secret(db, "identity").encode()
    vault = Vault(secret)
    egress = Egress.of([rule.model_dump(exclude_none=True) for rule in settings.egress.allow])
    policy = settings.policy
    public_url = settings.server.public_url.rstrip("/")

    def committed() -> None:
        bells.feed.ring()
        bells.deliver.ring()

    fold = Fold(
        db,
        clock,
        render=Renderer(public_url=public_url),
        plan=deliveries.plan,
        policy=policy,
        profiles={TenantId(t.id): profile_of(t, policy.default_users) for t in settings.tenants},
        committed=committed,
    )
    formats: dict[str, Format] = {f.name: f for f in (NativeV1(), CloudEventsV1())}
    poster = LatePoster(partial(guarded, egress))
    deliver = Deliver(
        db,
        clock,
        sender=WebhookSender(poster, deadline_seconds=settings.delivery.deadline_seconds),
        formats=formats,
        vault=vault,
        draw=random.SystemRandom().random,
        bell=bells.deliver,
        pace=Pace(
            schedule=tuple(timedelta(seconds=s) for s in settings.delivery.schedule_seconds),
            deadline=timedelta(seconds=settings.delivery.deadline_seconds),
            speed=speed,
            concurrency=settings.delivery.concurrency,
        ),
        wall=SystemClock(),
    )
    upkeep = Upkeep(
        db,
        clock,
        news=fold.news,
        bell=bells.deliver,
        rhythm=Rhythm(per_second=settings.delivery.replay_per_second, speed=speed),
    )
    maintenance = Maintenance(db, clock, pace=speed)
    doors = open_doors(
        settings, db, clock, identity=identity, bell=bells.intake, maintenance=maintenance.of
    )
    return Context(
        db=db,
        clock=clock,
        settings=settings,
        fold=fold,
        intake=doors.intake,
        maintenance=maintenance,
        subscriptions=Subscriptions(db, clock, egress=egress, vault=vault, bell=bells.deliver),
        report_reader=doors.reports,
        result_reader=doors.results,
        foreign=doors.foreign,
        mappers=doors.mappers,
        standing=doors.standing,
        deliver=deliver,
        upkeep=upkeep,
        poster=poster,
        public_url=public_url,
        secret=secret.encode(),
        open_console=settings.server.host in LOOPBACK,
        metrics=Registry(),
        bells=bells,
    )


Loop = Callable[[asyncio.Event], Awaitable[None]]


def retention_of(context: Context) -> Retention:
    """Deletes what the settings no longer keep."""
    kept = context.settings.retention
    return Retention(
        context.db,
        context.clock,
        tenants=context.fold.tenants,
        intake=timedelta(days=kept.intake_days),
        probe_results=timedelta(days=kept.probe_days),
        events=timedelta(days=kept.events_days),
    )


def cadence_of(graph: GraphSettings, tenants: int) -> Cadence:
    """How often a tenant is read; the first reads of many are spread over a hot interval."""
    hot = timedelta(seconds=graph.poll_hot_seconds)
    return Cadence(
        hot=hot,
        calm=timedelta(seconds=graph.poll_calm_seconds),
        reconcile=timedelta(seconds=graph.reconcile_seconds),
        spread=min(FIRST_READS * (tenants - 1), hot),
    )


def tenant_loops(
    context: Context, tenant: TenantSettings, shared: Shared, tools: Toolbox
) -> dict[str, Loop]:
    """The loops that watch one tenant: its advisories and its probes."""
    owner = TenantId(tenant.id)
    speed = context.settings.clock.speed
    loops: dict[str, Loop] = {}
    if tenant.graph is not None:
        source = open_graph(tenant.graph, shared)
        poll = Poll(
            context.db,
            context.clock,
            source,
            tenant=owner,
            append=context.intake.append_advisories,
            announce=context.fold.news,
            cadence=cadence_of(tenant.graph, len(context.settings.tenants)),
            witness=context.intake.append_probe_results,
            draw=random.SystemRandom().random,
        )
        name = f"graph:{tenant.id}"
        loops[name] = partial(paced_loop, name, poll, speed=speed)
    for feed in feeds_of(tenant.status_feed, shared.pages):
        corroborate = Corroborate(
            context.db,
            context.clock,
            feed,
            tenant=owner,
            take=context.intake.append_probe_results,
            announce=context.fold.news,
            period=timedelta(seconds=tenant.status_feed.poll_seconds),
            draw=random.SystemRandom().random,
        )
        name = f"{feed.name}:{tenant.id}"
        loops[name] = partial(paced_loop, name, corroborate, speed=speed)
    if tenant.probes:
        loops[f"probes:{tenant.id}"] = probe_schedule(context, tenant, tools).run
    return loops


def probe_schedule(context: Context, tenant: TenantSettings, tools: Toolbox) -> ProbeSchedule:
    """The schedule of one tenant's checks; results, newest state and freshness are stored."""
    owner = TenantId(tenant.id)
    pace = context.settings.clock.speed
    account = tenant.probe_account
    checks = [
        Probe(p, tenant=owner, tools=tools, account=account, pace=pace) for p in tenant.probes
    ]
    shortest = min(check.interval for check in checks)
    intervals = intervals_of(tenant.probes)

    async def record(results: Sequence[ProbeResult]) -> Known:
        if not results:
            return await context.db.read(lambda c: probes.remembered(c, owner))
        windows = context.maintenance.of(owner)
        counted = [excused(result, windows) for result in results]
        return await context.db.write(
            lambda c: probes.record(c, owner, counted, intervals=intervals)
        )

    async def heartbeat(at: datetime) -> None:
        await context.db.write(
            lambda c: sources.record_complete(
                c,
                owner,
                "probe:runner",
                kind="probe",
                name="Probes run by Sextant",
                interval=shortest,
                now=at,
            )
        )

    return ProbeSchedule(
        owner,
        checks,
        intake=context.intake,
        record=record,
        heartbeat=heartbeat,
        clock=context.clock,
        jitter=random.SystemRandom().random,
        pace=pace,
    )


@asynccontextmanager
async def working(context: Context, roles: tuple[str, ...]) -> AsyncIterator[None]:
    """Run the loops of the roles of this process until the block ends."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(context.poster.aclose)
        speed = context.settings.clock.speed
        loops: dict[str, Loop] = {
            "maintenance": partial(paced_loop, "maintenance", context.maintenance, speed=speed)
        }
        if "work" in roles:
            loops["fold"] = partial(fold_loop, context.fold, context.bells.intake, speed=speed)
            loops["deliver"] = context.deliver.run
            loops["upkeep"] = partial(paced_loop, "upkeep", context.upkeep, speed=speed)
            loops["retention"] = partial(
                paced_loop, "retention", retention_of(context), speed=speed
            )
            shared = Shared(context.clock)
            stack.push_async_callback(shared.aclose)
            loops["standing"] = partial(paced_loop, "standing", context.standing, speed=speed)
            tools = Toolbox()
            stack.callback(tools.close)
            for tenant in context.settings.tenants:
                loops |= tenant_loops(context, tenant, shared, tools)
        await stack.enter_async_context(running(loops))
        log.info("started", extra={"roles": ",".join(roles), "loops": len(loops)})
        yield
    log.info("stopped")


def create_app(
    settings: Settings, *, roles: tuple[str, ...] = ROLES, may_migrate: bool = False
) -> FastAPI:
    """Make the application with its loops; the database is opened now and closed at the end.

    Raises:
        SettingsError: the tables are not of this version.
        StorageUnavailable: the database cannot be reached.
    """
    db = open_database(settings, may_migrate=may_migrate)
    context = build(settings, db)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with working(context, roles):
                yield
        finally:
            db.close()

    api = create_api(context, lifespan, full="api" in roles)
    if "api" in roles:
        add_routes(api, create_router().routes)
    return api
