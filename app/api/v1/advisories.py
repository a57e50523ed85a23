"""Advisories: the vendor's own record of trouble, normalized."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from sqlalchemy import Connection
from starlette.responses import Response

from app.api.context import App
from app.api.deps import Context, Principal, Reader, etag, problems, resource, tenants_of
from app.api.paging import Cursor, Limit, Pager
from app.api.v1.incidents import IncidentId, answer, find
from app.api.v1.schemas import Out
from app.core.advisory import condition_of
from app.core.document import rfc3339
from app.core.errors import NotFound
from app.core.signal import Advisory, Understood
from app.core.types import Client, Condition, Symptom, TenantId
from app.store import advisories
from app.store.advisories import StoredAdvisory

router = resource("advisories")


class UnderstoodOut(Out):
    """What the wording says; ``words`` names for each what it rests on."""

    services: list[str]
    features: list[str]
    clients: list[Client]
    symptoms: list[Symptom]
    regions: list[str]
    cause: str | None
    cause_category: str | None
    mitigation: str | None
    mitigation_category: str | None
    next_update_at: datetime | None
    words: dict[str, str]


class PostOut(Out):
    """One post; ``text`` is plain and may hold ``<``, ``html`` is sanitized."""

    id: str
    created_at: datetime
    type: str
    text: str
    html: str


class DetailOut(Out):
    """One more fact that the vendor gives, by its own name."""

    name: str
    value: str


class AdvisorySummaryOut(Out):
    """One advisory, as lists show it."""

    id: str
    tenant: str
    service: str
    service_name: str
    feature: str | None
    feature_group: str | None
    classification: str
    status: str
    condition: Condition
    origin: str
    title: str
    impact_description: str
    is_resolved: bool
    high_impact: bool | None
    started_at: datetime
    stated_started_at: datetime | None
    ended_at: datetime | None
    published_at: datetime | None
    last_modified_at: datetime
    first_seen_at: datetime
    withdrawn: bool
    understood: UnderstoodOut
    details: list[DetailOut]
    incidents: list[str]
    revision: int


class AdvisoryOut(AdvisorySummaryOut):
    """One advisory with its posts, oldest first."""

    posts: list[PostOut]


class AdvisoryPage(Out):
    """One page of advisories, the last modified first."""

    items: list[AdvisorySummaryOut]
    next: str | None


class AdvisoryList(Out):
    """The advisories of one incident."""

    items: list[AdvisoryOut]
    next: None


@router.get(
    "/advisories",
    response_model=None,
    responses={200: {"model": AdvisoryPage}},
    summary="List advisories, the last modified first",
)
async def list_advisories(
    *,
    app: Context,
    caller: Reader,
    limit: Limit,
    service: Annotated[list[str] | None, Query(max_length=20, description="Any of these.")] = None,
    is_resolved: bool | None = None,
    cursor: Cursor = None,
) -> Response:
    """List advisories without their posts, the last modified first."""
    bound = {"service": service, "is_resolved": is_resolved}
    pager = Pager(app.secret, "advisories", tenant=caller.tenant, filters=bound)
    # Per tenant, because several tenants have the same advisory with the same stamp.
    position: dict[str, list[str]] = pager.read(cursor) or {}

    def work(c: Connection) -> list[tuple[TenantId, StoredAdvisory]]:
        return [
            (tenant, stored)
            for tenant in tenants_of(app, caller)
            for stored in advisories.page(
                c,
                tenant,
                limit=limit + 1,
                after=_after(position.get(tenant)),
                services=service or (),
                is_resolved=is_resolved,
            )
        ]

    rows = sorted(await app.db.read(work), key=_order)
    items = rows[:limit]
    for tenant, stored in items:
        advisory = stored.advisory
        position[tenant] = [advisory.last_modified_at.isoformat(), advisory.vendor_id]
    following = pager.write(position) if len(rows) > limit else None
    documents = [advisory_document(tenant, stored) for tenant, stored in items]
    return answer({"items": documents, "next": following})


@router.get(
    "/advisories/{advisory_id}",
    response_model=None,
    responses={200: {"model": AdvisoryOut}, **problems(404)},
    summary="Read one advisory with its posts",
)
async def read_advisory(
    advisory_id: Annotated[str, Path(min_length=1, max_length=100)], app: Context, caller: Reader
) -> Response:
    """Read one advisory by the vendor's id."""
    tenant, stored = await _find(app, caller, advisory_id)
    document = advisory_document(tenant, stored, posts=True)
    return answer(document, headers={"etag": etag(stored.revision)})


@router.get(
    "/incidents/{incident_id}/advisories",
    response_model=None,
    responses={200: {"model": AdvisoryList}, **problems(404)},
    summary="List the advisories of an incident with their posts",
    tags=["incidents"],
)
async def read_incident_advisories(
    incident_id: IncidentId, app: Context, caller: Reader
) -> Response:
    """List the advisories that belong to an incident, with their posts."""
    incident = await find(app, caller, incident_id)
    linked = [advisory.id for advisory in incident.advisories]
    found = await app.db.read(lambda c: advisories.by_ids(c, incident.tenant, linked))
    documents = [
        advisory_document(incident.tenant, found[vendor_id], posts=True)
        for vendor_id in linked
        if vendor_id in found
    ]
    return answer({"items": documents, "next": None})


def advisory_document(
    tenant: TenantId, stored: StoredAdvisory, *, posts: bool = False
) -> dict[str, Any]:
    """Write an advisory as the API shows it."""
    advisory = stored.advisory
    document: dict[str, Any] = {
        "id": advisory.vendor_id,
        "tenant": tenant,
        "service": advisory.service,
        "service_name": advisory.service_name,
        "feature": advisory.feature,
        "feature_group": advisory.feature_group,
        "classification": advisory.classification,
        "status": advisory.status,
        "condition": condition_of(advisory.status).value,
        "origin": advisory.origin,
        "title": advisory.title,
        "impact_description": advisory.impact_description,
        "is_resolved": advisory.is_resolved,
        "high_impact": advisory.high_impact,
        **_times(advisory),
        "withdrawn": advisory.withdrawn,
        "understood": understood_of(advisory.understood),
        "details": [{"name": name, "value": value} for name, value in advisory.details],
        "incidents": list(stored.incidents),
        "revision": stored.revision,
    }
    if posts:
        document["posts"] = posts_of(advisory)
    return document


def posts_of(advisory: Advisory) -> list[dict[str, Any]]:
    """Write the posts as the API shows them."""
    return [
        {
            "id": post.id,
            "created_at": rfc3339(post.created_at),
            "type": post.type,
            "text": post.text,
            "html": post.html,
        }
        for post in advisory.posts
    ]


def _after(position: list[str] | None) -> tuple[datetime, str] | None:
    return None if position is None else (datetime.fromisoformat(position[0]), position[1])


async def _find(app: App, caller: Principal, advisory_id: str) -> tuple[TenantId, StoredAdvisory]:
    tenants = tenants_of(app, caller)

    def work(c: Connection) -> tuple[TenantId, StoredAdvisory] | None:
        found = ((tenant, advisories.get(c, tenant, advisory_id)) for tenant in tenants)
        return next(((tenant, stored) for tenant, stored in found if stored is not None), None)

    found = await app.db.read(work)
    if found is None:
        raise NotFound
    return found


def _order(row: tuple[TenantId, StoredAdvisory]) -> tuple[float, str, str]:
    tenant, stored = row
    advisory = stored.advisory
    return -advisory.last_modified_at.timestamp(), advisory.vendor_id, tenant


def _times(advisory: Advisory) -> dict[str, Any]:
    return {
        "started_at": rfc3339(advisory.started_at),
        "stated_started_at": rfc3339(advisory.stated_started_at),
        "ended_at": rfc3339(advisory.ended_at),
        "published_at": rfc3339(advisory.published_at),
        "last_modified_at": rfc3339(advisory.last_modified_at),
        "first_seen_at": rfc3339(advisory.first_seen_at),
    }


def understood_of(understood: Understood) -> dict[str, Any]:
    """Write what the wording says as the API shows it."""
    return {
        "services": list(understood.services),
        "features": list(understood.features),
        "clients": [client.value for client in understood.clients],
        "symptoms": [symptom.value for symptom in understood.symptoms],
        "regions": list(understood.regions),
        "cause": understood.cause,
        "cause_category": understood.cause_category,
        "mitigation": understood.mitigation,
        "mitigation_category": understood.mitigation_category,
        "next_update_at": rfc3339(understood.next_update_at),
        "words": dict(understood.words or {}),
    }
