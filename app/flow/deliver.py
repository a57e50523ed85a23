"""The delivery loop: claim what is due, send it side by side, record what it met."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache, partial

from sqlalchemy import Connection

from app.core.errors import StorageUnavailable
from app.core.events import EventType
from app.core.ports import AttemptOutcome, Body, Format, Sender
from app.core.retry import (
    JITTER,
    SCHEDULE,
    Delivered,
    Disable,
    Park,
    RetryAt,
    Standing,
    Step,
    Why,
    next_step,
    standing_after_failure,
)
from app.core.route import Subscription
from app.kit.clock import Clock
from app.kit.ids import new_id
from app.kit.vault import Unsealable, Vault
from app.kit.wake import Bell
from app.store import claims, deliveries, subscriptions
from app.store.claims import Claimed, Recorded
from app.store.deliveries import DELIVERED, PARKED, PENDING, Attempt
from app.store.engine import Database

log = logging.getLogger(__name__)

BATCH = 128  # most deliveries of one claim
IN_FLIGHT = 1024  # of one process
UNPROVEN = IN_FLIGHT // 2  # of these, to subscriptions that did not answer yet, or not lately
SHARE = 2  # in flight to one subscription at first; one more for each answer, one after silence
POLL_SECONDS = 1.0  # backstop of the bell
DRAIN_SECONDS = 20.0  # what is in flight at a stop gets so long
GATHER_SECONDS = 0.02  # between claims while deliveries are under way
POLL_FLOOR = 0.1  # seconds, however fast the story runs
RECORD_TRIES = 2
LEASE_MARGIN = timedelta(seconds=10)
OPENED_SECRETS = 1024  # kept in memory, so that each is decrypted once
_TOLD_AT_ONCE = frozenset({Why.BLOCKED, Why.UNAUTHORIZED})  # time alone mends neither
HEADER_IDS = 100  # event ids in one header; the delivery log names all


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a delivery is tried. ``speed`` is story seconds per second of the clock on the wall.

    ``concurrency`` is the most that one subscription may have in flight.
    """

    schedule: Sequence[timedelta] = SCHEDULE
    deadline: timedelta = timedelta(seconds=15)
    speed: float = 1.0
    concurrency: int = 16

    @property
    def lease(self) -> timedelta:
        """How long a claim holds, in time of the story."""
        return (self.deadline * 2 + LEASE_MARGIN) * self.speed


class Deliver:
    """Sends what is planned, in order per lane, with a bulkhead around each subscription."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        sender: Sender,
        formats: Mapping[str, Format],
        vault: Vault,
        draw: Callable[[], float],
        bell: Bell,
        pace: Pace | None = None,
        wall: Clock | None = None,
    ) -> None:
        """Wire the loop.

        Args:
            db: where deliveries are.
            clock: time of the story; due times and leases are told in it.
            sender: makes one attempt.
            formats: wire formats by name.
            vault: opens the secrets of subscriptions.
            draw: a random number from 0 to 1, for the jitter.
            bell: rung when deliveries were planned.
            pace: schedule and limits.
            wall: time of day that signatures carry; the same as ``clock`` unless that is virtual.
        """
        self._db = db
        self._clock = clock
        self._sender = sender
        self._formats = formats
        self._opened = lru_cache(OPENED_SECRETS)(vault.open)
        self._draw = draw
        self._bell = bell
        self._pace = pace or Pace()
        self._wall = wall or clock
        self._flying: Counter[str] = Counter()
        self._shares: dict[str, int] = {}  # of those that answered, or were silent, lately
        self._unproven = 0  # in flight to those that did not answer lately
        self._turn = ""  # the subscription that was claimed for last
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[str] = set()  # deliveries under way here: sent by nobody else of us
        self._results: list[tuple[Recorded, asyncio.Future[None]]] = []
        self._recording: asyncio.Task[None] | None = None

    async def step(self) -> int:
        """Claim and send once, and wait until all of it is recorded; gives how many were sent."""
        tasks = await self._launch()
        await asyncio.gather(*tasks)
        return len(tasks)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until stopped; then let what is in flight end, within limits."""
        while not stop.is_set():
            try:
                launched = await self._launch()
            except StorageUnavailable:
                log.warning("claim_failed")
                launched = []
            if len(launched) < BATCH:
                await self._bell.wait(max(POLL_SECONDS / self._pace.speed, POLL_FLOOR))
                if self._tasks:  # what lands together is followed by one claim
                    await asyncio.sleep(GATHER_SECONDS)
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=DRAIN_SECONDS)

    async def _launch(self) -> list[asyncio.Task[None]]:
        limit = min(BATCH, IN_FLIGHT - len(self._tasks))
        if limit <= 0:
            return []
        now = self._clock.now()
        token, after = new_id("lease"), self._turn
        flying, shares, held = dict(self._flying), dict(self._shares), frozenset(self._held)
        left = UNPROVEN - self._unproven

        def unit(c: Connection) -> list[Claimed]:  # may run again: everything it uses is a copy
            return claims.claim(
                c,
                token=token,
                now=now,
                until=now + self._pace.lease,
                limit=limit,
                room=_bulkhead(flying, shares, left),
                after=after,
                held=held,
            )

        claimed = await self._db.write(unit)
        if claimed:
            self._turn = max(one.subscription.id for one in claimed)
        return [self._start(one) for one in claimed]

    def _start(self, claimed: Claimed) -> asyncio.Task[None]:
        task = asyncio.create_task(self._deliver(claimed))
        name = claimed.subscription.id
        unproven = self._shares.get(name, SHARE) <= SHARE
        self._flying[name] += 1
        self._unproven += unproven
        self._tasks.add(task)
        self._held.add(claimed.delivery.id)
        task.add_done_callback(partial(self._landed, claimed, unproven=unproven))
        return task

    def _landed(self, claimed: Claimed, task: asyncio.Task[None], *, unproven: bool) -> None:
        subscription = claimed.subscription.id
        self._tasks.discard(task)
        self._held.discard(claimed.delivery.id)
        self._unproven -= unproven
        self._flying[subscription] -= 1
        if self._flying[subscription] <= 0:
            del self._flying[subscription]
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease lapses and another attempt is made; a bug here must not stop the others.
            log.error("delivery_broke", exc_info=error)
        self._bell.ring()

    async def _deliver(self, claimed: Claimed) -> None:
        outcome = await self._send(claimed)
        done = asyncio.get_running_loop().create_future()
        self._results.append((self._conclude(claimed, outcome), done))
        if self._recording is None or self._recording.done():
            self._start_recording()
        await done

    async def _send(self, claimed: Claimed) -> AttemptOutcome:
        one, subscription = claimed.delivery, claimed.subscription
        wall = self._wall.now()
        body = self._encode(claimed)
        try:
            secrets = self._secrets(subscription)
        except Unsealable:
            return AttemptOutcome(outcome="blocked", detail="secret")
        headers = {"sextant-attempt": str(one.attempts), "sextant-delivery": one.id}
        if one.superseded:
            headers["sextant-superseded"] = ",".join(one.superseded[-HEADER_IDS:])
        if one.replay is not None:
            headers["sextant-replay"] = one.replay
        outcome = await self._sender.send(
            subscription.url,
            body,
            webhook_id=one.event,
            secrets=secrets,
            now=wall,
            headers=headers,
        )
        self._learn(subscription.id, outcome)
        # An address that has not proven to be a receiver shows us nothing of what it answers.
        proven = subscription.state is not Standing.UNVERIFIED
        return outcome if proven else replace(outcome, excerpt="")

    def _learn(self, name: str, outcome: AttemptOutcome) -> None:
        """Give more room to who answers, and one place to who is silent."""
        if outcome.status is None:
            self._shares[name] = 1
        else:
            grown = max(self._shares.get(name, SHARE), SHARE) + 1
            self._shares[name] = min(grown, max(self._pace.concurrency, 1))

    def _encode(self, claimed: Claimed) -> Body:
        subscription = claimed.subscription
        return self._formats[subscription.format].encode(
            claimed.document, detail=subscription.detail
        )

    def _secrets(self, subscription: Subscription) -> list[str]:
        sealed = [subscription.secret]
        until = subscription.previous_until
        if subscription.secret_previous and until is not None and until > self._clock.now():
            sealed.append(subscription.secret_previous)
        return [self._opened(secret) for secret in sealed]

    def _conclude(self, claimed: Claimed, outcome: AttemptOutcome) -> Recorded:
        now = self._clock.now()
        step = next_step(
            outcome,
            attempt=claimed.delivery.attempts,
            now=now,
            jitter=1.0 - JITTER + 2 * JITTER * self._draw(),
            schedule=self._pace.schedule,
        )
        state, due_at = _state(step, now)
        log.info(
            "attempted",
            extra={
                "delivery": claimed.delivery.id,
                "subscription": claimed.subscription.id,
                "event": claimed.delivery.event,
                "attempt": claimed.delivery.attempts,
                "outcome": outcome.outcome,
                "status": outcome.status,
                "reason": step.reason.value,
            },
        )
        return Recorded(
            claimed=claimed,
            attempt=Attempt(
                at=now,
                status=outcome.status,
                outcome=outcome.outcome,
                duration_ms=outcome.duration_ms,
                excerpt=outcome.excerpt,
                phases=outcome.phases,
                headers=outcome.sent,
            ),
            state=state,
            reason=step.reason,
            due_at=due_at,
        )

    async def _record(self) -> None:
        """Write outcomes in groups: whatever ended while the last group was being written."""
        while self._results:
            group, self._results = self._results, []
            try:
                await self._settled([result for result, _ in group])
            finally:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)

    async def _settled(self, results: Sequence[Recorded]) -> None:
        now = self._clock.now()
        for _ in range(RECORD_TRIES):
            try:
                await self._db.write(lambda c: _settle(c, results, now=now))
            except StorageUnavailable:
                log.warning("outcomes_not_recorded", extra={"count": len(results)})
            else:
                return
        # The leases lapse, and the receivers know the ids.

    def _recorded(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("recording_broke", exc_info=error)
        if self._results:
            self._start_recording()

    def _start_recording(self) -> None:
        self._recording = asyncio.create_task(self._record())
        self._recording.add_done_callback(self._recorded)


def _bulkhead(
    flying: Mapping[str, int], shares: Mapping[str, int], left: int
) -> Callable[[str], int]:
    """Say how many more may be in flight to a subscription; ``left`` to all that are unproven."""

    def room(name: str) -> int:
        nonlocal left
        share = shares.get(name, SHARE)
        more = share - flying.get(name, 0)
        if share > SHARE or more <= 0:
            return more
        granted = min(more, left)
        left -= granted
        return granted

    return room


def _state(step: Step, now: datetime) -> tuple[str, datetime]:
    match step:
        case Delivered():
            return DELIVERED, now
        case RetryAt(at=at):
            return PENDING, at
        case Park() | Disable():
            return PARKED, now


def _settle(c: Connection, results: Sequence[Recorded], *, now: datetime) -> None:
    """Record outcomes, and what they mean for the subscriptions, in one transaction."""
    mine = claims.record(c, results, now=now)
    kept = [result for result in results if result.claimed.delivery.id in mine]
    arrived = sorted({r.claimed.subscription.id for r in kept if r.state == DELIVERED})
    subscriptions.succeeded(c, arrived)
    for result in kept:
        if result.state != DELIVERED:
            _after_failure(c, result, now)
        elif result.claimed.delivery.event_type == EventType.TEST_PING:
            _verify(c, result.claimed, now)


def _verify(c: Connection, claimed: Claimed, now: datetime) -> None:
    """An answered ping makes active, if it was sent to the address that still stands."""
    current = subscriptions.get(c, claimed.subscription.tenant, claimed.subscription.id)
    if current is not None and current.url == claimed.subscription.url:
        subscriptions.verified(c, current.id, now=now)


def _after_failure(c: Connection, result: Recorded, now: datetime) -> None:
    subscription = result.claimed.subscription
    counted = subscriptions.failed(c, subscription.id, now=now)
    if counted is None:
        return
    standing, since = counted
    if result.reason is Why.GONE:
        after = Standing.DISABLED
    elif result.reason in _TOLD_AT_ONCE and standing is Standing.ACTIVE:
        after = Standing.FAILING
    else:
        after = standing_after_failure(
            standing, attempt=result.claimed.delivery.attempts, failing_since=since, now=now
        )
    if after is standing:
        return
    subscriptions.stand(c, subscription.id, after, reason=result.reason.value)
    if after is Standing.DISABLED:
        deliveries.park_all(c, subscription.id, reason=Why.DISABLED, now=now)
