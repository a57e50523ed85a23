"""Questions over HTTP: front doors, challenges, documents, and the control check."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from app.clients.dial import Answer, DialFailed, Fault, Trace, ask
from app.core.types import Symptom
from app.sources.probe.aspects import of_answer
from app.sources.probe.errand import AGENT, Errand
from app.sources.probe.verdict import (
    CONTRACTS,
    PORTALS,
    SERVER_ERROR,
    Contract,
    Seen,
    failed,
    judge_answer,
    leads_to,
)


async def fetch(
    errand: Errand,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    trace: Trace | None = None,
) -> tuple[Answer, str | None]:
    """Ask once over a fresh connection; gives the answer and who vouches for its certificate.

    Raises:
        DialFailed: no answer came.
    """
    parts, settings = urlsplit(url), errand.settings
    secure = parts.scheme == "https"
    told = {
        "Host": parts.netloc.rpartition("@")[2],
        "User-Agent": AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if body:
        told["Content-Length"] = str(len(body))
    given = {key.lower() for key in headers or {}}
    told = {k: v for k, v in told.items() if k.lower() not in given} | dict(headers or {})
    followed = trace or errand.trace
    opened = await errand.dialler.open(
        parts.hostname or "",
        parts.port or (443 if secure else 80),
        tls=errand.tls if secure else None,
        limits=settings.limits,
        trace=followed,
    )
    try:
        answer = await ask(
            opened,
            method=method,
            url=url,
            headers=told,
            limits=settings.limits,
            trace=followed,
            body=body,
        )
        return answer, opened.issuer
    finally:
        opened.close()


async def browse(errand: Errand) -> Seen:
    """Ask over HTTP; a sign-in that leads on and on is followed until it counts as a loop."""
    settings = errand.settings
    contract = CONTRACTS.get(settings.check, Contract())
    url, cookies = settings.all_targets[0], dict[str, str]()
    status = None
    for _ in range(settings.loop_repeats):
        headers = dict(contract.headers)
        if contract.correlates:
            headers |= {
                "client-request-id": errand.request_id,
                "return-client-request-id": "true",
            }
        if cookies:
            headers["Cookie"] = "; ".join(f"{key}={value}" for key, value in cookies.items())
        given = {key.lower() for key in settings.headers}
        headers = {k: v for k, v in headers.items() if k.lower() not in given} | settings.headers
        method = settings.method or contract.method
        answer, issuer = await fetch(errand, url, method=method, headers=headers)
        following = leads_to(settings, url, answer)
        if following is None:
            seen = judge_answer(settings, errand.memory, answer)
            return replace(seen, answer=of_answer(url, answer, issuer))
        for cookie in answer.values("set-cookie"):
            key, _, value = cookie.partition(";")[0].partition("=")
            cookies[key.strip()] = value.strip()
        url, status = following, answer.status
    error = f"asked to sign in {settings.loop_repeats} times without an end"
    return failed(Symptom.AUTH_LOOP, error, status=status)


async def reach_any(errand: Errand) -> Seen:
    """Reach for all targets at once; the first that answers proves the location sound."""
    tasks = [asyncio.create_task(_reach(errand, target)) for target in errand.settings.all_targets]
    failure = DialFailed(Fault.OURS, "connect", "nothing was tried")
    try:
        for task in asyncio.as_completed(tasks):
            try:
                errand.trace.phases.update(await task)
            except DialFailed as error:
                failure = error
            else:
                return Seen()
    finally:
        for pending in tasks:
            pending.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    raise failure


async def _reach(errand: Errand, target: str) -> dict[str, float]:
    trace = Trace()
    if target.startswith("http"):
        answer, _ = await fetch(errand, target, headers=errand.settings.headers, trace=trace)
        if answer.status in PORTALS or answer.status >= SERVER_ERROR:
            text = f"{target} answered {answer.status}"
            raise DialFailed(Fault.CONNECTION, "first_byte", text)
    else:
        parts = urlsplit(f"//{target}")
        limits = errand.settings.limits
        opened = await errand.dialler.connect(
            parts.hostname or "", parts.port or 0, limits=limits, trace=trace
        )
        opened.close()
    return trace.phases
