"""Wiring of ``sextant probe agent``: the schedule of checks, its spool, and the courier."""

import asyncio
import contextlib
import logging
import random
import signal
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime

from app.core.errors import SettingsError, StorageUnavailable
from app.core.signal import ProbeResult
from app.core.types import TenantId
from app.flow.agent import Courier, Spool
from app.flow.probe import Known, ProbeSchedule
from app.kit.clock import SystemClock
from app.kit.http import tls_context
from app.kit.wake import Bell
from app.settings.agent import AgentSettings
from app.sinks.sextant import Proof, SextantUpstream, bearer, signer
from app.sources.probe import Probe, Toolbox, intervals_of
from app.sources.probe_result import wire_line
from app.store import probes, spool
from app.store.engine import Database
from app.workers import Crew

log = logging.getLogger(__name__)

TENANT = TenantId("agent")  # Sextant knows the tenant by the key; here it only derives ids


async def run_agent(settings: AgentSettings) -> None:
    """Run the checks and deliver their results until SIGINT or SIGTERM.

    Raises:
        SettingsError: the spool cannot be opened, or a ``ca_file`` cannot be read.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # not on Windows
            loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        db = _open(settings)
        stack.callback(db.close)
        tools = Toolbox()
        stack.callback(tools.close)
        upstream = SextantUpstream(
            settings.url.rstrip("/"), _proof(settings), verify=_tls(settings)
        )
        stack.push_async_callback(upstream.aclose)
        bell = Bell()
        courier = Courier(db, upstream, bell=bell, jitter=random.SystemRandom().random)
        crew = Crew()
        stack.push_async_callback(crew.end)
        crew.start("courier", courier.run)
        crew.start("probes", _schedule(settings, db, tools, bell).run)
        log.info("agent_started", extra={"checks": len(settings.probes), "url": settings.url})
        await stop.wait()
    log.info("agent_stopped")


def _proof(settings: AgentSettings) -> Proof:
    """By what it proves to Sextant who it is."""
    if settings.caller is not None and settings.secret is not None:
        return signer(settings.caller, settings.secret.get_secret_value(), clock=SystemClock())
    return bearer(None if settings.key is None else settings.key.get_secret_value())


def _tls(settings: AgentSettings) -> ssl.SSLContext:
    context = tls_context(settings.ca_file)
    if settings.certificate_file is not None:
        try:
            context.load_cert_chain(settings.certificate_file)
        except OSError as error:
            raise SettingsError(
                f"{settings.certificate_file} does not hold a certificate and its key as PEM."
            ) from error
    return context


def _open(settings: AgentSettings) -> Database:
    db = Database(f"sqlite:///{settings.spool_file}")
    try:
        db.write_now(spool.prepare)
    except StorageUnavailable as error:
        db.close()
        raise SettingsError(f"The spool {settings.spool_file} cannot be opened.") from error
    return db


def _schedule(settings: AgentSettings, db: Database, tools: Toolbox, bell: Bell) -> ProbeSchedule:
    intervals = intervals_of(settings.probes)

    async def record(results: Sequence[ProbeResult]) -> Known:
        if not results:
            return await db.read(lambda c: probes.remembered(c, TENANT))
        return await db.write(lambda c: probes.record(c, TENANT, results, intervals=intervals))

    async def heartbeat(at: datetime) -> None:
        """Nobody asks an agent how fresh it is; Sextant sees it by the results."""

    return ProbeSchedule(
        TENANT,
        [
            Probe(probe, tenant=TENANT, tools=tools, account=settings.probe_account)
            for probe in settings.probes
        ],
        intake=Spool(db, encode=wire_line, bell=bell, most=settings.spool_results),
        record=record,
        heartbeat=heartbeat,
        clock=SystemClock(),
        jitter=random.SystemRandom().random,
    )
