"""Bootstrap: the one place that knows every name; everything is wired here in one straight line."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

from fastapi import FastAPI
from sqlalchemy import make_url

from app.api.app import SILENT, add_routes, create_api
from app.channels import returns_of
from app.core.errors import SettingsError, StorageUnavailable
from app.core.ports import Format, IncidentPictures
from app.core.types import TenantId
from app.doors import Doors, open_doors, provider_of
from app.flow.callers import KnownCallers
from app.flow.deliver import Deliver, Pace
from app.flow.fold import Fold
from app.flow.ingest import Intake
from app.flow.invariants import Invariants
from app.flow.leases import Lease
from app.flow.links import Links
from app.flow.maintenance import Maintenance
from app.flow.messages import Messages
from app.flow.refolds import Refolds
from app.flow.retention import Kept, Retention
from app.flow.returns import Returns
from app.flow.subscriptions import Subscriptions
from app.flow.tokens import Tokens
from app.flow.upkeep import Rhythm, Upkeep
from app.formats.cloudevents_v1 import CloudEventsV1
from app.formats.native import NativeV1
from app.formats.native_v1 import Renderer
from app.kit.clock import Clock, ScaledClock, SystemClock
from app.kit.egress import LOOPBACK, Egress
from app.kit.http import LatePoster, Poster
from app.kit.metrics import Registry
from app.kit.vault import Vault
from app.kit.wake import Bell
from app.settings import Settings
from app.settings.model import ROLES, ClockSettings
from app.settings.telemetry import telemetry_of
from app.sinks.webhook import WebhookSender
from app.sources.client_report import ClientReportReader
from app.sources.probe_result import ProbeResultReader
from app.store import deliveries, instance, keys, migrate
from app.store.engine import Database
from app.watch import Watch, profiles_of
from app.web.portraits import Portraits
from app.web.routes import create_router
from app.words import reader_of, writer_of
from app.workers import Loop, Paced, fold_loop, paced_loop

log = logging.getLogger(__name__)


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
    links: Links
    returns: Returns
    maintenance: Maintenance
    messages: Messages
    portraits: IncidentPictures
    subscriptions: Subscriptions
    report_reader: ClientReportReader
    result_reader: ProbeResultReader
    doors: Doors
    deliver: Deliver
    upkeep: Upkeep
    invariants: Invariants
    refolds: Refolds
    poster: LatePoster
    tokens: Tokens
    callers: KnownCallers
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


def is_private(settings: Settings) -> bool:
    """Whether nobody but this machine reaches us: neither directly nor, by its name, a proxy."""
    public = urlsplit(settings.server.public_url).hostname or ""
    return settings.server.host in LOOPBACK and public in LOOPBACK


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


def _refuse_open_doors(settings: Settings, db: Database) -> None:
    """Refuse to serve others before anybody can be told from anybody.

    Raises:
        SettingsError: somebody else may reach us, and there is no key.
    """
    now = make_clock(settings.clock).now()
    if (
        is_private(settings)
        or settings.issuers
        or any(caller.certificate for caller in settings.callers)
        or db.read_now(lambda c: keys.any_valid(c, now=now))
    ):
        return
    db.close()
    raise SettingsError(
        f"Nobody could sign in, and others may reach {settings.server.host} "
        f"({settings.server.public_url}): make a key first with "
        "`sextant keys create --tenant '*' --scopes admin --name first`, which prints it once, "
        "or listen on 127.0.0.1."
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

    maintenance = Maintenance(db, clock, pace=speed)
    doors = open_doors(
        settings, db, clock, identity=identity, bell=bells.intake, maintenance=maintenance.of
    )

    def committed() -> None:
        bells.feed.ring()
        bells.deliver.ring()

    render = Renderer(public_url=public_url)
    fold = Fold(
        db,
        clock,
        render=render,
        plan=deliveries.plan,
        policy=policy,
        profiles=profiles_of(settings),
        committed=committed,
        knows=doors.symptoms.knows,
        windows=maintenance.of,
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
    metrics = Registry()
    context = Context(
        db=db,
        clock=clock,
        settings=settings,
        fold=fold,
        intake=doors.intake,
        returns=Returns(db, clock, obey=fold.command, readers=lambda: returns_of(context.settings)),
        links=Links(db, clock, wall=SystemClock(), secrets=lambda: hint_secrets(context.settings)),
        maintenance=maintenance,
        messages=Messages(db, writer_of(settings), lambda tenant: reader_of(settings, tenant)),
        portraits=Portraits(db, clock, public_url=public_url),
        subscriptions=Subscriptions(db, clock, egress=egress, vault=vault, bell=bells.deliver),
        report_reader=doors.reports,
        result_reader=doors.results,
        doors=doors,
        deliver=deliver,
        upkeep=upkeep,
        invariants=Invariants(db, clock, metrics=metrics, speed=speed),
        refolds=Refolds(db, clock, render=render, policy=policy, profile=fold.profile),
        poster=poster,
        tokens=Tokens(settings.issuers, clock, provider=provider_of),
        callers=KnownCallers(db, wall=SystemClock(), callers=settings.callers),
        public_url=public_url,
        secret=secret.encode(),
        open_console=is_private(settings),
        metrics=metrics,
        bells=bells,
    )
    return context


def hint_secrets(settings: Settings) -> dict[str, str]:
    """The secret of the hints of each mirror that takes some."""
    return {
        mirror.name: mirror.hint_secret.get_secret_value()
        for tenant in settings.tenants
        for mirror in tenant.mirrors
        if mirror.hint_secret is not None
    }


def retention_of(context: Context) -> Retention:
    """Deletes what the settings no longer keep."""
    return Retention(
        context.db,
        context.clock,
        tenants=lambda: context.fold.tenants,
        kept=_kept(context.settings),
    )


def retention_with(settings: Settings, db: Database, *, clock: Clock | None = None) -> Retention:
    """The same for the command line, beside a running server or without one."""
    tenants = tuple(TenantId(tenant.id) for tenant in settings.tenants)
    clock = clock or make_clock(settings.clock)
    return Retention(db, clock, tenants=lambda: tenants, kept=_kept(settings))


def _kept(settings: Settings) -> Kept:
    kept = settings.retention
    return Kept(
        intake=timedelta(days=kept.intake_days),
        probe_results=timedelta(days=kept.probe_days),
        events=timedelta(days=kept.events_days),
        incidents=timedelta(days=kept.incidents_days),
        audit=timedelta(days=kept.audit_days),
    )


def _paced(work: Paced, speed: float, lease: Lease) -> Loop:
    """The loop of work that one replica does for all."""
    return partial(paced_loop, lease.name, work, speed=speed)


@asynccontextmanager
async def working(
    context: Context, roles: tuple[str, ...], read_again: Callable[[], Settings] | None = None
) -> AsyncIterator[None]:
    """Run the loops of the roles of this process until the block ends.

    With ``read_again`` the tenants of the settings are followed whenever SIGHUP arrives.
    """
    async with AsyncExitStack() as stack:
        stack.push_async_callback(context.poster.aclose)
        watch = await stack.enter_async_context(Watch(
            context, works="work" in roles, wake=partial(context.bells.intake.ring, here=False)
        ))  # fmt: skip
        speed = context.settings.clock.speed
        watch.crew.start(
            "maintenance",
            partial(paced_loop, "maintenance", context.maintenance, speed=speed),
        )
        watch.crew.start("people", partial(paced_loop, "people", context.doors.people, speed=speed))
        if context.db.dialect == "postgresql":
            names = ("intake", "feed", "deliver")
            bells = {name: getattr(context.bells, name) for name in names}
            from app.store.notices import Notices  # noqa: PLC0415 - PostgreSQL's library is large
            from app.store.pulse import Pulse  # noqa: PLC0415 - the same

            watch.crew.start("notices", Notices(context.db.url, bells).run)
            watch.crew.start("pulse", Pulse(context.db).run)
        if "work" in roles:
            watch.crew.start(
                "fold",
                partial(fold_loop, context.fold, context.bells.intake,
                        mine=watch.shifts.folded, speed=speed),
            )  # fmt: skip
            watch.crew.start("deliver", context.deliver.run)
            refolds = partial(paced_loop, "refolds", context.refolds, speed=speed)
            watch.crew.start("refolds", refolds)  # each job of it is claimed by itself
            paced: dict[str, Paced] = {
                "upkeep": context.upkeep,
                "retention": retention_of(context),
                "standing": context.doors.standing,
                "invariants": context.invariants,
            }
            watch.shifts.want({
                name: partial(_paced, work, speed) for name, work in paced.items()
            })  # fmt: skip
        await watch.start()
        if read_again is not None:
            stack.enter_context(watch.following(read_again))
        log.info("started", extra={"roles": ",".join(roles), "loops": len(watch.crew)})
        yield
    log.info("stopped")


def create_app(
    settings: Settings,
    *,
    roles: tuple[str, ...] = ROLES,
    may_migrate: bool = False,
    read_again: Callable[[], Settings] | None = None,
) -> FastAPI:
    """Make the application with its loops; the database is opened now and closed at the end.

    ``read_again`` reads the settings anew when SIGHUP asks for it; None ignores that signal.

    Raises:
        SettingsError: the tables are not of this version.
        StorageUnavailable: the database cannot be reached.
    """
    db = open_database(settings, may_migrate=may_migrate)
    if "api" in roles:
        _refuse_open_doors(settings, db)
    context = build(settings, db)
    told = telemetry_of(settings.telemetry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with working(context, roles, read_again):
                yield
        finally:
            db.close()
            if told is not None:
                await asyncio.to_thread(told.close)

    api = create_api(
        context, lifespan, full="api" in roles, telemetry=SILENT if told is None else told.config()
    )
    if "api" in roles:
        add_routes(api, create_router().routes)
    return api
