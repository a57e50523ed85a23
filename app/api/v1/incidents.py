"""Incidents: the list, one incident, and what it rests on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Header, Path, Query
from pydantic import BeforeValidator
from sqlalchemy import Connection
from starlette.responses import Response

from app.api.context import App
from app.api.deps import Context, Principal, Reader, etag, problems, resource, tenants_of
from app.api.paging import Cursor, Limit, Pager
from app.api.v1.schemas import (
    EventPage,
    EvidenceOut,
    IncidentOut,
    IncidentPage,
    Instant,
    SeverityWord,
)
from app.core.errors import NotFound
from app.core.evidence import for_outsiders
from app.core.incident import Incident
from app.core.link import Link
from app.core.types import Status, Symptom, TenantId, severity_of
from app.flow.links import shown_by
from app.formats.native_v1 import incident_document
from app.store import events, evidence, incidents, links
from app.store.incidents import Filters

router = resource("incidents")

IncidentId = Annotated[
    str, Path(min_length=1, max_length=64, description="Such as `inc_…`.", alias="incident_id")
]
REVALIDATE = "private, no-cache"  # may be kept, must be asked about


def answer(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON; what events and webhooks show is encoded by the same encoder."""
    return Response(
        msgspec.json.encode(body), status, headers=headers, media_type="application/json"
    )


def shown(
    app: App,
    incident: Incident,
    *,
    status: int = 200,
    extra: dict[str, str] | None = None,
    linked: Sequence[dict[str, Any]] = (),
) -> Response:
    """Answer with one incident and its ETag."""
    document = incident_document(incident, public_url=app.public_url)
    document["links"] = list(linked)
    headers = {"etag": etag(incident.revision), "cache-control": REVALIDATE, **(extra or {})}
    return answer(document, status=status, headers=headers)


async def find(app: App, caller: Principal, incident_id: str) -> Incident:
    """The incident of that id that the caller may see.

    Raises:
        NotFound: there is none; another tenant's looks the same as none.
    """
    tenants = tenants_of(app, caller)

    def work(c: Connection) -> Incident | None:
        found = (incidents.get(c, tenant, incident_id) for tenant in tenants)
        return next((incident for incident in found if incident is not None), None)

    incident = await app.db.read(work)
    if incident is None:
        raise NotFound
    return incident


def _split(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [word for item in value for word in str(item).split(",")]


async def wanted(  # noqa: PLR0917 - the framework calls it, by name
    status: Annotated[
        list[Status] | None,
        Query(description="Any of these; repeated, or separated by commas."),
        BeforeValidator(_split),
    ] = None,
    service: Annotated[
        list[str] | None,
        Query(max_length=20, description="All of these slugs; repeated, or separated by commas."),
        BeforeValidator(_split),
    ] = None,
    severity: Annotated[SeverityWord | None, Query(description="Exactly this severity.")] = None,
    symptom: Symptom | None = None,
    region: Annotated[str | None, Query(max_length=100)] = None,
    since: Annotated[Instant | None, Query(description="Opened at this or later.")] = None,
    until: Annotated[Instant | None, Query(description="Opened before this.")] = None,
    q: Annotated[str | None, Query(max_length=200, description="Part of title or number.")] = None,
    open_: Annotated[
        bool | None, Query(alias="open", description="Whether the incident is open.")
    ] = None,
) -> Filters:
    """The filters of a list."""
    return Filters(
        statuses=tuple(status or ()),
        services=tuple(service or ()),
        severity=None if severity is None else severity_of(severity),
        symptom=symptom,
        region=region,
        since=since,
        until=until,
        q=q,
        open=open_,
    )


@router.get(
    "/incidents",
    response_model=None,
    responses={200: {"model": IncidentPage}},
    summary="List incidents, newest first",
)
async def list_incidents(
    app: Context,
    caller: Reader,
    filters: Annotated[Filters, Depends(wanted)],
    limit: Limit,
    cursor: Cursor = None,
) -> Response:
    """List incidents, newest first; a page goes on exactly where the one before ended."""
    bound = msgspec.to_builtins(filters)
    pager = Pager(app.secret, "incidents", tenant=caller.tenant, filters=bound)
    position = pager.read(cursor)
    after = None if position is None else (datetime.fromisoformat(position[0]), position[1])
    tenants = tenants_of(app, caller)

    def work(c: Connection) -> list[Incident]:
        found = [
            incident
            for tenant in tenants
            for incident in incidents.page(c, tenant, filters, after, limit + 1)
        ]
        return sorted(found, key=lambda i: (i.opened_at, i.id), reverse=True)

    rows = await app.db.read(work)
    items, following = pager.page(rows, limit, lambda i: [i.opened_at.isoformat(), i.id])
    linked = await _linked(app, items)
    documents = [
        {**incident_document(item, public_url=app.public_url), "links": linked.get(item.id, [])}
        for item in items
    ]
    return answer({"items": documents, "next": following})


@router.get(
    "/incidents/{incident_id}",
    response_model=None,
    responses={200: {"model": IncidentOut}, 304: {"description": "Unchanged."}, **problems(404)},
    summary="Read one incident",
)
async def read_incident(
    incident_id: IncidentId,
    app: Context,
    caller: Reader,
    if_none_match: Annotated[str | None, Header(description="The ETag last read.")] = None,
) -> Response:
    """Read one incident; one that was merged says so in `merged_into`."""
    incident = await find(app, caller, incident_id)
    tag = etag(incident.revision)
    linked = (await _linked(app, [incident])).get(incident.id, [])
    # Links move without a new revision, so an incident that has some is never "unchanged".
    if not linked and if_none_match is not None and _names(if_none_match, tag):
        return Response(status_code=304, headers={"etag": tag, "cache-control": REVALIDATE})
    return shown(app, incident, linked=linked)


@router.get(
    "/incidents/{incident_id}/timeline",
    response_model=None,
    responses={200: {"model": EventPage}, **problems(404)},
    summary="List the events of an incident, oldest first",
)
async def read_timeline(
    incident_id: IncidentId, app: Context, caller: Reader, limit: Limit, cursor: Cursor = None
) -> Response:
    """List what happened to an incident, oldest first, in the words of the event log."""
    incident = await find(app, caller, incident_id)
    pager = Pager(app.secret, "timeline", tenant=incident.tenant, filters={"id": incident.id})
    after: int = pager.read(cursor) or 0
    rows = await app.db.read(
        lambda c: events.of_incident(c, incident.tenant, incident.id, after, limit + 1)
    )
    items, following = pager.page(rows, limit, lambda event: event.sequence)
    return answer({"items": [msgspec.Raw(item.body) for item in items], "next": following})


@router.get(
    "/incidents/{incident_id}/evidence",
    response_model=None,
    responses={200: {"model": EvidenceOut}, **problems(404)},
    summary="Read what an incident rests on",
)
async def read_evidence(incident_id: IncidentId, app: Context, caller: Reader) -> Response:
    """Read the cells with their counts per minute and exemplars, and the linked advisories.

    An operator's key, which is outside the tenant, sees no cell of fewer than five people and no
    sample messages; `withheld` counts the cells that were left out.
    """
    incident = await find(app, caller, incident_id)
    body = await app.db.read(lambda c: evidence.get(c, incident.tenant, incident.id))
    if caller.operator and body is not None:
        return answer(for_outsiders(msgspec.json.decode(body)))
    return answer({"advisories": [], "cells": []} if body is None else msgspec.Raw(body))


async def _linked(app: App, found: Sequence[Incident]) -> dict[str, list[dict[str, Any]]]:
    """What is shown of the links of some incidents, by the incident's id."""

    def work(c: Connection) -> list[Link]:
        by_tenant: dict[TenantId, list[str]] = {}
        for incident in found:
            by_tenant.setdefault(incident.tenant, []).append(incident.id)
        return [
            link for tenant, ids in by_tenant.items() for link in links.of_incidents(c, tenant, ids)
        ]

    return shown_by(await app.db.read(work))


def _names(header: str, tag: str) -> bool:
    candidates = {part.strip().removeprefix("W/") for part in header.split(",")}
    return tag in candidates or "*" in candidates
