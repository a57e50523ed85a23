"""Services: the board, one line per service with the word of each source."""

from datetime import datetime

from fastapi import Request

from app.api.deps import Context, Reader, resource, tenants_of
from app.api.picture import Pictures
from app.api.v1.schemas import Out
from app.core.board import ServiceStanding, SourceWord, board
from app.core.catalogue import SERVICES
from app.core.types import Condition, SourceKind, TenantId

router = resource("services")


class SourceWordOut(Out):
    """One source's word; ``as_of`` is null when it never spoke."""

    condition: Condition
    as_of: datetime | None


class SourceWordsOut(Out):
    """The three sightings."""

    advisory: SourceWordOut
    probe: SourceWordOut
    client_report: SourceWordOut


class ServiceOut(Out):
    """How one service stands; the condition is the worst of what is known."""

    service: str
    name: str
    tenant: str
    condition: Condition
    sources: SourceWordsOut
    incidents: list[str]


class Board(Out):
    """All services of the catalogue."""

    items: list[ServiceOut]
    next: None


@router.get("/services", summary="Read the board")
async def read_board(request: Request, app: Context, caller: Reader) -> Board:
    """Read how every service stands, by each of the three sources; unknown is never healthy."""
    pictures: Pictures = request.app.state.pictures
    services = {service.slug: service.name for service in SERVICES}
    lines = []
    for tenant in tenants_of(app, caller):
        picture = await pictures.read(tenant)
        standings = board(
            services,
            incidents=picture.incidents,
            sightings=picture.sightings(),
            standings=picture.standings(),
        )
        lines += [_line(tenant, standing) for standing in standings]
    return Board(items=lines, next=None)


def _line(tenant: TenantId, standing: ServiceStanding) -> ServiceOut:
    return ServiceOut(
        service=standing.service,
        name=standing.name,
        tenant=tenant,
        condition=standing.condition,
        sources=SourceWordsOut(
            advisory=_word(standing.sources[SourceKind.ADVISORY]),
            probe=_word(standing.sources[SourceKind.PROBE]),
            client_report=_word(standing.sources[SourceKind.CLIENT_REPORT]),
        ),
        incidents=list(standing.incidents),
    )


def _word(word: SourceWord) -> SourceWordOut:
    return SourceWordOut(condition=word.condition, as_of=word.as_of)
