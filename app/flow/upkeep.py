"""Upkeep of receivers: tells how they stand, and carries replays through, step by step."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from sqlalchemy import Connection

from app.core.events import EventType
from app.core.retry import Standing
from app.core.route import PlannedEvent, Subscription, judge
from app.core.types import TenantId
from app.kit.clock import Clock
from app.kit.wake import Bell
from app.store import deliveries, replays, subscriptions
from app.store.deliveries import PARKED
from app.store.engine import Database
from app.store.replays import CANCELLED, FINISHED, PLANNING, SENDING, Replay
from app.store.subscriptions import Untold

log = logging.getLogger(__name__)

PERIOD = timedelta(seconds=1)  # of the clock on the wall
AHEAD = 100  # deliveries of a replay that may wait at once, so that what is new is not held up
SHUT_FOR = timedelta(seconds=60)  # a replay for a disabled subscription is looked at so often
READ_AT_ONCE = 500  # events of the log that one step looks at
TOLD_AT_ONCE = 50  # events of one step
JOBS_AT_ONCE = 20  # replays that one step moves
_EVENT = {
    Standing.ACTIVE: EventType.SUBSCRIPTION_RECOVERED,
    Standing.FAILING: EventType.SUBSCRIPTION_FAILING,
    Standing.DISABLED: EventType.SUBSCRIPTION_DISABLED,
}


class News(Protocol):
    """Emits an event about a subscription, as ``Fold.news`` does."""

    async def __call__(
        self,
        tenant: TenantId,
        kind: EventType,
        facts: dict[str, Any],
        *,
        actor: str,
        reason: str,
        also: Callable[[Connection], Any] | None = None,
    ) -> None:
        """Emit it, and write ``also`` in the same transaction."""
        ...


class _Outrun(Exception):  # noqa: N818 - not an error: another replica was first
    """Another replica did it, or it is no longer so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How fast replays go. ``speed`` is story seconds per second of the clock on the wall."""

    per_second: float = 50.0
    speed: float = 1.0


class Upkeep:
    """What recurs around receivers; its caller repeats ``step`` after the wait that it gives.

    All of it rests on rows: a replica that dies leaves nothing behind that another does not see.
    """

    def __init__(
        self, db: Database, clock: Clock, *, news: News, bell: Bell, rhythm: Rhythm | None = None
    ) -> None:
        self._db = db
        self._clock = clock
        self._news = news
        self._bell = bell
        self._rhythm = rhythm or Rhythm()

    async def step(self) -> timedelta:
        """Tell what is untold, move the replays that are due, and give the wait."""
        for untold in await self._db.read(lambda c: subscriptions.untold(c, TOLD_AT_ONCE)):
            await self._tell(untold)
        moved = 0
        while moved < JOBS_AT_ONCE and await self._move():
            moved += 1
        return PERIOD * self._rhythm.speed

    async def _tell(self, untold: Untold) -> None:
        shown = {
            "id": untold.id,
            "description": untold.description,
            "state": untold.state.value,
            "cause": untold.reason,
        }

        def told(c: Connection) -> None:
            if not subscriptions.tell(c, untold):
                raise _Outrun

        await self._emit(untold.tenant, _EVENT[untold.state], {"subscription": shown}, also=told)
        log.warning("subscription_changed", extra={"subscription": untold.id})

    async def _emit(
        self,
        tenant: TenantId,
        kind: EventType,
        facts: dict[str, Any],
        *,
        also: Callable[[Connection], None],
    ) -> None:
        try:
            await self._news(tenant, kind, facts, actor="sextant", reason=kind.value, also=also)
        except _Outrun:
            log.info("news_was_told", extra={"event_type": kind.value})

    async def _move(self) -> bool:
        """Move one replay that is due; False when there is none."""
        # A look costs no turn of the writer; most of the time there is nothing.
        at = await self._db.read(replays.next_at)
        now = self._clock.now()
        if at is None or at > now:
            return False
        moved = await self._db.write(partial(self._plan, now=now))
        if moved is None:
            return False
        job, planned = moved
        if planned:
            self._bell.ring()
        if job.state == SENDING:
            await self._finish(job)
        return True

    def _plan(self, c: Connection, *, now: datetime) -> tuple[Replay, int] | None:
        """Plan the next stretch of a replay, and store how far it has come, in one transaction."""
        job = replays.due(c, now)
        if job is None:
            return None
        subscription = subscriptions.get(c, job.tenant, job.subscription)
        if subscription is None:
            replays.end(c, job, CANCELLED, now=now)
            return job, 0
        pause = PERIOD * self._rhythm.speed
        step = partial(replays.move, c, job, planned=job.planned, position=job.position)
        if subscription.state is Standing.DISABLED:
            step(state=job.state, next_at=now + SHUT_FOR)
            return job, 0
        room = AHEAD - replays.waiting(c, job.id, AHEAD)
        if job.state != PLANNING or room <= 0:
            step(state=job.state, next_at=now + pause)
            return job, 0
        rows = deliveries.past(
            c, job.tenant, since=job.since, until=job.until, after=job.position, limit=READ_AT_ONCE
        )
        chosen = _choose(c, subscription, [row.planned() for row in rows], job)
        whole = len(chosen) <= room
        last = rows[-1].sequence if rows else job.position
        planned = _queue(c, subscription, chosen[:room], job, now=now)
        rest = timedelta(seconds=planned / self._rhythm.per_second) * self._rhythm.speed
        replays.move(
            c,
            job,
            state=SENDING if whole and len(rows) < READ_AT_ONCE else PLANNING,
            position=last if whole else chosen[room - 1].sequence,
            planned=job.planned + planned,
            next_at=now + max(rest, pause) if planned else now,
        )
        return job, planned

    async def _finish(self, job: Replay) -> None:
        """Tell that a replay is through, once all that came of it is delivered or parked."""
        tally = await self._db.read(lambda c: replays.tally(c, job.id))
        if tally.pending:
            return
        shown = {
            "id": job.id,
            "select": job.chosen,
            "planned": job.planned,
            "delivered": tally.delivered,
            "parked": tally.parked,
        }
        facts = {"subscription": {"id": job.subscription}, "replay": shown}

        def ended(c: Connection) -> None:
            if not replays.end(c, job, FINISHED, now=self._clock.now()):
                raise _Outrun

        kind = EventType.SUBSCRIPTION_REPLAY_FINISHED
        await self._emit(job.tenant, kind, facts, also=ended)


def _choose(
    c: Connection, subscription: Subscription, events: Sequence[PlannedEvent], job: Replay
) -> list[PlannedEvent]:
    # What ends an incident goes to whom it was announced, here as when it was new.
    told = deliveries.told_from(c, job.tenant, events, [subscription])
    known = deliveries.known(c, subscription.id, [event.id for event in events])
    meant = []
    for event in events:
        about = (subscription.id, event.incident or "")
        knows = event.id in known or told.get(about, event.sequence) < event.sequence
        if judge(subscription, event, already_told=knows).goes:
            meant.append(event)
            told[about] = min(told.get(about, event.sequence), event.sequence)
    if job.chosen == "failed":
        return [event for event in meant if known.get(event.id) == PARKED]
    return [event for event in meant if job.chosen == "all" or event.id not in known]


def _queue(
    c: Connection,
    subscription: Subscription,
    chosen: Sequence[PlannedEvent],
    job: Replay,
    *,
    now: datetime,
) -> int:
    """Queue events under the ids that they have; gives how many deliveries that makes."""
    if job.chosen == "failed":
        names = [event.id for event in chosen]
        return deliveries.revive(c, subscription.id, names, name=job.id, now=now)
    return deliveries.replay(c, subscription, chosen, name=job.id, now=now)
