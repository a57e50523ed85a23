"""Verdicts of a check: which contract an answer is held to, and what a departure means. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urljoin, urlsplit

from app.clients.dial import Answer, DialFailed, Fault
from app.core.types import Outcome, Symptom
from app.sources.probe.settings import CheckKind, ProbeSettings

ERROR_LIMIT = 300  # characters of ``error``
HEADER_LIMIT = 80  # characters of one diagnostic header
OK, CHALLENGED, SERVER_ERROR = 200, 401, 500
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PORTALS = frozenset({407, 511})  # answered by something between us and the target
# What a support case needs, or what tells a front-end fault from a mailbox fault.
DIAGNOSTICS = (
    "request-id", "x-ms-request-id", "x-feserver", "x-calculatedbetarget", "x-beserver",
    "x-backendhttpstatus", "x-diaginfo", "x-ms-diagnostics", "retry-after",
)  # fmt: skip
_OUR_TENANT_IS_WRONG = b"AADSTS90002"  # no such tenant: the settings are wrong, not the service


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The healthy answer of one kind of HTTP check; ``statuses`` empty stands for any 2xx."""

    method: str = "GET"
    statuses: frozenset[int] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    follows: bool = False  # follows redirects on the same host, to see whether they end
    challenges: bool = False  # a repeated challenge is a loop
    correlates: bool = False  # sends a request id that the vendor can look up


# Without this empty header Exchange Online answers 451 instead of a challenge.
_EMPTY_BEARER = {"Authorization": "Bearer"}
CONTRACTS = {
    CheckKind.HTTP: Contract(),
    CheckKind.OWA: Contract(
        statuses=REDIRECTS | {OK}, follows=True, challenges=True, correlates=True
    ),
    CheckKind.ACTIVESYNC: Contract(
        method="OPTIONS", statuses=frozenset({CHALLENGED}), headers=_EMPTY_BEARER,
        challenges=True, correlates=True,
    ),
    CheckKind.MAPI: Contract(
        statuses=frozenset({CHALLENGED}), headers=_EMPTY_BEARER, challenges=True, correlates=True
    ),
    CheckKind.OPENID: Contract(statuses=frozenset({OK}), correlates=True),
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
    Fault.TLS: Symptom.TLS_FAILURE,
    Fault.PROTOCOL: Symptom.CONTENT_ERROR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one try met."""

    outcome: Outcome = Outcome.OK
    symptom: Symptom | None = None
    status: int | None = None
    error: str | None = None
    latency_ms: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)


def failed(symptom: Symptom, error: str, *, status: int | None = None) -> Seen:
    """A failure; an answer that only slows us down is degraded, since the service does answer."""
    outcome = Outcome.DEGRADED if symptom is Symptom.THROTTLED else Outcome.FAILED
    return Seen(outcome=outcome, symptom=symptom, status=status, error=plain(error))


def judge_failure(failure: DialFailed) -> Seen:
    """Say what a dial that did not succeed means; a fault of this machine proves nothing."""
    if failure.fault is Fault.OURS:
        return Seen(outcome=Outcome.UNKNOWN, error=plain(str(failure)))
    symptom = _BY_FAULT[failure.fault]
    if failure.phase == "dns":  # a resolver that does not answer in time as well
        symptom = Symptom.DNS_FAILURE
    return failed(symptom, str(failure))


def judge_text(settings: ProbeSettings, text: str, *, status: int | None = None) -> Seen:
    """Look for the expected text."""
    if settings.expect_text is not None and settings.expect_text not in text:
        return failed(Symptom.CONTENT_ERROR, "the expected text did not come", status=status)
    return Seen(status=status)


def judge_answer(settings: ProbeSettings, answer: Answer) -> Seen:
    """Say what the final HTTP answer of a check means."""
    status, location = answer.status, answer.header("location") or ""
    error_status = _error_page(location) if status in REDIRECTS else None
    if error_status is not None:
        return _departed(answer, Symptom.HTTP_5XX, f"sent to an error page ({error_status})")
    expected = _expected(settings)
    if not (status in expected if expected else status // 100 == OK // 100):
        return _unexpected(settings, answer)
    if status == CHALLENGED and not answer.values("www-authenticate"):
        return _departed(answer, Symptom.AUTH_REJECTED, "refused without a challenge")
    if status in REDIRECTS and not location:
        return _departed(answer, Symptom.CONTENT_ERROR, "redirected to nowhere")
    if settings.expect_header is not None and not _has_header(answer, settings.expect_header):
        return _departed(answer, Symptom.CONTENT_ERROR, "the expected header did not come")
    if settings.check is CheckKind.OPENID and not _names_issuer(answer.body):
        return _departed(answer, Symptom.CONTENT_ERROR, "no JSON that names its issuer")
    return judge_text(settings, answer.body.decode("utf-8", "replace"), status=status)


def _unexpected(settings: ProbeSettings, answer: Answer) -> Seen:
    if settings.check is CheckKind.OPENID and _OUR_TENANT_IS_WRONG in answer.body:
        return Seen(
            outcome=Outcome.UNKNOWN,
            status=answer.status,
            error="the tenant in the target does not exist (AADSTS90002); correct the settings",
        )
    by_class = Symptom.HTTP_5XX if answer.status >= SERVER_ERROR else Symptom.CONTENT_ERROR
    return _departed(answer, _BY_STATUS.get(answer.status, by_class), "unexpected answer")


def _departed(answer: Answer, symptom: Symptom, text: str) -> Seen:
    """A departure from the contract, with the headers that a support case needs."""
    told = [
        f"{name}={value[:HEADER_LIMIT]}"
        for name in DIAGNOSTICS
        if (value := answer.header(name)) is not None
    ]
    return failed(symptom, " ".join([f"HTTP {answer.status}: {text}", *told]), status=answer.status)


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


def _names_issuer(body: bytes) -> bool:
    try:
        document = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and isinstance(document.get("issuer"), str)


def plain(text: str) -> str:
    """Printable text of bounded length; what a stranger sends may hold anything."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:ERROR_LIMIT]
