"""Witness: while something is broken, the vendor's own silence towards us is evidence as well."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from app.core.ids import derived
from app.core.signal import ProbeResult
from app.core.types import Client, Condition, Outcome, SignalId, Symptom, TenantId
from app.store import probes

LOCATION = "sextant"  # where these readings are made: wherever this process runs
FAREWELL = 3  # good readings after the last bad one, so that the evidence can turn

# Failures that speak of the other side. A refused credential or a used-up budget speaks of us.
_SYMPTOMS: Mapping[str, Symptom] = {
    "unavailable": Symptom.HTTP_5XX,
    "timeout": Symptom.TIMEOUT,
    "unreachable": Symptom.CONNECTION_FAILED,
    "odd_body": Symptom.CONTENT_ERROR,
    "token_unavailable": Symptom.AUTH_REJECTED,
}
SIGN_IN, ADMINISTRATION = ("entra-id", "sign-in"), ("microsoft-365-admin", "administration")


class TakeResults(Protocol):
    """Where results become durable: ``Intake.append_probe_results``."""

    async def __call__(
        self, tenant: TenantId, signals: Sequence[ProbeResult], *, source: str, now: datetime
    ) -> object:
        """Return after the commit."""
        ...


def probes_are_red(c: Connection, tenant: TenantId, now: datetime) -> bool:
    """Whether a check of the tenant fails now; our own readings as a witness do not count."""
    return any(
        check.condition is Condition.FAILING and check.location != LOCATION
        for check in probes.listing(c, tenant, now=now)
    )


class Witness:
    """Turns readings of the vendor into probe results while the tenant has trouble of its own.

    Alone a failed reading is a stale source and nothing more, because paths to one API break for
    many reasons; beside red probes it says that sign-in or the admin plane fails too.
    """

    def __init__(self, tenant: TenantId, source: str, take: TakeResults) -> None:
        self._tenant = tenant
        self._source = source
        self._take = take
        self._spoke: dict[tuple[str, str], int] = {}  # scopes accused, with good readings since

    async def failed(self, code: str, text: str, *, trouble: bool, now: datetime) -> None:
        """Note a reading that failed; it counts only beside other trouble."""
        symptom = _SYMPTOMS.get(code)
        if symptom is None or not trouble:
            return
        scope = SIGN_IN if code == "token_unavailable" else ADMINISTRATION
        self._spoke[scope] = 0
        await self._say([self._result(scope, now, symptom=symptom, error=text)], now)

    async def succeeded(self, *, now: datetime) -> None:
        """Note a complete reading: whatever was accused works again."""
        if not self._spoke:
            return
        await self._say([self._result(scope, now) for scope in sorted(self._spoke)], now)
        counted = {scope: good + 1 for scope, good in self._spoke.items()}
        self._spoke = {scope: good for scope, good in counted.items() if good < FAREWELL}

    async def _say(self, results: Sequence[ProbeResult], now: datetime) -> None:
        await self._take(self._tenant, results, source=self._source, now=now)

    def _result(
        self,
        scope: tuple[str, str],
        now: datetime,
        *,
        symptom: Symptom | None = None,
        error: str | None = None,
    ) -> ProbeResult:
        service, feature = scope
        probe = f"{self._source}-{feature}"
        return ProbeResult(
            id=SignalId(derived(self._tenant, "witness", probe, now.isoformat())),
            probe=probe,
            location=LOCATION,
            outcome=Outcome.OK if symptom is None else Outcome.FAILED,
            occurred_at=now,
            received_at=now,
            service=service,
            feature=feature,
            client=Client.GRAPH_API,
            symptom=symptom,
            error=None if error is None else error[:300],
        )
