"""The fold: intake log in, state and events out, one transaction per step."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from app.core.decide import Decision, decide
from app.core.errors import StorageUnavailable
from app.core.events import Event, EventType
from app.core.ids import derived
from app.core.incident import Incident
from app.core.maintenance import Window
from app.core.pace import stirs
from app.core.policy import Policy
from app.core.ports import Render
from app.core.route import PlannedEvent, planned
from app.core.signal import Command, ProbeResult, Signal
from app.core.state import EngineState, Snapshot, TenantProfile
from app.core.types import ActorKind, SignalId, SignalKind, TenantId
from app.flow.acts import Act, obeyed, with_act
from app.flow.curation import Knows, unmapped
from app.flow.leases import Lease, fenced
from app.flow.looks import Looks
from app.flow.precede import see_that_it_may
from app.kit.clock import Clock
from app.kit.ids import new_id
from app.store import advisories, events, evidence, incidents, intake, journal, probes, states
from app.store import unmapped as codes
from app.store.engine import Database
from app.store.intake import IntakeRecord
from app.store.states import Checkpoint

BATCH = 200  # rows of the intake log that one step takes
GULP = 40_000  # signals that end a step: no tenant keeps the others waiting for long
TRIES = 50  # times that a command is tried against steps that come between
RUNNER = "probe:runner"  # our own runner keeps its newest results itself, with their intervals
QUIET_WRITE = timedelta(seconds=60)  # a step of time alone is stored at least so often

Plan = Callable[[Connection, TenantId, Sequence[PlannedEvent], datetime], int]


@dataclass(slots=True)
class _Loaded:
    """What one step started from."""

    checkpoint: Checkpoint
    snapshot: Snapshot
    records: list[IntakeRecord]
    rows: int  # of the intake log, at most

    @property
    def is_backlog(self) -> bool:
        """Whether there may be more than this step takes."""
        return len(self.records) == self.rows or sum(r.count for r in self.records) >= GULP


@dataclass(frozen=True, slots=True)
class _Folded:
    """What one step came to; ``met`` are codes that no table knows, ``pushed`` foreign results."""

    decision: Decision
    met: list[codes.Unmapped]
    pushed: list[ProbeResult]
    bad: bool

    def is_nothing(self, loaded: _Loaded) -> bool:
        """Whether there is nothing to store: time passed and told nothing."""
        quiet = not loaded.records and not self.decision.events and not self.decision.incidents
        return quiet and self.decision.state is loaded.snapshot.state


class Overtaken(Exception):  # noqa: N818 - not an error: another step came first
    """Another step of the same tenant was stored first."""


class Fold:
    """Folds the intake log of each tenant; steps are serial per tenant by compare-and-swap.

    ``committed`` is called on the event loop after events were stored.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        render: Render,
        plan: Plan,
        policy: Policy,
        profiles: Mapping[TenantId, TenantProfile],
        committed: Callable[[], None],
        knows: Knows | None = None,
        windows: Callable[[TenantId], tuple[Window, ...]] = lambda _: (),
    ) -> None:
        self._knows = knows
        self._windows = windows
        self._db = db
        self._clock = clock
        self._render = render
        self._plan = plan
        self._policy = policy
        self._profiles = profiles
        self._committed = committed
        self._cache: dict[TenantId, tuple[int, EngineState, object]] = {}  # with the memo
        self._stored_at: dict[TenantId, datetime] = {}
        self._evidence: dict[TenantId, dict[str, int]] = {}  # hashes of what was stored last
        self._marked: dict[TenantId, datetime | None] = {}  # when a place to begin was kept
        self._locks: dict[TenantId, asyncio.Lock] = {}
        self._overtaken: Counter[TenantId] = Counter()  # steps in a row that others came before
        self._looks = Looks()

    @property
    def tenants(self) -> tuple[TenantId, ...]:
        """All tenants, sorted."""
        return tuple(sorted(self._profiles))

    def know(self, profiles: Mapping[TenantId, TenantProfile]) -> None:
        """Take other tenants from the next step on; what is stored of those that left stays."""
        self._profiles = profiles

    def profile(self, tenant: TenantId) -> TenantProfile:
        """What is known of a tenant beforehand; one that is not configured has the defaults."""
        known = self._profiles.get(tenant)
        known = known or TenantProfile(id=tenant, users=self._policy.default_users)
        windows = self._windows(tenant)
        return replace(known, windows=windows) if windows else known

    def _load(self, c: Connection, tenant: TenantId, rows: int = BATCH) -> _Loaded:
        checkpoint = states.checkpoint(c, tenant)
        cached = self._cache.get(tenant)
        if cached is not None and cached[0] == checkpoint.revision:
            state, memo = cached[1], cached[2]
        else:
            checkpoint, state = states.load(c, tenant)
            memo = None
            self._evidence.pop(tenant, None)  # another replica may have written it since
            self._marked[tenant] = journal.marked_at(c, tenant)
        records = intake.after(c, tenant, checkpoint.tx, checkpoint.seq, rows, most=GULP)
        held = intake.held_since(c, tenant, checkpoint.tx, checkpoint.seq)
        return _Loaded(
            rows=rows,
            checkpoint=checkpoint,
            snapshot=Snapshot(
                profile=self.profile(tenant),
                state=state,
                incidents=incidents.living(c, tenant),
                sequence=checkpoint.sequence,
                number=checkpoint.number,
                waiting_since=min([*held, *(r.received_at for r in records[:1])], default=None),
                memo=memo,
            ),
            records=records,
        )

    async def due(self, among: Collection[TenantId] | None = None) -> list[TenantId]:
        """Those of some tenants for whom something waits or time alone may tell, asked at once.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        now, stood = self._clock.now(), await self._db.read(states.standings)
        own = self.tenants if among is None else sorted(self._profiles.keys() & among)
        return [tenant for tenant in own if self._looks.is_due(tenant, stood, now)]

    async def step(self, tenant: TenantId, lease: Lease | None = None) -> bool:
        """Fold what waits, or time alone; True when there may be more.

        Raises:
            LeaseLost: another replica folds this tenant now; nothing was folded.
            StorageUnavailable: the database cannot be reached; nothing was folded.
        """
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            now, late = self._clock.now(), self._overtaken[tenant]
            rows = max(BATCH >> 2 * late, 1)  # commands taken elsewhere are as short as they are
            loaded = await self._db.read(lambda c: self._load(c, tenant, rows))
            records = loaded.records
            if loaded.is_backlog:  # what was not folded yet is no silence
                now = min(now, records[-1].received_at)
            folded = await asyncio.to_thread(self._decide_records, loaded, now)
            decision = folded.decision
            quiet = not records and not decision.events
            if folded.is_nothing(loaded) or (quiet and not self._is_due(tenant, now)):
                if decision.state is loaded.snapshot.state:  # the memo that was handed in is used
                    self._cache[tenant] = (
                        loaded.checkpoint.revision, decision.state, decision.memo
                    )  # fmt: skip
                self._looked(tenant, loaded, folded, now, loaded.checkpoint.revision)
                return False
            last = records[-1] if records else None
            after = replace(
                loaded.checkpoint,
                revision=loaded.checkpoint.revision + 1,
                tx=last.tx if last else loaded.checkpoint.tx,
                seq=last.seq if last else loaded.checkpoint.seq,
                sequence=decision.sequence,
                number=decision.number,
            )
            raw: dict[str, bytes] = {}
            for record in records:
                raw |= intake.raw_of(record.codec, record.body)

            def also(c: Connection) -> None:
                fenced(lease, c)
                codes.add(c, tenant, folded.met)

            try:
                await self._store(
                    tenant, loaded, after, decision, now, raw=raw, pushed=folded.pushed, also=also
                )
            except Overtaken:
                self._overtaken[tenant] += 1
                return True
            self._overtaken[tenant] = max(late - 1, 0)
            self._looked(tenant, loaded, folded, now, after.revision)
            return loaded.is_backlog

    def _looked(
        self, tenant: TenantId, loaded: _Loaded, folded: _Folded, now: datetime, revision: int
    ) -> None:
        living = {i.id: i for i in (*loaded.snapshot.incidents, *folded.decision.incidents)}
        calm = self._looks.note(tenant, revision, living.values(), now=now, bad=folded.bad)
        if calm and not loaded.records:  # reading a state again is cheaper than keeping hundreds
            self._cache.pop(tenant, None)

    def _decide_records(self, loaded: _Loaded, now: datetime) -> _Folded:
        """Decide, and gather what else is stored of the signals."""
        signals: list[Signal] = []
        pushed: list[ProbeResult] = []
        for record in loaded.records:
            held = record.signals
            signals.extend(held)
            if record.kind is SignalKind.PROBE_RESULT and record.source != RUNNER:
                pushed.extend(signal for signal in held if isinstance(signal, ProbeResult))
        met = [] if self._knows is None else unmapped(signals, self._knows)
        decision = decide(loaded.snapshot, signals, now=now, policy=self._policy)
        return _Folded(decision, met, pushed, any(stirs(signal) for signal in signals))

    def _is_due(self, tenant: TenantId, now: datetime) -> bool:
        stored = self._stored_at.get(tenant)
        return stored is None or now - stored >= QUIET_WRITE

    def _wants_mark(self, tenant: TenantId, now: datetime) -> bool:
        """Whether it is time to keep a place from which a replay can begin."""
        marked = self._marked.get(tenant)
        return marked is None or now - marked >= journal.MARK_EVERY

    async def _store(
        self,
        tenant: TenantId,
        loaded: _Loaded,
        after: Checkpoint,
        decision: Decision,
        now: datetime,
        *,
        raw: Mapping[str, bytes],
        pushed: Sequence[ProbeResult] = (),
        also: Callable[[Connection], Any] | None = None,
        record: Callable[[Connection], int] | None = None,
    ) -> None:
        before, policy = loaded.checkpoint, self._policy.digest
        body, rendered, shown = await asyncio.to_thread(self._pack, decision)
        mark = None
        if self._wants_mark(tenant, now):
            mark = await asyncio.to_thread(journal.pack, loaded.snapshot)
        known = self._evidence.setdefault(tenant, {})
        fresh = {i: text for i, text in shown.items() if known.get(i) != hash(text)}

        def unit(c: Connection) -> None:
            if not states.swap(c, tenant, before, after, body=body, policy=policy, now=now):
                raise Overtaken
            if also is not None:
                also(c)
            command = record(c) if record is not None else None
            journal.append(
                c, tenant, after, now=now, policy=policy, command=command,
                waiting_since=loaded.snapshot.waiting_since,
            )  # fmt: skip
            if mark is not None:
                journal.mark(c, tenant, before, now=now, body=mark)
            incidents.put(c, decision.incidents)
            evidence.put(c, tenant, fresh)
            revised = [(r.advisory, raw.get(r.advisory.vendor_id), r.revision)
                       for r in decision.advisories]  # fmt: skip
            advisories.put(c, tenant, revised)
            for vendor_id, incident in decision.links.items():
                advisories.set_incidents(c, tenant, vendor_id, [incident])
            probes.record(c, tenant, pushed)
            events.append(c, rendered)
            self._plan(c, tenant, [planned(event) for event, _ in rendered], now)

        self._cache.pop(tenant, None)  # the memo is used up, also when the write fails
        await self._db.write(unit)
        self._cache[tenant] = (after.revision, decision.state, decision.memo)
        self._stored_at[tenant] = now
        if mark is not None:
            self._marked[tenant] = now
        living = {i.id for i, _ in decision.shown} | decision.held.keys()
        kept = {i: known[i] for i in known.keys() & living}
        self._evidence[tenant] = kept | {i: hash(text) for i, text in shown.items()}
        if rendered:
            self._committed()

    def _pack(
        self, decision: Decision
    ) -> tuple[bytes, list[tuple[Event, bytes]], dict[str, bytes]]:
        rendered = [(event, self._render(event)) for event in decision.events]
        shown = {i: evidence.encode(document) for i, document in decision.documents().items()}
        return states.encode(decision.state), rendered, shown

    async def command(
        self,
        tenant: TenantId,
        command: Command,
        *,
        expected_revision: int | None = None,
        act: Act | None = None,
        also: Callable[[Connection], Any] | None = None,
    ) -> Incident:
        """Store and fold one command in one transaction; gives the incident after it.

        ``also`` is written in the same transaction; whatever it raises undoes both.

        Raises:
            NotFound: no such incident.
            IllegalTransition: the command may not follow the present status.
            PreconditionFailed: ``expected_revision`` is not the incident's revision.
            StorageUnavailable: the database cannot be reached; nothing was stored.
        """
        decision = await self._fold_command(tenant, command, expected_revision, act=act, also=also)
        return obeyed(command, decision)

    async def news(
        self,
        tenant: TenantId,
        kind: EventType,
        facts: dict[str, Any],
        *,
        actor: str,
        reason: str,
        also: Callable[[Connection], Any] | None = None,
        kind_of_actor: ActorKind = ActorKind.SOURCE,
    ) -> None:
        """Emit an event that is about no incident, such as ``source.stale``.

        ``also`` is written in the same transaction; whatever it raises undoes both.
        """
        now = self._clock.now()
        command = Command(
            id=SignalId(derived(tenant, kind, new_id("news"), size=16)),
            name=kind.value.replace(".", "_"),
            actor_kind=kind_of_actor.value,
            actor=actor,
            received_at=now,
            body={**facts, "reason": reason},
        )
        await self._fold_command(tenant, command, None, also=also)

    async def _fold_command(
        self,
        tenant: TenantId,
        command: Command,
        expected_revision: int | None,
        *,
        also: Callable[[Connection], Any] | None = None,
        act: Act | None = None,
    ) -> Decision:
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            for _ in range(TRIES):
                loaded = await self._db.read(lambda c: self._load(c, tenant, 1))
                living = loaded.snapshot.incidents
                await see_that_it_may(self._db, tenant, command, living, expected_revision)
                now = self._clock.now()
                decision = await asyncio.to_thread(
                    decide, loaded.snapshot, [command], now=now, policy=self._policy
                )
                after = replace(
                    loaded.checkpoint,
                    revision=loaded.checkpoint.revision + 1,
                    sequence=decision.sequence,
                    number=decision.number,
                )
                record = partial(
                    intake.append_signals, tenant=tenant, signals=[command], source=command.actor,
                    intake_id=new_id("int"), received_at=now, folded=True,
                )  # fmt: skip
                unit = with_act(act, command, loaded.snapshot, decision, also=also)
                try:
                    await self._store(
                        tenant, loaded, after, decision, now, raw={}, also=unit, record=record
                    )
                except Overtaken:
                    continue
                return decision
        raise StorageUnavailable
