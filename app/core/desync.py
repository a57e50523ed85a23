"""The derived signal *token issued, mailbox refuses*: sign-in works, and the mailbox does not.

It is the credential prompt loop as a probe sees it. Each check of a mailbox asks for a fresh token
first, so its result carries ``token: issued`` beside what the mailbox then said. Two refusals
within five minutes at one location make the signal; it goes on until the mailbox takes a token.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.core.signal import ProbeResult
from app.core.types import Outcome, SignalId, Symptom

PROBE = "auth-mailbox-desync"  # the name under which the derived results are entered
CODE = "auth_mailbox_desync"
WITHIN = timedelta(minutes=5)
REFUSALS = 2
_REFUSING = frozenset({401, 403})
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Refusals:
    """When the mailbox refused a fresh token at one location, newest last."""

    at: tuple[datetime, ...] = ()


def refuses(result: ProbeResult) -> bool | None:
    """Whether a mailbox refused a token that had just been issued; None: nothing of the kind."""
    if (result.diagnostics or {}).get("token") != "issued":
        return None
    if result.outcome in (Outcome.OK, Outcome.DEGRADED):
        return False
    status = result.http_status or 0
    return True if status in _REFUSING or status >= _SERVER_ERROR else None


def derive(refusals: Refusals, result: ProbeResult) -> tuple[Refusals, ProbeResult | None]:
    """Take in one result of a location; gives the derived result where there is one to tell."""
    refused = refuses(result)
    if refused is None:
        return refusals, None
    if not refused:
        return Refusals(), _derived(result, Outcome.OK, None)
    recent = (*(at for at in refusals.at if result.occurred_at - at <= WITHIN), result.occurred_at)
    kept = Refusals(recent[-REFUSALS:])
    if len(recent) < REFUSALS:
        return kept, None
    told = f"{CODE}: token issued, mailbox refuses; {result.probe}: {result.error}"
    return kept, _derived(result, Outcome.FAILED, told)


def _derived(result: ProbeResult, outcome: Outcome, error: str | None) -> ProbeResult:
    return replace(
        result,
        id=SignalId(f"{result.id}:{CODE}"),
        probe=PROBE,
        outcome=outcome,
        symptom=Symptom.AUTH_LOOP if error else None,
        error=error,
        latency_ms=None,
        phases=None,
        answer=None,
        diagnostics={**(result.diagnostics or {}), "signal": CODE, "rests_on": result.probe},
    )
