"""Channels: by which ways people are told, and whether any of them can be relied on now."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection
from starlette.responses import Response

from app.api.deps import Context, Reader, resource, tenants_of
from app.api.v1.incidents import answer
from app.api.v1.schemas import Out
from app.core.announce import ChannelFacts
from app.core.incident import Incident
from app.core.independence import impairment, warnings_of, way_of
from app.core.types import TenantId
from app.store import incidents

router = resource("channels")


class ChannelOut(Out):
    """A channel. `state`: `doubtful` is touched only through what its services depend on."""

    tenant: str
    name: str
    kind: str
    audience: Literal["users", "help_desk", "executives", "soc"]
    language: str
    automatic: bool
    spare: bool
    depends_on: list[str]
    state: Literal["usable", "doubtful", "impaired"]
    service: str | None
    incidents: list[str]


class ChannelsOut(Out):
    """All channels; `warnings` say before an outage what would silence people. One page."""

    items: list[ChannelOut]
    warnings: list[str]
    next: None


@router.get("/channels", response_model=None, responses={200: {"model": ChannelsOut}})
async def list_channels(app: Context, caller: Reader) -> Response:
    """List the channels of the settings, and whether an open incident touches them."""
    mine = [tenant for tenant in app.settings.tenants if tenant.id in tenants_of(app, caller)]

    def work(c: Connection) -> dict[str, tuple[Incident, ...]]:
        return {tenant.id: incidents.living(c, TenantId(tenant.id)) for tenant in mine}

    living = await app.db.read(work)
    items: list[dict[str, Any]] = []
    warnings: list[str] = []
    for tenant in mine:
        facts = [channel.facts for channel in tenant.channels]
        warnings += warnings_of(facts)
        items += [_out(tenant.id, channel, living[tenant.id]) for channel in facts]
    return answer({"items": items, "warnings": warnings, "next": None})


def _out(tenant: str, channel: ChannelFacts, living: Sequence[Incident]) -> dict[str, Any]:
    found = impairment(way_of(channel), living)
    state = "usable"
    if found is not None:
        state = "impaired" if found.direct else "doubtful"
    return {
        "tenant": tenant,
        "name": channel.name,
        "kind": channel.kind,
        "audience": channel.audience.value,
        "language": channel.language,
        "automatic": channel.automatic,
        "spare": channel.spare,
        "depends_on": list(channel.depends_on),
        "state": state,
        "service": None if found is None else found.service,
        "incidents": [] if found is None else list(found.incidents),
    }
