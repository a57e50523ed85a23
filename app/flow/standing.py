"""Standing words: what a monitor that speaks only on change has said goes on being evidence.

Alertmanager, Uptime Kuma and their like say once that something fails and once that it is well.
The engine counts minutes, so the word is repeated for each minute that it stands: while it fails,
until it is taken back or its time is over; and for a while after it was taken back, so that there
is evidence of health to resolve on. A repetition's id is derived from its minute, so any number of
replicas may repeat the same word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.core.ids import derived
from app.core.signal import ProbeResult
from app.core.types import Outcome, SignalId, TenantId
from app.flow.ingest import Intake
from app.kit.clock import Clock
from app.store import standing as store
from app.store.engine import Database

EVERY = timedelta(seconds=60)  # the engine counts minutes
WELL_FOR = timedelta(minutes=15)  # longer than the policy's quiet time, by which incidents resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A result that stands until the same source says another of the same check."""

    source: str
    result: ProbeResult
    hold: timedelta


class Standing:
    """Keeps and repeats the words that stand."""

    def __init__(self, db: Database, clock: Clock, intake: Intake) -> None:
        self._db = db
        self._clock = clock
        self._intake = intake

    async def take(self, tenant: TenantId, words: Sequence[Word], now: datetime) -> None:
        """Keep words that are durable in the log, and repeat them for the present minute.

        Raises:
            StorageUnavailable: the database cannot take them.
        """
        kept = [
            store.StandingWord(
                tenant=tenant,
                source=word.source,
                result=word.result,
                until=now + (word.hold if word.result.outcome is not Outcome.OK else WELL_FOR),
            )
            for word in words
        ]
        newest = await self._db.write(lambda c: [one for one in kept if store.put(c, one)])
        await self._repeat(newest, now)

    async def step(self) -> timedelta:
        """Repeat every word that stands, and let go of those whose time is over.

        A word that ends while it says that something fails is followed by one that says that
        nothing is known: silence is never health.
        """
        now = self._clock.now()
        words = await self._db.read(store.listing)
        await self._repeat([word for word in words if word.until > now], now)
        over = [word for word in words if word.until <= now]
        if over:
            unknown = [
                replace(word, result=replace(word.result, outcome=Outcome.UNKNOWN, symptom=None))
                for word in over
                if word.result.outcome is not Outcome.OK
            ]
            await self._repeat(unknown, now)
            await self._db.write(lambda c: store.remove(c, over))
        return EVERY

    async def _repeat(self, words: Sequence[store.StandingWord], now: datetime) -> None:
        by_door: dict[tuple[TenantId, str], list[ProbeResult]] = {}
        for word in words:
            if now - word.result.occurred_at < EVERY:
                continue  # the word itself speaks for this minute
            result = replace(
                word.result, id=_id(word, now), occurred_at=now, received_at=now, late=False
            )
            by_door.setdefault((word.tenant, word.source), []).append(result)
        for (tenant, source), results in by_door.items():
            await self._intake.append_probe_results(
                tenant, results, source=f"intake:{source}", now=now
            )


def _id(word: store.StandingWord, now: datetime) -> SignalId:
    minute = now.replace(second=0, microsecond=0).isoformat()
    result = word.result
    return SignalId(
        derived(word.tenant, word.source, result.probe, result.location, result.outcome, minute)
    )
