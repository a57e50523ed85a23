"""The mirror loop: links from events, a step for each that is due, the poll of the other side."""

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.core.errors import StorageUnavailable
from app.core.incident import Incident
from app.core.link import Link, LinkState, Trigger, moved
from app.core.ports import MirrorAnswer, MirrorWord
from app.flow import children, held
from app.flow.create import Create
from app.flow.following import followed
from app.flow.keep import FAR, Keep
from app.flow.pictured import pictured
from app.flow.terms import FAILED_AGAIN, LEASE, Tools, backoff
from app.flow.trouble import Trouble
from app.flow.unheard import incident_of
from app.kit.ids import new_id
from app.store import events, links
from app.store.links import NotMine

log = logging.getLogger(__name__)

BREAKS_AFTER = 5  # polls that did not reach the other side; until one does, nothing is carried
BATCH = 2  # links that one step carries side by side: what one connector may ask of an instance
LEAST = timedelta(seconds=1)  # real time between steps with nothing to do
BUSY = timedelta(milliseconds=50)  # real time between steps with more to do
UNMADE = frozenset(
    {LinkState.PENDING, LinkState.HELD, LinkState.CREATING, LinkState.CREATE_UNKNOWN}
)


class MirrorLoop:
    """Keeps the tickets of one mirror in step with the incidents of one tenant."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._create = Create(tools)
        self._keep = Keep(tools)
        self._misses = 0
        self._trouble = Trouble(
            tools.db, tools.clock, tools.announce, tenant=tools.terms.tenant,
            name=tools.mirror.name, kind=tools.mirror.system,
        )  # fmt: skip

    async def step(self) -> timedelta:
        """Follow the log, poll, and carry what is due; says when to go on, in time of the story."""
        tools, speed = self._tools, self._tools.terms.speed
        tenant, name = tools.terms.tenant, tools.mirror.name

        def look(c: Connection) -> tuple[links.Standing | None, int, datetime | None]:
            return links.known(c, name), events.bounds(c, tenant)[1], links.next_at(c, name)

        known, newest, next_at = await tools.db.read(look)
        more = known is None or newest > known.position
        if more:
            more = await self._follow(known, newest)
        elif next_at is None or next_at > tools.clock.now():
            return LEAST * speed
        await self._poll()
        carried = await self._carry()
        return (BUSY if more or carried else LEAST) * speed

    async def _follow(self, known: links.Standing | None, newest: int) -> bool:
        """Make links of what happened, and wake those that it concerns; whether there is more."""
        tools, now = self._tools, self._tools.clock.now()
        tenant, name = tools.terms.tenant, tools.mirror.name

        return await tools.db.write(
            lambda c: followed(c, name, tenant, known, newest, now=now, concern=self._concern)
        )

    def _concern(self, c: Connection, incident: Incident, now: datetime) -> None:
        """Wake the link of an incident, or make one where a ticket is wanted now."""
        tools = self._tools
        wanted = tools.terms.wants(incident)
        link = links.newest(c, tools.mirror.name, incident.id)
        due = now + tools.terms.debounce_of(incident)
        children.concern(c, tools, incident, now=now, due=due)
        if link is None:
            if wanted:
                links.add(
                    c,
                    held.fresh(tools, incident.id, incident.id, generation=1, now=now, due_at=due),
                )
            return
        if link.state is LinkState.ENDED and link.remote_id is None:
            if wanted:
                links.restore(c, link.id, moved(link.state, Trigger.WANTED), due, "Wanted again.")
            return
        if link.state is LinkState.PENDING and link.asked_at is None:
            links.wake(c, link.id, due if wanted else now)
        elif link.state not in UNMADE or not wanted:
            links.wake(c, link.id, now)

    async def _poll(self) -> None:
        """Ask what changed at the other side; whoever is concerned is looked at now."""
        tools, now = self._tools, self._tools.clock.now()
        name, token = tools.mirror.name, new_id("lease")
        until = now + LEASE * tools.terms.speed
        cursor = await tools.db.write(
            lambda c: links.claim_poll(c, name, token=token, now=now, until=until)
        )
        if cursor is None:
            return
        answer = await tools.mirror.changed(cursor)
        done = answer.word is MirrorWord.DONE
        self._misses = self._misses + 1 if answer.word is MirrorWord.UNREACHED else 0
        wait = tools.terms.poll if done else max(backoff(self._misses), tools.terms.poll)
        again_at = now + (answer.retry_after or wait)
        if not done:
            log.warning("poll_failed", extra={"mirror": name, "why": answer.why})

        def unit(c: Connection) -> None:
            known = links.by_remote(c, name, [t.remote_id for t in answer.tickets])
            for ticket in answer.tickets:
                link = known.get(ticket.remote_id)
                if link is not None and link.memory.base.get("version") != ticket.version:
                    links.wake(c, link.id, now)
            moved = answer.cursor if done else None
            links.polled(c, name, token=token, cursor=moved, now=now, again_at=again_at)

        await tools.db.write(unit)
        await self._tell_of(answer)

    async def _tell_of(self, poll: MirrorAnswer) -> None:
        """Say when the mirror begins to fail, and when it works again; each poll is a look."""
        why = " ".join(filter(None, (poll.why, poll.remedy)))
        if poll.word is MirrorWord.REFUSED:
            await self._trouble.begins(why, reason="refused")
        elif self._misses >= BREAKS_AFTER:
            await self._trouble.begins(why, reason="unreached")
        elif poll.word is MirrorWord.DONE:
            name, soon = self._tools.mirror.name, self._tools.clock.now() + FAILED_AGAIN
            link = await self._tools.db.read(lambda c: links.refused(c, name, until=soon))
            if link is None:
                await self._trouble.ends()
            else:
                await self._trouble.begins(link.explanation, reason="refused")

    async def _carry(self) -> int:
        """Take links that are due and carry each one step, side by side."""
        tools, now = self._tools, self._tools.clock.now()
        token, until = new_id("lease"), now + LEASE * tools.terms.speed
        name = tools.mirror.name
        if self._misses >= BREAKS_AFTER:
            return 0
        due = await tools.db.write(
            lambda c: links.claim(c, name, token=token, now=now, until=until, limit=BATCH)
        )
        await asyncio.gather(*(self._carry_one(link, token) for link in due))
        return len(due)

    async def _carry_one(self, link: Link, token: str) -> None:
        """Carry one link one step; what was lost to another process is theirs now."""
        tools = self._tools
        incident = await tools.db.read(lambda c: incident_of(c, link))
        with contextlib.suppress(NotMine):
            made = link.remote_id is not None
            work = self._keep.step if made else self._create.step
            try:
                if link.state is LinkState.ENDED and not made:
                    after_it = replace(link, due_at=tools.clock.now() + FAR)
                else:
                    after_it = await work(link, incident, token=token)
                    after_it = await pictured(tools, after_it, incident, token=token)
            except StorageUnavailable:
                return  # the lease lapses
            self._log(link, after_it)
            await tools.db.write(lambda c: links.save(c, after_it, token=token))

    def _log(self, before: Link, link: Link) -> None:
        if before.state is not link.state:
            log.info(
                "link_moved",
                extra={"mirror": link.mirror, "link": link.id, "incident": link.incident or "",
                       "from": before.state.value, "to": link.state.value},
            )  # fmt: skip
