"""Children: where it was asked for, a ticket under the incident's own for each further service.

A child gives the group of its service something of its own to work on. It is made once and never
written to: the ITSM itself lets children follow their parent, and what people do to one is theirs.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.core.catalogue import display_name
from app.core.incident import Incident
from app.core.link import ENDED_STATES, Link, Trigger
from app.core.ports import MirrorWord
from app.core.types import OPEN_STATUSES
from app.flow import held
from app.flow.terms import RECONCILE, Tools, after, backoff
from app.store import links

PARENT_AGAIN = timedelta(seconds=30)  # how often a child asks whether its parent has a ticket


def concern(
    c: Connection, tools: Tools, incident: Incident, *, now: datetime, due: datetime
) -> None:
    """Make the links of children that are missing, capped; when it is over, have them looked at."""
    mirror = tools.mirror.name
    if tools.terms.wants(incident):
        for service in incident.services[1 : 1 + tools.terms.children]:
            subject = f"{incident.id}.{service}"
            if links.newest(c, mirror, subject) is None:
                child = held.fresh(tools, subject, incident.id, generation=1, now=now, due_at=due)
                links.add(c, child)
    elif incident.status not in OPEN_STATUSES and len(incident.services) > 1:
        for link in links.of_incidents(c, incident.tenant, [incident.id]):
            if link.mirror == mirror and link.is_child:
                links.wake(c, link.id, now + tools.terms.poll)  # the parent first


def part_of(link: Link, incident: Incident) -> Incident:
    """An incident as the ticket of a link shows it: of a child its own service alone."""
    if not link.is_child:
        return incident
    service = link.subject.partition(".")[2]
    title = f"{display_name(service)}: {incident.title}"
    return replace(incident, services=(service,), title=title)


def parent_of(c: Connection, link: Link) -> str | None:
    """The ticket that a child belongs under; None while there is none."""
    above = links.newest(c, link.mirror, link.incident or "")
    return None if above is None else above.remote_id


def waits(link: Link, now: datetime) -> Link:
    """A child whose parent has no ticket yet."""
    why = "Waits for the ticket that it belongs under."
    return replace(link, explanation=why, due_at=now + PARENT_AGAIN)


async def look(tools: Tools, link: Link, incident: Incident) -> Link:
    """See how a child stands; nothing is written."""
    now = tools.clock.now()
    answer = await tools.mirror.read(link.remote_id or "")
    if answer.word is MirrorWord.ABSENT:
        why = "The ticket was deleted or hidden."
        state = after(link, Trigger.MISSING)
        return replace(link, state=state, explanation=why, due_at=now + RECONCILE)
    if answer.word is not MirrorWord.DONE:
        tries = link.memory.tries + 1
        memory = replace(link.memory, tries=tries)
        why = " ".join(filter(None, ("Waits:", answer.why, answer.remedy)))
        state = after(link, Trigger.UNREACHED)
        due = now + (answer.retry_after or backoff(tries))
        return replace(link, state=state, explanation=why, due_at=due, memory=memory)
    ticket = answer.tickets[0]
    base = {**link.memory.base, "version": ticket.version}
    link = replace(
        link, number=ticket.number, url=ticket.url, remote_state=ticket.state_text,
        last_synced_at=now, due_at=now + RECONCILE,
        memory=replace(link.memory, base=base, tries=0),
    )  # fmt: skip
    if incident.status in OPEN_STATUSES:
        why = "A child: it follows its parent, and Sextant writes nothing to it."
        return replace(link, state=after(link, Trigger.SYNCED), explanation=why)
    if ticket.state in ENDED_STATES:
        why = "Over on both sides."
        return replace(link, state=after(link, Trigger.FINISHED), explanation=why)
    why = "Over on our side; the ITSM left this child open, and a person decides."
    return replace(link, state=after(link, Trigger.HUMAN_WORKS), explanation=why)
