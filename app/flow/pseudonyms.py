"""Pseudonyms: the keys under which people are hashed, made anew every month and then destroyed.

A key is used for 30 days by each person; on which day it changes is each person's own, so that a
count of distinct people over some minutes stays right while keys change. A key that nobody uses any
more is deleted: what was hashed under it can be traced to nobody then.
"""

import asyncio
import hashlib
from datetime import datetime, timedelta

from app.core.arrival import PERIOD_HOURS, hour_of
from app.kit.clock import Clock
from app.store import instance
from app.store.engine import Database

NAME = "people:"  # of the keys in the table of the instance, followed by the number of the epoch
LOOK_EVERY = timedelta(hours=1)


class Pseudonyms:
    """The keys of the present and the next epoch.

    ``outside`` is a secret that is not in the database; with it, the database alone traces nobody.
    """

    def __init__(self, db: Database, clock: Clock, *, outside: str | None = None) -> None:
        self._db = db
        self._clock = clock
        self._outside = (outside or "").encode()
        self._keys: dict[int, bytes] = {}

    def load(self, now: datetime) -> None:
        """Read the keys that people use now or soon; make those that are not there.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        first = hour_of(now) // PERIOD_HOURS
        for epoch in (first, first + 1, first + 2):
            self.of(epoch)

    def of(self, epoch: int) -> bytes:
        """The key of an epoch; read, or made, where it is not known yet, as after a leap of time.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        key = self._keys.get(epoch)
        if key is None:
            kept = instance.secret(self._db, f"{NAME}{epoch:06d}")
            key = hashlib.sha256(self._outside + b"\0" + kept.encode()).digest()
            self._keys[epoch] = key
        return key

    async def step(self) -> timedelta:
        """Make the keys of the next epoch, and destroy those that nobody uses any more."""
        now = self._clock.now()
        await asyncio.to_thread(self.load, now)
        oldest = hour_of(now) // PERIOD_HOURS
        self._keys = {epoch: key for epoch, key in self._keys.items() if epoch >= oldest}
        limit = f"{NAME}{oldest:06d}"
        await self._db.write(lambda c: instance.forget(c, NAME, before=limit))
        return LOOK_EVERY
