"""The loop of one channel: links from events, and a step for each that is due."""

import contextlib
import logging
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.core.errors import StorageUnavailable
from app.core.incident import Incident
from app.core.link import Link, LinkState, Trigger, correlation_of, moved
from app.flow.announce import LEASE, Announce, ChannelTools
from app.flow.following import followed
from app.flow.terms import FAILED_AGAIN, backoff
from app.flow.trouble import Trouble
from app.kit.ids import new_id
from app.store import events, incidents, links
from app.store.links import NotMine

log = logging.getLogger(__name__)

BREAKS_AFTER = 5  # tellings in a row that did not reach the other side
LEAST = timedelta(seconds=1)  # real time between steps with nothing to do
BUSY = timedelta(milliseconds=50)  # real time between steps with more to do


class ChannelLoop:
    """Tells one channel of the incidents of one tenant, in their order, each thing once."""

    def __init__(self, tools: ChannelTools) -> None:
        self._tools = tools
        self._announce = Announce(tools)
        self._trouble = Trouble(
            tools.db, tools.clock, tools.announce, tenant=tools.terms.terms.tenant,
            name=tools.terms.facts.name, kind=tools.terms.facts.kind,
        )  # fmt: skip
        self._misses = 0
        self._closed_until: datetime | None = None

    async def step(self) -> timedelta:
        """Follow the log and carry what is due; says when to go on, in time of the story."""
        tools, speed = self._tools, self._tools.terms.terms.speed
        tenant, name = tools.terms.terms.tenant, tools.terms.facts.name

        def look(c: Connection) -> tuple[links.Standing | None, int, datetime | None]:
            return links.known(c, name), events.bounds(c, tenant)[1], links.next_due(c, name)

        known, newest, next_at = await tools.db.read(look)
        more = known is None or newest > known.position
        now = tools.clock.now()
        if more:
            more = await tools.db.write(
                lambda c: followed(c, name, tenant, known, newest, now=now, concern=self._concern)
            )
        elif next_at is None or next_at > now:
            return LEAST * speed
        if self._closed_until is not None and now < self._closed_until:
            return (BUSY if more else LEAST) * speed
        carried = await self._carry()
        return (BUSY if more or carried else LEAST) * speed

    def _concern(self, c: Connection, incident: Incident, now: datetime) -> None:
        """Wake the link of an incident, or make one where somebody is to be told."""
        terms = self._tools.terms
        wanted = terms.wants(incident)
        link = links.newest(c, terms.facts.name, incident.id)
        due = now + terms.terms.debounce_of(incident)
        if link is None:
            if wanted:
                links.add(c, self._fresh(incident, now, due))
            return
        if link.state is LinkState.ENDED and link.remote_id is None:
            if wanted:
                links.restore(c, link.id, moved(link.state, Trigger.WANTED), due, "Wanted again.")
        elif link.state is not LinkState.FAILED or "phase" in link.memory.sent:
            waits = link.state is LinkState.PENDING and wanted and link.asked_at is None
            links.wake(c, link.id, due if waits else self._at_once(link, now))

    def _at_once(self, link: Link, now: datetime) -> datetime:
        """Now, but for a telling that the other side asked to wait with."""
        return link.due_at if link.memory.tries or link.memory.intended else now

    def _fresh(self, incident: Incident, now: datetime, due_at: datetime) -> Link:
        terms = self._tools.terms
        return Link(
            id=new_id("lnk"),
            tenant=terms.terms.tenant,
            mirror=terms.facts.name,
            system=terms.facts.kind,
            subject=incident.id,
            incident=incident.id,
            generation=1,
            state=LinkState.PENDING,
            explanation="Waits for its debounce.",
            correlation=correlation_of(terms.terms.prefix, incident.id, 1),
            created_at=now,
            due_at=due_at,
        )

    async def _carry(self) -> int:
        """Take the link that is due longest and carry it one step."""
        tools, now = self._tools, self._tools.clock.now()
        token, until = new_id("lease"), now + LEASE * tools.terms.terms.speed
        name = tools.terms.facts.name
        due = await tools.db.write(
            lambda c: links.claim(c, name, token=token, now=now, until=until, limit=1)
        )
        for link in due:
            await self._carry_one(link, token)
        return len(due)

    async def _carry_one(self, link: Link, token: str) -> None:
        """Carry one link one step; what was lost to another process is theirs now."""
        tools = self._tools
        about = link.incident or ""
        incident = await tools.db.read(lambda c: incidents.get(c, link.tenant, about))
        with contextlib.suppress(NotMine):
            try:
                after_it = await self._announce.step(link, incident, token=token)
            except StorageUnavailable:
                return  # the lease lapses
            self._judge(link, after_it)
            await tools.db.write(lambda c: links.save(c, after_it, token=token))
            await self._tell_of(link, after_it)

    async def _tell_of(self, before: Link, link: Link) -> None:
        """Say when the channel begins to fail, and when it works again."""
        if link.state is LinkState.FAILED:
            if link.due_at <= self._tools.clock.now() + FAILED_AGAIN:
                await self._trouble.begins(link.explanation, reason="refused")
        elif self._misses >= BREAKS_AFTER:
            await self._trouble.begins(link.explanation, reason="unreached")
        elif link.memory.wrote_at != before.memory.wrote_at:
            name, soon = link.mirror, self._tools.clock.now() + FAILED_AGAIN
            others = await self._tools.db.read(lambda c: links.refused(c, name, until=soon))
            if others is None:
                await self._trouble.ends()

    def _judge(self, before: Link, link: Link) -> None:
        """Close the channel for a while when it does not answer or asks for rest; and log."""
        now = self._tools.clock.now()
        if link.memory.tries > before.memory.tries:
            self._misses += 1
            if self._misses >= BREAKS_AFTER or self._asked_for_rest(link, now):
                self._closed_until = max(link.due_at, now + backoff(self._misses - BREAKS_AFTER))
            log.warning(
                "channel_waits", extra={"channel": link.mirror, "why": link.explanation[:300]}
            )
        elif link.memory.wrote_at != before.memory.wrote_at:
            self._misses, self._closed_until = 0, None
        if before.state is not link.state:
            log.info(
                "link_moved",
                extra={"mirror": link.mirror, "link": link.id, "incident": link.incident or "",
                       "from": before.state.value, "to": link.state.value},
            )  # fmt: skip

    def _asked_for_rest(self, link: Link, now: datetime) -> bool:
        """Whether the wait is the other side's and not our own arithmetic."""
        return link.due_at - now != backoff(link.memory.tries)
