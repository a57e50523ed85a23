"""What the database says after a run, as plain values: the third thing that the checker reads."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from app.core.aggregate import WEAK, cell_key, track_key
from app.core.policy import DEFAULT_POLICY
from app.core.signal import ClientReport, Command, ProbeResult
from app.core.state import EngineState, minute_of
from app.core.types import OPEN_STATUSES, Outcome, SelfCheck, TenantId
from app.store import incidents, intake, states
from app.store.engine import Database
from app.store.intake import FOLDED_TX
from app.store.tables import (
    AttemptRow,
    DeliveryRow,
    EventRow,
    EvidenceRow,
    FoldStateRow,
    IncidentRow,
    IntakeRow,
    ReplayRow,
    SubscriptionRow,
)

Minute = tuple[str, str, int]  # tenant, cell or track, minute since 1970
Tally = tuple[int, int]  # reports, and reporters new to their epoch; or results and failed ones

OWN = frozenset({"command"})  # its news of itself
KEPT_MINUTES = DEFAULT_POLICY.lateness_minutes + 60  # older minutes the engine may forget


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One signal of the intake log. ``position`` is None where it was folded when it was stored.

    ``mark`` is what the client wrote into it. ``actor`` is who stands behind a report that is
    believed; ``failed`` speaks of a probe result.
    """

    tenant: str
    kind: str
    id: str
    mark: str
    position: tuple[int, int] | None
    cell: str = ""
    minute: int = 0
    at_ms: int = 0
    count: int = 1
    actor: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where the fold of a tenant says that it stands; older than ``horizon`` it may forget."""

    position: tuple[int, int]
    sequence: int
    horizon: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of the log; ``digest`` is of its frozen bytes, ``content`` of what it says."""

    tenant: str
    sequence: int
    id: str
    type: str
    incident: str | None
    revision: int | None
    digest: str
    content: str = ""
    at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One planned delivery; ``state`` is pending, superseded, delivered or parked.

    ``claims`` are attempts that were begun, ``tries`` those that its log has, ``answered`` those
    of them with an answer, ``taken`` with one of 2xx.
    """

    id: str
    subscription: str
    event: str
    state: str
    superseded_by: str | None = None
    type: str = "incident.updated"
    claims: int = 0
    tries: int = 0
    answered: int = 0
    taken: int = 0
    replay: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One replay: events from ``since_ms`` to before ``until_ms``, looked at up to ``position``."""

    id: str
    subscription: str
    select: str
    since_ms: int
    until_ms: int
    position: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One incident as stored; ``series`` is its evidence per cell and minute."""

    tenant: str
    id: str
    revision: int
    is_open: bool
    services: tuple[str, ...]
    onset: int
    reports: int
    series: dict[Minute, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the database says. ``subscriptions``: id → (tenant, format).

    ``tallies`` are the engine's own counts. ``heads``: tenant → last position of the intake log.
    ``fed``: tenant → the event to which readers of the feed read at least; time went on after it.
    ``own``: kinds of signals that Sextant makes itself, which bear no mark.
    """

    records: tuple[Record, ...] = ()
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    heads: dict[str, tuple[int, int]] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    subscriptions: dict[str, tuple[str, str]] = field(default_factory=dict)
    incidents: tuple[Known, ...] = ()
    tallies: dict[Minute, Tally] = field(default_factory=dict)
    sound: bool = True
    fed: dict[str, int] = field(default_factory=dict)
    replays: tuple[Replayed, ...] = ()
    own: frozenset[str] = OWN


def digest_of(body: bytes) -> str:
    """What stands for a body."""
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def content_of(data: Any) -> str:
    """What stands for the content of an event, however it is written down."""
    return digest_of(json.dumps(data, sort_keys=True, separators=(",", ":")).encode())


def read(url: str) -> Facts:
    """Read everything, in one transaction."""
    database = Database(url)
    try:
        return database.read_now(gather)
    finally:
        database.close()


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is still to do."""

    unfolded: int
    undelivered: int
    replaying: int = 0

    @property
    def left(self) -> int:
        """All of it."""
        return self.unfolded + self.undelivered + self.replaying


def backlog(c: Connection) -> Backlog:
    """Count what is not yet folded, and deliveries that are not yet done."""
    sent = DeliveryRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    behind = 0
    for tenant, head in _heads(c).items():
        point = states.checkpoint(c, TenantId(tenant))
        behind += (point.tx, point.seq) < head
    waits = sent.c.state.in_(("pending", "superseded"))
    waiting = c.execute(select(func.count()).select_from(sent).where(waits)).scalar_one()
    jobs = ReplayRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    open_jobs = select(func.count()).select_from(jobs).where(jobs.c.finished_at.is_(None))
    return Backlog(behind, waiting, c.execute(open_jobs).scalar_one())


def fed_so_far(url: str) -> dict[str, int]:
    """Read the number of each tenant's last event."""
    log = EventRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    query = select(log.c.tenant, func.max(log.c.sequence).label("last")).group_by(log.c.tenant)
    database = Database(url)
    try:
        return {row.tenant: row.last for row in database.read_now(lambda c: c.execute(query).all())}
    finally:
        database.close()


def gather(c: Connection) -> Facts:
    """Read everything over one connection."""
    state = FoldStateRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    subscribed = SubscriptionRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it
    checkpoints = {}
    tallies: dict[Minute, Tally] = {}
    for row in c.execute(select(state)):
        horizon = minute_of(row.folded_at) - KEPT_MINUTES
        checkpoints[row.tenant] = Checkpoint(
            position=(row.tx, row.seq), sequence=row.sequence, horizon=horizon
        )
        tallies |= _tallies(row.tenant, states.decode(row.body))
    rows = c.execute(select(subscribed.c.id, subscribed.c.tenant, subscribed.c.format))
    return Facts(
        records=tuple(_records(c)),
        checkpoints=checkpoints,
        heads=_heads(c),
        events=tuple(_events(c)),
        deliveries=tuple(planned(c)),
        subscriptions={row.id: (row.tenant, row.format) for row in rows},
        incidents=tuple(_incidents(c)),
        tallies=tallies,
        sound=_is_sound(c),
        replays=tuple(_replays(c)),
    )


def _is_sound(c: Connection) -> bool:
    if c.dialect.name != "sqlite":
        return True
    return bool(c.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok")


def _heads(c: Connection) -> dict[str, tuple[int, int]]:
    log = IntakeRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    heads: dict[str, tuple[int, int]] = {}
    for row in c.execute(select(log.c.tenant, log.c.tx, log.c.seq).where(log.c.tx != FOLDED_TX)):
        heads[row.tenant] = max(heads.get(row.tenant, (0, 0)), (row.tx, row.seq))
    return heads


def _records(c: Connection) -> Iterable[Record]:
    log = IntakeRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    for row in c.execute(select(log).order_by(log.c.seq)):
        position = None if row.tx == FOLDED_TX else (row.tx, row.seq)
        for signal in intake.decode(row.kind, row.codec, row.body):
            yield _record(row.tenant, row.kind, signal, position)


def _record(tenant: str, kind: str, signal: Any, position: tuple[int, int] | None) -> Record:
    match signal:
        case ClientReport():
            return Record(
                tenant=tenant, kind=kind, id=signal.id, mark=signal.code or "", position=position,
                cell=cell_key(signal), minute=minute_of(signal.occurred_at), count=signal.count,
                at_ms=_ms(signal.occurred_at),
                actor=signal.actor if signal.weight >= WEAK else None,
            )  # fmt: skip
        case ProbeResult():
            sound = signal.self_check is not SelfCheck.FAILED
            return Record(
                tenant=tenant, kind=kind, id=signal.id, mark=signal.error or "", position=position,
                cell=track_key(signal), minute=minute_of(signal.occurred_at),
                failed=sound and signal.outcome is Outcome.FAILED,
            )  # fmt: skip
        case Command(body=body):
            mark = body.get("title") or body.get("text") or body.get("note") or ""
            return Record(tenant=tenant, kind=kind, id=signal.id, mark=str(mark), position=position)
        case _:
            return Record(tenant=tenant, kind=kind, id=signal.id, mark="", position=position)


def _tallies(tenant: str, state: EngineState) -> dict[Minute, Tally]:
    found: dict[Minute, Tally] = {}
    for key, cell in state.cells.items():
        for minute, count in cell.counts.items():
            found[tenant, key, minute] = (count, cell.firsts.get(minute, 0))
    for key, track in state.tracks.items():
        for minute, met in track.minutes.items():
            found[tenant, key, minute] = (met.ok + met.failed + met.abstained, met.failed)
    return found


def _events(c: Connection) -> Iterable[Event]:
    log = EventRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    for row in c.execute(select(log).order_by(log.c.tenant, log.c.sequence)):
        data = json.loads(row.body)["data"] or {}
        about = data.get("incident") or {}
        yield Event(
            tenant=row.tenant, sequence=row.sequence, id=row.id, type=row.type,
            incident=row.incident, revision=about.get("revision"), digest=digest_of(row.body),
            content=content_of(data), at_ms=_ms(row.occurred_at),
        )  # fmt: skip


def _replays(c: Connection) -> Iterable[Replayed]:
    jobs = ReplayRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    for row in c.execute(select(jobs).order_by(jobs.c.id)):
        yield Replayed(
            id=row.id, subscription=row.subscription, select=row.chosen,
            since_ms=_ms(row.since), until_ms=_ms(row.until), position=row.position,
            ended=row.finished_at is not None,
        )  # fmt: skip


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def planned(c: Connection) -> Iterable[Delivery]:
    """Read every delivery."""
    sent = DeliveryRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    tried = AttemptRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    met: dict[str, list[int]] = defaultdict(list)  # statuses, 0 without an answer
    for row in c.execute(select(tried.c.delivery, tried.c.status)):
        met[row.delivery].append(row.status or 0)
    for row in c.execute(select(sent).order_by(sent.c.id)):
        yield Delivery(
            id=row.id, subscription=row.subscription, event=row.event, state=row.state,
            superseded_by=row.superseded_by, type=row.event_type, claims=row.attempts,
            tries=len(met[row.id]), answered=sum(bool(status) for status in met[row.id]),
            taken=sum(status // 100 == 2 for status in met[row.id]), replay=row.replay or "",
        )  # fmt: skip


def _incidents(c: Connection) -> Iterable[Known]:
    stored = IncidentRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    shown = EvidenceRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    evidence = {(row.tenant, row.incident): row.body for row in c.execute(select(shown))}
    for row in c.execute(select(stored.c.tenant, stored.c.id).order_by(stored.c.id)):
        incident = incidents.get(c, TenantId(row.tenant), row.id)
        if incident is None:
            continue
        document = json.loads(evidence.get((row.tenant, row.id), b"{}"))
        yield Known(
            tenant=row.tenant, id=row.id, revision=incident.revision,
            is_open=incident.status in OPEN_STATUSES, services=incident.services,
            onset=minute_of(incident.onset_at), reports=incident.impact.reports,
            series=_series(row.tenant, document),
        )  # fmt: skip


def _series(tenant: str, document: dict[str, Any]) -> dict[Minute, int]:
    found: dict[Minute, int] = {}
    for cell in document.get("cells", ()):
        if cell["source"] != "client_report":
            continue
        parts = (cell[n] for n in ("service", "client", "symptom", "region", "location"))
        key = "|".join((part or "").replace("|", "/") for part in parts)
        for point in cell["series"]:
            minute = minute_of(datetime.fromisoformat(point["minute"]))
            found[tenant, key, minute] = point["count"]
    return found
