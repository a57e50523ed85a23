"""Rulings: what a person said belongs together or apart; kept in the state, so that it holds."""

from dataclasses import replace

from app.core.commands import number_of
from app.core.desk import Desk
from app.core.errors import IllegalTransition, InvalidInput, NotFound
from app.core.events import Actor, EventType
from app.core.ids import derived_id
from app.core.incident import Incident, Reason
from app.core.lifecycle import link
from app.core.signal import Command
from app.core.state import Ruling, cell_id, track_id
from app.core.types import OPEN_STATUSES, ActorKind, IncidentId, Status

RULED = frozenset({"split", "pin", "unpin"})
ENDED = frozenset({Status.CLOSED, Status.MERGED, Status.DISMISSED})


def obey_ruling(desk: Desk, command: Command) -> None:
    """Carry out a split or a pin.

    Raises:
        NotFound: no such incident is open or lately resolved, or the advisory is not known.
        IllegalTransition: the present status forbids it.
        InvalidInput: the evidence named is not the incident's.
    """
    incident = desk.incidents.get(str(command.incident))
    if incident is None:
        raise NotFound(id=str(command.incident))
    if incident.status in ENDED:
        detail = f"An incident that is {incident.status} takes no more rulings."
        raise IllegalTransition(detail, status_now=incident.status.value)
    actor = Actor(kind=ActorKind(command.actor_kind), id=command.actor)
    if command.name == "split":
        _split(desk, incident, command, actor)
    else:
        _pin(desk, incident, command, actor)


def hold_merged(desk: Desk, gone: Incident, survivor: Incident) -> None:
    """Let what the merged incident stood for belong to the survivor from now on."""
    domain = Ruling(kind="domain", item=gone.key, incident=survivor.id, holds=True)
    moved = tuple(
        replace(r, incident=survivor.id) if r.incident == gone.id and r.holds else r
        for r in desk.state.rulings
    )
    links = {k: survivor.id if h == gone.id else h for k, h in desk.state.links.items()}
    desk.state = replace(desk.state, rulings=(*moved, domain), links=links)


def _split(desk: Desk, incident: Incident, command: Command, actor: Actor) -> None:
    if incident.status not in OPEN_STATUSES:
        detail = f"An incident that is {incident.status} cannot be split."
        raise IllegalTransition(detail, status_now=incident.status.value)
    wanted = list(dict.fromkeys(str(item) for item in command.body["evidence"]))
    cells = {cell_id(c): c.service for c in desk.state.cells.values()}
    cells |= {track_id(t): t.service for t in desk.state.tracks.values()}
    linked = {a.id for a in incident.advisories}
    faults = [
        {"pointer": f"/evidence/{index}", "detail": "Not of this incident; see its /evidence."}
        for index, item in enumerate(wanted)
        if item not in linked and cells.get(item) not in incident.services
    ]
    if faults:
        raise InvalidInput(faults[0]["detail"], errors=faults)
    services = sorted({cells[item] for item in wanted if item in cells})
    services = services or sorted(
        {desk.state.advisories[a].advisory.service for a in wanted if a in desk.state.advisories}
    )
    fresh = _part(desk, incident, command, services)
    rulings = [
        Ruling(kind="cell", item=item, incident=fresh.id, holds=True)
        for item in wanted
        if item in cells
    ]
    moved = [item for item in wanted if item in linked]
    rulings += [Ruling(kind="advisory", item=a, incident=fresh.id, holds=True) for a in moved]
    rulings += [Ruling(kind="advisory", item=a, incident=incident.id, holds=False) for a in moved]
    links = {**desk.state.links, **dict.fromkeys(moved, str(fresh.id))}
    desk.state = replace(desk.state, rulings=(*desk.state.rulings, *rulings), links=links)
    parted = tuple(a for a in incident.advisories if a.id in moved)
    left = replace(incident, advisories=tuple(a for a in incident.advisories if a.id not in moved))
    facts = {"split_into": fresh.id, "evidence": wanted}
    desk.incidents[incident.id] = desk.log.emit(
        EventType.SPLIT, incident, left, reason="person_split", actor=actor, facts=facts
    )
    fresh = replace(fresh, advisories=parted)
    desk.incidents[fresh.id] = desk.log.emit(
        EventType.OPENED, None, fresh, reason="person_split", actor=actor
    )
    desk.memo = None  # the lines of both are heard apart from now on


def _part(desk: Desk, incident: Incident, command: Command, services: list[str]) -> Incident:
    """The incident that is split off; like one that a person opens, but evidence may end it."""
    desk.number += 1
    made = derived_id("inc", desk.now, desk.snapshot.profile.id, command.id)
    line = Reason(
        reason="person_split",
        effect="+",
        weight=0.0,
        text=f"split from {incident.number} by {command.actor}",
        source=None,
        at=desk.now,
    )
    return Incident(
        id=IncidentId(made),
        number=number_of(desk.now.year, desk.number),
        tenant=incident.tenant,
        revision=0,
        key=f"split:{made}",
        title=command.body.get("title") or f"{incident.title} (part)",
        summary=incident.summary,
        status=Status.CONFIRMED,
        status_reason="person_split",
        severity=incident.severity,
        origin=incident.origin,
        services=tuple(services) or incident.services,
        opened_at=desk.now,
        updated_at=desk.now,
        onset_at=incident.onset_at,
        confirmed_at=desk.now,
        confidence=incident.confidence,
        explanation=(line,),
        split_from=incident.id,
        by_person=True,
        labels=incident.labels,
    )


def _pin(desk: Desk, incident: Incident, command: Command, actor: Actor) -> None:
    """Pin an advisory to an incident, or off it; ``unpin`` lets the engine decide again."""
    item = str(command.body["item"])
    known = desk.state.advisories.get(item)
    if known is None:
        raise NotFound(id=item)
    others = tuple(
        r
        for r in desk.state.rulings
        if (r.kind, r.item, r.incident) != ("advisory", item, incident.id)
    )
    pins = tuple(p for p in incident.pins if p.removeprefix("-") != item)
    if command.name == "unpin":
        desk.state = replace(desk.state, rulings=others)
        after = replace(incident, pins=pins)
    else:
        holds = bool(command.body["linked"])
        ruling = Ruling(kind="advisory", item=item, incident=incident.id, holds=holds)
        kept = tuple(a for a in incident.advisories if a.id != item)
        links = {k: h for k, h in desk.state.links.items() if k != item}
        if holds:
            others = tuple(r for r in others if not (r.item == item and r.holds))
            _take_from_others(desk, incident, item, actor)
            kept = (*kept, link(known, score=1.0, linked_at=desk.now))
            links[item] = str(incident.id)
        elif desk.state.links.get(item) != incident.id:
            links = desk.state.links
        desk.state = replace(desk.state, rulings=(*others, ruling), links=links)
        after = replace(incident, advisories=kept, pins=(*pins, item if holds else f"-{item}"))
    desk.incidents[incident.id] = desk.log.emit(
        EventType.UPDATED, incident, after, reason=f"person_{command.name}", actor=actor
    )


def _take_from_others(desk: Desk, incident: Incident, item: str, actor: Actor) -> None:
    for other in list(desk.incidents.values()):
        if other.id == incident.id or all(a.id != item for a in other.advisories):
            continue
        left = replace(other, advisories=tuple(a for a in other.advisories if a.id != item))
        desk.incidents[other.id] = desk.log.emit(
            EventType.UPDATED, other, left, reason="advisory_moved", actor=actor
        )


def ruled_apart(desk: Desk, item: str) -> frozenset[str]:
    """Incidents that an advisory was ruled not to belong to."""
    return frozenset(
        r.incident
        for r in desk.state.rulings
        if r.kind == "advisory" and r.item == item and not r.holds
    )
