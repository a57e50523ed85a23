"""The first half of a link's life: from the wish for a ticket to exactly one ticket."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from app.core.absorb import mark_of
from app.core.incident import Incident
from app.core.link import RECHECKS, SECOND_LOOK, Link, LinkState, TicketState, Trigger
from app.core.ports import MirrorAnswer, MirrorWord
from app.core.ticket import Ticket, base_of
from app.flow import children, held
from app.flow.terms import FAILED_AGAIN, LEASE, RECONCILE, Tools, after, backoff, rest_of
from app.store import events, links


class Create:
    """Brings links that have no ticket to one; every step is one claim of the link."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def step(self, link: Link, incident: Incident | None, *, token: str) -> Link:
        """Go one step; gives the link as it is to be stored."""
        now = self._tools.clock.now()
        if link.state is LinkState.CREATING:  # whoever sent it did not live to hear the answer
            link = self._lost(link, "Sextant was stopped while it created the ticket.", now)
        if link.state is LinkState.CREATE_UNKNOWN:
            return await self._look(link)
        if incident is None or not (link.incident is None or self._tools.terms.wants(incident)):
            why = "Over, or below the filter, before a ticket was made."
            return self._rest(link, Trigger.WITHDRAWN, why, now + RECONCILE)
        parent = None
        if link.is_child:
            parent = await self._tools.db.read(lambda c: children.parent_of(c, link))
            if parent is None:
                return children.waits(link, now)
        if link.memory.unknown_at is not None and now < link.memory.unknown_at + RECHECKS[-1]:
            return replace(link, due_at=link.memory.unknown_at + RECHECKS[-1])
        found = await self._tools.mirror.find(link.correlation)
        match found.word:
            case MirrorWord.DONE:
                return self._adopted(link, found.tickets, Trigger.FOUND)
            case MirrorWord.ABSENT:
                return await self._make(link, incident, token, parent or "")
            case _:
                return self._hindered(link, found)

    async def _look(self, link: Link) -> Link:
        """Look for what may have been created; only when it cannot come any more, give up."""
        tools, memory = self._tools, link.memory
        found = await tools.mirror.find(link.correlation)
        now = tools.clock.now()
        if found.word is MirrorWord.DONE:
            return self._adopted(link, found.tickets, Trigger.FOUND)
        if found.word is not MirrorWord.ABSENT:
            return self._hindered(link, found)
        begun = memory.unknown_at or now
        following = next((begun + wait for wait in RECHECKS if begun + wait > now), None)
        if following is not None:
            return replace(link, due_at=following, explanation="Looked for, and not found yet.")
        why = "It was not created; it is tried again."
        second = replace(memory, second_look_at=now + SECOND_LOOK, unknown_at=None)
        return replace(
            link, state=after(link, Trigger.ABSENT), explanation=why, due_at=now, memory=second
        )

    async def _make(self, link: Link, incident: Incident, token: str, parent: str) -> Link:
        tools, now = self._tools, self._tools.clock.now()
        sequence, mark = await tools.db.read(lambda c: _last(c, link))
        shown = children.part_of(link, incident)
        wanted = dict(tools.mirror.fields(shown, url=tools.url_of(str(incident.id))))
        # What is sent is written down first: who finds the ticket tells by it what people changed.
        ours = {name: wanted.get(name, "") for name in tools.mirror.rules}
        memory = replace(link.memory, told=sequence, unknown_at=None, sent=ours)
        going = replace(
            link, state=after(link, Trigger.SENT), asked_at=now, memory=memory,
            explanation="Being created.",
        )  # fmt: skip

        def begin(c: Connection) -> datetime | None:
            wait = held.may_create(c, link, tools, now)
            if wait is None:
                links.save(c, going, token=token, keep_until=now + LEASE * tools.terms.speed)
            else:
                held.summon(c, tools, now)
            return wait

        wait = await tools.db.write(begin)
        if wait is not None:
            why = "The hourly budget of tickets is spent; the summary ticket names this incident."
            return self._rest(link, Trigger.SPENT, why, wait)
        wanted |= {"parent_incident": parent} if parent else {}
        note = f"Opened by Sextant: {_because(incident)}\n{mark_of(mark)}"
        made = await tools.mirror.create(link.correlation, wanted, note)
        match made.word:
            case MirrorWord.DONE:
                linked = self._adopted(going, made.tickets, Trigger.CREATED)
                sent = {**linked.memory.sent, **wanted}
                why = " ".join(filter(None, ("In step.", made.why)))
                return replace(linked, memory=replace(linked.memory, sent=sent), explanation=why)
            case MirrorWord.UNKNOWN:
                return self._lost(going, made.why, tools.clock.now())
            case _:
                return self._hindered(replace(going, asked_at=None), made)

    def _lost(self, link: Link, why: str, now: datetime) -> Link:
        memory = replace(link.memory, unknown_at=now, second_look_at=now + SECOND_LOOK)
        return replace(
            link,
            state=after(link, Trigger.LOST),
            explanation=f"It may have been created or not: {why}",
            due_at=now + RECHECKS[0],
            memory=memory,
        )

    def _adopted(self, link: Link, tickets: tuple[Ticket, ...], trigger: Trigger) -> Link:
        """Take the oldest ticket as ours; more than one is said, and looked at again."""
        ticket, now = tickets[0], self._tools.clock.now()
        others = ", ".join(t.number for t in tickets[1:])
        why = f"In step. There are others of the same name: {others}." if others else "In step."
        base, state = base_of(ticket), ticket.state
        shown = {name: ticket.fields.get(name, "") for name in self._tools.mirror.rules}
        sent, wrote = shown, shown
        if trigger is Trigger.FOUND:  # what people did since it was made is news, and theirs
            state = TicketState.NEW
            base |= {"state": state.value, "assignee": "", "version": ""}
            sent = {**shown, **link.memory.sent}
            wrote = {n: text for n, text in shown.items() if _kept(link.memory.sent, n, text)}
        memory = replace(
            link.memory, sent=sent, wrote=wrote, state_wrote=state.value, wrote_at=now,
            base=base, tries=0, misses=0, unknown_at=None,
        )  # fmt: skip
        due = memory.second_look_at or now + rest_of(link)
        return replace(
            link,
            state=after(link, trigger),
            explanation=why,
            number=ticket.number,
            remote_id=ticket.remote_id,
            url=ticket.url,
            remote_state=ticket.state_text,
            last_synced_at=now,
            due_at=now if trigger is Trigger.FOUND else due,
            memory=memory,
        )

    def _hindered(self, link: Link, answer: MirrorAnswer) -> Link:
        """Nothing was done: wait and try again, or say what must be set right."""
        now, tries = self._tools.clock.now(), link.memory.tries + 1
        memory = replace(link.memory, tries=tries)
        why = " ".join(filter(None, (answer.why, answer.remedy)))
        if answer.word is MirrorWord.REFUSED:
            link = replace(link, memory=memory)
            return self._rest(link, Trigger.REFUSED, why, now + FAILED_AGAIN)
        wait = answer.retry_after or backoff(tries)
        link = replace(link, memory=memory)
        return self._rest(link, Trigger.UNREACHED, why or "Not reachable.", now + wait)

    def _rest(self, link: Link, trigger: Trigger, why: str, due_at: datetime) -> Link:
        return replace(link, state=after(link, trigger), explanation=why, due_at=due_at)


def _kept(sent: Mapping[str, str], name: str, shown: str) -> bool:
    """Whether a field shows what we sent, or as much of it as the instance has room for."""
    if name not in sent:
        return False
    return sent[name] == shown or (bool(shown) and sent[name].startswith(shown))


def _because(incident: Incident) -> str:
    reasons = [r.text for r in incident.explanation if r.effect == "+" and r.text][-3:]
    return "; ".join(reasons) or incident.status_reason


def _last(c: Connection, link: Link) -> tuple[int, str]:
    """The newest event that the ticket will know of when it is made."""
    if link.incident is None:
        return 0, link.id
    sequence, last = link.memory.told, link.id
    while found := events.of_incident(c, link.tenant, link.incident, sequence, 500):
        sequence, last = found[-1].sequence, found[-1].id
    return sequence, last
