"""One step of one announcement: what an incident's channel has not heard, told once and noted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.core.announce import (
    WAITS,
    Audience,
    ChannelFacts,
    Hold,
    Notice,
    NoticePhase,
    Send,
    Updates,
    Verdict,
    lines_of,
    phase_due,
)
from app.core.document import rfc3339
from app.core.incident import Incident
from app.core.link import Link, LinkState, Trigger
from app.core.ports import (
    Channel,
    ChannelAnswer,
    Choose,
    IncidentPictures,
    MirrorWord,
    Say,
    Telling,
)
from app.core.telling import Told
from app.core.ticket import FINAL
from app.core.types import OPEN_STATUSES, severity_of
from app.flow.held import HOUR
from app.flow.messages import Known, known_of
from app.flow.pictured import is_turn, picture_of
from app.flow.terms import FAILED_AGAIN, RECONCILE, Terms, after, backoff
from app.flow.terms import Announce as Announcing
from app.flow.unheard import told_since
from app.kit.clock import Clock
from app.store import incidents, links
from app.store.engine import Database

LEASE = timedelta(seconds=150)  # of one step: the longest has four calls
AGAIN = timedelta(seconds=5)  # after a telling whose outcome nobody knows
LOOK = timedelta(seconds=30)  # how often a held one asks whether its channel is well again
SENDS = 2  # of one telling, where nobody can look whether it arrived: at most one duplicate
LATER = "for_later"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelTerms:
    """What the settings say of one channel.

    ``terms`` as for a mirror. ``services`` narrows what is told, empty for all. ``gap`` is the
    least time between two updates. ``plan`` are the channels of the tenant, this one among them.
    """

    terms: Terms
    facts: ChannelFacts
    plan: tuple[ChannelFacts, ...]
    services: frozenset[str] = frozenset()
    updates: Updates = Updates.ALL
    gap: timedelta = timedelta(0)

    def wants(self, incident: Incident) -> bool:
        """Whether an incident is to be told of at all."""
        if self.services and not self.services & set(incident.services):
            return False
        return self.terms.wants(incident)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelTools:
    """What a channel's flow works with."""

    db: Database
    clock: Clock
    channel: Channel
    terms: ChannelTerms
    say: Say
    choose: Choose
    url_of: Callable[[str], str]
    announce: Announcing
    pictures: IncidentPictures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What a step reads at its beginning."""

    unheard: tuple[Told, ...]
    verdict: Verdict
    known: Known

    @property
    def last(self) -> int:
        """The sequence of the newest event that was read, 0 for none."""
        return self.unheard[-1].sequence if self.unheard else 0

    def until(self, sequence: int) -> "_View":
        """The same, without what came after."""
        known = tuple(e for e in self.unheard if e.sequence <= sequence)
        return replace(self, unheard=known)


class Announce:
    """Carries one link of a channel; every step is one claim of the link."""

    def __init__(self, tools: ChannelTools) -> None:
        self._tools = tools

    async def step(self, link: Link, incident: Incident | None, *, token: str) -> Link:
        """Go one step; gives the link as it is to be stored."""
        now = self._tools.clock.now()
        if incident is None:
            return replace(link, due_at=now + RECONCILE)
        view = await self._tools.db.read(lambda c: self._look(c, link, incident))
        if link.memory.intended:
            return await self._resume(link, incident, view, token)
        if link.state is LinkState.ENDED:
            if link.remote_id is None or incident.status not in OPEN_STATUSES:
                return replace(link, due_at=now + RECONCILE)
            link = replace(link, state=after(link, Trigger.REOPENED))
        phase = self._phase(link, incident, view)
        if phase is None or link.state is LinkState.GONE:
            return self._settled(link, incident, view)
        return await self._tell(link, incident, view, phase, token)

    def _look(self, c: Connection, link: Link, incident: Incident) -> _View:
        terms = self._tools.terms
        living = incidents.living(c, link.tenant)
        verdict = self._tools.choose(incident, living, terms.plan).get(terms.facts.name, Send())
        wrote_at = link.memory.wrote_at
        out = verdict.let_out if isinstance(verdict, Send) else None
        if out is not None and wrote_at is not None and out.at <= wrote_at:
            verdict = Hold(why=WAITS, for_later=False)  # what was let out is told; the next waits
        return _View(unheard=told_since(c, link), verdict=verdict, known=known_of(c, incident))

    def _phase(self, link: Link, incident: Incident, view: _View) -> NoticePhase | None:
        terms, last = self._tools.terms, link.memory.sent.get("phase", "")
        late = LATER in link.memory.sent
        if isinstance(view.verdict, Send) and view.verdict.let_out is not None:
            return NoticePhase(view.verdict.let_out.phase)
        if not last and not late and not terms.wants(incident):
            return None
        return phase_due(
            incident, last=last, unheard=view.unheard, name=terms.facts.name,
            updates=terms.updates, late=late,
        )  # fmt: skip

    def _settled(self, link: Link, incident: Incident, view: _View) -> Link:
        """There is nothing to tell."""
        now = self._tools.clock.now()
        if link.remote_id is None and "phase" in link.memory.sent:  # given up; the next is told
            return replace(link, due_at=now + RECONCILE)
        if link.remote_id is None:
            why = "Over, or below the filter, before anybody was told."
            return replace(
                link, state=after(link, Trigger.WITHDRAWN), explanation=why, due_at=now + RECONCILE
            )
        if link.state is LinkState.GONE and incident.status not in FINAL:
            return replace(link, due_at=now + RECONCILE)
        trigger = Trigger.FINISHED if incident.status in FINAL else Trigger.SYNCED
        memory = replace(link.memory, told=max(link.memory.told, view.last))
        return replace(link, state=after(link, trigger), memory=memory, due_at=now + RECONCILE)

    async def _tell(
        self, link: Link, incident: Incident, view: _View, phase: NoticePhase, token: str
    ) -> Link:
        now, wrote_at = self._tools.clock.now(), link.memory.wrote_at
        hold = view.verdict if isinstance(view.verdict, Hold) else None
        if hold is not None and not (hold.until_begun and link.remote_id is not None):
            if incident.status in FINAL and not hold.for_later:
                return self._settled(link, incident, view)
            return self._held(link, hold)
        gap = self._tools.terms.gap
        if phase is NoticePhase.UPDATE and wrote_at is not None and now < wrote_at + gap:
            return replace(link, due_at=wrote_at + gap)  # what happens meanwhile goes out together
        return await self._send(link, incident, view, phase, token)

    def _held(self, link: Link, hold: Hold) -> Link:
        """The channel is not to be used now: say so, and ask again soon."""
        now = self._tools.clock.now()
        if link.remote_id is not None:
            return replace(link, explanation=f"Waits: {hold.why}", due_at=now + LOOK)
        sent = {**link.memory.sent, **({LATER: "yes"} if hold.for_later else {})}
        return replace(
            link, state=after(link, Trigger.SPENT), explanation=hold.why, due_at=now + LOOK,
            memory=replace(link.memory, sent=sent),
        )  # fmt: skip

    async def _send(
        self, link: Link, incident: Incident, view: _View, phase: NoticePhase, token: str
    ) -> Link:
        tools, now = self._tools, self._tools.clock.now()
        is_first = link.remote_id is None
        key = link.memory.intended or f"{link.correlation}/{phase.value}/{view.last}"
        memory = replace(
            link.memory, intended=key, misses=link.memory.misses + 1, unknown_at=None,
            sent={**link.memory.sent, "asked_at": link.memory.sent.get("asked_at") or _at(now)},
        )  # fmt: skip
        going = replace(link, memory=memory, explanation="Being told.")
        if is_first:
            going = replace(going, state=after(link, Trigger.SENT), asked_at=link.asked_at or now)

        def begin(c: Connection) -> datetime | None:
            wait = self._budget(c, link, now) if is_first else None
            if wait is None:
                until = now + LEASE * tools.terms.terms.speed
                links.save(c, going, token=token, keep_until=until)
            return wait

        wait = await tools.db.write(begin)
        if wait is not None:
            why = "The hourly budget of first notices is spent; it follows."
            return replace(link, state=after(link, Trigger.SPENT), explanation=why, due_at=wait)
        telling = await self._illustrated(self._telling(going, incident, view, phase))
        answer = await tools.channel.tell(telling)
        return self._answered(going, incident, view, telling, answer)

    async def _illustrated(self, telling: Telling) -> Telling:
        """With the picture, where the channel has a place for one and users do not read it."""
        tools, facts = self._tools, self._tools.terms.facts
        if not (tools.channel.pictures and is_turn(telling)) or facts.audience is Audience.USERS:
            return telling
        return replace(telling, picture=await picture_of(tools.pictures, telling.notice.incident))

    def _budget(self, c: Connection, link: Link, now: datetime) -> datetime | None:
        """Take one first notice of this hour's budget; else say when there is one again."""
        terms = self._tools.terms.terms
        links.standing(c, link.mirror, terms.tenant, now=now, position=0, lock=True)
        known = link.asked_at is not None and link.asked_at > now - HOUR
        if known or links.spent(c, link.mirror, now - HOUR) < terms.budget:
            return None
        return (links.frees_at(c, link.mirror, now - HOUR) or now) + HOUR

    def _telling(self, link: Link, incident: Incident, view: _View, phase: NoticePhase) -> Telling:
        tools, facts = self._tools, self._tools.terms.facts
        verdict = view.verdict if isinstance(view.verdict, Send) else Send()
        for_users = facts.audience is Audience.USERS  # who get the words alone, and no address
        notice = Notice(
            incident=incident,
            phase=phase,
            url="" if for_users else tools.url_of(str(incident.id)),
            at=tools.clock.now(),
            lines=()
            if for_users
            else lines_of(view.unheard, name=facts.name, audience=facts.audience),
            mark=verdict.mark,
            late=LATER in link.memory.sent,
            evidence=view.known.evidence,
            next_update_at=view.known.next_update_at,
            let_out=verdict.let_out,
        )
        message = tools.say(notice, facts)
        asked = link.memory.sent.get("asked_at")
        return Telling(
            key=link.memory.intended,
            thread=link.correlation,
            topic=link.memory.sent.get("topic", message.subject),
            record=link.remote_id or "",
            notice=notice,
            message=message,
            asked_at=datetime.fromisoformat(asked) if asked else None,
            last_phase=link.memory.sent.get("phase", ""),
            last_severity=severity_of(link.memory.sent.get("severity", "unknown")),
        )

    async def _resume(self, link: Link, incident: Incident, view: _View, token: str) -> Link:
        """A telling was sent, and nobody heard what became of it."""
        _, word, sequence = link.memory.intended.rsplit("/", 2)
        phase, view = NoticePhase(word), view.until(int(sequence))
        if link.state is LinkState.CREATING:
            link = replace(link, state=after(link, Trigger.LOST))
        telling = self._telling(link, incident, view, phase)
        found = await self._tools.channel.heard(telling)
        match found.word:
            case MirrorWord.DONE:
                return self._told(link, incident, telling, found, Trigger.FOUND)
            case MirrorWord.UNREACHED:
                return self._waits(link, found)
            case MirrorWord.ABSENT:
                pass
            case _ if link.memory.misses >= SENDS:
                return self._given_up(link, view, telling, found)
            case _:
                pass
        if link.remote_id is None:
            link = replace(link, state=after(link, Trigger.ABSENT))
        return await self._send(link, incident, view, phase, token)

    def _answered(
        self, link: Link, incident: Incident, view: _View, telling: Telling, answer: ChannelAnswer
    ) -> Link:
        now = self._tools.clock.now()
        why = " ".join(filter(None, (answer.why, answer.remedy)))
        match answer.word:
            case MirrorWord.DONE:
                return self._told(link, incident, telling, answer, Trigger.CREATED)
            case MirrorWord.UNKNOWN:
                return replace(
                    link, state=after(link, Trigger.LOST), due_at=now + AGAIN,
                    explanation=f"It may have arrived or not: {why}",
                    memory=replace(link.memory, unknown_at=now),
                )  # fmt: skip
            case MirrorWord.UNREACHED:
                return self._waits(_undone(link), answer)
            case MirrorWord.ABSENT:
                gone = replace(
                    _undone(link), explanation=f"What was told there was deleted. {why}".strip()
                )
                state = after(gone, Trigger.MISSING)
                memory = replace(gone.memory, told=view.last)
                return replace(gone, state=state, memory=memory, due_at=now + RECONCILE)
            case MirrorWord.REFUSED:
                undone = _undone(link)
                state = after(undone, Trigger.REFUSED)
                return replace(undone, state=state, explanation=why, due_at=now + FAILED_AGAIN)

    def _waits(self, link: Link, answer: ChannelAnswer) -> Link:
        """Nothing was done: come again when we may."""
        tries = link.memory.tries + 1
        wait = answer.retry_after or backoff(tries)
        return replace(
            link, state=after(link, Trigger.UNREACHED), explanation=f"Waits: {answer.why}",
            due_at=self._tools.clock.now() + wait, memory=replace(link.memory, tries=tries),
        )  # fmt: skip

    def _told(
        self, link: Link, incident: Incident, telling: Telling, answer: ChannelAnswer,
        trigger: Trigger,
    ) -> Link:  # fmt: skip
        """It arrived: remember what was told and when."""
        now, is_first = self._tools.clock.now(), link.remote_id is None
        final = Trigger.FINISHED if incident.status in FINAL else Trigger.SYNCED
        phase = telling.notice.phase
        sent = {k: v for k, v in link.memory.sent.items() if k not in {"asked_at", LATER}}
        sent |= {"phase": phase.value, f"{phase.value}_at": _at(now), "topic": telling.topic}
        sent |= {"severity": telling.notice.incident.severity.word}
        _, _, sequence = link.memory.intended.rpartition("/")
        memory = replace(
            link.memory, sent=sent, told=max(link.memory.told, int(sequence)), intended="",
            misses=0, tries=0, wrote_at=now, unknown_at=None,
        )  # fmt: skip
        return replace(
            link,
            state=after(link, trigger if is_first else final),
            memory=memory,
            remote_id=answer.record or link.remote_id or telling.key,
            number=answer.number or link.number,
            url=answer.url or link.url,
            remote_state=phase.value,
            explanation=" ".join(filter(None, ("Told.", answer.why, telling.notice.mark))),
            last_synced_at=now,
            due_at=now,  # once more, for what happened meanwhile
        )

    def _given_up(self, link: Link, view: _View, telling: Telling, found: ChannelAnswer) -> Link:
        """Sent as often as is bearable, and nobody could look: say so, and go on with the next."""
        now = self._tools.clock.now()
        phase = telling.notice.phase.value
        memory = replace(
            link.memory, intended="", misses=0, told=max(link.memory.told, view.last),
            sent={**link.memory.sent, "phase": phase, "topic": telling.topic},
        )  # fmt: skip
        return replace(
            link, state=after(link, Trigger.REFUSED), memory=memory, due_at=now + FAILED_AGAIN,
            explanation=f"Sent {SENDS} times without an answer ({phase}). {found.why}",
        )  # fmt: skip


def _undone(link: Link) -> Link:
    """The link, where what was intended was certainly not done."""
    sent: Mapping[str, Any] = link.memory.sent
    memory = replace(
        link.memory, intended="", misses=0,
        sent={k: v for k, v in sent.items() if k != "asked_at"},
    )  # fmt: skip
    return replace(link, memory=memory, asked_at=None if link.remote_id is None else link.asked_at)


def _at(now: datetime) -> str:
    return rfc3339(now) or ""
