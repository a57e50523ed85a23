"""What a link's two ends need of the database: events that the ticket has not heard, facts."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection

from app.core.events import EventType
from app.core.incident import Incident
from app.core.link import Link
from app.core.telling import Told, note_of
from app.flow import held
from app.store import advisories, events, incidents, links

EVENTS = 500  # of one incident that one note tells


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """Events that the ticket has not heard of."""

    note: str
    last: int
    reopened: bool
    parent: str


def unheard_by(c: Connection, link: Link, incident: Incident) -> Unheard:
    """Gather what the ticket has not heard; a summary ticket hears by its description."""
    if link.incident is None:
        return Unheard(note="", last=0, reopened=False, parent="")
    told = told_since(c, link)
    posts = {}
    for advisory in incident.advisories:
        stored = advisories.get(c, link.tenant, advisory.id)
        if stored is not None and stored.advisory.posts:
            newest = max(stored.advisory.posts, key=lambda post: post.created_at)
            posts[advisory.id] = newest.text
    above = links.newest(c, link.mirror, incident.merged_into) if incident.merged_into else None
    return Unheard(
        note=note_of(told, mirror=link.mirror, posts=posts),
        last=told[-1].sequence if told else link.memory.told,
        reopened=any(e.type == EventType.REOPENED for e in told),
        parent=(above.remote_id or "") if above is not None else "",
    )


def told_since(c: Connection, link: Link) -> tuple[Told, ...]:
    """Events of its incident that a link has not heard of, oldest first."""
    found = events.of_incident(c, link.tenant, link.incident or "", link.memory.told, EVENTS)
    return tuple(
        Told(id=e.id, sequence=e.sequence, type=e.type.value, document=json.loads(e.body))
        for e in found
    )


def facts_of(link: Link) -> dict[str, object]:
    """What ``link.conflict`` says of a link."""
    return {
        "link": {
            "id": link.id,
            "incident": link.incident,
            "mirror": link.mirror,
            "system": link.system,
            "number": link.number,
            "remote_state": link.remote_state,
            "explanation": link.explanation,
        }
    }


def incident_of(c: Connection, link: Link) -> Incident | None:
    """What a link is about, as an incident."""
    if link.incident is None:
        return held.summary_of(c, link)
    return incidents.get(c, link.tenant, link.incident)
