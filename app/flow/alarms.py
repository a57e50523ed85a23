"""Events for a platform that dedups by key: how each incident stands, sent whenever it changes."""

import logging
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from app.core.incident import Incident
from app.core.link import Link, LinkState, correlation_of
from app.core.ports import AlarmDoor, MirrorAnswer, MirrorWord
from app.core.types import OPEN_STATUSES
from app.flow.terms import FAILED_AGAIN, Announce, Terms, backoff
from app.flow.trouble import Trouble
from app.kit.clock import Clock
from app.kit.ids import new_id
from app.store import events, incidents, links
from app.store.engine import Database

log = logging.getLogger(__name__)

EVENTS = 200  # of the log that one step follows
BREAKS_AFTER = 5  # events in a row that were not taken
LEAST = timedelta(seconds=1)  # real time between steps with nothing to do


class AlarmLoop:
    """Follows the event log and tells the newest state of what it concerns.

    A key makes every repetition harmless, so the position in the log moves on only after all of a
    stretch was taken. There is no debounce: damping belongs to the platform.
    """

    def __init__(
        self, db: Database, clock: Clock, door: AlarmDoor, terms: Terms, root: str,
        *, announce: Announce,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._door = door
        self._terms = terms
        self._root = root
        self._misses = 0
        self._trouble = Trouble(
            db, clock, announce, tenant=terms.tenant, name=door.name, kind=door.system
        )

    async def step(self) -> timedelta:
        """Tell what changed since the last step; says when to go on, in time of the story."""
        now, tenant, name = self._clock.now(), self._terms.tenant, self._door.name

        def look(c: Connection) -> tuple[int, int, list[Incident]]:
            known = links.known(c, name)
            if known is None:  # a new mirror begins with what is open
                return -1, events.bounds(c, tenant)[1], list(incidents.living(c, tenant))
            found = events.after(c, tenant, known.position, EVENTS)
            touched = sorted({e.incident for e in found if e.incident})
            read = [incidents.get(c, tenant, one) for one in touched]
            last = found[-1].sequence if found else known.position
            return known.position, last, [i for i in read if i is not None]

        position, last, touched = await self._db.read(look)
        if position == last:
            return LEAST * self._terms.speed
        told: list[MirrorAnswer | None] = []
        for incident in touched:
            answer = await self._tell(incident)
            told.append(answer)
            if answer is not None and answer.word is not MirrorWord.DONE:
                self._misses += 1
                log.warning("event_not_taken", extra={"mirror": name, "why": answer.why})
                refused = answer.word is MirrorWord.REFUSED
                if refused or self._misses >= BREAKS_AFTER:
                    why = " ".join(filter(None, (answer.why, answer.remedy)))
                    reason = "refused" if refused else "unreached"
                    await self._trouble.begins(why, reason=reason)
                wait = FAILED_AGAIN if refused else backoff(self._misses)
                return answer.retry_after or wait
        self._misses = 0

        def advance(c: Connection) -> None:
            links.standing(c, name, tenant, now=now, position=last)
            links.advance(c, name, last)

        await self._db.write(advance)
        if any(one is not None for one in told):
            await self._trouble.ends()
        return LEAST * self._terms.speed

    async def _tell(self, incident: Incident) -> MirrorAnswer | None:
        """Tell of one incident and note what came of it; None where it is not wanted."""
        name, now = self._door.name, self._clock.now()
        known = await self._db.read(lambda c: links.newest(c, name, incident.id))
        if known is None and not self._terms.wants(incident):
            return None
        key = correlation_of(self._terms.prefix, incident.id, 1)
        url = f"{self._root}/incidents/{incident.id}"
        answer = await self._door.tell(incident, key, url=url, now=now)
        is_open = incident.status in OPEN_STATUSES
        taken = answer.word is MirrorWord.DONE
        state = LinkState.IN_STEP if is_open else LinkState.ENDED
        why = "Told." if taken else " ".join(filter(None, (answer.why, answer.remedy)))
        link = replace(
            known or self._fresh(incident, key),
            state=state if taken else LinkState.FAILED,
            explanation=why,
            remote_state="open" if is_open else "cleared",
            last_synced_at=now if taken else (known.last_synced_at if known else None),
        )
        await self._db.write(lambda c: links.put(c, link))
        return answer

    def _fresh(self, incident: Incident, key: str) -> Link:
        now = self._clock.now()
        return Link(
            id=new_id("lnk"), tenant=incident.tenant, mirror=self._door.name,
            system=self._door.system, subject=incident.id, incident=incident.id, generation=1,
            state=LinkState.PENDING, explanation="", correlation=key, remote_id=key,
            created_at=now, due_at=now,
        )  # fmt: skip
