"""Probes: checks that ask a service from outside and say what they met."""

import asyncio
import hashlib
import json
import ssl
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from app.clients.dial import (
    Answer,
    DialFailed,
    Dialler,
    Fault,
    Trace,
    ask,
    expired,
    first_bytes,
)
from app.core.errors import SettingsError
from app.core.signal import ProbeResult
from app.core.types import Outcome, SelfCheck, SignalId, Symptom
from app.kit.clock import SystemClock
from app.sources.probe.settings import CheckKind, ProbeSettings
from app.sources.probe.verdict import (
    CONTRACTS,
    PORTALS,
    SERVER_ERROR,
    Contract,
    Seen,
    failed,
    judge_answer,
    judge_failure,
    judge_text,
    leads_to,
)

AGENT = "Sextant-Probe/1 (synthetic availability check)"


def result_id(tenant: str, probe: str, location: str, occurred_at: datetime) -> SignalId:
    """Derive the id of one run, so that a second arrival changes nothing."""
    text = json.dumps([tenant, probe, location, occurred_at.isoformat()])
    return SignalId(f"prb_{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}")


class Probe:
    """One check at one location; implements ``core.ports.ProbeCheck``.

    A failure after success is confirmed by one more try; while it goes on failing no more is asked
    than one try per run, so that an outage does not make us press harder.
    """

    def __init__(
        self, settings: ProbeSettings, *, tenant: str, dialler: Dialler, pace: float = 1.0
    ) -> None:
        """Prepare a check.

        Args:
            settings: What to ask.
            tenant: Whose result it is; part of the result's id.
            dialler: Shared by all checks of the process.
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
        self._dialler = dialler
        self._pace = pace
        self._failing = False
        self._request_id = ""
        self._contract = CONTRACTS.get(settings.check, Contract())
        try:
            self._tls = dialler.context(settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            msg = f'probe "{settings.name}": ca_file {settings.ca_file} cannot be read as PEM'
            raise SettingsError(msg) from error
        self._checks: dict[CheckKind, Callable[[Trace], Awaitable[Seen]]] = {
            CheckKind.TCP: self._open,
            CheckKind.TLS: self._open,
            CheckKind.DNS: self._resolve,
            CheckKind.CONTROL: self._reach_any,
        }

    async def run(self, *, now: datetime, location_sound: bool | None) -> ProbeResult:
        """Run the check once; a failure is a result, never an exception.

        ``location_sound`` is the verdict of the location's control check, None where there is none.
        """
        settings = self.settings
        identity = result_id(self._tenant, self.name, self.location, now)
        digest = hashlib.blake2b(identity.encode(), digest_size=16).digest()
        self._request_id = str(uuid.UUID(bytes=digest))
        seen = await self._confirmed(await self._try())
        self._failing = seen.outcome is Outcome.FAILED
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
        )

    def _self_check(self, seen: Seen, *, location_sound: bool | None) -> SelfCheck:
        if self.control:
            location_sound = {Outcome.UNKNOWN: None, Outcome.FAILED: False}.get(seen.outcome, True)
        if location_sound is None:
            return SelfCheck.NONE
        return SelfCheck.OK if location_sound else SelfCheck.FAILED

    async def _confirmed(self, first: Seen) -> Seen:
        """Try once more after a fresh failure; a loop has confirmed itself by its repeats."""
        settings = self.settings
        is_fresh = first.outcome is Outcome.FAILED and not self._failing
        if not is_fresh or first.symptom is Symptom.AUTH_LOOP or not settings.confirm_seconds:
            return first
        pause = min(settings.confirm_seconds, settings.interval_seconds / 4)
        await asyncio.sleep(pause / self._pace)
        second = await self._try()
        if second.outcome is Outcome.OK:
            return replace(second, error=f"well at the confirming try; before: {first.error}")
        return second

    async def _try(self) -> Seen:
        """One try within the total limit, with its timings."""
        loop, trace = asyncio.get_running_loop(), Trace()
        limit, began = self.settings.total_seconds, loop.time()
        check = self._checks.get(self.settings.check, self._browse)
        try:
            async with asyncio.timeout(limit):
                seen = await check(trace)
        except TimeoutError:
            seen = judge_failure(expired(trace.phase, limit, loop.time() - began))
        except DialFailed as failure:
            seen = judge_failure(failure)
        elapsed = loop.time() - began
        if seen.outcome is Outcome.OK and elapsed > self.settings.slow_seconds:
            seen = replace(
                seen, outcome=Outcome.DEGRADED, symptom=Symptom.SLOW, error=f"took {elapsed:.1f} s"
            )
        return replace(seen, latency_ms=round(elapsed * 1000, 2), phases=dict(trace.phases))

    async def _resolve(self, trace: Trace) -> Seen:
        limits = self.settings.limits
        name = self.settings.all_targets[0]
        found = await self._dialler.resolve(name, 443, limits=limits, trace=trace)
        return judge_text(self.settings, " ".join(str(info[4][0]) for info in found))

    async def _open(self, trace: Trace) -> Seen:
        """Connect, with TLS if asked; what the other side says first counts only if expected."""
        parts = urlsplit(f"//{self.settings.all_targets[0]}")
        tls = self._tls if self.settings.check is CheckKind.TLS else None
        limits = self.settings.limits
        opened = await self._dialler.open(
            parts.hostname or "", parts.port or 0, tls=tls, limits=limits, trace=trace
        )
        try:
            if self.settings.expect_text is None:
                return Seen()
            banner = await first_bytes(opened, limits=limits, trace=trace)
            return judge_text(self.settings, banner.decode("utf-8", "replace"))
        finally:
            opened.close()

    async def _reach_any(self, trace: Trace) -> Seen:
        """Reach for all targets at once; the first that answers proves the location sound."""
        tasks = [asyncio.create_task(self._reach(target)) for target in self.settings.all_targets]
        failure = DialFailed(Fault.OURS, "connect", "nothing was tried")
        try:
            for task in asyncio.as_completed(tasks):
                try:
                    trace.phases.update(await task)
                except DialFailed as error:
                    failure = error
                else:
                    return Seen()
        finally:
            for pending in tasks:
                pending.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise failure

    async def _reach(self, target: str) -> dict[str, float]:
        trace, limits = Trace(), self.settings.limits
        if target.startswith("http"):
            answer = await self._ask(target, trace, {})
            if answer.status in PORTALS or answer.status >= SERVER_ERROR:
                text = f"{target} answered {answer.status}"
                raise DialFailed(Fault.CONNECTION, "first_byte", text)
        else:
            parts = urlsplit(f"//{target}")
            host, port = parts.hostname or "", parts.port or 0
            opened = await self._dialler.open(host, port, tls=None, limits=limits, trace=trace)
            opened.close()
        return trace.phases

    async def _browse(self, trace: Trace) -> Seen:
        """Ask over HTTP; a sign-in that leads on and on is followed until it counts as a loop."""
        url, cookies = self.settings.all_targets[0], dict[str, str]()
        status = None
        for _ in range(self.settings.loop_repeats):
            answer = await self._ask(url, trace, cookies)
            following = leads_to(self.settings, url, answer)
            if following is None:
                return judge_answer(self.settings, answer)
            for cookie in answer.values("set-cookie"):
                key, _, value = cookie.partition(";")[0].partition("=")
                cookies[key.strip()] = value.strip()
            url, status = following, answer.status
        error = f"asked to sign in {self.settings.loop_repeats} times without an end"
        return failed(Symptom.AUTH_LOOP, error, status=status)

    async def _ask(self, url: str, trace: Trace, cookies: dict[str, str]) -> Answer:
        parts, settings = urlsplit(url), self.settings
        secure = parts.scheme == "https"
        headers = {
            "Host": parts.netloc.rpartition("@")[2],
            "User-Agent": AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **self._contract.headers,
        }
        if self._contract.correlates:
            headers |= {"client-request-id": self._request_id, "return-client-request-id": "true"}
        if cookies:
            headers["Cookie"] = "; ".join(f"{key}={value}" for key, value in cookies.items())
        given = {key.lower() for key in settings.headers}
        headers = {k: v for k, v in headers.items() if k.lower() not in given} | settings.headers
        opened = await self._dialler.open(
            parts.hostname or "",
            parts.port or (443 if secure else 80),
            tls=self._tls if secure else None,
            limits=settings.limits,
            trace=trace,
        )
        method = settings.method or self._contract.method
        try:
            return await ask(
                opened, method=method, url=url, headers=headers, limits=settings.limits, trace=trace
            )
        finally:
            opened.close()


async def run_once(settings: ProbeSettings, *, tenant: str = "") -> ProbeResult:
    """Run one check now, for ``sextant probe run NAME``; nothing is stored.

    Raises:
        SettingsError: ``ca_file`` cannot be read.
    """
    dialler = Dialler()
    try:
        probe = Probe(settings, tenant=tenant, dialler=dialler)
        return await probe.run(now=SystemClock().now(), location_sound=None)
    finally:
        dialler.close()
