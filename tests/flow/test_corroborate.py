"""Corroboration: what a page says is stored; its silence makes nothing stale but itself."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from app.core.events import EventType
from app.core.ports import FeedRead, SourceUnreadable
from app.core.signal import ProbeResult
from app.core.types import Outcome, SourceState, TenantId
from app.flow.corroborate import Corroborate
from app.kit.clock import FixedClock
from app.store import sources
from app.store.engine import Database
from tests.builders import NOW, TENANT, a_probe_result, minutes


class Rig:
    """A feed that says what it is told, and whoever listens."""

    name, title = "status:microsoft", "status.cloud.microsoft"

    def __init__(self, db: Database) -> None:
        self.db, self.clock = db, FixedClock(NOW)
        self.trouble: SourceUnreadable | None = None
        self.results: list[ProbeResult] = []
        self.told: list[tuple[EventType, str]] = []
        self.step = Corroborate(
            db,
            self.clock,
            self,
            tenant=TENANT,
            take=self.take,
            announce=self.announce,
            period=minutes(5),
            draw=lambda: 1.0,
        ).step

    async def read(self, *, tenant: TenantId, now: datetime) -> FeedRead:
        if self.trouble is not None:
            raise self.trouble
        return FeedRead(results=(a_probe_result(at=now, outcome=Outcome.OK),), said=("ok: fine",))

    async def take(
        self, tenant: TenantId, signals: Sequence[ProbeResult], *, source: str, now: datetime
    ) -> None:
        assert (tenant, source) == (TENANT, self.name)
        self.results += signals

    async def announce(
        self, tenant: TenantId, kind: EventType, facts: dict[str, Any], *, actor: str, reason: str,
        also: Callable[[Connection], Any],
    ) -> None:  # fmt: skip
        await self.db.write(also)
        assert (facts["source"], facts["kind"]) == (self.name, "status_feed")
        self.told.append((kind, reason))

    async def standing(self) -> sources.SourceRecord:
        record = await self.db.read(lambda c: sources.get(c, TENANT, self.name))
        assert record is not None
        return record


@pytest.fixture
def rig(database: Database) -> Rig:
    return Rig(database)


async def test_what_a_page_says_is_stored(rig: Rig) -> None:
    assert await rig.step() == minutes(5) * 1.05
    assert len(rig.results) == 1
    record = await rig.standing()
    assert (record.kind, record.last_complete_at) == ("status_feed", NOW)
    assert record.checkpoint == {"said": ["ok: fine"]}


async def test_a_page_goes_stale_once_recovers_once_and_is_never_an_outage(rig: Rig) -> None:
    await rig.step()
    rig.trouble = SourceUnreadable("throttled", "429", retry_after=minutes(7))
    for _ in range(6):
        rig.clock.at += minutes(5)
        assert await rig.step() == minutes(7)
    assert sources.state_of(await rig.standing(), rig.clock.at) is SourceState.STALE
    rig.trouble = None
    for _ in range(3):
        rig.clock.at += minutes(5)
        await rig.step()
    assert rig.told == [
        (EventType.SOURCE_STALE, "throttled"),
        (EventType.SOURCE_RECOVERED, "complete_read"),
    ]
    assert {result.outcome for result in rig.results} == {Outcome.OK}
