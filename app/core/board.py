"""The board: how each service stands by each of the three sources; unknown is never healthy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.incident import Incident
from app.core.types import OPEN_STATUSES, Condition, IncidentId, Severity, SourceKind, Status

_RANK: Mapping[Condition, int] = {
    Condition.HEALTHY: 0,
    Condition.UNKNOWN: 1,
    Condition.DEGRADED: 2,
    Condition.FAILING: 3,
}
_BAD = frozenset({Condition.DEGRADED, Condition.FAILING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one source says of one service now: an open advisory, or a check's newest result."""

    kind: SourceKind
    service: str
    condition: Condition
    as_of: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How well one source is read. ``services`` is empty for a source that speaks of all."""

    kind: SourceKind
    stale: bool
    as_of: datetime | None
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceWord:
    """One source's word on a service; ``as_of`` is absent when it never spoke."""

    condition: Condition
    as_of: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStanding:
    """One line of the board; ``sources`` has all three kinds, ``incidents`` the open ones."""

    service: str
    name: str
    condition: Condition
    sources: dict[SourceKind, SourceWord]
    incidents: tuple[IncidentId, ...]


def board(
    services: Mapping[str, str],
    *,
    incidents: Sequence[Incident],
    sightings: Sequence[Sighting],
    standings: Sequence[Standing],
) -> tuple[ServiceStanding, ...]:
    """Lay out the board.

    Args:
        services: slug → display name, in the order of the board.
        incidents: those that may be open; ended ones are left out.
        sightings: what is said now; good words of stale sources do not count.
        standings: every source that should speak.

    Returns:
        One line per service, in the given order.
    """
    still_open = [incident for incident in incidents if incident.status in OPEN_STATUSES]
    return tuple(
        _line(
            slug,
            name,
            [incident for incident in still_open if slug in incident.services],
            [sighting for sighting in sightings if sighting.service == slug],
            [s for s in standings if not s.services or slug in s.services],
        )
        for slug, name in services.items()
    )


def worst(conditions: Iterable[Condition]) -> Condition:
    """The worst of several conditions; of none, unknown."""
    return max(conditions, key=_RANK.__getitem__, default=Condition.UNKNOWN)


def condition_of_incident(incident: Incident) -> Condition:
    """What an open incident says of its services."""
    if incident.status is Status.SUSPECTED or incident.severity < Severity.MAJOR:
        return Condition.DEGRADED
    return Condition.FAILING


def _line(
    slug: str,
    name: str,
    incidents: list[Incident],
    sightings: list[Sighting],
    standings: list[Standing],
) -> ServiceStanding:
    words = {
        SourceKind.ADVISORY: _advisory(sightings, standings),
        SourceKind.PROBE: _probe(sightings, standings),
        SourceKind.CLIENT_REPORT: _reports(incidents, standings),
    }
    return ServiceStanding(
        service=slug,
        name=name,
        condition=_overall(words, incidents),
        sources=words,
        incidents=tuple(sorted(incident.id for incident in incidents)),
    )


def _overall(words: Mapping[SourceKind, SourceWord], incidents: list[Incident]) -> Condition:
    bad = [word.condition for word in words.values() if word.condition in _BAD]
    bad += [condition_of_incident(incident) for incident in incidents]
    if bad:
        return worst(bad)
    # That nobody reports anything is no proof of health, so reports alone do not speak.
    speaking = (words[SourceKind.ADVISORY], words[SourceKind.PROBE])
    if any(word.condition is Condition.HEALTHY for word in speaking):
        return Condition.HEALTHY
    return Condition.UNKNOWN


def _advisory(sightings: list[Sighting], standings: list[Standing]) -> SourceWord:
    said = [s.condition for s in sightings if s.kind is SourceKind.ADVISORY]
    sources = [s for s in standings if s.kind is SourceKind.ADVISORY]
    as_of = _latest(source.as_of for source in sources)
    fresh = bool(sources) and not any(source.stale for source in sources)
    # A complete read that lists no open advisory says that the vendor knows of none.
    return SourceWord(condition=_settle(said or [Condition.HEALTHY], trusted=fresh), as_of=as_of)


def _probe(sightings: list[Sighting], standings: list[Standing]) -> SourceWord:
    seen = [s for s in sightings if s.kind is SourceKind.PROBE]
    sources = [s for s in standings if s.kind is SourceKind.PROBE]
    fresh = not any(source.stale for source in sources)
    said = [sighting.condition for sighting in seen]
    as_of = _latest(sighting.as_of for sighting in seen)
    return SourceWord(condition=_settle(said, trusted=fresh), as_of=as_of)


def _reports(incidents: list[Incident], standings: list[Standing]) -> SourceWord:
    sources = [s for s in standings if s.kind is SourceKind.CLIENT_REPORT]
    as_of = _latest(source.as_of for source in sources)
    reported = [
        condition_of_incident(incident)
        for incident in incidents
        if (share := incident.evidence.get(SourceKind.CLIENT_REPORT)) is not None and share.count
    ]
    fresh = bool(sources) and not any(source.stale for source in sources)
    return SourceWord(
        condition=_settle(reported or [Condition.HEALTHY], trusted=fresh), as_of=as_of
    )


def _settle(said: list[Condition], *, trusted: bool) -> Condition:
    found = worst(said)
    return found if trusted or found in _BAD else Condition.UNKNOWN


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
