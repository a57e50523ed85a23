"""Following the event log: what a mirror or a channel is concerned with, one durable stretch."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from app.core.incident import Incident
from app.core.types import TenantId
from app.store import events, incidents, links

EVENTS = 500  # of the log that one step follows

Concern = Callable[[Connection, Incident, datetime], None]


def followed(
    c: Connection,
    name: str,
    tenant: TenantId,
    known: links.Standing | None,
    newest: int,
    *,
    now: datetime,
    concern: Concern,
) -> bool:
    """Hand over every incident that something happened to, and move on; whether there is more.

    Who is new begins with what is open. The position moves in the transaction that ``concern``
    writes in, so nothing of the log is missed or taken twice.
    """
    if known is None:
        links.standing(c, name, tenant, now=now, position=newest, lock=True)
        for incident in incidents.living(c, tenant):
            concern(c, incident, now)
        return True
    place = links.standing(c, name, tenant, now=now, position=0, lock=True)
    found = events.after(c, tenant, place.position, EVENTS)
    for identity in sorted({e.incident for e in found if e.incident}):
        touched = incidents.get(c, tenant, identity)
        if touched is not None:
            concern(c, touched, now)
    if found:
        links.advance(c, name, found[-1].sequence)
    return len(found) == EVENTS
