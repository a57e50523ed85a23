"""What the engine remembers of one tenant: counts per minute and cell, scans, rates, advisories."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias

from app.core.episode import ScanPoint
from app.core.ids import derived
from app.core.incident import Incident
from app.core.maintenance import Window
from app.core.signal import Advisory, SourceFreshness
from app.core.types import TenantId

EPOCH = 5  # minutes in which one actor counts once
ACTOR_CAP = 512  # smallest actor marks kept of a service and epoch; a bottom-k sketch above it
CELL_CAP = 256  # cells of one service; further ones share a cell that names no client and network
EXEMPLARS = 5  # sample signals kept of a cell
MINUTE = 60  # seconds
FADED = 0.1  # a person who reported once counts so little after 20 weeks
SIGN_IN_SERVICE = "~sign-in"  # refused sign-ins of all services that say little one by one

Seen: TypeAlias = tuple[int, str]  # milliseconds since 1970, key of the cell
Epoch: TypeAlias = dict[int, Seen]  # mark of the actor -> its first report of the epoch


def minute_of(at: datetime) -> int:
    """The minute since 1970 that an instant lies in."""
    return int(at.timestamp()) // MINUTE


def instant_of(minute: int) -> datetime:
    """The instant at which a minute begins."""
    return datetime.fromtimestamp(minute * MINUTE, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """A sample signal of a cell, as shown to people."""

    id: str
    occurred_at: datetime
    text: str
    code: str | None = None
    http_status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A report cell: scope times symptom. ``location`` is the network.

    ``counts``: minute → reports. ``firsts``: minute → actors of whom this is the first report of
    their epoch; it is kept in step with the epochs and outlives them.
    """

    service: str
    client: str
    symptom: str
    region: str | None
    location: str | None
    counts: dict[int, int] = field(default_factory=dict)
    firsts: dict[int, int] = field(default_factory=dict)
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeMinute:
    """One minute of one check at one location. ``abstained`` counts results of weight zero."""

    ok: int = 0
    failed: int = 0
    abstained: int = 0
    symptom: str | None = None
    mark: str = ""
    first_at: datetime | None = None
    last_at: datetime | None = None

    @property
    def is_bad(self) -> bool:
        """Whether the check failed in this minute; a tie counts as failing."""
        return self.failed > 0 and self.failed >= self.ok

    @property
    def speaks(self) -> bool:
        """Whether any result of this minute carries weight."""
        return self.ok + self.failed > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One check at one location, with its minutes; ``failure_rate`` is its own, learned in calm."""

    probe: str
    location: str
    service: str
    feature: str | None = None
    client: str | None = None
    region: str | None = None
    minutes: dict[int, ProbeMinute] = field(default_factory=dict)
    exemplars: tuple[Exemplar, ...] = ()
    failure_rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One hour of the week of one service: decayed count of actors, and of calm minutes."""

    count: float = 0.0
    minutes: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How counts of a service scatter about what was expected, as decayed sums.

    ``square``: of squared residues of minutes; ``mean``: of expectations; ``mean_square``: of
    their squares; ``wide``: of squared residues of quarter hours.
    """

    square: float = 0.0
    mean: float = 0.0
    mean_square: float = 0.0
    wide: float = 0.0
    quarter: float = 0.0  # residue of the quarter hour that runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What calm sealed minutes have taught.

    ``bins``: service → hour of the week → counts. ``shares``: ``service|network`` → decayed count
    of actors. ``failures``: track → (failure rate, weight). ``recent``: service → decayed counts
    (observed, expected) of the last hours, for the tenant's level.
    """

    bins: dict[str, dict[int, Bin]] = field(default_factory=dict)
    spreads: dict[str, Spread] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    failures: dict[str, tuple[float, float]] = field(default_factory=dict)
    recent: dict[str, tuple[float, float]] = field(default_factory=dict)
    minutes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What is expected in one hour, published before it begins and never changed afterwards.

    ``expected``: service → first-seen actors per minute. ``size``: service → dispersion of the
    counts (negative binomial size). ``temper``: service → 0 to 1, how much of the evidence of
    reports counts when noise lasts over minutes. ``shares``: ``service|network`` → 0 to 1.
    ``failures``: track → the vantage's own failure rate.
    """

    expected: dict[str, float] = field(default_factory=dict)
    size: dict[str, float] = field(default_factory=dict)
    temper: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    failures: dict[str, float] = field(default_factory=dict)
    inflation: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAdvisory:
    """The newest revision of an advisory without its posts; ``revision`` counts ours from 1."""

    advisory: Advisory
    revision: int
    first_post_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a person ruled on what belongs together; it holds until it is taken back.

    ``kind``: ``advisory``, ``cell``, ``domain`` or ``apart``; ``item``: the vendor id, the id of
    the cell, the key of what an incident stood for, or another incident. ``holds``: it belongs to
    the incident, or it does not.
    """

    kind: str
    item: str
    incident: str
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One incident before and after; None: it was not there. Without its long parts."""

    before: Incident | None
    after: Incident | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoable:
    """A change that a person can take back: what a command, or a merger of the engine, did.

    ``events`` tell of it. ``added, removed``: rulings that came and went with it. ``links``: vendor
    id → the incident that held it before and after.
    """

    name: str
    events: tuple[str, ...]
    changes: tuple[Change, ...]
    added: tuple[Ruling, ...] = ()
    removed: tuple[Ruling, ...] = ()
    links: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """Everything that the fold carries from one step to the next for one tenant.

    Minutes up to ``sealed_to`` are final: ``scans`` hold where every domain stood then, and what
    came later is worked out anew from the counts at each step.
    """

    cells: dict[str, Cell] = field(default_factory=dict)
    epochs: dict[str, dict[int, Epoch]] = field(default_factory=dict)  # by service
    tracks: dict[str, Track] = field(default_factory=dict)
    scans: dict[str, ScanPoint] = field(default_factory=dict)
    learned: Learned = Learned()
    rates: dict[int, Rates] = field(default_factory=dict)  # by hour since 1970
    advisories: dict[str, KnownAdvisory] = field(default_factory=dict)
    stale: tuple[SourceFreshness, ...] = ()
    sealed_to: int = 0
    unknown_values: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)  # advisory id -> incident id
    rulings: tuple[Ruling, ...] = ()
    undoable: tuple[Undoable, ...] = ()


def voiced(state: EngineState) -> frozenset[str]:
    """The services on which people of the tenant have reported, as far as is remembered.

    Of the others nobody knows whether anybody could report, so silence there says nothing.
    """
    learned = {
        service
        for service, bins in state.learned.bins.items()
        if sum(one.count for one in bins.values()) > FADED
    }
    return frozenset(learned | {cell.service for cell in state.cells.values()})


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantProfile:
    """What is known of a tenant beforehand.

    ``external`` names locations outside its network; ``reads_vendor`` says whether a source of
    advisories is configured. ``holidays`` are dates (``2026-12-25``) in the tenant's own time.
    ``networks``: location → network, where the two have different names. ``windows``: planned work.
    """

    id: TenantId
    users: int
    external: frozenset[str] = frozenset()
    reads_vendor: bool = True
    service_names: dict[str, str] = field(default_factory=dict)
    timezone: str = "UTC"
    holidays: frozenset[str] = frozenset()
    networks: dict[str, str] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()

    def network_of(self, location: str) -> str:
        """The network that a location stands in, by which reports from there are known."""
        return self.networks.get(location, location)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the store hands to the core for one decision; ``incidents`` are all not yet closed.

    ``waiting_since`` is when the oldest record came that this step does not fold yet, or None.
    ``memo`` is what the step before worked out of this very state, or None; it is used up by the
    step. It has no say in what is decided; the figures of a sure stretch may wait for the minute.
    """

    profile: TenantProfile
    state: EngineState
    incidents: tuple[Incident, ...]
    sequence: int
    number: int
    waiting_since: datetime | None = None
    memo: object = None


def cell_id(cell: Cell) -> str:
    """The id by which people name a cell of reports."""
    parts = (cell.service, cell.client, cell.symptom, cell.region or "", cell.location or "")
    return f"cell_{derived('report', *parts)}"


def track_id(track: Track) -> str:
    """The id by which people name a check at one location."""
    return f"cell_{derived('probe', track.probe, track.location)}"


def with_exemplar(kept: tuple[Exemplar, ...], new: tuple[Exemplar, ...]) -> tuple[Exemplar, ...]:
    """Keep the earliest exemplars, whatever the order in which they come."""
    if not new:
        return kept
    return tuple(sorted({*kept, *new}, key=lambda e: (e.occurred_at, e.id))[:EXEMPLARS])


def without_minutes_before(state: EngineState, *, evidence: int, marks: int) -> EngineState:
    """Forget what is no longer needed.

    Args:
        state: what is remembered.
        evidence: counts and probe minutes before it go; cells that then hold nothing go too.
        marks: epochs that end before it go.
    """
    cells = {}
    for key, cell in state.cells.items():
        if not cell.counts or min(cell.counts) >= evidence:
            kept = cell
        else:
            counts = {m: n for m, n in cell.counts.items() if m >= evidence}
            firsts = {m: n for m, n in cell.firsts.items() if m >= evidence}
            kept = replace(cell, counts=counts, firsts=firsts)
        if kept.counts:
            cells[key] = kept
    tracks = {}
    for key, track in state.tracks.items():
        if track.minutes and min(track.minutes) < evidence:
            left = {m: p for m, p in track.minutes.items() if m >= evidence}
            tracks[key] = replace(track, minutes=left)
        else:
            tracks[key] = track
    first = marks // EPOCH
    epochs = {}
    for service, spans in state.epochs.items():
        left_spans = {e: seen for e, seen in spans.items() if e >= first}
        if left_spans:
            epochs[service] = left_spans
    return replace(state, cells=cells, tracks=tracks, epochs=epochs)
