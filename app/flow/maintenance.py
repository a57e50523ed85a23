"""Maintenance windows: made and changed by people, known in memory to whatever takes results in."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.core.errors import InvalidInput, NotFound, PreconditionFailed
from app.core.maintenance import Window
from app.core.types import TenantId
from app.flow.acts import Act, noted, plain
from app.kit.clock import Clock
from app.kit.ids import new_id
from app.store import maintenance
from app.store.engine import Database
from app.store.walls import for_everybody

REFRESH = timedelta(seconds=5)  # real time until another replica's change is known here
LATE = timedelta(hours=24)  # results that arrive so late are still compared with their window
LONGEST = timedelta(days=31)  # a window that never ends would be a way to switch a check off


class Maintenance:
    """The windows of all tenants."""

    def __init__(self, db: Database, clock: Clock, *, pace: float = 1.0) -> None:
        self._db = db
        self._clock = clock
        self._pace = pace
        self._known: dict[TenantId, tuple[Window, ...]] = {}

    def of(self, tenant: TenantId) -> tuple[Window, ...]:
        """The windows of a tenant that may matter, from memory."""
        return self._known.get(tenant, ())

    async def step(self) -> timedelta:
        """Read the windows anew; says when to do so again, in time of the story."""
        since = self._clock.now() - LATE
        known: dict[TenantId, tuple[Window, ...]] = {}
        with for_everybody():  # also when one tenant's change is what makes us look
            windows = await self._db.read(lambda c: maintenance.since(c, since))
        for window in windows:
            known[window.tenant] = (*known.get(window.tenant, ()), window)
        self._known = known
        return REFRESH * self._pace

    async def create(
        self,
        tenant: TenantId,
        *,
        title: str,
        starts_at: datetime | None,
        ends_at: datetime,
        services: Collection[str] = (),
        probes: Collection[str] = (),
        locations: Collection[str] = (),
        by: str,
        act: Act | None = None,
    ) -> Window:
        """Make a window; without ``starts_at`` it begins now.

        Raises:
            InvalidInput: it would end before it begins, has ended, or lasts too long.
        """
        now = self._clock.now()
        window = Window(
            id=new_id("mw"),
            tenant=tenant,
            title=title,
            starts_at=starts_at or now,
            ends_at=ends_at,
            services=frozenset(services),
            probes=frozenset(probes),
            locations=frozenset(locations),
            created_by=by,
            created_at=now,
        )
        if ends_at <= now:
            raise _refused("The window would have ended already.", "/ends_at")
        _check(window)

        def unit(c: Connection) -> None:
            maintenance.add(c, window)
            noted(act, c, window.id, after=plain(window), made=window)

        await self._db.write(unit)
        await self.step()
        return window

    async def get(self, tenant: TenantId | None, identity: str) -> Window:
        """Read one.

        Raises:
            NotFound: there is none of that id.
        """
        found = await self._db.read(lambda c: maintenance.get(c, tenant, identity))
        if found is None:
            raise NotFound
        return found

    async def change(
        self, current: Window, changes: Mapping[str, Any], *, act: Act | None = None
    ) -> Window:
        """Change title or times of a window as it was read.

        Raises:
            InvalidInput: it would end before it begins, or last too long.
            PreconditionFailed: somebody else changed it meanwhile.
        """
        window = replace(current, **changes, revision=current.revision + 1)
        _check(window)
        await self._replace(current, window, act)
        return window

    async def end(self, current: Window, *, act: Act | None = None) -> Window:
        """End a window now; one that has not begun covers nothing any more.

        Raises:
            PreconditionFailed: somebody else changed it meanwhile.
        """
        now = self._clock.now()
        if current.ends_at <= now:
            return current
        begins = min(current.starts_at, now)
        window = replace(current, starts_at=begins, ends_at=now, revision=current.revision + 1)
        await self._replace(current, window, act)
        return window

    async def _replace(self, current: Window, window: Window, act: Act | None) -> None:
        def unit(c: Connection) -> None:
            if not maintenance.replace(c, window):
                raise PreconditionFailed
            noted(act, c, window.id, before=plain(current), after=plain(window), made=window)

        await self._db.write(unit)
        await self.step()


def _check(window: Window) -> None:
    if window.ends_at <= window.starts_at:
        raise _refused("The window must end after it begins.", "/ends_at")
    if window.ends_at - window.starts_at > LONGEST:
        raise _refused(f"A window lasts at most {LONGEST.days} days.", "/ends_at")


def _refused(detail: str, pointer: str) -> InvalidInput:
    return InvalidInput(detail, errors=[{"pointer": pointer, "detail": detail}])
