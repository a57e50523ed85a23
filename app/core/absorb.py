"""What comes back from a ticket: others' changes as commands, each with what is known after it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from app.core.link import ENDED_STATES, FLIP_WINDOW, Link, Memory, TicketState
from app.core.ticket import News, Row, Ticket, base_of

MARK = re.compile(r"\[sextant evt:[\w.:#-]+\]\s*$")
LONGEST = 10_000  # characters of a note
NOTES_KEPT = 2000  # ids of journal rows that one link remembers


def mark_of(event: str) -> str:
    """What stands at the end of a note of ours, so that it is known again."""
    return f"[sextant evt:{event}]"


def is_ours(row: Row) -> bool:
    """Whether we wrote a journal row."""
    return MARK.search(row.text) is not None


def absorb(
    link: Link, ticket: Ticket, rows: Sequence[Row], *, may_acknowledge: bool, now: datetime
) -> list[News]:
    """Compare a ticket with what was last taken over from it.

    Args:
        link: with the base of the comparison.
        ticket: as it was read.
        rows: its journal; those that are known or ours are passed over.
        may_acknowledge: whether the incident is open and nobody took notice of it.
        now: the present instant.

    Returns:
        Commands in their order. The memory of each contains those before it, so that whoever
        stops in the middle goes on there. None of them says anything of the incident's status.
    """
    memory, news = link.memory, list[News]()
    base = memory.base
    if not base:
        return []
    if ticket.state.value != base["state"] or ticket.state_text != base["state_text"]:
        memory = _stated(memory, ticket, now)
        news += _state_news(memory, ticket, may_acknowledge=may_acknowledge)
    people = {"assignee": ticket.assignee, "group": ticket.group}
    if any(base.get(name) != shown for name, shown in people.items()):
        memory = replace(memory, base={**memory.base, **people})
        body = {"assignee": ticket.assignee or ticket.group or None}
        news.append(News(name="assign", body=body, memory=memory))
    known = set(memory.notes)
    for row in rows:
        if row.id in known:
            continue
        memory = replace(memory, notes=(*memory.notes, row.id)[-NOTES_KEPT:])
        if is_ours(row) or not row.text.strip():
            continue
        visibility = "public" if row.is_public else "internal"
        text = f"{row.by}: {row.text}"[:LONGEST]
        note = {"text": text, "visibility": visibility}
        news.append(News(name="notes", body=note, memory=memory))
    return news


def absorbed(memory: Memory, ticket: Ticket, rows: Sequence[Row]) -> Memory:
    """The memory after everything of a ticket was taken over."""
    notes = tuple(dict.fromkeys((*memory.notes, *(row.id for row in rows))))[-NOTES_KEPT:]
    return replace(memory, base=base_of(ticket), notes=notes)


def _stated(memory: Memory, ticket: Ticket, now: datetime) -> Memory:
    recent = tuple(at for at in memory.flips if now - at <= FLIP_WINDOW)
    base = {**memory.base, "state": ticket.state.value, "state_text": ticket.state_text}
    return replace(memory, base=base, flips=(*recent, now))


def _state_news(memory: Memory, ticket: Ticket, *, may_acknowledge: bool) -> list[News]:
    if ticket.state is TicketState.IN_PROGRESS and may_acknowledge:
        note = f"{ticket.number} is in progress."
        return [News(name="acknowledge", body={"note": note}, memory=memory)]
    by = f" by {ticket.updated_by}" if ticket.updated_by else ""
    ended = " It says nothing of the incident." if ticket.state in ENDED_STATES else ""
    text = f"{ticket.number} was set to {ticket.state_text}{by}.{ended}"
    return [News(name="notes", body={"text": text, "visibility": "internal"}, memory=memory)]
