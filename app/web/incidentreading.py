"""Reading one incident: from the store to the documents that its pages take."""

from typing import Any

import msgspec
from sqlalchemy import Connection

from app.core.advisory import condition_of
from app.core.document import incident_document, rfc3339
from app.core.evidence import for_outsiders
from app.core.incident import Incident
from app.core.link import Link
from app.core.types import Status, TenantId
from app.flow.links import shown_by
from app.store import advisories, deliveries, events, evidence, incidents, links, subscriptions
from app.store.advisories import StoredAdvisory
from app.store.deliveries import Delivery

Document = dict[str, Any]

EVENTS = 200  # newest events of one incident on its page
DELIVERIES = 20  # newest deliveries of one incident on its page
LOOSE = 100  # advisories to choose from for a pin
RECEIVERS = 500  # subscriptions whose addresses are looked up
OVER = frozenset({Status.CLOSED, Status.DISMISSED, Status.MERGED})


def parsed(body: bytes | str | None) -> Document:
    """Read a stored JSON document; nothing stored is an empty one."""
    document: Document = msgspec.json.decode(body) if body else {}
    return document


def drawn(
    c: Connection, tenant: str, incident_id: str, public_url: str, *, outside: bool = False
) -> dict[str, Any] | None:
    """What the picture of one incident is made of, as keyword arguments; None if unknown.

    ``outside``: whoever looks is not of the tenant, and sees no group under five people.
    """
    owner = TenantId(tenant)
    incident = incidents.get(c, owner, incident_id)
    if incident is None:
        return None
    return _drawn(c, incident, public_url, outside=outside)


def _drawn(
    c: Connection, incident: Incident, public_url: str, *, outside: bool
) -> dict[str, Document | list[Document]]:
    log = events.newest_of_incident(c, incident.tenant, incident.id, EVENTS)
    known = advisories.by_ids(c, incident.tenant, [a.id for a in incident.advisories])
    return {
        "incident": incident_document(incident, public_url=public_url),
        "evidence": evidence_of(c, incident.tenant, incident.id, outside=outside),
        "events": [parsed(event.body) for event in log],
        "advisories": [advisory_document(stored) for stored in known.values()],
    }


def one_incident(
    c: Connection, tenant: str, incident_id: str, public_url: str, *, outside: bool = False
) -> dict[str, Any] | None:
    """Everything that the page of one incident shows, as keyword arguments; None if unknown."""
    owner = TenantId(tenant)
    incident = incidents.get(c, owner, incident_id)
    if incident is None:
        return None
    shown: dict[str, Any] = _drawn(c, incident, public_url, outside=outside)
    tickets = links.of_incidents(c, owner, [incident_id])
    shown["incident"]["links"] = shown_by(tickets).get(incident_id, [])
    return {
        **shown,
        "notes": [
            {"at": note.at, "by": note.by, "text": note.text, "visibility": note.visibility}
            for note in incident.notes
        ],
        "tickets": [link_document(link) for link in tickets],
        "deliveries": _deliveries(c, owner, incident_id),
        "others": _others(c, owner, incident),
        "loose": _loose(c, owner, incident),
    }


def evidence_of(c: Connection, tenant: str, incident_id: str, *, outside: bool) -> Document:
    """The evidence document of an incident, as far as whoever looks may see it."""
    document = parsed(evidence.get(c, TenantId(tenant), incident_id))
    return for_outsiders(document) if outside and document else document


def _others(c: Connection, tenant: TenantId, incident: Incident) -> list[Document]:
    """The incidents into which this one may be merged, newest first."""
    living = sorted(incidents.living(c, tenant), key=lambda one: one.opened_at, reverse=True)
    return [
        {"id": one.id, "number": one.number, "title": one.title}
        for one in living
        if one.id != incident.id and one.status not in OVER
    ]


def _loose(c: Connection, tenant: TenantId, incident: Incident) -> list[Document]:
    """The open advisories that are not linked to this incident."""
    linked = {advisory.id for advisory in incident.advisories}
    found = advisories.page(c, tenant, limit=LOOSE, is_resolved=False)
    return [
        {"id": one.advisory.vendor_id, "title": one.advisory.title}
        for one in found
        if one.advisory.vendor_id not in linked
    ]


def _deliveries(c: Connection, tenant: TenantId, incident_id: str) -> list[Document]:
    found = deliveries.page(c, tenant, incident=incident_id, limit=DELIVERIES)
    urls = {one.id: one.url for one in subscriptions.page(c, tenant, after=None, limit=RECEIVERS)}
    return [delivery_document(one, urls.get(one.subscription, "")) for one in found]


def delivery_document(one: Delivery, url: str) -> Document:
    """What the pages show of a delivery; ``url`` is its receiver's, empty when that is gone."""
    return {
        "id": one.id,
        "subscription": one.subscription,
        "url": url,
        "event": one.event,
        "event_type": one.event_type,
        "incident": one.incident,
        "state": one.state,
        "reason": one.reason,
        "attempts": one.attempts,
        "created_at": rfc3339(one.created_at),
        "due_at": rfc3339(one.due_at) if one.state == deliveries.PENDING else None,
        "done_at": rfc3339(one.done_at),
        "superseded_by": one.superseded_by,
        "replay": one.replay,
    }


def link_document(link: Link) -> Document:
    """What the pages show of a ticket."""
    return {
        "id": link.id,
        "incident": link.incident,
        "mirror": link.mirror,
        "system": link.system,
        "generation": link.generation,
        "number": link.number,
        "url": link.url,
        "remote_state": link.remote_state,
        "state": link.state.value,
        "explanation": link.explanation,
        "created_at": rfc3339(link.created_at),
        "last_synced_at": rfc3339(link.last_synced_at),
    }


def advisory_document(stored: StoredAdvisory) -> Document:
    """What the page of an incident shows of an advisory."""
    advisory = stored.advisory
    return {
        "id": advisory.vendor_id,
        "service": advisory.service,
        "service_name": advisory.service_name,
        "classification": advisory.classification,
        "status": advisory.status,
        "condition": condition_of(advisory.status).value,
        "title": advisory.title,
        "impact_description": advisory.impact_description,
        "withdrawn": advisory.withdrawn,
        "started_at": rfc3339(advisory.started_at),
        "stated_started_at": rfc3339(advisory.stated_started_at),
        "published_at": rfc3339(advisory.published_at),
        "first_seen_at": rfc3339(advisory.first_seen_at),
        "posts": [
            {
                "id": post.id,
                "created_at": rfc3339(post.created_at),
                "type": post.type,
                "html": post.html,
            }
            for post in advisory.posts
        ],
    }
