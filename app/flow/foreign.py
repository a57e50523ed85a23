"""Foreign bodies on their way in: read, put through our own two doors, and held where they stand.

What another program sends becomes documents in the shape of our own doors and goes through the
same readers, so nothing foreign is judged, hashed or scrubbed in a second way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from app.core import advisory as core
from app.core.batch import RESULT_FIELDS, Batch, keys_in, signal_id
from app.core.errors import InvalidInput
from app.core.foreign import DocumentReader, Foreign, ForeignFormat, Hints, Refused
from app.core.signal import Advisory, ProbeResult
from app.core.types import TenantId
from app.flow.ingest import Intake, Receipt
from app.flow.standing import Standing, Word
from app.flow.vouch import BARRED, NO_ADVISORIES, Bound
from app.kit.clock import Clock
from app.kit.ids import new_id
from app.store import advisories, sources
from app.store.engine import Database

LINES = "application/x-ndjson"
NOTED_EVERY = timedelta(minutes=1)  # how exactly we say when a format was last heard
# Silence of a program that speaks on change means nothing, so its source never counts as stale.
INTERVAL = timedelta(days=3650)
SHOWN = 100  # refused records named in an answer

_encode_lines = msgspec.json.Encoder().encode_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became durable of one body."""

    intake_id: str
    accepted: int
    duplicates: int
    refused: tuple[Refused, ...]
    passed_over: int


@dataclass(frozen=True, slots=True)
class _Sifted:
    """What our own reader made of documents: the good rows by place, and the refused records."""

    batch: Batch | None
    places: list[int]
    refused: list[Refused]


class ForeignIntake:
    """Takes in bodies of every format that bootstrap knows."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        intake: Intake,
        *,
        formats: Mapping[str, ForeignFormat],
        reports: DocumentReader,
        results: DocumentReader,
        standing: Standing,
    ) -> None:
        self.formats = formats
        self._db = db
        self._clock = clock
        self._intake = intake
        self._reports = reports
        self._results = results
        self._standing = standing
        self._noted: dict[tuple[TenantId, str], datetime] = {}

    async def take(
        self,
        tenant: TenantId,
        kind: ForeignFormat,
        body: bytes,
        *,
        hints: Hints,
        vouch: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        admit: Callable[[int], None] | None = None,
        bound: Bound | None = None,
    ) -> Taken:
        """Read a body and store what is good in it; returns after the commit.

        Args:
            tenant: whose it is.
            kind: the format.
            body: as it came, inflated.
            hints: what the address says.
            vouch: rewrites each client report by how far its sender is trusted; it then may bring
                reports alone.
            admit: asked with the number of reports before anything is stored; it may refuse.
            bound: what the sender's key may say at most.

        Raises:
            UnreadablePayload: the body as a whole cannot be read.
            InvalidInput: nothing in it can be taken.
            Overloaded: too much waits for its commit; nothing was stored.
            StorageUnavailable: the database cannot take it.
        """
        now = self._clock.now()
        found = kind.read(body, hints=hints, now=now)
        if vouch is not None:
            found = _vouched(found, vouch)
        if bound is not None and bound.voices:
            found = _without_advisories(found)
        reports = self._sift(self._reports, tenant, found.reports, now, bound)
        results = self._sift(self._results, tenant, found.results, now, bound)
        refused = [*found.refused, *reports.refused, *results.refused]
        refused.sort(key=lambda one: one.index)
        if refused and not (reports.places or results.places or found.advisories):
            shown = [_entry(one) for one in refused[:SHOWN]]
            raise InvalidInput("No record of the body can be taken.", errors=shown)
        source = f"intake:{kind.name}"
        if admit is not None:
            admit(len(reports.places))
        receipts = [
            await self._intake.append_batch(tenant, sifted.batch, source=source, now=now)
            for sifted in (reports, results)
            if sifted.batch is not None and sifted.places
        ]
        if found.advisories:
            receipts.append(await self._append_advisories(tenant, found, source, now))
        if found.holds:
            await self._standing.take(tenant, _words(kind.name, found, results), now)
        await self._note(tenant, kind.name, now, len(refused))
        return Taken(
            intake_id=receipts[0].intake_id if receipts else new_id("int"),
            accepted=sum(receipt.accepted for receipt in receipts),
            duplicates=sum(receipt.duplicates for receipt in receipts),
            refused=tuple(refused),
            passed_over=found.passed_over,
        )

    async def _append_advisories(
        self, tenant: TenantId, found: Foreign, source: str, now: datetime
    ) -> Receipt:
        """Store the revisions that are news; one that is older than ours is a repetition."""
        ids = {advisory.vendor_id for advisory, _ in found.advisories}
        known = await self._db.read(lambda c: advisories.by_ids(c, tenant, ids))
        news: dict[str, Advisory] = {}
        raw: dict[str, bytes] = {}
        for fresh, text in found.advisories:
            kept = known.get(fresh.vendor_id)
            stored = news.get(fresh.vendor_id) or (kept.advisory if kept else None)
            made = _revision(tenant, source, fresh, stored)
            if made is not None:
                news[made.vendor_id], raw[made.vendor_id] = made, text
        receipt = await self._intake.append_advisories(
            tenant, list(news.values()), raw, source=source, now=now
        )
        return replace(receipt, duplicates=len(found.advisories) - len(news))

    @staticmethod
    def _sift(
        reader: DocumentReader,
        tenant: TenantId,
        documents: list[tuple[int, dict[str, Any]]],
        now: datetime,
        bound: Bound | None,
    ) -> _Sifted:
        if not documents:
            return _Sifted(None, [], [])
        lines = _encode_lines([document for _, document in documents])
        parsed = reader.parse(tenant, lines, LINES, now=now)
        bad = {fault.index: fault for fault in parsed.rejected}
        refused = [
            Refused(documents[place][0], fault.detail, fault.pointer)
            for place, fault in bad.items()
        ]
        places = [n for n in range(len(documents)) if n not in bad]
        if bound is None:
            return _Sifted(parsed.batch, places, refused)
        batch, barred = bound.apply(parsed.batch)
        gone = set(barred)
        refused += [Refused(documents[places[n]][0], BARRED, "/location") for n in barred]
        return _Sifted(batch, [p for n, p in enumerate(places) if n not in gone], refused)

    async def _note(self, tenant: TenantId, name: str, now: datetime, refused: int) -> None:
        """Say in the list of sources that this format was heard."""
        last = self._noted.get((tenant, name))
        if last is not None and now - last < NOTED_EVERY and not refused:
            return
        self._noted[tenant, name] = now
        await self._db.write(
            lambda c: sources.record_complete(
                c,
                tenant,
                f"intake:{name}",
                kind=f"intake:{name}",
                name=f"Sent by others: {name}",
                interval=INTERVAL,
                now=now,
                unreadable=refused,
            )
        )


def _vouched(found: Foreign, vouch: Callable[[dict[str, Any]], dict[str, Any]]) -> Foreign:
    passed = found.passed_over + len(found.results) + len(found.advisories)
    reports = [(index, vouch(document)) for index, document in found.reports]
    return replace(found, reports=reports, results=[], advisories=[], holds={}, passed_over=passed)


def _without_advisories(found: Foreign) -> Foreign:
    refused = [Refused(place, NO_ADVISORIES, "") for place in range(len(found.advisories))]
    return replace(found, advisories=[], refused=[*found.refused, *refused])


def _revision(
    tenant: TenantId, source: str, fresh: Advisory, stored: Advisory | None
) -> Advisory | None:
    """The revision to store, or None where it says nothing new."""
    if stored is None:
        return replace(fresh, id=core.revision_id(fresh, tenant=tenant, source=source))
    if fresh.last_modified_at < stored.last_modified_at:
        return None
    merged = core.keep_vanished_posts(fresh, stored)
    if core.digest_of(merged) == core.digest_of(stored):
        return None
    made = replace(merged, first_seen_at=stored.first_seen_at)
    identity = core.revision_id(made, tenant=tenant, source=source, follows=stored.id)
    return replace(made, id=identity)


def _words(name: str, found: Foreign, results: _Sifted) -> list[Word]:
    """The results that stand until they are changed."""
    batch = results.batch
    if batch is None:
        return []
    words = []
    for place, key, row in zip(results.places, keys_in(batch.ids), batch.rows, strict=True):
        if place in found.holds:
            values = dict(zip(RESULT_FIELDS, row, strict=False))
            result = ProbeResult(id=signal_id(key), **values)
            words.append(Word(source=name, result=result, hold=found.holds[place]))
    return words


def _entry(one: Refused) -> dict[str, Any]:
    return {"index": one.index, "detail": one.detail, "pointer": one.pointer}
