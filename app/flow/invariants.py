"""Invariants of the house: asked on a period, counted where they do not hold, and logged."""

import logging
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.core.link import LinkState
from app.kit.clock import Clock
from app.kit.metrics import Registry
from app.store import invariants
from app.store.engine import Database

log = logging.getLogger(__name__)

PERIOD = timedelta(minutes=1)  # of the clock on the wall


class Invariants:
    """Looks at what must always hold; its caller repeats ``step`` after the wait that it gives."""

    def __init__(self, db: Database, clock: Clock, *, metrics: Registry, speed: float) -> None:
        self._db = db
        self._clock = clock
        self._period = PERIOD * speed
        self._violations = metrics.counter(
            "sextant_invariant_violations", "Rows found against an invariant of the house.",
            {"invariant": tuple(invariants.INVARIANTS)},
        )  # fmt: skip
        self._open = metrics.gauge("sextant_incidents_open", "Incidents that are open.")
        self._pending = metrics.gauge("sextant_deliveries_pending", "Deliveries that wait.")
        self._overdue = metrics.gauge(
            "sextant_deliveries_overdue_seconds", "How long the oldest delivery has been due."
        )
        self._lag = metrics.gauge(
            "sextant_fold_lag_seconds", "How long the oldest record has waited for the engine."
        )

        self._links = metrics.gauge(
            "sextant_links", "Tickets and announcements, by the state of their link.",
            {"state": tuple(state.value for state in LinkState)},
        )  # fmt: skip
        self._failing = metrics.gauge("sextant_channels_failing", "Channels and mirrors that fail.")
        self._unpolled = metrics.gauge(
            "sextant_mirror_poll_lag_seconds", "How long ago the mirror that waits longest asked."
        )

    async def step(self) -> timedelta:
        """Ask all of them once; what is found is counted again at each look until it is mended."""
        now = self._clock.now()
        for name, count in (await self._db.read(lambda c: _look(c, now))).items():
            self._violations.add(count, invariant=name)
            if count:
                log.error("invariant_violated", extra={"invariant": name, "count": count})
        await self._db.read(lambda c: self._measure(c, now))
        return self._period

    def _measure(self, c: Connection, now: datetime) -> None:
        waiting, due = invariants.pending(c)
        self._open.put(invariants.open_incidents(c))
        self._pending.put(waiting)
        self._overdue.put(_age(due, now))
        counted = invariants.links_by_state(c)
        for state in LinkState:
            self._links.put(counted.get(state.value, 0), state=state.value)
        self._failing.put(invariants.failing_ways(c))
        self._unpolled.put(_age(invariants.unpolled_since(c), now))
        self._lag.put(_age(invariants.unfolded_since(c), now))


def _look(c: Connection, now: datetime) -> dict[str, int]:
    return {name: count(c, now) for name, count in invariants.INVARIANTS.items()}


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)
