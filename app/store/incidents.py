"""Incidents: rows to filter by, and the whole state as the core knows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    delete,
    false,
    func,
    insert,
    literal_column,
    select,
    text,
    true,
    tuple_,
)
from sqlalchemy.sql import Select

from app.core.incident import Incident
from app.core.types import OPEN_STATUSES, Severity, Status, TenantId
from app.store.tables import LIVING, IncidentRow

T = IncidentRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Incident)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a list of incidents is narrowed to; None or an empty tuple narrows nothing."""

    statuses: tuple[Status, ...] = ()
    services: tuple[str, ...] = ()
    severity: Severity | None = None
    symptom: str | None = None
    region: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    q: str | None = None
    open: bool | None = None


def _row(incident: Incident) -> dict[str, Any]:
    def flat(names: Sequence[str]) -> str:
        return f",{','.join(names)}," if names else ""

    return {
        "tenant": incident.tenant,
        "id": incident.id,
        "number": incident.number,
        "revision": incident.revision,
        "status": incident.status.value,
        "is_open": incident.status in OPEN_STATUSES,
        "severity": int(incident.severity),
        "services": flat(incident.services),
        "symptoms": flat([s.value for s in incident.symptoms]),
        "regions": flat(incident.regions),
        "title": incident.title,
        "opened_at": incident.opened_at,
        "updated_at": incident.updated_at,
        "closed_at": incident.closed_at,
        "merged_into": incident.merged_into,
        "state": _ENCODER.encode(incident),
    }


def put(c: Connection, incidents: Sequence[Incident]) -> None:
    """Store the state of incidents, in place of what was known of them."""
    known: dict[tuple[str, str], Incident] = {(one.tenant, one.id): one for one in incidents}
    for tenant in dict.fromkeys(tenant for tenant, _ in known):
        ids = [identity for owner, identity in known if owner == tenant]
        c.execute(delete(T).where(T.c.tenant == tenant, T.c.id.in_(ids)))
    if known:
        c.execute(insert(T), [_row(one) for one in known.values()])


def get(c: Connection, tenant: TenantId, incident: str) -> Incident | None:
    """One incident, or None."""
    query = select(T.c.state).where(T.c.tenant == tenant, T.c.id == incident)
    state = c.execute(query).scalar_one_or_none()
    return None if state is None else _DECODER.decode(state)


def living(c: Connection, tenant: TenantId) -> tuple[Incident, ...]:
    """Every incident that is neither closed nor merged, oldest first."""
    # SQLite takes the index of the list, which has the same columns and all the ended ones.
    source = (
        "incidents INDEXED BY ix_incidents_living" if c.dialect.name == "sqlite" else "incidents"
    )
    query = select(literal_column("state", T.c.state.type)).select_from(text(source))
    query = query.where(text(f"tenant = :tenant AND {LIVING}")).order_by(text("opened_at, id"))
    return tuple(_DECODER.decode(state) for state in c.execute(query, {"tenant": tenant}).scalars())


def page(
    c: Connection,
    tenant: TenantId,
    filters: Filters,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Incident]:
    """A page of incidents, newest first; ``after`` is (opened_at, id) of the last one had."""
    query = _filtered(select(T.c.state).where(T.c.tenant == tenant), filters)
    if _only_open(filters):
        query = query.where(T.c.is_open == true())
    keys = _keys(c, filters)
    if after is not None:
        query = query.where(tuple_(*keys) < tuple_(*after))
    query = query.order_by(*(key.desc() for key in keys)).limit(limit)
    return [_DECODER.decode(state) for state in c.execute(query).scalars()]


def _keys(c: Connection, filters: Filters) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """What a page is ordered by."""
    if c.dialect.name == "sqlite" and _only_open(filters):
        # Or it would go through the index of the list, past all that have ended.
        return literal_column("+opened_at", T.c.opened_at.type), literal_column("+id", T.c.id.type)
    return T.c.opened_at, T.c.id


def _only_open(filters: Filters) -> bool:
    asked = set(filters.statuses)
    return filters.open is True or bool(asked and asked <= OPEN_STATUSES)


def _filtered(query: Select[Any], filters: Filters) -> Select[Any]:
    if filters.statuses:
        query = query.where(T.c.status.in_([s.value for s in filters.statuses]))
    for service in filters.services:
        query = query.where(T.c.services.contains(f",{service},", autoescape=True))
    if filters.severity is not None:
        query = query.where(T.c.severity == int(filters.severity))
    if filters.symptom:
        query = query.where(T.c.symptoms.contains(f",{filters.symptom},", autoescape=True))
    if filters.region:
        query = query.where(T.c.regions.contains(f",{filters.region},", autoescape=True))
    if filters.since is not None:
        query = query.where(T.c.opened_at >= filters.since)
    if filters.until is not None:
        query = query.where(T.c.opened_at < filters.until)
    if filters.q:
        words = func.lower(T.c.title + " " + T.c.number)
        query = query.where(words.contains(filters.q.lower(), autoescape=True))
    if filters.open is False:
        query = query.where(T.c.is_open == false())
    return query
