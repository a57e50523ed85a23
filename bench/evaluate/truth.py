"""The truth of a scenario, as the judge reads it: faults, and which fault each signal is of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.core.signal import Advisory, ClientReport, ProbeResult
from app.core.types import Outcome
from app.flow.offline import RecordedLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault that was really there; ``spells`` are the stretches in which it was active."""

    id: str
    origin: str
    services: tuple[str, ...]
    spells: tuple[tuple[datetime, datetime], ...]
    required: bool = True  # false: an incident is allowed, not demanded
    first_failing_at: datetime | None = None  # first failing event of a user or a probe

    @property
    def started_at(self) -> datetime:
        """When it began."""
        return self.spells[0][0]

    @property
    def ended_at(self) -> datetime:
        """When it was over for good."""
        return self.spells[-1][1]

    def is_active(self, at: datetime) -> bool:
        """Whether it was active at an instant."""
        return any(start <= at < end for start, end in self.spells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Something that is no fault of these, but of which an incident of some origin is right."""

    start: datetime
    end: datetime
    origins: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """All faults of a run, and the label of each signal: ref → fault id, or None."""

    faults: tuple[Fault, ...]
    labels: Mapping[str, str | None]
    allowed: tuple[Allowed, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)


def read(document: Mapping[str, Any], labels: Mapping[str, str]) -> Truth:
    """Read the truth as ``sextant simulate --truth`` writes it, and the labels of its lines."""
    faults = tuple(_fault(one) for one in document["faults"])
    known = {fault.id for fault in faults}
    return Truth(
        faults=faults,
        labels={ref: label if label in known else None for ref, label in labels.items()},
        allowed=tuple(
            Allowed(
                start=instant(one["from"]),
                end=instant(one["until"]),
                origins=frozenset(one.get("allowed_origins") or ()),
            )
            for one in document.get("adversaries", ())
        ),
        document=document,
    )


def _fault(one: Mapping[str, Any]) -> Fault:
    first = one.get("first_failing_at")
    spells = one.get("phases") or one.get("spans") or [[one["onset"], one["end"]]]
    return Fault(
        id=one["id"],
        origin=one["origin"],
        services=tuple(one["services"]),
        spells=tuple((instant(start), instant(end)) for start, end in spells),
        required=one.get("required", True),
        first_failing_at=instant(first) if first else None,
    )


def instant(text: str) -> datetime:
    """Read an instant of a file."""
    return datetime.fromisoformat(text)


@dataclass(slots=True, kw_only=True)
class Shown:
    """What of one fault could be seen in the signals; instants are those of arrival."""

    first_at: datetime | None = None
    refs: set[str] = field(default_factory=set)
    probed: bool = False
    advisories: dict[str, datetime] = field(default_factory=dict)
    published_at: datetime | None = None


def is_failing(line: RecordedLine) -> bool:
    """Whether a signal is one that a user could have met: a report, or a probe that failed."""
    signal = line.signal
    if isinstance(signal, ProbeResult):
        return signal.outcome in (Outcome.FAILED, Outcome.DEGRADED)
    return isinstance(signal, ClientReport)


def shown(truth: Truth, lines: list[RecordedLine]) -> dict[str, Shown]:
    """What could be seen of each fault; of the signals of no fault under an empty name."""
    seen: dict[str, Shown] = {fault.id: Shown() for fault in truth.faults}
    seen[""] = Shown()
    for line in lines:
        signal = line.signal
        one = seen[truth.labels.get(line.ref) or ""]
        if isinstance(signal, Advisory):
            one.advisories.setdefault(signal.vendor_id, line.received_at)
            published = signal.published_at or line.received_at
            one.published_at = min(one.published_at or published, published)
        elif is_failing(line):
            one.refs.add(line.ref)
            one.probed = one.probed or isinstance(signal, ProbeResult)
            one.first_at = min(one.first_at or line.received_at, line.received_at)
    return seen
