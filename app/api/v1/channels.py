"""Channels: by which ways people are told, and whether any of them can be relied on now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection
from starlette.responses import Response

from app.api.deps import Context, Reader, resource, tenants_of
from app.api.v1.incidents import answer
from app.api.v1.schemas import Out
from app.core.announce import ChannelFacts
from app.core.document import rfc3339
from app.core.incident import Incident
from app.core.independence import Way, impairment, warnings_of, way_of
from app.core.types import TenantId
from app.store import incidents, links

router = resource("channels")


class WayOut(Out):
    """A way to people or to an ITSM.

    `state` is about the services that it needs: `doubtful` is touched only through what these
    depend on. `health` is about itself: `failing` since `failing_since`, for the reason that
    `trouble` says; `unused` was never told anything.
    """

    tenant: str
    name: str
    depends_on: list[str]
    state: Literal["usable", "doubtful", "impaired"]
    service: str | None
    incidents: list[str]
    health: Literal["unused", "working", "failing"]
    failing_since: datetime | None
    trouble: str | None
    last_told_at: datetime | None


class ChannelOut(WayOut):
    """A channel, and how it stands."""

    kind: str
    audience: Literal["users", "help_desk", "executives", "soc"]
    language: str
    automatic: bool
    spare: bool


class MirrorOut(WayOut):
    """A mirror, and how it stands; `polled_at` is when the ITSM was last asked what changed."""

    system: str
    polled_at: datetime | None


class ChannelsOut(Out):
    """All channels and mirrors; `warnings` say before an outage what would silence people."""

    items: list[ChannelOut]
    mirrors: list[MirrorOut]
    warnings: list[str]
    next: None


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database knows of a tenant's ways, each by name."""

    living: Sequence[Incident]
    standings: Mapping[str, links.Standing]
    told_at: Mapping[str, datetime]


@router.get("/channels", response_model=None, responses={200: {"model": ChannelsOut}})
async def list_channels(app: Context, caller: Reader) -> Response:
    """List the channels and mirrors of the settings: what touches them, and whether they work."""
    mine = [tenant for tenant in app.settings.tenants if tenant.id in tenants_of(app, caller)]
    known = await app.db.read(lambda c: {t.id: _known(c, TenantId(t.id)) for t in mine})
    items: list[dict[str, Any]] = []
    mirrors: list[dict[str, Any]] = []
    warnings: list[str] = []
    for tenant in mine:
        facts = [channel.facts for channel in tenant.channels]
        warnings += warnings_of(facts)
        items += [_channel(tenant.id, channel, known[tenant.id]) for channel in facts]
        for mirror in tenant.mirrors:
            way = Way(name=mirror.name, depends_on=tuple(mirror.depends_on))
            at = known[tenant.id].standings.get(mirror.name)
            polled_at = rfc3339(at.polled_at) if at is not None else None
            more = {"system": mirror.system, "polled_at": polled_at}
            mirrors.append({**_way(tenant.id, way, known[tenant.id]), **more})
    return answer({"items": items, "mirrors": mirrors, "warnings": warnings, "next": None})


def _known(c: Connection, tenant: TenantId) -> _Known:
    return _Known(incidents.living(c, tenant), links.standings(c, tenant), links.told_at(c, tenant))


def _channel(tenant: str, channel: ChannelFacts, known: _Known) -> dict[str, Any]:
    return {
        **_way(tenant, way_of(channel), known),
        "kind": channel.kind,
        "audience": channel.audience.value,
        "language": channel.language,
        "automatic": channel.automatic,
        "spare": channel.spare,
    }


def _way(tenant: str, way: Way, known: _Known) -> dict[str, Any]:
    found, at = impairment(way, known.living), known.standings.get(way.name)
    state = "usable"
    if found is not None:
        state = "impaired" if found.direct else "doubtful"
    told_at = known.told_at.get(way.name)
    since = at.failing_since if at is not None else None
    well = "unused" if told_at is None else "working"
    return {
        "tenant": tenant,
        "name": way.name,
        "depends_on": list(way.depends_on),
        "state": state,
        "service": None if found is None else found.service,
        "incidents": [] if found is None else list(found.incidents),
        "health": well if since is None else "failing",
        "failing_since": rfc3339(since),
        "trouble": at.trouble if at is not None and since is not None else None,
        "last_told_at": rfc3339(told_at),
    }
