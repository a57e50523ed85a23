"""Probes: checks that ask a service from outside and say what they met."""

import asyncio
import hashlib
import json
import ssl
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.clients.dial import DialFailed, Dialler, expired
from app.clients.mail import MailDoors
from app.core.errors import SettingsError
from app.core.signal import ProbeResult
from app.core.types import Outcome, SelfCheck, SignalId, Symptom
from app.kit.clock import SystemClock
from app.sources.probe import imap, mailbox, signin
from app.sources.probe.browse import browse, reach_any
from app.sources.probe.errand import Errand, Question
from app.sources.probe.knock import exchange, greet, knock, resolve
from app.sources.probe.settings import CheckKind, ProbeAccount, ProbeSettings
from app.sources.probe.verdict import Memory, Seen, judge_departure, judge_failure, judge_tempo

_QUESTIONS: dict[CheckKind, Question] = {
    CheckKind.TCP: knock,
    CheckKind.TLS: knock,
    CheckKind.DNS: resolve,
    CheckKind.CONTROL: reach_any,
    CheckKind.IMAP: greet,
    CheckKind.POP: greet,
    CheckKind.SMTP: greet,
    CheckKind.MX: exchange,
    CheckKind.TOKEN: signin.token,
    CheckKind.MAILBOX: mailbox.inbox,
    CheckKind.IMAP_MAILBOX: imap.inbox,
    CheckKind.ROUND_TRIP: mailbox.round_trip,
    CheckKind.FREE_BUSY: mailbox.free_busy,
}  # every other kind browses


def result_id(tenant: str, probe: str, location: str, occurred_at: datetime) -> SignalId:
    """Derive the id of one run, so that a second arrival changes nothing."""
    text = json.dumps([tenant, probe, location, occurred_at.isoformat()])
    return SignalId(f"prb_{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}")


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What the checks of a process share: lookups under way, TLS contexts, threads for mail."""

    dialler: Dialler = field(default_factory=Dialler)
    doors: MailDoors = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "doors", MailDoors(self.dialler))

    def close(self) -> None:
        """Let go of the threads."""
        self.doors.close()
        self.dialler.close()


class Probe:
    """One check at one location; implements ``core.ports.ProbeCheck``.

    A failure after success is confirmed by one more try; while it goes on failing no more is asked
    than one try per run, so that an outage does not make us press harder.
    """

    def __init__(
        self,
        settings: ProbeSettings,
        *,
        tenant: str,
        tools: Toolbox,
        account: ProbeAccount | None = None,
        pace: float = 1.0,
    ) -> None:
        """Prepare a check.

        Args:
            settings: What to ask.
            tenant: Whose result it is; part of the result's id.
            tools: Shared by all checks of the process.
            account: What checks that sign in use.
            pace: Story seconds per real second; scales the pause before the confirming try.

        Raises:
            SettingsError: ``ca_file`` cannot be read.
        """
        self.name = settings.name
        self.location = settings.location
        self.interval = timedelta(seconds=settings.interval_seconds)
        self.control = settings.is_control
        self.settings = settings
        self._tenant = tenant
        self._tools = tools
        self._account = account
        self._pace = pace
        self._failing = False
        self._memory = Memory()
        try:
            self._tls = tools.dialler.context(settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            msg = f'probe "{settings.name}": ca_file {settings.ca_file} cannot be read as PEM'
            raise SettingsError(msg) from error
        self._question = _QUESTIONS.get(settings.check, browse)
        self._total = settings.total_seconds
        if settings.check is CheckKind.ROUND_TRIP:
            self._total += settings.arrival_seconds

    def remember(
        self,
        *,
        reached: bool,
        learned: Mapping[str, tuple[str, ...]] | None,
        usual_ms: float | None = None,
    ) -> None:
        """Be told what is known of this check from before: see ``core.signature``, ``tempo``."""
        self._memory.reached = self._memory.reached or reached
        self._memory.learned = learned
        self._memory.usual_ms = usual_ms

    async def run(self, *, now: datetime, location_sound: bool | None) -> ProbeResult:
        """Run the check once; a failure is a result, never an exception.

        ``location_sound`` is the verdict of the location's control check, None where there is none.
        """
        settings = self.settings
        identity = result_id(self._tenant, self.name, self.location, now)
        seen = await self._confirmed(await self._try(identity, now), identity, now)
        self._failing = seen.outcome is Outcome.FAILED
        if seen.outcome in (Outcome.OK, Outcome.DEGRADED):
            self._memory.reached = True
        told = seen.diagnostics | ({"fault": seen.fault} if seen.fault else {})
        return ProbeResult(
            id=identity,
            probe=self.name,
            location=self.location,
            outcome=seen.outcome,
            occurred_at=now,
            received_at=now,
            service=settings.service,
            feature=settings.feature,
            client=settings.client,
            symptom=seen.symptom,
            http_status=seen.status,
            error=seen.error,
            latency_ms=seen.latency_ms,
            phases=seen.phases,
            self_check=self._self_check(seen, location_sound=location_sound),
            region=settings.region,
            answer=seen.answer or None,
            diagnostics=_worth_keeping(told, seen),
        )

    def _self_check(self, seen: Seen, *, location_sound: bool | None) -> SelfCheck:
        if seen.fault is not None:
            return SelfCheck.FAILED
        if self.control:
            location_sound = {Outcome.UNKNOWN: None, Outcome.FAILED: False}.get(seen.outcome, True)
        if location_sound is None:
            return SelfCheck.NONE
        return SelfCheck.OK if location_sound else SelfCheck.FAILED

    async def _confirmed(self, first: Seen, identity: SignalId, now: datetime) -> Seen:
        """Try once more after a fresh failure; a loop has confirmed itself by its repeats."""
        settings = self.settings
        is_fresh = first.outcome is Outcome.FAILED and not self._failing
        has_repeated = first.symptom in (Symptom.AUTH_LOOP, Symptom.MAIL_DELAYED)
        if not is_fresh or has_repeated or not settings.confirm_seconds:
            return first
        pause = min(settings.confirm_seconds, settings.interval_seconds / 4)
        await asyncio.sleep(pause / self._pace)
        second = await self._try(identity, now)
        if second.outcome is Outcome.OK:
            return replace(second, error=f"well at the confirming try; before: {first.error}")
        return second

    async def _try(self, identity: SignalId, now: datetime) -> Seen:
        """One try within the total limit, with its timings."""
        digest = hashlib.blake2b(identity.encode(), digest_size=16).digest()
        errand = Errand(
            settings=self.settings,
            dialler=self._tools.dialler,
            doors=self._tools.doors,
            tls=self._tls,
            request_id=str(uuid.UUID(bytes=digest)),
            now=now,
            account=self._account,
            memory=self._memory,
            pace=self._pace,
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._total):
                seen = await self._question(errand)
        except TimeoutError:
            late = expired(errand.trace.phase, self._total, loop.time() - began)
            seen = judge_failure(late, self._memory, control=self.control)
        except DialFailed as failure:
            seen = judge_failure(failure, self._memory, control=self.control)
        elapsed = loop.time() - began
        return replace(
            self._judged(seen, elapsed, now),
            latency_ms=round(elapsed * 1000, 2),
            phases=dict(errand.trace.phases),
        )

    def _judged(self, seen: Seen, elapsed: float, now: datetime) -> Seen:
        """What a good answer still lacks: it came late, or it is not what was learned."""
        waits = self.settings.check is CheckKind.ROUND_TRIP
        if seen.outcome is Outcome.OK and elapsed > self.settings.slow_seconds and not waits:
            text = f"took {elapsed:.1f} s"
            return replace(seen, outcome=Outcome.DEGRADED, symptom=Symptom.SLOW, error=text)
        if not waits:
            seen = judge_tempo(seen, self._memory, elapsed * 1000, now)
        return seen if self.settings.is_own_contract else judge_departure(seen, self._memory)


def _worth_keeping(told: dict[str, str], seen: Seen) -> dict[str, str] | None:
    """The headers of a good answer help nobody; that a token was issued, or its time, does."""
    if seen.error is None:
        told = {name: told[name] for name in ("token", "arrival_ms") if name in told}
    return told or None


async def run_once(
    settings: ProbeSettings, *, account: ProbeAccount | None = None, tenant: str = ""
) -> ProbeResult:
    """Run one check now, for ``sextant probe run NAME``; nothing is stored.

    Raises:
        SettingsError: ``ca_file`` cannot be read.
    """
    tools = Toolbox()
    try:
        probe = Probe(settings, tenant=tenant, tools=tools, account=account)
        return await probe.run(now=SystemClock().now(), location_sound=None)
    finally:
        tools.close()
