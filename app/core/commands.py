"""Commands: what a person or an ITSM may do to an incident, and what follows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.core.announce import NoticePhase
from app.core.changes import Log
from app.core.errors import IllegalTransition, InvalidInput, NotFound
from app.core.events import Actor, EventType
from app.core.ids import derived_id
from app.core.incident import Approval, Incident, Note, Reason
from app.core.message import holds
from app.core.signal import Command
from app.core.types import (
    OPEN_STATUSES,
    ActorKind,
    IncidentId,
    Origin,
    Resolution,
    Status,
    TenantId,
    severity_of,
)

ENDED = frozenset({Status.CLOSED, Status.MERGED, Status.DISMISSED})
LABELS = 20  # of one incident


def number_of(year: int, count: int) -> str:
    """The number that people say: ``INC-2026-0042``."""
    return f"INC-{year}-{count:04d}"


def open_by_person(command: Command, *, tenant: TenantId, count: int, now: datetime) -> Incident:
    """Make the incident that a person opens; it never merges with another by itself."""
    body = command.body
    services = tuple(body["services"])
    derived = derived_id("inc", now, tenant, command.id)
    text = f"opened by {command.actor}"
    reason = Reason(reason="person_opened", effect="+", weight=0.0, text=text, source=None, at=now)
    return Incident(
        id=IncidentId(derived),
        number=number_of(now.year, count),
        tenant=tenant,
        revision=0,
        key=f"person:{command.id}",
        title=body["title"],
        summary=body.get("summary") or "",
        status=Status.CONFIRMED,
        status_reason="person_opened",
        severity=severity_of(body["severity"]),
        severity_pinned=True,
        origin=Origin.UNKNOWN,
        services=services,
        opened_at=now,
        updated_at=now,
        onset_at=now,
        confirmed_at=now,
        confidence=1.0,
        explanation=(reason,),
        by_person=True,
        labels=dict(sorted((body.get("labels") or {}).items())),
    )


def _said(incident: Incident, word: str, text: str, now: datetime) -> Incident:
    line = Reason(reason=f"person_{word}", effect="+", weight=0.0, text=text, source=None, at=now)
    return replace(incident, explanation=(*incident.explanation, line))


def _only(incident: Incident, allowed: frozenset[Status], verb: str) -> None:
    if incident.status not in allowed:
        detail = f"An incident that is {incident.status} cannot be {verb}."
        raise IllegalTransition(detail, status_now=incident.status.value)


Change = tuple[EventType, Incident, str]


def _acknowledge(incident: Incident, command: Command, now: datetime) -> Change:
    _only(incident, OPEN_STATUSES, "acknowledged")
    after = replace(
        incident,
        acknowledged_by=command.actor,
        acknowledged_at=now,
        acknowledged_note=command.body.get("note"),
    )
    return EventType.ACKNOWLEDGED, after, "acknowledged"


def _assign(incident: Incident, command: Command, now: datetime) -> Change:
    del now
    _only(incident, frozenset(Status) - ENDED, "assigned")
    name = command.body.get("assignee")
    by = "person" if command.actor_kind == ActorKind.PERSON else f"mirror:{command.actor}"
    after = replace(
        incident, assignee_id=name, assignee_name=name, assignee_by=by if name else None
    )
    return EventType.UPDATED, after, "assigned"


def _note(incident: Incident, command: Command, now: datetime) -> Change:
    visibility = command.body.get("visibility") or "internal"
    note = Note(at=now, by=command.actor, text=command.body["text"], visibility=visibility)
    return EventType.NOTED, replace(incident, notes=(*incident.notes, note)), "noted"


def _announce(incident: Incident, command: Command, now: datetime) -> Change:
    """Let one message out; it must be true of the incident as it stands."""
    said = command.body
    phase = NoticePhase(said["phase"])
    if not holds(incident, phase):
        word = phase.value.replace("_", " ")
        detail = f"The incident is {incident.status}: a message of the phase {word} is not true."
        raise IllegalTransition(detail, status_now=incident.status.value)
    approval = Approval(
        at=now,
        by=command.actor,
        audience=said["audience"],
        language=said["language"],
        phase=phase.value,
        revision=incident.revision,
        title=said["title"],
        text=said["text"],
    )
    after = replace(incident, approvals=(*incident.approvals, approval))
    return EventType.NOTED, after, "message_approved"


def _severity(incident: Incident, command: Command, now: datetime) -> Change:
    _only(incident, frozenset(Status) - ENDED, "given another severity")
    word = command.body.get("severity")
    if word is None:
        text = f"severity given back to the engine by {command.actor}"
        after = replace(incident, severity_pinned=False, severity=incident.severity_measured)
    else:
        text = f"severity {word} set by {command.actor}: {command.body.get('reason') or ''}"
        after = replace(incident, severity_pinned=True, severity=severity_of(word))
    return EventType.UPDATED, _said(after, "severity", text, now), "severity_set"


def _label(incident: Incident, command: Command, now: datetime) -> Change:
    """Set labels; a name whose value is None is taken off. The rest stays."""
    del now
    _only(incident, frozenset(Status) - ENDED, "labelled")
    merged = {**incident.labels, **command.body["labels"]}
    labels = {name: merged[name] for name in sorted(merged) if merged[name] is not None}
    if len(labels) > LABELS:
        detail = f"An incident has at most {LABELS} labels."
        raise InvalidInput(detail, errors=[{"pointer": "/labels", "detail": detail}])
    return EventType.UPDATED, replace(incident, labels=labels), "labelled"


def _resolve(incident: Incident, command: Command, now: datetime) -> Change:
    _only(incident, OPEN_STATUSES, "resolved")
    text = command.body.get("text") or f"resolved by {command.actor}"
    after = replace(
        incident,
        status=Status.RESOLVED,
        status_reason="person_resolved",
        resolved_at=now,
        resolution=Resolution(command.body["resolution"]),
        held=True,
    )
    return EventType.RESOLVED, _said(after, "resolved", text, now), "person_resolved"


def _reopen(incident: Incident, command: Command, now: datetime) -> Change:
    _only(incident, frozenset({Status.RESOLVED}), "reopened")
    text = f"reopened by {command.actor}: {command.body['reason']}"
    after = replace(
        incident,
        status=Status.CONFIRMED,
        status_reason="person_reopened",
        resolved_at=None,
        resolution=None,
        held=False,
        by_person=True,
        confirmed_at=incident.confirmed_at or now,
    )
    return EventType.REOPENED, _said(after, "reopened", text, now), "person_reopened"


def _dismiss(incident: Incident, command: Command, now: datetime) -> Change:
    _only(incident, OPEN_STATUSES | {Status.RESOLVED}, "dismissed")
    text = f"dismissed by {command.actor}: {command.body['reason']}"
    after = replace(
        incident,
        status=Status.DISMISSED,
        status_reason="person_dismissed",
        resolved_at=now,
        resolution=Resolution(command.body["resolution"]),
        held=True,
    )
    return EventType.DISMISSED, _said(after, "dismissed", text, now), "person_dismissed"


_CHANGES: dict[str, Callable[[Incident, Command, datetime], Change]] = {
    "acknowledge": _acknowledge,
    "assign": _assign,
    "notes": _note,
    "announce": _announce,
    "severity": _severity,
    "label": _label,
    "resolve": _resolve,
    "reopen": _reopen,
    "dismiss": _dismiss,
}


def _find(incidents: dict[str, Incident], incident_id: Any) -> Incident:
    found = incidents.get(str(incident_id))
    if found is None:
        raise NotFound(id=str(incident_id))
    return found


def _labels_of_both(into: Incident, loser: Incident) -> dict[str, str]:
    """The labels of a survivor: its own hold, those of the other join as far as there is room."""
    more = [(k, v) for k, v in sorted(loser.labels.items()) if k not in into.labels]
    return {**into.labels, **dict(more[: LABELS - len(into.labels)])}


def merge(
    log: Log, loser: Incident, into: Incident, *, actor: Actor, reason: str
) -> list[Incident]:
    """End one incident as merged into another; tells both."""
    gone = replace(
        loser,
        status=Status.MERGED,
        status_reason=reason,
        merged_into=into.id,
        resolved_at=loser.resolved_at or log.now,
        resolution=Resolution.DUPLICATE,
    )
    gone = log.emit(EventType.MERGED, loser, gone, reason=reason, actor=actor)
    kept = {a.id: a for a in (*loser.advisories, *into.advisories)}
    survivor = replace(
        into,
        merged_from=(*into.merged_from, loser.id),
        services=tuple(dict.fromkeys((*into.services, *loser.services))),
        advisories=tuple(kept[key] for key in sorted(kept)),
        labels=_labels_of_both(into, loser),
    )
    survivor = log.emit(EventType.UPDATED, into, survivor, reason=reason, actor=actor)
    return [gone, survivor]


def _facts(command: Command) -> dict[str, Any]:
    """What an event of a note holds beside the incident."""
    said = command.body
    if command.name != "announce":
        return {"note": dict(said)}
    whom, phase = (str(said[name]).replace("_", " ") for name in ("audience", "phase"))
    text = f"Message to {whom} approved ({phase}, {said['language']}): {said['title']}"
    return {"note": {"text": text, "visibility": "internal"}, "announcement": dict(said)}


def obey(
    log: Log, incidents: dict[str, Incident], command: Command, *, count: int
) -> list[Incident]:
    """Carry out one command.

    Args:
        log: where events go.
        incidents: id → every incident that is not closed.
        command: what is wanted.
        count: number of the next incident of this tenant.

    Returns:
        Incidents as they are afterwards, the one commanded first.

    Raises:
        NotFound: no such incident is open or lately resolved.
        IllegalTransition: the present status forbids it.
    """
    actor = Actor(kind=ActorKind(command.actor_kind), id=command.actor)
    if command.name == "open":
        fresh = open_by_person(command, tenant=log.tenant, count=count, now=log.now)
        return [log.emit(EventType.OPENED, None, fresh, reason="person_opened", actor=actor)]
    incident = _find(incidents, command.incident)
    if command.name == "merge":
        into = _find(incidents, command.body["into"])
        if into.id == incident.id:
            raise InvalidInput(errors=[{"pointer": "/into", "detail": "It names itself."}])
        _only(incident, frozenset(Status) - ENDED, "merged")
        _only(into, frozenset(Status) - ENDED, "merged into")
        return merge(log, incident, into, actor=actor, reason="person_merged")
    kind, after, reason = _CHANGES[command.name](incident, command, log.now)
    facts = _facts(command) if kind is EventType.NOTED else None
    return [log.emit(kind, incident, after, reason=reason, actor=actor, facts=facts)]
