"""A poll between a scripted source and a fold that stores at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.core.advisory import with_reading
from app.core.events import EventType
from app.core.ports import AdvisoryRead, SourceUnreadable
from app.core.signal import Advisory, ProbeResult
from app.core.types import TenantId
from app.flow.poll import Poll
from app.flow.poll_terms import Cadence
from app.kit.clock import FixedClock
from app.store import advisories, sources
from app.store.engine import Database
from tests.builders import NOW, TENANT, a_post, an_advisory, minutes

HOT, CALM = timedelta(seconds=60), timedelta(seconds=300)


def served(vendor_id: str = "EX1", **changes: Any) -> Advisory:
    posts = changes.pop("posts", (a_post(id=f"{vendor_id}-1", text="Title: trouble"),))
    return with_reading(an_advisory(vendor_id=vendor_id, posts=posts, **changes))


class Source:
    """A source that serves what it is told to."""

    name = "graph"

    def __init__(self, *made: Advisory) -> None:
        self.advisories = list(made)
        self.unknown: tuple[tuple[str, str], ...] = ()
        self.unreadable_ids: tuple[str, ...] = ()
        self.complete = True
        self.trouble: SourceUnreadable | None = None
        self.trouble_in_full: SourceUnreadable | None = None
        self.reads: list[tuple[tuple[str, ...], bool]] = []

    def owns(self, vendor_id: str) -> bool:
        return ":" not in vendor_id

    async def read(self, *, known_open: Sequence[str], full: bool, now: datetime) -> AdvisoryRead:
        self.reads.append((tuple(known_open), full))
        if self.trouble is not None:
            raise self.trouble
        if full and self.trouble_in_full is not None:
            raise self.trouble_in_full
        made = [replace(a, received_at=now, first_seen_at=now) for a in self.advisories]
        raw = {a.vendor_id: b"{}" for a in made} | dict.fromkeys(self.unreadable_ids, b"?")
        return AdvisoryRead(
            advisories=tuple(made),
            raw=raw,
            complete=self.complete,
            full=full,
            unknown_values=self.unknown,
            unreadable=len(self.unreadable_ids),
            unreadable_why=tuple((key, "malformed") for key in self.unreadable_ids),
        )

    def budget(self, now: datetime) -> dict[str, int]:
        return {"used": len(self.reads)}


@dataclass
class Rig:
    """A poll between a scripted source and a fold that stores at once."""

    db: Database
    source: Source
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    handed: list[Advisory] = field(default_factory=list)
    raw: list[Mapping[str, bytes]] = field(default_factory=list)
    told: list[tuple[EventType, dict[str, Any], str]] = field(default_factory=list)
    results: list[ProbeResult] = field(default_factory=list)
    luck: float = 0.5
    spread: timedelta = timedelta()
    power_fails: bool = False  # right after something was told

    def __post_init__(self) -> None:
        self.poll = self.build()

    def build(self) -> Poll:
        cadence = Cadence(hot=HOT, calm=CALM, reconcile=timedelta(seconds=900), spread=self.spread)
        return Poll(
            self.db,
            self.clock,
            self.source,
            tenant=TENANT,
            append=self.append,
            announce=self.announce,
            cadence=cadence,
            witness=self.take_results,
            draw=lambda: self.luck,
        )

    async def append(
        self,
        tenant: TenantId,
        made: Sequence[Advisory],
        raw: Mapping[str, bytes] | None = None,
        *,
        source: str,
        now: datetime,
    ) -> None:
        assert (tenant, source) == (TENANT, "graph")
        self.handed += made
        self.raw.append(raw or {})
        await self.db.write(
            lambda c: [
                advisories.upsert(c, tenant, a, (raw or {}).get(a.vendor_id), 1) for a in made
            ]
        )

    async def announce(
        self, tenant: TenantId, kind: EventType, facts: dict[str, Any], *, actor: str, reason: str,
        also: Callable[[Connection], Any],
    ) -> None:  # fmt: skip
        assert (tenant, actor) == (TENANT, "graph")
        await self.db.write(also)
        self.told.append((kind, facts, reason))
        if self.power_fails:
            raise RuntimeError("power loss")

    async def take_results(
        self, tenant: TenantId, signals: Sequence[ProbeResult], *, source: str, now: datetime
    ) -> None:
        assert (tenant, source) == (TENANT, "graph")
        self.results += signals

    async def step(self, *, after: float = 1) -> timedelta:
        """Move the clock by minutes and step."""
        self.clock.at += minutes(after)
        return await self.poll.step()

    def take(self) -> list[Advisory]:
        handed, self.handed = self.handed, []
        return handed

    async def standing(self) -> sources.SourceRecord:
        record = await self.db.read(lambda c: sources.get(c, TENANT, "graph"))
        assert record is not None
        return record
