"""Verdicts of a check: which contract an answer is held to, and what a departure means. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import parse_qs, urljoin, urlsplit

from app.clients.dial import Answer, DialFailed, Fault
from app.core import tempo
from app.core.signature import departures
from app.core.types import Outcome, Symptom
from app.sources.probe.settings import CheckKind, ProbeSettings

ERROR_LIMIT = 300  # characters of ``error``
HEADER_LIMIT = 80  # characters of one diagnostic header
OK, CHALLENGED, FORBIDDEN, MOVED_AWAY, SERVER_ERROR = 200, 401, 403, 451, 500
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PORTALS = frozenset({407, 511})  # answered by something between us and the target
# What a support case needs, or what tells a front-end fault from a mailbox fault.
DIAGNOSTICS = (
    "request-id", "x-ms-request-id", "client-request-id", "x-feserver", "x-calculatedbetarget",
    "x-beserver", "x-targetbeserver", "x-backendhttpstatus", "x-diaginfo", "x-ms-diagnostics",
    "x-ms-ags-diagnostic", "x-serverapplication", "sprequestguid", "x-sharepointhealthscore",
    "x-ms-ests-server", "date", "retry-after",
)  # fmt: skip
_TOLD_IN_TEXT = frozenset(DIAGNOSTICS) - {"date", "client-request-id"}
_OUR_TENANT_IS_WRONG = b"AADSTS90002"  # no such tenant: the settings are wrong, not the service
NEVER_REACHED = "; never reached from here so far: is egress allowed, is the target right?"
_BEFORE_AN_ANSWER = frozenset({"dns", "connect", "tls"})  # phases in which nobody has answered
_ABOUT_US = frozenset({400, 401, 403, 404, 405, 406, 410})  # may be said of a wrong question


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What is plausible of one kind of HTTP check; ``statuses`` empty stands for any 2xx.

    It is where learning starts, not what is healthy: see ``core.signature``.
    """

    method: str = "GET"
    statuses: frozenset[int] = frozenset()
    names: tuple[str, ...] = ()  # what the body's JSON must hold; a dot leads inwards
    headers: Mapping[str, str] = field(default_factory=dict)
    follows: bool = False  # follows redirects on the same host, to see whether they end
    challenges: bool = False  # a repeated challenge is a loop
    correlates: bool = False  # sends a request id that the vendor can look up


# Without this empty header Exchange Online answers 451 instead of a challenge.
_EMPTY_BEARER = {"Authorization": "Bearer"}
_CHALLENGE = frozenset({OK, CHALLENGED, MOVED_AWAY})
_PAGES = REDIRECTS | {OK}
CONTRACTS = {
    CheckKind.HTTP: Contract(),
    CheckKind.OWA: Contract(statuses=_PAGES, follows=True, challenges=True, correlates=True),
    CheckKind.ACTIVESYNC: Contract(
        method="OPTIONS", statuses=_CHALLENGE, headers=_EMPTY_BEARER, challenges=True,
        correlates=True,
    ),
    CheckKind.MAPI: Contract(
        statuses=_CHALLENGE, headers=_EMPTY_BEARER, challenges=True, correlates=True
    ),
    CheckKind.AUTODISCOVER: Contract(
        statuses=frozenset({OK}), names=("Protocol", "Url"), correlates=True
    ),
    CheckKind.OPENID: Contract(
        statuses=frozenset({OK}), names=("issuer", "token_endpoint"), correlates=True
    ),
    CheckKind.GRAPH: Contract(
        statuses=frozenset({CHALLENGED}), names=("error.code",), correlates=True
    ),
    CheckKind.TEAMS: Contract(statuses=_PAGES),
    CheckKind.SHAREPOINT: Contract(statuses=_PAGES | {CHALLENGED, FORBIDDEN}),
    CheckKind.CONTROL: Contract(),
}  # fmt: skip
_BY_STATUS = {
    401: Symptom.AUTH_REJECTED, 403: Symptom.AUTH_REJECTED, 404: Symptom.NOT_FOUND,
    407: Symptom.CONNECTION_FAILED, 408: Symptom.TIMEOUT, 410: Symptom.NOT_FOUND,
    429: Symptom.THROTTLED, 511: Symptom.CONNECTION_FAILED,
}  # fmt: skip
_BY_FAULT = {
    Fault.DNS: Symptom.DNS_FAILURE,
    Fault.TIMEOUT: Symptom.TIMEOUT,
    Fault.CONNECTION: Symptom.CONNECTION_FAILED,
    Fault.BLOCKED: Symptom.CONNECTION_FAILED,
    Fault.TLS: Symptom.TLS_FAILURE,
    Fault.PROTOCOL: Symptom.CONTENT_ERROR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one try met.

    ``answer`` holds the aspects from which the healthy signature is learned; ``fault`` names what
    is at fault on our side, so that nothing is said of the service: ``egress``, ``credential``,
    ``permission``, ``settings``.
    """

    outcome: Outcome = Outcome.OK
    symptom: Symptom | None = None
    status: int | None = None
    error: str | None = None
    latency_ms: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    answer: dict[str, str] = field(default_factory=dict)
    diagnostics: dict[str, str] = field(default_factory=dict)
    fault: str | None = None


@dataclass(slots=True)
class Memory:
    """What is remembered of a check: whether it was ever well here, and what was learned.

    ``usual_ms`` is how long its answers usually take at this hour, ``answers`` how long those of
    the last five minutes took.
    """

    reached: bool = False
    learned: Mapping[str, tuple[str, ...]] | None = None
    usual_ms: float | None = None
    answers: list[tuple[datetime, float]] = field(default_factory=list)


def failed(symptom: Symptom, error: str, *, status: int | None = None) -> Seen:
    """A failure; an answer that only slows us down is degraded, since the service does answer."""
    outcome = Outcome.DEGRADED if symptom is Symptom.THROTTLED else Outcome.FAILED
    return Seen(outcome=outcome, symptom=symptom, status=status, error=plain(error))


def at_fault(fault: str, error: str, *, status: int | None = None) -> Seen:
    """A fault of ours: nothing is known of the service."""
    text = plain(f"ours: {error}")
    return Seen(outcome=Outcome.UNKNOWN, error=text, status=status, fault=fault)


def judge_failure(failure: DialFailed, memory: Memory, *, control: bool = False) -> Seen:
    """Say what a dial that did not succeed means; a fault of this machine proves nothing.

    A target that was never reached from here proves nothing either: that is how blocked egress, an
    inspecting proxy and a mistyped target look. A control check speaks of the location itself.
    """
    if failure.fault is Fault.OURS:
        return Seen(outcome=Outcome.UNKNOWN, error=plain(str(failure)))
    if failure.fault is Fault.BLOCKED and not control:
        return at_fault("egress", f"{failure}: refused on this side")
    symptom = _BY_FAULT[failure.fault]
    if failure.phase == "dns":  # a resolver that does not answer in time as well
        symptom = Symptom.DNS_FAILURE
    if failure.phase in _BEFORE_AN_ANSWER and not memory.reached and not control:
        return replace(failed(symptom, f"{failure}{NEVER_REACHED}"), fault="egress")
    return failed(symptom, str(failure))


def judge_tempo(seen: Seen, memory: Memory, took_ms: float, now: datetime) -> Seen:
    """Hold the time of a good answer against what is usual; once late is chance, five minutes not.

    Args:
        seen: what was met.
        memory: of the check; the answer is added to it.
        took_ms: milliseconds of the try.
        now: when it was asked.
    """
    if seen.outcome not in (Outcome.OK, Outcome.DEGRADED):
        return seen
    memory.answers = tempo.recent(memory.answers, took_ms, now)
    usual = memory.usual_ms
    if seen.outcome is not Outcome.OK or usual is None or not tempo.drags(memory.answers, usual):
        return seen
    text = f"took {took_ms:.0f} ms, for minutes now, where {usual:.0f} ms are usual at this hour"
    diagnostics = seen.diagnostics | {"usual_ms": f"{usual:.0f}"}
    return replace(
        seen, outcome=Outcome.DEGRADED, symptom=Symptom.SLOW, error=text, diagnostics=diagnostics
    )


def judge_departure(seen: Seen, memory: Memory) -> Seen:
    """Hold a good answer against what was learned; the service answers, but not as it did."""
    if seen.outcome is not Outcome.OK or memory.learned is None:
        return seen
    found = departures(memory.learned, seen.answer)
    if not found:
        return seen
    told = "; ".join(
        f"{aspect} is {value}, was {' or '.join(memory.learned[aspect])}"
        for aspect, value in found.items()
    )
    text = plain(f"departs from its healthy signature: {told}")
    return replace(seen, outcome=Outcome.DEGRADED, symptom=Symptom.CONTENT_ERROR, error=text)


def judge_text(settings: ProbeSettings, text: str, *, status: int | None = None) -> Seen:
    """Look for the expected text."""
    if settings.expect_text is not None and settings.expect_text not in text:
        return failed(Symptom.CONTENT_ERROR, "the expected text did not come", status=status)
    return Seen(status=status)


def judge_answer(settings: ProbeSettings, memory: Memory, answer: Answer) -> Seen:
    """Say what the final HTTP answer of a check means."""
    seen = _judge_answer(settings, memory, answer)
    return replace(seen, diagnostics=diagnostics_of(answer))


def _judge_answer(settings: ProbeSettings, memory: Memory, answer: Answer) -> Seen:
    status, location = answer.status, answer.header("location") or ""
    error_status = _error_page(location) if status in REDIRECTS else None
    if error_status is not None:
        return departed(answer, Symptom.HTTP_5XX, f"sent to an error page ({error_status})")
    if not _is_plausible(settings, memory, status):
        return _unexpected(settings, memory, answer)
    contract = CONTRACTS[settings.check]
    if status == CHALLENGED and contract.challenges and not answer.values("www-authenticate"):
        return departed(answer, Symptom.AUTH_REJECTED, "refused without a challenge")
    if status in REDIRECTS and not location:
        return departed(answer, Symptom.CONTENT_ERROR, "redirected to nowhere")
    if settings.expect_header is not None and not _has_header(answer, settings.expect_header):
        return departed(answer, Symptom.CONTENT_ERROR, "the expected header did not come")
    missing = [name for name in contract.names if not _holds(answer.body, name)]
    if missing:
        return departed(answer, Symptom.CONTENT_ERROR, f"no JSON that holds {missing[0]}")
    return judge_text(settings, answer.body.decode("utf-8", "replace"), status=status)


def _is_plausible(settings: ProbeSettings, memory: Memory, status: int) -> bool:
    if memory.learned is not None and not settings.is_own_contract:
        usual = memory.learned.get("status", ())
        if str(status) in usual:
            return True
    expected = _expected(settings)
    return status in expected if expected else status // 100 == OK // 100


def _unexpected(settings: ProbeSettings, memory: Memory, answer: Answer) -> Seen:
    if settings.check is CheckKind.OPENID and _OUR_TENANT_IS_WRONG in answer.body:
        text = "the tenant in the target does not exist (AADSTS90002); correct the settings"
        return at_fault("settings", text, status=answer.status)
    by_class = Symptom.HTTP_5XX if answer.status >= SERVER_ERROR else Symptom.CONTENT_ERROR
    symptom = _BY_STATUS.get(answer.status, by_class)
    seen = departed(answer, symptom, "unexpected answer")
    if settings.is_own_contract or memory.reached or answer.status not in _ABOUT_US:
        return seen
    text = f"{seen.error}; never well from here so far: is the question right?"
    return replace(seen, outcome=Outcome.UNKNOWN, error=plain(text))


def departed(answer: Answer, symptom: Symptom, text: str) -> Seen:
    """A departure from what is plausible, with the headers that a support case needs."""
    told = [
        f"{name}={value}" for name, value in diagnostics_of(answer).items() if name in _TOLD_IN_TEXT
    ]
    return failed(symptom, " ".join([f"HTTP {answer.status}: {text}", *told]), status=answer.status)


def diagnostics_of(answer: Answer) -> dict[str, str]:
    """The headers that a support case needs, in lower case, printable and bounded."""
    return {
        name: plain(value[:HEADER_LIMIT])
        for name in DIAGNOSTICS
        if (value := answer.header(name)) is not None
    }


def leads_to(settings: ProbeSettings, url: str, answer: Answer) -> str | None:
    """Where a client would ask next to sign in; None when this answer ends the matter.

    Redirects are followed only on the same host: the sign-in page elsewhere has its own check.
    """
    contract = CONTRACTS.get(settings.check, Contract())
    location = answer.header("location")
    if answer.status in REDIRECTS and contract.follows and location:
        return None if _error_page(location) is not None else _near(url, location)
    if answer.status != CHALLENGED or not (contract.challenges or settings.has_credential):
        return None
    offered = [value.lower() for value in answer.values("www-authenticate")]
    is_healthy = CHALLENGED in _expected(settings) and (
        bool(settings.expect_status) or any(value.startswith("bearer") for value in offered)
    )
    return url if offered and not is_healthy else None


def _near(url: str, location: str) -> str | None:
    try:
        there = urljoin(url, location)
        is_near = urlsplit(there).hostname == urlsplit(url).hostname
    except ValueError:  # not an address at all
        return None
    return there if is_near and there.startswith("http") else None


def _expected(settings: ProbeSettings) -> frozenset[int]:
    """The healthy statuses; empty stands for any 2xx."""
    if settings.expect_status:
        return frozenset(settings.expect_status)
    statuses = CONTRACTS[settings.check].statuses
    return frozenset() if CHALLENGED in statuses and settings.has_credential else statuses


def _error_page(location: str) -> str | None:
    """The status behind Exchange's own error page, to which its front end redirects."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return None
    if not parts.path.lower().endswith("/errorfe.aspx"):
        return None
    named = {key.lower(): values[0] for key, values in parse_qs(parts.query).items()}
    return named.get("httpcode", "500")


def _has_header(answer: Answer, expected: str) -> bool:
    name, _, part = expected.partition(":")
    values = answer.values(name.strip().lower())
    return any(part.strip().lower() in value.lower() for value in values)


def _holds(body: bytes, name: str) -> bool:
    """Whether the JSON of a body holds text under a name; a dot leads inwards."""
    try:
        found = json.loads(body)
    except ValueError:
        return False
    for part in name.split("."):
        if not isinstance(found, dict):
            return False
        found = found.get(part)
    return isinstance(found, str) and bool(found)


def plain(text: str) -> str:
    """Printable text of bounded length; what a stranger sends may hold anything."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:ERROR_LIMIT]
