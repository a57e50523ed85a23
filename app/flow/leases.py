"""Leases: the replicas of one database share the recurring work, and take over what one drops."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.core.errors import LeaseLost, StorageUnavailable
from app.core.lease import KINDS, kind_of, turn_of
from app.kit.clock import Clock
from app.kit.ids import new_id
from app.kit.metrics import Registry
from app.store import leases as store
from app.store.engine import Database, Fenced

log = logging.getLogger(__name__)

Present = Callable[[Connection, datetime], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often a replica beats, and for how long a beat counts.

    ``alone``: nobody else is meant to work on this database, so what a former process held is
    taken at once, and the former, should it still run, is fenced off.
    """

    every: timedelta = timedelta(seconds=2)
    lasts: timedelta = timedelta(seconds=6)
    alone: bool = False


# PostgreSQL: taken over within six seconds and a beat. SQLite: one process, which beats for show.
SHARED = Rhythm()
ALONE = Rhythm(every=timedelta(seconds=20), lasts=timedelta(seconds=60), alone=True)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do one piece of recurring work, until it changes hands."""

    name: str
    token: int

    def check(self, c: Connection) -> None:
        """See in a transaction that it is still ours.

        Raises:
            LeaseLost: it is not.
        """
        store.check(c, self.name, self.token)

    def fence(self, db: Database) -> Database:
        """The same database, whose writes fail once the work has changed hands."""
        return Fenced(db, self.check)


class Leases:
    """What this replica may do; ``tend`` is called again after each ``rhythm.every``."""

    def __init__(
        self,
        db: Database,
        wall: Clock,
        *,
        rhythm: Rhythm | None = None,
        present: Present = store.present,
        metrics: Registry | None = None,
    ) -> None:
        """Prepare.

        Args:
            db: where the replicas meet.
            wall: gives real time, whatever the story's is.
            rhythm: how often to beat; that of the kind of database unless given.
            present: the clock that the replicas share.
            metrics: where it is counted what this replica does and what changed hands.
        """
        metrics = metrics or Registry()
        self._count = metrics.gauge(
            "sextant_leases_held", "Recurring work that this replica does.", {"kind": KINDS}
        )
        self._changes = metrics.counter(
            "sextant_lease_changes", "Recurring work that came to this replica or left it.",
            {"kind": KINDS, "change": ("taken", "given", "lost")},
        )  # fmt: skip
        self._replicas = metrics.gauge(
            "sextant_replicas", "Replicas that beat, as this one sees them."
        )
        self._db = db
        self._wall = wall
        self.rhythm = rhythm or (ALONE if db.dialect == "sqlite" else SHARED)
        self._present = present
        self.me = new_id("rep")
        self._held: dict[str, int] = {}
        self._began = False
        self._beat_at = time.monotonic()

    @property
    def held(self) -> tuple[Lease, ...]:
        """What this replica may do now, sorted by name."""
        return tuple(Lease(name, token) for name, token in sorted(self._held.items()))

    def get(self, name: str) -> Lease | None:
        """The lease of a piece of work, if it is ours."""
        token = self._held.get(name)
        return None if token is None else Lease(name, token)

    async def tend(self, wanted: Collection[str]) -> tuple[str, ...]:
        """Beat, and take what is free.

        While the database is away nothing is taken from anybody; what we hold counts until our
        last beat ends, because then somebody who can reach it may have taken it.

        Returns:
            What is above our share: no longer held, to be ended and then given back by ``give``.
        """
        begun = time.monotonic()
        try:
            await self._db.write(self._beat)
            held, above, alive = await self._db.write(lambda c: self._turn(c, frozenset(wanted)))
        except StorageUnavailable:
            if time.monotonic() - self._beat_at > self.rhythm.lasts.total_seconds():
                self._hold({})
            log.warning("leases_wait", extra={"held": len(self._held)})
            return ()
        self._beat_at, self._began = begun, True
        self._hold(held, given=above)
        self._replicas.put(alive)
        return above

    async def give(self, names: Collection[str]) -> None:
        """Give work back, when its loops have ended, so that others need not wait."""
        given = sorted(names)
        self._hold({n: token for n, token in self._held.items() if n not in names}, given=given)
        try:
            await self._db.write(lambda c: store.give(c, self.me, given))
        except StorageUnavailable:
            log.warning("leases_not_given_back")

    async def leave(self) -> None:
        """Give everything back, so that nobody has to wait for our last beat to end."""
        self._hold({}, given=tuple(self._held))
        try:
            await self._db.write(lambda c: store.leave(c, self.me))
        except StorageUnavailable:
            log.warning("leases_not_given_back")

    def _hold(self, held: dict[str, int], *, given: Collection[str] = ()) -> None:
        """Note what is ours from now on, and count what changed."""
        before, self._held = self._held, held
        if before == held:
            return
        for name in sorted(before.keys() | held.keys()):
            kind = kind_of(name)
            if name in before and held.get(name) != before[name]:
                self._changes.add(kind=kind, change="given" if name in given else "lost")
            if name in held and before.get(name) != held[name]:
                self._changes.add(kind=kind, change="taken")
        now = Counter(map(kind_of, held))
        for kind in {*map(kind_of, before), *now}:
            self._count.put(now[kind], kind=kind)
        log.info("leases_changed", extra={"replica": self.me, "held": len(held)})

    def _beat(self, c: Connection) -> None:
        now = self._present(c, self._wall.now())
        store.beat(c, self.me, now=now, until=now + self.rhythm.lasts)

    def _turn(
        self, c: Connection, wanted: frozenset[str]
    ) -> tuple[dict[str, int], tuple[str, ...], int]:
        now = self._present(c, self._wall.now())
        # One that is alone takes everything when it begins, also from a process that seems alive.
        takes_all = self.rhythm.alone and not self._began
        alive = {self.me} if takes_all else store.replicas(c, now)
        standing = store.standings(c, alive)
        turn = turn_of(wanted, standing, me=self.me, replicas=len(alive))
        got = store.take(c, self.me, turn.take, former=standing, now=now)
        mine = {n: s.token for n, s in standing.items() if s.owner == self.me and n in wanted}
        held = {n: token for n, token in mine.items() if n not in turn.give} | got
        return held, turn.give, len(alive)


def fenced(lease: Lease | None, c: Connection) -> None:
    """Check a lease where there is one.

    Raises:
        LeaseLost: the work has changed hands.
    """
    if lease is not None:
        lease.check(c)


__all__ = ["ALONE", "SHARED", "Lease", "LeaseLost", "Leases", "Rhythm", "fenced"]
