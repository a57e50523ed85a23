"""The second half of a link's life: read the ticket, take over what others did, write the rest."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from app.core.absorb import absorb, absorbed, mark_of
from app.core.document import rfc3339
from app.core.errors import IllegalTransition, NotFound
from app.core.events import EventType
from app.core.ids import derived
from app.core.incident import Incident
from app.core.intent import concluded, intending, written
from app.core.link import (
    ENDED_STATES,
    FLIP_WINDOW,
    SECOND_LOOK,
    Link,
    LinkState,
    Trigger,
    flipping,
)
from app.core.ports import MirrorAnswer, MirrorWord
from app.core.signal import Command
from app.core.telling import ending_of
from app.core.ticket import (
    FINAL,
    News,
    Phase,
    Plan,
    Row,
    Ticket,
    Wish,
    base_of,
    phase_of,
    plan,
)
from app.core.types import OPEN_STATUSES, ActorKind, SignalId
from app.flow import children, held
from app.flow.terms import FAILED_AGAIN, LEASE, RECONCILE, Tools, after, backoff, rest_of
from app.flow.unheard import Unheard, facts_of, unheard_by
from app.store import events, links

FAR = timedelta(days=3650)  # for a link that nothing but an event wakes
AGAIN = timedelta(seconds=5)  # after a write whose outcome nobody knows
MISSES = 2  # a record that is not there so often, and by no other name, is gone


class Keep:
    """Keeps one ticket in step; every step is one claim of the link."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def step(self, link: Link, incident: Incident | None, *, token: str) -> Link:
        """Go one step; gives the link as it is to be stored."""
        tools = self._tools
        if incident is None:
            return replace(link, due_at=tools.clock.now() + RECONCILE)
        if link.state is LinkState.ENDED:
            if incident.status not in OPEN_STATUSES:
                return replace(link, due_at=tools.clock.now() + FAR)
            link = replace(link, state=after(link, Trigger.REOPENED))
        if link.is_child:
            return await children.look(tools, link, incident)
        return await self._abreast(link, incident, token=token)

    async def _abreast(self, link: Link, incident: Incident, *, token: str) -> Link:
        """Read the ticket, take over what people did, and write what is missing."""
        tools = self._tools
        link, looked = await self._second_look(link)
        if not looked:
            return link
        answer = await tools.mirror.read(link.remote_id or "")
        if answer.word is MirrorWord.ABSENT:
            return await self._missing(link)
        if answer.word is not MirrorWord.DONE:
            return self._hindered(link, answer)
        ticket = answer.tickets[0]
        if link.state is LinkState.GONE:
            link = replace(link, state=after(link, Trigger.FOUND))
        link = replace(
            link, number=ticket.number, remote_state=ticket.state_text, url=ticket.url,
            memory=replace(concluded(link.memory, ticket), misses=0, tries=0),
        )  # fmt: skip
        rows = await self._rows(link, ticket)
        link, incident = await self._take_over(link, incident, ticket, rows, token=token)
        if link.memory.note_unknown and rows is not None:
            link = await self._heard(link, rows)
        if flipping(link.memory.flips, tools.clock.now()):
            return await self._flipping(link, token=token)
        return await self._write(link, incident, ticket, token=token)

    async def _rows(self, link: Link, ticket: Ticket) -> Sequence[Row] | None:
        """The journal, where it may have grown; None when it could not be read now."""
        if link.memory.base.get("version") == ticket.version and not link.memory.note_unknown:
            return ()
        answer = await self._tools.mirror.journal(ticket.remote_id)
        return answer.rows if answer.word is MirrorWord.DONE else None

    async def _take_over(
        self, link: Link, incident: Incident, ticket: Ticket, rows: Sequence[Row] | None, *,
        token: str,
    ) -> tuple[Link, Incident]:  # fmt: skip
        """Carry out what people did to the ticket, each with what is remembered of it."""
        acknowledgeable = incident.status in OPEN_STATUSES and incident.acknowledged_at is None
        now = self._tools.clock.now()
        news = absorb(link, ticket, rows or (), may_acknowledge=acknowledgeable, now=now)
        for one in news:
            link = replace(link, memory=one.memory)
            incident = await self._obey(link, incident, one, token=token)
        known = absorbed(link.memory, ticket, rows or ())
        if rows is None:  # come back for the journal
            known = replace(known, base={**known.base, "version": ""})
        return replace(link, memory=known), incident

    async def _obey(self, link: Link, incident: Incident, news: News, *, token: str) -> Incident:
        tools, now = self._tools, self._tools.clock.now()
        until = now + LEASE * tools.terms.speed

        def also(c: Connection) -> None:
            links.save(c, link, token=token, keep_until=until)

        if link.incident is None:
            return incident
        facts = f"{len(news.memory.notes)}:{sorted(news.memory.base.items())}:{news.name}"
        command = Command(
            id=SignalId(derived(link.id, facts, rfc3339(now) or "", size=16)),
            name=news.name,
            actor_kind=ActorKind.MIRROR.value,
            actor=link.mirror,
            received_at=now,
            body=dict(news.body),
            incident=link.incident,
        )
        try:
            changed: Incident = await tools.obey(link.tenant, command, also=also)
        except (IllegalTransition, NotFound):  # it has ended: there is nobody to tell
            await tools.db.write(also)
            return incident
        return changed

    async def _heard(self, link: Link, rows: Sequence[Row]) -> Link:
        """See by its mark whether the note arrived whose outcome nobody knew."""
        texts = [row.text for row in rows]
        heard, sequence = link.memory.told, link.memory.told
        tenant, incident = link.tenant, link.incident or ""
        found = await self._tools.db.read(
            lambda c: events.of_incident(c, tenant, incident, sequence, 500)
        )
        for event in found:
            if any(mark_of(event.id) in text for text in texts):
                heard = event.sequence
        return replace(link, memory=replace(link.memory, told=heard, note_unknown=False))

    async def _write(self, link: Link, incident: Incident, ticket: Ticket, *, token: str) -> Link:
        tools, now = self._tools, self._tools.clock.now()
        unheard = await tools.db.read(lambda c: unheard_by(c, link, incident))
        wish = self._wish(incident, unheard)
        planned = plan(
            link, wish, ticket, note=unheard.note, new_generation=tools.terms.new_generation
        )
        if planned.next_generation:
            return await self._next(link, planned)
        if planned.is_conflict:
            link = await self._conflict(link, planned.why, "human_closed", token=token)
        heard = replace(link, memory=replace(link.memory, told=unheard.last))
        if planned.change.is_empty:
            return self._settled(heard, planned)
        wrote_at = link.memory.wrote_at
        if planned.change.is_note and wrote_at is not None and now < wrote_at + tools.terms.poll:
            return replace(link, due_at=wrote_at + tools.terms.poll)  # notes go out together
        going = replace(link, memory=intending(link.memory, planned.change, wish))
        until = now + LEASE * tools.terms.speed
        await tools.db.write(lambda c: links.save(c, going, token=token, keep_until=until))
        answer = await tools.mirror.change(ticket.remote_id, planned.change)
        if answer.word is MirrorWord.DONE:
            going = replace(going, memory=replace(going.memory, told=unheard.last))
            return self._written(going, wish, planned, ticket, answer.tickets[0])
        if answer.word is MirrorWord.ABSENT:
            return await self._missing(going)
        if answer.word is MirrorWord.UNKNOWN:
            return replace(
                going,
                state=after(going, Trigger.LOST),
                memory=replace(going.memory, note_unknown=bool(planned.change.note)),
                due_at=tools.clock.now() + AGAIN,
                explanation=f"The last write may have been done or not: {answer.why}",
            )
        return self._hindered(going, answer)

    def _written(self, link: Link, wish: Wish, planned: Plan, before: Ticket, echo: Ticket) -> Link:
        """Hold the echo against what was asked, and remember what is ours now."""
        asked = planned.change
        memory = written(link.memory, wish, planned, before, echo)
        memory = replace(memory, wrote_at=self._tools.clock.now())
        link = replace(link, memory=memory, number=echo.number, remote_state=echo.state_text)
        ends = asked.state in ENDED_STATES
        if asked.state is not None and (echo.state in ENDED_STATES) is not ends:
            why = f"The instance took our state and kept its own ({echo.state_text})."
            return self._hindered(link, MirrorAnswer(word=MirrorWord.REFUSED, why=why))
        return self._settled(link, planned)

    def _settled(self, link: Link, planned: Plan) -> Link:
        now = self._tools.clock.now()
        silent = ", ".join(link.memory.silenced)
        kept = f" The instance keeps {silent} as it is." if silent else ""
        return replace(
            link,
            state=after(link, planned.trigger),
            explanation=planned.why + kept,
            last_synced_at=now,
            due_at=link.memory.second_look_at or now + rest_of(link),
        )

    async def _next(self, link: Link, planned: Plan) -> Link:
        """End this generation and have the next one take over."""
        now, tools = self._tools.clock.now(), self._tools
        following = held.fresh(
            tools, link.subject, link.incident, generation=link.generation + 1, now=now, due_at=now
        )
        await tools.db.write(lambda c: links.add(c, following))
        return self._settled(link, planned)

    async def _missing(self, link: Link) -> Link:
        """It may be deleted or hidden: ask by its name before that is believed."""
        tools, now = self._tools, self._tools.clock.now()
        found = await tools.mirror.find(link.correlation)
        if found.word is MirrorWord.DONE:
            ticket = found.tickets[0]
            memory = replace(link.memory, misses=0, base={**base_of(ticket), "version": ""})
            return replace(link, remote_id=ticket.remote_id, memory=memory, due_at=now + AGAIN)
        if found.word is not MirrorWord.ABSENT:
            return self._hindered(link, found)
        misses = link.memory.misses + 1
        link = replace(link, memory=replace(link.memory, misses=misses))
        if misses < MISSES:
            return replace(link, due_at=now + min(tools.terms.poll, SECOND_LOOK))
        why = f"{link.number} was deleted or is hidden from us; nothing is created in its place."
        return replace(
            link, state=after(link, Trigger.MISSING), explanation=why, due_at=now + RECONCILE
        )

    async def _second_look(self, link: Link) -> tuple[Link, bool]:
        """After a create that may have been sent twice: whether the ticket is alone."""
        tools, at = self._tools, link.memory.second_look_at
        if at is None or tools.clock.now() < at:
            return link, True
        found = await tools.mirror.find(link.correlation)
        if found.word is not MirrorWord.DONE:
            if found.word is MirrorWord.ABSENT:
                return replace(link, memory=replace(link.memory, second_look_at=None)), True
            return self._hindered(link, found), False
        memory = replace(link.memory, second_look_at=None)
        oldest, *others = found.tickets
        link = replace(link, remote_id=oldest.remote_id, number=oldest.number, memory=memory)
        if others:
            numbers = ", ".join(ticket.number for ticket in others)
            await tools.announce(
                link.tenant, EventType.LINK_CONFLICT, facts_of(link), actor=link.mirror,
                reason=f"duplicate of {oldest.number}: {numbers}",
                kind_of_actor=ActorKind.MIRROR,
            )  # fmt: skip
        return link, True

    async def _conflict(self, link: Link, why: str, reason: str, *, token: str) -> Link:
        """Tell of a conflict once; the telling and its memory are one transaction."""
        tools, now = self._tools, self._tools.clock.now()
        told = replace(link, explanation=why, memory=replace(link.memory, conflict_told=True))
        until = now + LEASE * tools.terms.speed
        await tools.announce(
            link.tenant,
            EventType.LINK_CONFLICT,
            facts_of(told),
            actor=link.mirror,
            reason=reason,
            kind_of_actor=ActorKind.MIRROR,
            also=lambda c: links.save(c, told, token=token, keep_until=until),
        )
        return told

    async def _flipping(self, link: Link, *, token: str) -> Link:
        why = f"The state of {link.number} moves to and fro; Sextant writes nothing until it rests."
        if not link.memory.conflict_told:
            link = await self._conflict(link, why, "flipping", token=token)
        due = self._tools.clock.now() + FLIP_WINDOW
        return replace(link, state=after(link, Trigger.FLIPPING), explanation=why, due_at=due)

    def _hindered(self, link: Link, answer: MirrorAnswer) -> Link:
        now, tries = self._tools.clock.now(), link.memory.tries + 1
        link = replace(link, memory=replace(link.memory, tries=tries))
        why = " ".join(filter(None, (answer.why, answer.remedy)))
        if answer.word is MirrorWord.REFUSED:
            due = now + FAILED_AGAIN
            return replace(link, state=after(link, Trigger.REFUSED), explanation=why, due_at=due)
        due = now + (answer.retry_after or backoff(tries))
        state = after(link, Trigger.UNREACHED)
        return replace(link, state=state, explanation=f"Waits: {why}", due_at=due)

    def _wish(self, incident: Incident, unheard: Unheard) -> Wish:
        phase = phase_of(incident)
        fields = {}
        if phase is Phase.OPEN:
            url = self._tools.url_of(str(incident.id))
            fields = dict(self._tools.mirror.fields(incident, url=url))
        return Wish(
            phase=phase,
            fields=fields,
            rules=self._tools.mirror.rules,
            ended=rfc3339(incident.resolved_at) or incident.status.value,
            final=incident.status in FINAL,
            reopened=unheard.reopened,
            text=ending_of(incident),
            parent=unheard.parent,
        )
