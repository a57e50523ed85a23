"""Intake: what was accepted becomes durable in the log before anybody is told that it was.

Requests that come while a commit runs share the next one: one row per tenant, kind and source. A
group is filtered against the dedup memory in the transaction that stores it, and if that fails the
memory is learned anew from the log; so a repetition is counted as one only when its first copy is
durable, for the next group of a tenant is looked at after the commit of this one.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import compress
from typing import TypeVar

from sqlalchemy import Connection

from app.core.batch import (
    KEY_BYTES,
    Batch,
    ResultBatch,
    batch_of_reports,
    batch_of_results,
    keys_in,
)
from app.core.errors import Overloaded
from app.core.maintenance import Window, excused_batch
from app.core.signal import Advisory, ClientReport, ProbeResult
from app.core.types import SignalKind, TenantId
from app.flow.leases import Lease, fenced
from app.flow.seen import Seen
from app.kit.ids import new_id
from app.kit.wake import Bell
from app.store import chunks
from app.store import intake as store
from app.store.engine import Database

T = TypeVar("T")
Windows = Callable[[TenantId], Sequence[Window]]  # the maintenance windows of a tenant

WINDOW = timedelta(hours=24)  # how long a repetition is known as one; Policy.dedup_hours
WAITING_LIMIT = 50_000  # signals that may wait for their commit in this process: some 15 MiB
GROUP_LIMIT = 10_000  # most signals of one group: one row of about half a megabyte
BODIES_LIMIT = 64  # large bodies that may wait to be read
RETRY_AFTER_SECONDS = 2  # what a shed caller is told


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became durable: how many were new, and how many had been stored before."""

    intake_id: str
    accepted: int
    duplicates: int


@dataclass(slots=True)
class _Waiting:
    kind: SignalKind
    ids: bytes
    chunk: bytes
    source: str
    now: datetime
    receipt: asyncio.Future[Receipt]

    def __len__(self) -> int:
        return len(self.ids) // KEY_BYTES


@dataclass(slots=True)
class _Group:
    """Batches of one kind and source that become one row."""

    intake_id: str
    source: str
    kind: SignalKind
    waiting: list[_Waiting]


@dataclass(slots=True)
class _Stored:
    """What one transaction does: ids it took as new, (new, old) per batch, its last row."""

    ids: bytes = b""
    counts: list[tuple[int, int]] = field(default_factory=list)
    position: int = 0


@dataclass(slots=True)
class _Lane:
    """The queue of one tenant; one group at a time is being committed."""

    tenant: TenantId
    seen: Seen
    queue: list[_Waiting] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    loaded: bool = False


class Intake:
    """Appends to the intake log; every method returns after the commit is durable."""

    def __init__(
        self,
        database: Database,
        *,
        bell: Bell | None = None,
        window: timedelta = WINDOW,
        waiting_limit: int = WAITING_LIMIT,
        maintenance: Windows | None = None,
    ) -> None:
        self._database = database
        self._bell = bell
        self._window = window
        self._limit = waiting_limit
        self._maintenance = maintenance
        self._lanes: dict[TenantId, _Lane] = {}
        self._waiting = 0
        self._bodies = 0
        self._reading = asyncio.Semaphore(1)

    @property
    def waiting(self) -> int:
        """How many signals wait for their commit now."""
        return self._waiting

    def see_that_there_is_room(self) -> None:
        """Turn a sender of reports away before the body is read, the dearest part of intake.

        Raises:
            Overloaded: too much waits already.
        """
        if self._waiting >= self._limit or self._bodies >= BODIES_LIMIT:
            raise Overloaded(retry_after_seconds=RETRY_AFTER_SECONDS)

    async def apart(self, read: Callable[[], T]) -> T:
        """Read a large body outside the event loop, one at a time.

        Threads that compute take turns of a fixed length; with one of them, whatever else is asked
        waits for one turn, not for as many as there are bodies.
        """
        self._bodies += 1
        try:
            async with self._reading:
                return await asyncio.to_thread(read)
        finally:
            self._bodies -= 1

    async def append_batch(
        self, tenant: TenantId, batch: Batch, *, source: str, now: datetime
    ) -> Receipt:
        """Store client reports or probe results that are not stored yet.

        Raises:
            Overloaded: too many wait already; nothing was stored.
            StorageUnavailable: the database cannot take them; nothing was stored.
        """
        if not len(batch):
            return Receipt(new_id("int"), 0, 0)
        # Probes are few and tell most, so a storm of reports leaves them as much room again.
        limit = self._limit * (1 if batch.kind is SignalKind.CLIENT_REPORT else 2)
        if self._waiting and self._waiting + len(batch) > limit:
            raise Overloaded(retry_after_seconds=RETRY_AFTER_SECONDS)
        if isinstance(batch, ResultBatch) and self._maintenance is not None:
            windows = self._maintenance(tenant)
            batch = excused_batch(batch, windows) if windows else batch
        lane = self._lanes.get(tenant)
        if lane is None:
            lane = self._lanes[tenant] = _Lane(tenant, Seen(self._window))
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        chunk = chunks.pack(batch)
        lane.queue.append(_Waiting(batch.kind, batch.ids, chunk, source, now, receipt))
        self._waiting += len(batch)
        del batch  # rows that live until the commit cost more than all that is done with them
        if lane.task is None:
            lane.task = asyncio.create_task(self._drain(lane))
        return await receipt

    async def append_reports(
        self, tenant: TenantId, signals: Sequence[ClientReport], *, source: str, now: datetime
    ) -> Receipt:
        """Store client reports that exist as objects; see ``append_batch``."""
        return await self.append_batch(tenant, batch_of_reports(signals), source=source, now=now)

    async def append_probe_results(
        self, tenant: TenantId, signals: Sequence[ProbeResult], *, source: str, now: datetime
    ) -> Receipt:
        """Store probe results that exist as objects; see ``append_batch``."""
        return await self.append_batch(tenant, batch_of_results(signals), source=source, now=now)

    async def append_advisories(
        self,
        tenant: TenantId,
        advisories: Sequence[Advisory],
        raw: Mapping[str, bytes] | None = None,
        *,
        source: str,
        now: datetime,
        lease: Lease | None = None,
    ) -> Receipt:
        """Store advisory revisions with the vendor's JSON per vendor id.

        They are not deduplicated here: the poller brings what changed, a return to an earlier text
        is news, and the fold ignores what it knows.

        Raises:
            LeaseLost: another replica polls now; nothing was stored.
            StorageUnavailable: the database cannot take them; nothing was stored.
        """
        intake_id = new_id("int")
        if not advisories:
            return Receipt(intake_id, 0, 0)
        kept = dict(raw or {})

        def work(c: Connection) -> None:
            fenced(lease, c)
            store.append_signals(
                c, tenant, advisories, source=source, intake_id=intake_id, received_at=now, raw=kept
            )

        await self._database.write(work)
        self._ring()
        return Receipt(intake_id, len(advisories), 0)

    async def _drain(self, lane: _Lane) -> None:
        await asyncio.sleep(0)  # let the requests of this turn of the loop join
        try:
            while lane.queue:
                taken, lane.queue = _take(lane.queue)
                try:
                    await self._commit(lane, taken)
                except Exception as error:  # noqa: BLE001 - handed to whoever waits
                    for one in taken:
                        if not one.receipt.done():
                            one.receipt.set_exception(error)
                finally:
                    self._waiting -= sum(map(len, taken))
        finally:
            lane.task = None

    async def _commit(self, lane: _Lane, taken: list[_Waiting]) -> None:
        now = max(one.now for one in taken)
        since = now - self._window
        if not lane.loaded:
            # Learned in the reader's thread, row by row; nobody asks it before it is loaded.
            await self._database.read(
                lambda c: lane.seen.learn(store.ids_since(c, lane.tenant, since))
            )
            lane.loaded = True
        groups = _group(taken)
        seen = lane.seen
        stored = _Stored()

        def work(c: Connection) -> None:
            nonlocal stored
            seen.drop(stored.ids)  # of a first try that came to nothing
            stored = _Stored()
            if c.dialect.name == "postgresql":
                store.lock_tenant(c, lane.tenant)
                seen.learn(store.ids_after(c, lane.tenant, seen.position, since))
            _store(c, lane.tenant, groups, seen=seen, now=now, stored=stored)

        try:
            await self._database.write(work)
        except BaseException:  # it may be under way still, or be stored: only the log knows
            lane.seen, lane.loaded = Seen(self._window), False
            raise
        seen.position = max(seen.position, stored.position)
        seen.forget(now)
        if stored.ids:
            self._ring()
        waiting = (pair for group in groups for pair in ((group, one) for one in group.waiting))
        for (group, one), (new, old) in zip(waiting, stored.counts, strict=True):
            if not one.receipt.done():
                one.receipt.set_result(Receipt(group.intake_id, new, old))

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.ring()


def _take(queue: list[_Waiting]) -> tuple[list[_Waiting], list[_Waiting]]:
    total = 0
    for position, one in enumerate(queue):
        total += len(one)
        if total > GROUP_LIMIT and position:
            return queue[:position], queue[position:]
    return queue, []


def _group(taken: Sequence[_Waiting]) -> list[_Group]:
    groups: dict[tuple[SignalKind, str], _Group] = {}
    for one in taken:
        key = (one.kind, one.source)
        group = groups.get(key)
        if group is None:
            group = groups[key] = _Group(new_id("int"), one.source, one.kind, [])
        group.waiting.append(one)
    return list(groups.values())


def _store(
    c: Connection,
    tenant: TenantId,
    groups: Sequence[_Group],
    *,
    seen: Seen,
    now: datetime,
    stored: _Stored,
) -> None:
    asked = b"".join(one.ids for group in groups for one in group.waiting)
    fresh = seen.take(asked, now)
    if fresh:
        stored.ids = asked
    for group in groups:
        ids: list[bytes] = []
        chunks: list[bytes] = []
        for one in group.waiting:
            kept, chunk = one.ids, one.chunk
            if not fresh and not seen.take(kept, now):
                kept, chunk = _chosen(one, seen)
                seen.add(kept, now)
            if not fresh:
                stored.ids += kept
            ids.append(kept)
            chunks.append(chunk)
            stored.counts.append((len(kept) // KEY_BYTES, (len(one.ids) - len(kept)) // KEY_BYTES))
        if any(ids):
            stored.position = store.append_rows(
                c,
                tenant,
                group.kind,
                chunks,
                ids=b"".join(ids),
                source=group.source,
                intake_id=group.intake_id,
                received_at=max(one.now for one in group.waiting),
            )


def _chosen(one: _Waiting, seen: Seen) -> tuple[bytes, bytes]:
    """The ids of a batch that are new, and its chunk without the others."""
    present: set[bytes] = set()
    chosen = []
    keys = keys_in(one.ids)
    for key in keys:
        chosen.append(key not in present and key not in seen)
        present.add(key)
    return b"".join(compress(keys, chosen)), chunks.pick(one.kind, one.chunk, chosen)
