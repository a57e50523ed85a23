"""What the picture of an incident is made of, as plain values."""

from dataclasses import dataclass
from datetime import datetime

PALETTE = 6  # symptoms with a colour of their own; the last one is for all others


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of one row.

    ``tone`` is failing, degraded, healthy, restored, unknown, fixing or silent.
    """

    start: datetime
    end: datetime
    tone: str
    label: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A moment on a row, such as a post."""

    at: datetime
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One row of a lane. ``stated_start`` is the onset that an advisory states in hindsight."""

    label: str
    segments: tuple[Segment, ...] = ()
    ticks: tuple[Tick, ...] = ()
    stated_start: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What users hit in one bin of time. ``parts`` are counts in the order of the symptoms."""

    at: datetime
    parts: tuple[int, ...]
    reporters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What is usual in a stretch of time, per bin: distinct reporters, and the upper edge."""

    start: datetime
    end: datetime
    expected: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """The users' lane: columns of equal width, the symptoms that they stack, what is usual."""

    symptoms: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    usual: tuple[Usual, ...] = ()
    bin_minutes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A moment of the incident's life. ``kind`` chooses the look."""

    at: datetime
    label: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """The bracket from our detection to the vendor's post; ``open_ended`` while it is silent."""

    start: datetime
    end: datetime
    label: str
    open_ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything that the drawing shows. ``now`` is absent when the incident is over."""

    start: datetime
    end: datetime
    description: str
    now: datetime | None = None
    vendor: tuple[Track, ...] = ()
    probes: tuple[Track, ...] = ()
    users: Users = Users()
    markers: tuple[Marker, ...] = ()
    lead: Lead | None = None
