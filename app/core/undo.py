"""Undo: what a command or a merger changed is taken back, and stays taken back.

Each change that can be undone is kept in the state as what it was before and what it was after. To
undo takes back that change alone: what others changed since then stays as it is.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from app.core.commands import merge
from app.core.desk import Desk
from app.core.errors import IllegalTransition, NotFound
from app.core.events import Actor, Event, EventType
from app.core.incident import Incident, LinkedAdvisory, Reason
from app.core.signal import Command
from app.core.state import Change, Ruling, Undoable
from app.core.types import ActorKind, Severity, Status

UNDOABLE = frozenset(
    {"acknowledge", "assign", "severity", "label", "resolve", "reopen", "dismiss", "merge",
     "split", "pin", "unpin", "notes"}
)  # fmt: skip
KEPT = 30  # changes of a tenant that can be undone, the newest
OURS = frozenset({"revision", "updated_at", "explanation", "notes"})  # told; notes by name alone
ENDED = frozenset({Status.RESOLVED, Status.DISMISSED, Status.MERGED})
CHANGED_AGAIN = "What that event changed was changed again since: undo the newer change first."


def remember(desk: Desk, name: str, before: Desk, events: Sequence[Event]) -> None:
    """Keep what one command, or one merger of the engine, changed.

    Args:
        desk: as it is after the change.
        name: of the command.
        before: a copy of the desk from before the change.
        events: what tells of the change; each of them names it.
    """
    if name not in UNDOABLE or not events:
        return
    noted = name == "notes"
    if noted and events[0].actor.kind is not ActorKind.PERSON:
        return  # comments of tickets would push out what people did
    changes = tuple(
        _change(old, new, noted=noted)
        for key, new in desk.incidents.items()
        if (old := before.incidents.get(key)) != new
    )
    earlier, later = before.state, desk.state
    links = {
        key: (earlier.links.get(key), later.links.get(key))
        for key in earlier.links.keys() | later.links.keys()
        if earlier.links.get(key) != later.links.get(key)
    }
    made = Undoable(
        name=name,
        events=tuple(event.id for event in events),
        changes=changes,
        added=tuple(r for r in later.rulings if r not in earlier.rulings),
        removed=tuple(r for r in earlier.rulings if r not in later.rulings),
        links=dict(sorted(links.items())),
    )
    desk.state = replace(desk.state, undoable=(*desk.state.undoable, made)[-KEPT:])


def copied(desk: Desk) -> Desk:
    """What ``remember`` compares with; the incidents and the state themselves never change."""
    return replace(desk, incidents=dict(desk.incidents))


def _change(old: Incident | None, new: Incident, *, noted: bool) -> Change:
    """Without the long parts, unless it merged: then it leaves the state, and is kept whole."""
    if new.status is Status.MERGED:
        return Change(before=old, after=new)
    after = replace(_bare(new), notes=new.notes[-1:] if noted else ())
    return Change(before=None if old is None else _bare(old), after=after)


def _bare(incident: Incident) -> Incident:
    return replace(incident, explanation=(), notes=(), evidence={}, summary="")


def undo(desk: Desk, command: Command) -> None:
    """Carry out an undo.

    Raises:
        NotFound: no such incident is open, lately resolved or lately merged.
        IllegalTransition: the event cannot be undone, or no longer.
    """
    wanted, about = str(command.body["event"]), str(command.incident)
    found = next((u for u in desk.state.undoable if wanted in u.events), None)
    if found is None or about not in {_of(change).id for change in found.changes}:
        if about not in desk.incidents:
            raise NotFound(id=about)
        raise IllegalTransition(
            "That event cannot be undone, or no longer: what can be are the last "
            f"{KEPT} acknowledgements, assignments, notes of people, severities, labels, pins, "
            "mergers, splits, resolves, reopenings and dismissals of incidents that are not closed."
        )
    actor = Actor(kind=ActorKind(command.actor_kind), id=command.actor)
    state, former = desk.state, desk.incidents.get(about)
    desk.state = replace(
        state,
        undoable=tuple(u for u in state.undoable if u is not found),
        rulings=(*(r for r in state.rulings if r not in found.added), *found.removed),
        links=_relinked(state.links, found),
    )
    if found.name == "split":
        _unsplit(desk, found, actor, wanted)
    else:
        for change in sorted(found.changes, key=lambda one: _of(one).id):
            _take_back(desk, found, change, actor, wanted)
    if found.name == "merge":
        _keep_apart(desk, found)
    if desk.incidents.get(about) == former:
        raise IllegalTransition(CHANGED_AGAIN)
    desk.memo = None  # what belongs together was ruled anew


def _of(change: Change) -> Incident:
    incident = change.after or change.before
    if incident is None:
        raise NotFound
    return incident


def _relinked(links: dict[str, str], found: Undoable) -> dict[str, str]:
    after = dict(links)
    for key, (was, became) in found.links.items():
        if after.get(key) != became:
            continue  # it moved on since
        if was is None:
            after.pop(key, None)
        else:
            after[key] = was
    return after


def _take_back(desk: Desk, found: Undoable, change: Change, actor: Actor, event: str) -> None:
    before, after = change.before, change.after
    if before is None or after is None:
        return
    current = desk.incidents.get(after.id)
    if current is None and after.status is Status.MERGED:
        current = after  # it left the state when it was merged, and nothing changed it since
    if current is None:
        raise IllegalTransition("An incident of that change is closed, or merged into another.")
    if before.status is not after.status and current.status is not after.status:
        raise IllegalTransition(
            f"The incident went on since: it is {current.status} now.",
            status_now=current.status.value,
        )
    if _was_changed_again(found.name, after, current):
        raise IllegalTransition(CHANGED_AGAIN)
    restored = replace(
        current,
        **{
            part.name: _restored(
                getattr(before, part.name), getattr(after, part.name), getattr(current, part.name)
            )
            for part in fields(Incident)
            if (part.name not in OURS or part.name == found.name)
            and getattr(before, part.name) != getattr(after, part.name)
        },
    )
    if found.name == "severity" and not restored.severity_pinned:
        measured = restored.severity_measured
        restored = replace(
            restored, severity=before.severity if measured is Severity.UNKNOWN else measured
        )
    if restored == current:
        return
    kind = EventType.UPDATED
    if restored.status is not current.status:
        kind = EventType.RESOLVED if restored.status in ENDED else EventType.REOPENED
    line = Reason(
        reason="person_undone", effect="+", weight=0.0, text=f"{found.name} undone by {actor.id}",
        source=None, at=desk.now,
    )  # fmt: skip
    restored = replace(restored, explanation=(*restored.explanation, line))
    desk.incidents[restored.id] = desk.log.emit(
        kind, current, restored, reason="person_undone", actor=actor, facts={"undone": event}
    )


def _was_changed_again(name: str, after: Incident, current: Incident) -> bool:
    match name:
        case "acknowledge":
            return current.acknowledged_at != after.acknowledged_at
        case "assign":
            return current.assignee_id != after.assignee_id
        case "severity":
            pinned = current.severity_pinned
            return pinned != after.severity_pinned or (
                pinned and current.severity is not after.severity
            )
        case _:
            return False


def _restored(before: Any, after: Any, current: Any) -> Any:
    """A field with one change taken back; of lists and maps only what that change put or took."""
    match current:
        case tuple():
            names = {_name(item) for item in after} - {_name(item) for item in before}
            held = tuple(item for item in current if _name(item) not in names)
            there = {_name(item) for item in held}
            gone = {_name(item) for item in before} - {_name(item) for item in after}
            lost = (item for item in before if _name(item) in gone - there)
            return (*held, *lost)
        case dict():
            changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
            mine = {k for k in changed if current.get(k) == after.get(k)}
            kept = {k: v for k, v in current.items() if k not in mine}
            return {**kept, **{k: before[k] for k in sorted(mine & before.keys())}}
        case _:
            return before if current == after else current


def _name(item: Any) -> Any:
    return item.id if isinstance(item, LinkedAdvisory) else item


def _unsplit(desk: Desk, found: Undoable, actor: Actor, event: str) -> None:
    part_id = next(_of(change).id for change in found.changes if change.before is None)
    whole_id = next(_of(change).id for change in found.changes if change.before is not None)
    part, whole = desk.incidents.get(part_id), desk.incidents.get(whole_id)
    if part is None or whole is None or ENDED & {part.status, whole.status}:
        raise IllegalTransition("A part of that split has ended; merge what is left by hand.")
    for incident in merge(desk.log, part, whole, actor=actor, reason="person_undone"):
        desk.incidents[incident.id] = incident
    rulings = tuple(r for r in desk.state.rulings if r.incident != part_id)
    links = {k: whole_id if h == part_id else h for k, h in desk.state.links.items()}
    desk.state = replace(desk.state, rulings=rulings, links=links)
    desk.log.events[-1] = replace(desk.log.events[-1], facts={"undone": event})


def _keep_apart(desk: Desk, found: Undoable) -> None:
    """Rule that those whose merger was undone are two, whatever the engine thinks later."""
    ids = sorted(_of(change).id for change in found.changes)
    rulings = [
        Ruling(kind="apart", item=other, incident=one, holds=False)
        for one in ids
        for other in ids
        if one != other
    ]
    desk.state = replace(desk.state, rulings=(*desk.state.rulings, *rulings))
