"""Replays as jobs: asked for through the API, run by a worker under a lease, kept with results."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.core.errors import AppError, InvalidInput, NotFound, Overloaded, StorageUnavailable
from app.core.policy import Policy
from app.core.ports import Render
from app.core.state import TenantProfile
from app.core.types import TenantId
from app.flow.acts import Act, noted
from app.flow.replay import Replayed, fold_again, policy_with
from app.kit.clock import Clock
from app.kit.ids import new_id
from app.store import refolds
from app.store.engine import Database
from app.store.refolds import Refold

log = logging.getLogger(__name__)

MOST_WAITING = 10  # replays of one tenant that may wait
LEASE = timedelta(minutes=2)
IDLE = timedelta(seconds=5)  # between looks for a replay that waits
LONGEST = timedelta(days=366)
TRIES = 3  # after so many, a replay that ends without an answer is given up
GIVEN_UP = f"The replay was begun {TRIES} times and never came to its end; see the log."


class _LeaseLost(Exception):  # noqa: N818 - not an error: somebody else does it
    """Another worker has taken the replay."""


class Refolds:
    """Asks for replays, and runs those that wait; ``step`` is repeated after the wait it gives."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        render: Render,
        policy: Policy,
        profile: Callable[[TenantId], TenantProfile],
    ) -> None:
        self._db = db
        self._clock = clock
        self._render = render
        self._policy = policy
        self._profile = profile

    async def ask(
        self,
        tenant: TenantId,
        *,
        since: datetime,
        until: datetime,
        changes: Mapping[str, Any],
        by: str,
        act: Act | None = None,
    ) -> Refold:
        """Store a replay that waits for its turn.

        Raises:
            InvalidInput: the window is empty or too long, or a threshold is not known.
            Overloaded: too many replays of the tenant wait already.
        """
        now = self._clock.now()
        until = min(until, now)
        if not since < until:
            detail = "The window ends before it begins, or has not begun yet."
            raise InvalidInput(errors=[{"pointer": "/since", "detail": detail}])
        if until - since > LONGEST:
            detail = f"The window may be {LONGEST.days} days long."
            raise InvalidInput(errors=[{"pointer": "/until", "detail": detail}])
        policy_with(self._policy, changes)
        wanted = Refold(
            id=new_id("rfd"),
            tenant=tenant,
            state=refolds.QUEUED,
            since=since,
            until=until,
            policy=dict(changes),
            created_by=by,
            created_at=now,
        )

        def unit(c: Connection) -> None:
            if refolds.waiting(c, tenant) >= MOST_WAITING:
                raise Overloaded(f"{MOST_WAITING} replays wait already.", retry_after_seconds=60)
            refolds.add(c, wanted)
            told = {"since": since, "until": until, "policy": wanted.policy}
            noted(act, c, wanted.id, after=told, made=wanted)

        await self._db.write(unit)
        return wanted

    async def get(self, tenant: TenantId | None, replay: str) -> Refold:
        """One replay.

        Raises:
            NotFound: there is none of that id.
        """
        found = await self._db.read(lambda c: refolds.get(c, tenant, replay))
        if found is None:
            raise NotFound(id=replay)
        return found

    async def step(self) -> timedelta:
        """Run the oldest replay that waits, and give the wait until the next look."""
        token, now = new_id("lse"), self._clock.now()
        wanted = await self._db.write(
            lambda c: refolds.claim(c, token=token, now=now, until=now + LEASE)
        )
        if wanted is None:
            return IDLE
        if wanted.attempts > TRIES:
            await self._end(wanted, token, error=GIVEN_UP)
            return timedelta(0)
        try:
            result = await self._run(wanted, token)
        except _LeaseLost:
            return IDLE
        except StorageUnavailable:
            raise
        except AppError as error:
            await self._end(wanted, token, error=str(error))
        else:
            await self._end(wanted, token, result=result.document())
        return timedelta(0)

    async def _run(self, wanted: Refold, token: str) -> Replayed:
        async def progress(part: float) -> None:
            until = self._clock.now() + LEASE
            kept = await self._db.write(
                lambda c: refolds.keep(c, wanted.id, token=token, until=until, progress=part)
            )
            if not kept:
                raise _LeaseLost

        return await fold_again(
            self._db,
            self._profile(wanted.tenant),
            since=wanted.since,
            until=wanted.until,
            policy=policy_with(self._policy, wanted.policy),
            render=self._render,
            progress=progress,
        )

    async def _end(
        self,
        wanted: Refold,
        token: str,
        *,
        result: dict[str, Any] | None = None,
        error: str | None = None,
    ) -> None:
        now = self._clock.now()
        await self._db.write(
            lambda c: refolds.finish(c, wanted.id, token=token, now=now, result=result, error=error)
        )
        log.info("replayed", extra={"replay": wanted.id, "tenant": wanted.tenant,
                                    "failed": error is not None})  # fmt: skip
