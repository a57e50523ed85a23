"""Whether a channel or mirror works: told once when it begins to fail, and once when it ends."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from app.core.document import rfc3339
from app.core.events import EventType
from app.core.types import ActorKind, TenantId
from app.flow.terms import Announce
from app.kit.clock import Clock
from app.store import links
from app.store.engine import Database

LONGEST = 1000  # characters of a reason that are kept


class Trouble:
    """Keeps what is wrong with one channel or mirror, shared by all replicas."""

    def __init__(
        self, db: Database, clock: Clock, announce: Announce, *, tenant: TenantId, name: str,
        kind: str,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._announce = announce
        self._tenant = tenant
        self._name = name
        self._kind = kind

    async def begins(self, why: str, *, reason: str) -> None:
        """It fails; ``reason`` is ``refused`` or ``unreached``. Only the first time is news."""
        now, why = self._clock.now(), why[:LONGEST]
        known = await self._db.read(lambda c: links.known(c, self._name))
        if known is None or known.failing_since is not None:
            if known is not None and known.trouble != why:
                await self._db.write(lambda c: links.retold(c, self._name, why=why))
            return
        facts = {**self._who(), "failing_since": rfc3339(now), "cause": reason, "why": why}

        def once(c: Connection) -> None:
            if not links.fails(c, self._name, since=now, why=why):
                raise _ToldBefore

        await self._tell(EventType.CHANNEL_FAILING, facts, reason, once)

    async def ends(self) -> None:
        """It works; news only where it had failed."""
        known = await self._db.read(lambda c: links.known(c, self._name))
        if known is None or known.failing_since is None:
            return
        since: datetime = known.failing_since
        facts = {**self._who(), "failing_since": rfc3339(since), "cause": "worked", "why": ""}

        def once(c: Connection) -> None:
            if not links.works(c, self._name):
                raise _ToldBefore

        await self._tell(EventType.CHANNEL_RECOVERED, facts, "worked", once)

    def _who(self) -> dict[str, str]:
        return {"channel": self._name, "kind": self._kind}

    async def _tell(
        self, kind: EventType, facts: dict[str, str | None], reason: str,
        once: Callable[[Connection], None],
    ) -> None:  # fmt: skip
        try:
            await self._announce(
                self._tenant, kind, facts, actor=self._name, reason=reason,
                kind_of_actor=ActorKind.MIRROR, also=once,
            )  # fmt: skip
        except _ToldBefore:
            return


class _ToldBefore(Exception):  # noqa: N818 - not an error: another replica was first
    """It was told before."""
