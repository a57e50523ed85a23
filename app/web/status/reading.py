"""Reading what a status page is made of; how services stand comes from the console's board."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from app.core.events import EventType
from app.core.incident import Incident
from app.core.types import ActorKind, TenantId
from app.kit.clock import Clock
from app.store import events, incidents, maintenance
from app.store.engine import Database
from app.store.walls import stand_within
from app.web.boardview import Board, board_of
from app.web.incidentreading import parsed
from app.web.reading import Pictures, board_documents
from app.web.status.settings import TenantLike
from app.web.status.told import Said
from app.web.status.view import Material, StatusView, view_of
from app.web.status.words import read_words

MOST = 300  # incidents on the page, the newest
LIFECYCLE = (
    EventType.OPENED,
    EventType.CONFIRMED,
    EventType.MITIGATING,
    EventType.MONITORING,
    EventType.RESOLVED,
    EventType.REOPENED,
    EventType.DISMISSED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where it is read from; ``folder`` may hold the operator's own words."""

    db: Database
    clock: Clock
    pictures: Pictures
    folder: Path | None = None


async def read_status(sources: Sources, tenant: TenantLike) -> Mapping[str, StatusView]:
    """Read everything that a tenant's status page shows, in each of its languages.

    Returns:
        Language → view, the page's own language first.

    Raises:
        StorageUnavailable: the database cannot be reached.
    """
    stand_within([tenant.id])
    now = sources.clock.now()
    picture = await sources.pictures.read(TenantId(tenant.id))
    # No address of ours goes out with the page, so none is given to the documents.
    said = board_documents(picture, "")
    board = board_of(said["services"], said["sources"], said["incidents"], (), now)
    since = now - timedelta(days=tenant.status.history_days)
    material = await sources.db.read(lambda c: _material(c, tenant.id, board, since))
    return {
        language: view_of(
            material,
            tenant=tenant.id,
            name=tenant.status.name or tenant.label,
            release=tenant.status.release,
            services=tenant.status.services,
            words=read_words(language, sources.folder),
            now=now,
        )
        for language in tenant.status.languages
    }


def _material(c: Connection, tenant: str, board: Board, since: datetime) -> Material:
    owner = TenantId(tenant)
    recent = incidents.page(c, owner, incidents.Filters(since=since), None, MOST)
    known = {one.id for one in recent}
    old = incidents.page(c, owner, incidents.Filters(open=True, until=since), None, MOST)
    found = [*recent, *(one for one in old if one.id not in known)]
    told = [one for one in found if one.confirmed_at is not None or one.approvals or _public(one)]
    moments = events.moments(c, owner, [one.id for one in told], (*LIFECYCLE, EventType.NOTED))
    written = _written(c, owner, told, moments)
    numbers: dict[str, str] = {one.id: one.number for one in found}
    return Material(
        board=board,
        incidents=told,
        moments=[moment for moment in moments if moment.type is not EventType.NOTED],
        notes=written,
        windows=maintenance.since(c, since, tenant=owner),
        merged={
            one.number: numbers[one.merged_into]
            for one in found
            if one.merged_into is not None and one.merged_into in numbers
        },
    )


def _public(incident: Incident) -> list[tuple[datetime, str]]:
    return [(n.at, n.text) for n in incident.notes if n.visibility == "public"]


def _written(
    c: Connection,
    tenant: TenantId,
    found: Sequence[Incident],
    moments: Sequence[events.Moment],
) -> dict[str, list[Said]]:
    """The public notes that persons wrote here.

    Comments that a mirror brings are public to whoever reads the ticket, and go no further: the
    event of a note says who wrote it, and a note whose event is gone is not told.
    """
    public: dict[str, list[tuple[datetime, str]]] = {
        one.id: _public(one) for one in found if _public(one)
    }
    noted = [m for m in moments if m.type is EventType.NOTED and m.incident in public]
    by_person = {
        identity
        for identity, body in events.bodies(c, tenant, [m.id for m in noted]).items()
        if _by_person(parsed(body))
    }
    result: dict[str, list[Said]] = {}
    for moment in noted:
        left = public[moment.incident]
        note = next((one for one in left if one[0] == moment.occurred_at), None)
        if note is not None and moment.id in by_person:
            left.remove(note)  # two notes of one instant have an event each
            said = Said(id=moment.id, at=note[0], text=note[1])
            result.setdefault(moment.incident, []).append(said)
    return result


def _by_person(document: dict[str, Any]) -> bool:
    data = document["data"]
    is_public = (data.get("note") or {}).get("visibility") == "public"
    return is_public and data["actor"]["kind"] == ActorKind.PERSON.value
