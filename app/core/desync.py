"""The derived signal *token issued, mailbox refuses*: sign-in works, and the mailbox does not.

It is the credential prompt loop. Reports tell of it by what the catalogue calls desync, which is
always the symptom ``auth_loop``: several people within five minutes make the signal. Each check of
a mailbox asks for a fresh token first, so its result carries ``token: issued`` beside what the
mailbox then said. Two refusals within five minutes at one location make the signal; it goes on
until the mailbox takes a token.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.core.signal import ProbeResult
from app.core.state import Cell, Track
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
    if (result.diagnostics or {}).get("mailbox") == "refused":
        return True  # said in words, as IMAP does
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


def told_by_people(cells: Iterable[Cell], start: int, end: int, *, people: int) -> int | None:
    """The first minute in which so many people had told of it within five minutes, or None.

    Args:
        cells: of reports.
        start: first minute looked at, since 1970.
        end: last one.
        people: distinct reporters; each counts once, however often they say it.
    """
    firsts: dict[int, int] = {}
    for cell in cells:
        if cell.symptom == Symptom.AUTH_LOOP:
            for minute, count in cell.firsts.items():
                firsts[minute] = firsts.get(minute, 0) + count
    span = int(WITHIN.total_seconds()) // 60
    for minute in sorted(m for m in firsts if start <= m <= end):
        if sum(firsts.get(m, 0) for m in range(minute - span + 1, minute + 1)) >= people:
            return minute
    return None


def told_by_checks(tracks: Iterable[Track], start: int, end: int) -> tuple[str, ...]:
    """The locations where the derived check failed, by name."""
    return tuple(
        sorted(
            track.location
            for track in tracks
            if track.probe == PROBE
            and any(p.is_bad for m, p in track.minutes.items() if start <= m <= end)
        )
    )


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
