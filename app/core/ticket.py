"""The ticket we want: what an incident asks of its ticket, compared with what is there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.core.incident import Incident
from app.core.link import ENDED_STATES, Link, Memory, TicketState, Trigger
from app.core.types import OPEN_STATUSES, Status

FINAL = frozenset({Status.CLOSED, Status.DISMISSED, Status.MERGED})


class Rule(StrEnum):
    """Who owns a field after the ticket was made."""

    ONCE = "once"  # theirs from then on
    FOLLOW = "follow"  # ours until somebody changes it
    RAISE = "raise"  # the same, and only ever towards the smaller number


class Phase(StrEnum):
    """What an incident asks of its ticket."""

    OPEN = "open"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"
    MERGED = "merged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A ticket as it was read; ``version`` grows with every change, ``fields`` are raw values."""

    remote_id: str
    number: str
    url: str
    state: TicketState
    state_text: str
    correlation: str
    version: str
    updated_at: str
    updated_by: str = ""
    assignee: str = ""
    group: str = ""
    parent: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One write to a ticket. ``text`` says how it ended, where ``state`` ends it."""

    fields: Mapping[str, str] = field(default_factory=dict)
    state: TicketState | None = None
    note: str = ""
    text: str = ""
    parent: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self.note and self.is_note

    @property
    def is_note(self) -> bool:
        """Whether nothing but a note is to be written, if that."""
        return not (self.fields or self.state or self.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the ticket should be.

    ``ended`` names this end of the incident (its ``resolved_at``); ``final`` says that it cannot
    go on; ``reopened`` that it went on since the ticket last heard of it. ``parent`` is the
    ticket of the incident that this one was merged into.
    """

    phase: Phase
    fields: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    ended: str = ""
    final: bool = False
    reopened: bool = False
    text: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What follows from a wish and a ticket: a trigger, perhaps a write, and why."""

    trigger: Trigger
    why: str
    change: Change = Change()
    is_conflict: bool = False
    next_generation: bool = False


def phase_of(incident: Incident) -> Phase:
    """What an incident asks of its ticket."""
    match incident.status:
        case Status.DISMISSED:
            return Phase.DISMISSED
        case Status.MERGED:
            return Phase.MERGED
        case status if status in OPEN_STATUSES:
            return Phase.OPEN
        case _:
            return Phase.RESOLVED


def plan(link: Link, wish: Wish, ticket: Ticket, *, note: str, new_generation: bool) -> Plan:
    """Compare and decide the one write that brings the ticket in step.

    Args:
        link: what we remember.
        wish: what the incident asks.
        ticket: as it was read just now.
        note: what the ticket has not heard yet, as one text; empty for nothing.
        new_generation: whether a ticket that a person closed is followed by a new one at once.
    """
    if wish.phase is Phase.OPEN:
        return _while_open(link, wish, ticket, note=note, new_generation=new_generation)
    return _when_over(link.memory, wish, ticket, note=note)


def _while_open(link: Link, wish: Wish, ticket: Ticket, *, note: str, new_generation: bool) -> Plan:
    memory = link.memory
    if ticket.state not in ENDED_STATES:
        change = Change(fields=_fields(memory, wish, ticket), note=note)
        return Plan(trigger=Trigger.SYNCED, why="In step.", change=change)
    ours = bool(memory.resolved_for) and memory.state_wrote == ticket.state
    if ours and ticket.state is TicketState.RESOLVED:
        change = Change(state=TicketState.IN_PROGRESS, note=note)
        return Plan(trigger=Trigger.SYNCED, why="Reopened with the incident.", change=change)
    if memory.resolved_for and (ours or ticket.state is TicketState.CLOSED):
        why = f"{ticket.number} is {ticket.state} for good; the next ticket takes over."
        return Plan(trigger=Trigger.SUPERSEDED, why=why, next_generation=True)
    if wish.reopened or new_generation:
        why = f"{ticket.number} was {ticket.state} by a person; the next ticket takes over."
        return Plan(trigger=Trigger.SUPERSEDED, why=why, next_generation=True)
    why = f"A person set {ticket.number} to {ticket.state} while the incident goes on."
    told = memory.conflict_told
    return Plan(trigger=Trigger.HUMAN_CLOSED, why=why, is_conflict=not told)


def _when_over(memory: Memory, wish: Wish, ticket: Ticket, *, note: str) -> Plan:
    if ticket.state in ENDED_STATES:
        trigger = Trigger.FINISHED if wish.final else Trigger.SYNCED
        return Plan(trigger=trigger, why=f"Over on both sides; {ticket.number} is {ticket.state}.")
    if memory.resolved_for == wish.ended and memory.resolved_for:
        why = f"A person reopened {ticket.number} after we had ended it."
        return Plan(trigger=Trigger.HUMAN_WORKS, why=why)
    # Who was told that the ticket is theirs keeps it, even where they put its state back.
    if ticket.state != memory.state_wrote or memory.noted_for:
        why = f"Over on our side; a person set {ticket.number} to {ticket.state} and ends it."
        spoken = memory.noted_for == wish.ended
        change = Change(note="" if spoken else _joined(note, wish.text))
        return Plan(trigger=Trigger.HUMAN_WORKS, why=why, change=change)
    dismissed = wish.phase is Phase.DISMISSED
    state = TicketState.CANCELED if dismissed else TicketState.RESOLVED
    parent = wish.parent if wish.phase is Phase.MERGED and not ticket.parent else ""
    change = Change(state=state, text=wish.text, note=note, parent=parent)
    trigger = Trigger.FINISHED if wish.final else Trigger.SYNCED
    return Plan(trigger=trigger, why="Ended with the incident.", change=change)


def _joined(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)


def _fields(memory: Memory, wish: Wish, ticket: Ticket) -> dict[str, str]:
    """The fields that differ and are still ours to write."""
    return {
        name: value
        for name, value in wish.fields.items()
        if name not in memory.silenced
        and value != memory.sent.get(name, value)
        and ticket.fields.get(name) == memory.wrote.get(name)
        and _may(wish.rules.get(name, Rule.ONCE), value, ticket.fields.get(name, ""))
    }


def _may(rule: Rule, value: str, present: str) -> bool:
    if rule is Rule.RAISE:
        return value.isdecimal() and present.isdecimal() and int(value) < int(present)
    return rule is Rule.FOLLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry of a ticket's journal; ``is_public`` ones are shown to customers."""

    id: str
    text: str
    by: str
    is_public: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something that came back from a ticket: a command, and what is known after it."""

    name: str
    body: Mapping[str, object]
    memory: Memory


def base_of(ticket: Ticket) -> dict[str, str]:
    """What is kept of a ticket, to see what others change."""
    return {
        "state": ticket.state.value,
        "state_text": ticket.state_text,
        "assignee": ticket.assignee,
        "group": ticket.group,
        "version": ticket.version,
    }


def silenced(asked: Mapping[str, str], echo: Ticket) -> Sequence[str]:
    """Fields that a write did not reach: the instance took it and kept its own value."""
    return sorted(
        name
        for name, value in asked.items()
        # A text that was cut to the instance's own length was taken.
        if (not (shown := echo.fields.get(name, "")) and value) or not value.startswith(shown)
    )
