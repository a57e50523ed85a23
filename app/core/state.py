"""What the engine remembers of one tenant: counts per minute and cell, tracks, advisories."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from app.core.incident import Incident
from app.core.signal import Advisory, SourceFreshness
from app.core.types import TenantId

ACTOR_CAP = 256  # smallest actor hashes kept of a cell and minute; a bottom-k sketch above it
EXEMPLARS = 5  # sample signals kept of a cell
MINUTE = 60  # seconds


def minute_of(at: datetime) -> int:
    """The minute since 1970 that an instant lies in."""
    return int(at.timestamp()) // MINUTE


def instant_of(minute: int) -> datetime:
    """The instant at which a minute begins."""
    return datetime.fromtimestamp(minute * MINUTE, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One minute of one report cell: reports, and the smallest hashes of distinct actors."""

    count: int
    actors: tuple[str, ...]
    first_at: datetime
    last_at: datetime


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
    """A report cell: scope times symptom, with its minutes. ``location`` is the network."""

    service: str
    client: str
    symptom: str
    region: str | None
    location: str | None
    minutes: dict[int, Bucket] = field(default_factory=dict)
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
    failure_weight: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Expected first-seen actors per minute of one service, learned from calm sealed minutes."""

    mean: float
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAdvisory:
    """The newest revision of an advisory without its posts; ``revision`` counts ours from 1."""

    advisory: Advisory
    revision: int
    first_post_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """Everything that the fold carries from one step to the next for one tenant."""

    cells: dict[str, Cell] = field(default_factory=dict)
    tracks: dict[str, Track] = field(default_factory=dict)
    baselines: dict[str, Baseline] = field(default_factory=dict)
    advisories: dict[str, KnownAdvisory] = field(default_factory=dict)
    stale: tuple[SourceFreshness, ...] = ()
    sealed_to: int = 0
    unknown_values: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)  # advisory id -> incident id


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantProfile:
    """What is known of a tenant beforehand.

    ``external`` names locations outside its network; ``reads_vendor`` says whether a source of
    advisories is configured.
    """

    id: TenantId
    users: int
    external: frozenset[str] = frozenset()
    reads_vendor: bool = True
    service_names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the store hands to the core for one decision; ``incidents`` are all not yet closed."""

    profile: TenantProfile
    state: EngineState
    incidents: tuple[Incident, ...]
    sequence: int
    number: int


def with_exemplar(kept: tuple[Exemplar, ...], new: tuple[Exemplar, ...]) -> tuple[Exemplar, ...]:
    """Keep the earliest exemplars, whatever the order in which they come."""
    return tuple(sorted({*kept, *new}, key=lambda e: (e.occurred_at, e.id))[:EXEMPLARS])


def without_minutes_before(state: EngineState, minute: int) -> EngineState:
    """Forget the minutes before one, and cells and tracks that then hold nothing."""
    cells = {}
    for key, cell in state.cells.items():
        kept = {m: b for m, b in cell.minutes.items() if m >= minute}
        if kept:
            cells[key] = cell if len(kept) == len(cell.minutes) else replace(cell, minutes=kept)
    tracks = {}
    for key, track in state.tracks.items():
        results = {m: b for m, b in track.minutes.items() if m >= minute}
        same = len(results) == len(track.minutes)
        tracks[key] = track if same else replace(track, minutes=results)
    return replace(state, cells=cells, tracks=tracks)
