"""Probes: how each check stands at each location."""

from datetime import datetime

from fastapi import Request

from app.api.deps import Context, Reader, resource, tenants_of
from app.api.picture import Pictures, ProbeState
from app.api.v1.schemas import Out
from app.core.types import Condition, Outcome, SelfCheck, TenantId

router = resource("probes")


class ProbeOut(Out):
    """One check at one location; `stale` says that no result came when one was due.

    What was measured is there for checks that Sextant runs itself.
    """

    tenant: str
    probe: str
    location: str
    service: str
    feature: str | None
    client: str | None
    region: str | None
    condition: Condition
    stale: bool
    symptom: str | None
    outcome: Outcome | None
    http_status: int | None
    error: str | None
    latency_ms: float | None
    self_check: SelfCheck | None
    last_at: datetime | None
    failing_since: datetime | None
    failure_rate: float


class ProbeList(Out):
    """All checks."""

    items: list[ProbeOut]
    next: None


@router.get("/probes", summary="List the checks and how they stand")
async def list_probes(request: Request, app: Context, caller: Reader) -> ProbeList:
    """List every check at every location that gave a result lately."""
    pictures: Pictures = request.app.state.pictures
    found = [
        _shown(tenant, state)
        for tenant in tenants_of(app, caller)
        for state in await pictures.probes(tenant)
    ]
    return ProbeList(items=found, next=None)


def _shown(tenant: TenantId, state: ProbeState) -> ProbeOut:
    track = state.track
    minute = max(track.minutes, default=None)
    newest = state.newest
    symptom = None if minute is None else track.minutes[minute].symptom
    return ProbeOut(
        tenant=tenant,
        probe=track.probe,
        location=track.location,
        service=track.service,
        feature=track.feature,
        client=track.client,
        region=track.region,
        condition=state.condition,
        stale=state.stale,
        symptom=symptom if newest is None else newest.symptom,
        outcome=None if newest is None else newest.outcome,
        http_status=None if newest is None else newest.http_status,
        error=None if newest is None else newest.error,
        latency_ms=None if newest is None else newest.latency_ms,
        self_check=None if newest is None else newest.self_check,
        last_at=state.last_at,
        failing_since=state.failing_since,
        failure_rate=round(track.failure_rate, 6),
    )
