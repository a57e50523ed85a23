"""Intentions: what is about to be written to a ticket, so that it is known again afterwards."""

from dataclasses import replace

from app.core.link import ENDED_STATES, Memory, TicketState, Trigger
from app.core.ticket import Change, Plan, Ticket, Wish, silenced

WORDS = 12  # of closing notes that are compared


def intending(memory: Memory, change: Change, wish: Wish) -> Memory:
    """Remember what is about to be written, so that it is known again whatever comes of it."""
    if change.state is None:
        return memory
    return replace(
        memory,
        intended=change.state.value,
        intended_text=change.text,
        intended_for=wish.ended if change.state in ENDED_STATES else "",
    )


def concluded(memory: Memory, ticket: Ticket) -> Memory:
    """See whether a state is there that we meant to write and never heard of again."""
    if not memory.intended or memory.state_wrote == ticket.state.value:
        return memory
    ending = TicketState(memory.intended) in ENDED_STATES
    if ending != (ticket.state in ENDED_STATES):
        return memory
    if ending and not _same(ticket.fields.get("close_notes", ""), memory.intended_text):
        return memory
    base = {**memory.base, "state": ticket.state.value, "state_text": ticket.state_text}
    resolved = memory.intended_for if ending else ""
    return replace(memory, state_wrote=ticket.state.value, base=base, intended="",
                   resolved_for=resolved)  # fmt: skip


def _same(shown: str, meant: str) -> bool:
    return bool(meant) and shown.split()[:WORDS] == meant.split()[:WORDS]


def written(memory: Memory, wish: Wish, planned: Plan, before: Ticket, echo: Ticket) -> Memory:
    """The memory after a write, from its echo; fields that it did not reach are given up."""
    asked = planned.change
    lost = silenced(asked.fields, echo)
    base = dict(memory.base)
    if asked.state is not None:
        base |= {"state": echo.state.value, "state_text": echo.state_text}
    if before.version.isdecimal() and echo.version == str(int(before.version) + 1):
        base["version"] = echo.version  # nobody else wrote in between
    resolved_for = memory.resolved_for
    if asked.state is not None:
        resolved_for = wish.ended if asked.state in ENDED_STATES else ""
    spoken = planned.trigger is Trigger.HUMAN_WORKS
    reached = {name: echo.fields.get(name, "") for name in asked.fields if name not in lost}
    return replace(
        memory,
        sent={**memory.sent, **asked.fields},
        wrote={**memory.wrote, **reached},
        silenced=tuple(sorted({*memory.silenced, *lost})),
        # A note that says we leave it to a person does not make the person's state ours.
        state_wrote=memory.state_wrote if spoken else echo.state.value,
        base=base,
        intended="" if asked.state is not None else memory.intended,
        resolved_for=resolved_for,
        noted_for=wish.ended if spoken else "",
        note_unknown=False,
    )
