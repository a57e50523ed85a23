"""Probes: how each check stands at each location."""

from datetime import datetime

from fastapi import Request

from app.api.deps import Context, Reader, resource, tenants_of
from app.api.picture import Pictures, ProbeState
from app.api.v1.schemas import Out
from app.core.types import Condition, TenantId

router = resource("probes")


class ProbeOut(Out):
    """One check at one location; `stale` says that no result came when one was due."""

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
    newest = max(track.minutes, default=None)
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
        symptom=None if newest is None else track.minutes[newest].symptom,
        last_at=state.last_at,
        failing_since=state.failing_since,
        failure_rate=round(track.failure_rate, 6),
    )
