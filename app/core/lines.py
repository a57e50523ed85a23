"""Lines: what every fault domain was said, minute by minute, ready to be scanned.

A domain is a service (``service:exchange-online``), a service as one network meets it
(``service:exchange-online@berlin-office``), or a network over all its services
(``network:berlin-office``).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from app.core.policy import Policy
from app.core.rates import Rate, rate_of
from app.core.state import (
    EPOCH,
    SIGN_IN_SERVICE,
    Cell,
    EngineState,
    Rates,
    TenantProfile,
    Track,
    cell_id,
    track_id,
)
from app.core.voices import LOOK_BACK, Laid, Said, lay_out

MANY_QUORUMS = 5  # so many times the quorum of users whose sign-in is refused are two groups
SAMPLES = 4  # newest results looked at when a location's verdict is asked
SAMPLES_BAD = 2  # of them bad: the location fails
SAMPLE_MINUTES = 20  # older results do not count towards the verdict
PLACE_SERVICES = 2  # services that must fail at a location before the location itself is doubted
KEPT_MINUTES = 180  # of what was worked out

Spans = Mapping[str, Sequence[tuple[int, int]]]  # network or location -> spans of minutes


class Verdict(NamedTuple):
    """What one location said of a domain in a minute; ``own`` is its own failure rate."""

    location: str
    bad: bool
    own: float


@dataclass(slots=True)
class _Known:
    """What was worked out of the minutes of one domain."""

    verdicts: dict[int, tuple[Verdict, ...]] = field(default_factory=dict)
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)
    failing: dict[int, tuple[str, ...]] = field(default_factory=dict)
    groups: dict[int, int] = field(default_factory=dict)
    voices: dict[int, dict[int, str]] = field(default_factory=dict)


class Lines:
    """The reports and probe results of one state, laid out; epochs that did not change are reused.

    ``excluded`` names networks (and locations) that a local fault explains, with the spans of
    minutes (inclusive) in which services do not hear them.
    """

    def __init__(
        self,
        state: EngineState,
        profile: TenantProfile,
        policy: Policy,
        *,
        former: "Lines | None" = None,
    ) -> None:
        self.state = state
        self.profile = profile
        self.policy = policy
        self.excluded: Spans = {}
        self.kept: dict[tuple[str, int], Laid] = {}
        self.rates: dict[tuple[str, int], Rate] = {}
        self.known: dict[str, _Known] = {}  # by domain
        self.judged: dict[tuple[Any, ...], Any] = {}  # (…, first minute, end) → what was judged
        self._former_known = former.known if former is not None else {}
        self._former = former.kept if former is not None else {}
        self._former_rates = former.rates if former is not None else {}
        self.tracks: dict[str, list[tuple[str, Track]]] = {}
        self.places: dict[str, list[tuple[str, Track]]] = {}
        for key in sorted(state.tracks):
            track = state.tracks[key]
            self.tracks.setdefault(track.service, []).append((key, track))
            place = profile.network_of(track.location)
            self.places.setdefault(place, []).append((key, track))
        self.networks: dict[str, set[str]] = {}  # network -> services
        self.parts = _parts(state)
        self.cells: dict[str, list[Cell]] = {}
        for cell in state.cells.values():
            self.cells.setdefault(cell.service, []).append(cell)
            if cell.location:
                self.networks.setdefault(cell.location, set()).add(cell.service)

    def _epoch(self, service: str, number: int) -> Laid:
        known = self.kept.get((service, number))
        if known is not None:
            return known
        epochs = self.state.epochs.get(service, {})
        of = tuple(epochs.get(n) for n in range(number - LOOK_BACK, number + 1))
        former = self._former.get((service, number))
        if former is None or any(a is not b for a, b in zip(former.of, of, strict=True)):
            former = Laid(of, lay_out(of, self.state.cells))
        self.kept[service, number] = former
        return former

    def spoken(self, service: str, minute: int, network: str | None) -> Sequence[Said]:
        """Who reported a service in a minute, from anywhere or one network, first in its epoch."""
        number = minute // EPOCH
        if number not in self.state.epochs.get(service, ()):
            return ()
        epoch = self._epoch(service, number)
        return (epoch.spoken if network is None else epoch.at(network)).get(minute, ())

    def rate(self, domain: "Domain", minute: int) -> Rate:
        """What is expected of a domain in the hour of a minute."""
        key = (domain.name, minute // 60)
        known = self.rates.get(key)
        if known is None:
            rates = self.state.rates.get(key[1])
            known = self._former_rates.get(key)
            if known is None or known.of is not rates:
                known = rate_of(
                    rates,
                    None if domain.wide else domain.services,
                    domain.network if domain.network is not None else None,
                    hour=key[1],
                    profile=self.profile,
                    policy=self.policy,
                )
            self.rates[key] = known
        return known

    def publish(self, rates: dict[int, Rates]) -> None:
        """Expect what was published anew."""
        self.state = replace(self.state, rates=rates)
        self.rates = {}
        self._former_rates = {}

    def failure_rates(self, minute: int) -> Callable[[str], float]:
        """What gives a vantage's own failure rate, by its key, in the hour of a minute."""
        rates = self.state.rates.get(minute // 60)
        failures = rates.failures if rates is not None else {}
        floor = self.policy.probe_failure_floor
        return lambda key: max(failures.get(key, 0.0), floor)

    def recall(self, domain: "Domain", dirty: int, now: int) -> None:
        """Give a domain what was worked out of its minutes before ``dirty``; it is used up."""
        former = self._former_known.pop(domain.name, None)
        if former is None:
            return
        known: dict[int, Any]
        everything = (former.verdicts, former.counts, former.failing, former.groups, former.voices)
        for known in everything:
            if not known:
                continue
            if len(known) > 2 * KEPT_MINUTES:
                for minute in [m for m in known if m < now - KEPT_MINUTES]:
                    del known[minute]
            for minute in range(dirty, now + 1):
                known.pop(minute, None)
        domain.known = former

    def share(self, domain: "Domain") -> None:
        """Let a domain use what was worked out of all its minutes, and leave it there."""
        domain.known = self._former_known.get(domain.name, domain.known)

    def remember(self, domain: "Domain") -> None:
        """Keep what was worked out of a domain for the next step."""
        self.known[domain.name] = domain.known

    def is_excluded(self, name: str, minute: int) -> bool:
        """Whether a local fault explains what a network or location says in a minute."""
        spans = self.excluded.get(name)
        return spans is not None and any(start <= minute <= end for start, end in spans)


@dataclass(slots=True)
class Domain:
    """One fault domain over the lines. ``network`` None: all networks; ``wide``: all services.

    ``part``: the incident that a person split off with its cells, None for all that was not.
    ``known`` keeps what was worked out.
    """

    name: str
    lines: Lines
    services: tuple[str, ...]
    network: str | None = None
    wide: bool = False
    part: str | None = None
    known: _Known = field(default_factory=_Known)
    _own_tracks: list[tuple[str, Track]] | None = None

    @property
    def rejoins(self) -> bool:
        """A network's stretches are judged one by one: local, or part of a wide fault."""
        return not self.wide

    def spoken(self, minute: int) -> Iterator[Said]:
        """Who spoke in a minute."""
        for service in self.services:
            yield from self._heard(service, minute)

    def _heard(self, service: str, minute: int) -> Iterable[Said]:
        """What of a service's minute belongs to the domain."""
        lines = self.lines
        said: Iterable[Said] = lines.spoken(service, minute, self.network)
        if not said:
            return ()
        if lines.parts:
            said = [s for s in said if lines.parts.get(s.cell) == self.part]
        if lines.excluded and not self.wide:
            said = [s for s in said if not lines.is_excluded(s.network, minute)]
        return said

    def voices(self, minute: int) -> dict[int, str]:
        """Who spoke in a minute: mark of the actor → network."""
        known = self.known.voices.get(minute)
        if known is None:
            known = {said.mark: said.network for said in self.spoken(minute)}
            self.known.voices[minute] = known
        return known

    def counts(self, minute: int) -> tuple[int, int]:
        """First-seen actors, and actors new to the epoch, of a minute (estimates when sampled)."""
        known = self.known.counts.get(minute)
        if known is not None:
            return known
        fresh = active = 0.0
        for said in self.spoken(minute):
            active += said.scale
            if said.fresh:
                fresh += said.scale
        counted = self.known.counts[minute] = (round(fresh), round(active))
        return counted

    @property
    def locations(self) -> tuple[str, ...]:
        """Locations that watch the domain, sorted."""
        return tuple(sorted(self._places()))

    @property
    def track_keys(self) -> Iterator[str]:
        """The keys of the checks that watch the domain."""
        return (key for key, _ in self._tracks())

    def _places(self) -> set[str]:
        return {track.location for _, track in self._tracks()}

    def _tracks(self) -> list[tuple[str, Track]]:
        if self._own_tracks is None:
            self._own_tracks = self._sorted_out()
        return self._own_tracks

    def _sorted_out(self) -> list[tuple[str, Track]]:
        lines = self.lines
        if self.wide:
            return lines.places.get(self.network or "", [])
        tracks = [pair for service in self.services for pair in lines.tracks.get(service, ())]
        if lines.parts:
            tracks = [pair for pair in tracks if lines.parts.get(pair[0]) == self.part]
        if self.network is None:
            return tracks
        network_of = lines.profile.network_of
        return [pair for pair in tracks if network_of(pair[1].location) == self.network]

    def verdicts(self, minute: int) -> tuple[Verdict, ...]:
        """What each location said in a minute; who abstains or is explained says nothing."""
        said = self.known.verdicts.get(minute)
        if said is None:
            said = self._place(minute) if self.wide else self._asked(minute)
            self.known.verdicts[minute] = said
        return said

    def _asked(self, minute: int) -> tuple[Verdict, ...]:
        lines = self.lines
        excluded, network_of = lines.excluded, lines.profile.network_of
        rate_of_track = lines.failure_rates(minute)
        found: dict[str, tuple[bool, float]] = {}
        for key, track in self._tracks():
            result = track.minutes.get(minute)
            if result is None or not result.speaks:
                continue
            place = track.location
            if excluded and lines.is_excluded(network_of(place), minute):
                continue
            bad, own = found.get(place, (False, 0.0))
            found[place] = (bad or result.is_bad, max(own, rate_of_track(key)))
        return tuple([Verdict(place, *found[place]) for place in sorted(found)])

    def _place(self, minute: int) -> tuple[Verdict, ...]:
        """A location fails as a whole when most services that it watches fail there."""
        said: dict[str, bool] = {}
        own = 1.0
        rate_of_track = self.lines.failure_rates(minute)
        for key, track in self._tracks():
            result = track.minutes.get(minute)
            if result is not None and result.speaks:
                said[track.service] = said.get(track.service, False) or result.is_bad
                own = min(own, rate_of_track(key))
        if len(said) < PLACE_SERVICES:
            return ()
        bad = sum(said.values())
        failed = bad >= PLACE_SERVICES and 2 * bad > len(said)
        return (Verdict(self.network or "", failed, own),)

    def failing(self, minute: int) -> tuple[str, ...]:
        """Locations of which the newest result is bad, and another one: of theirs or elsewhere."""
        known = self.known.failing.get(minute)
        if known is not None:
            return known
        newest: dict[str, list[bool]] = {}
        wanted = SAMPLES * (1 if self.wide else len(self._places()))
        for earlier in range(minute, minute - SAMPLE_MINUTES, -1):
            if wanted == 0:
                break  # every location has said enough
            for verdict in self.verdicts(earlier):
                kept = newest.setdefault(verdict.location, [])
                if len(kept) < SAMPLES:
                    kept.append(verdict.bad)
                    wanted -= 1
        bad = {name: said for name, said in newest.items() if said[0]}
        at_once = len(bad) >= SAMPLES_BAD  # what one location alone says must be repeated to count
        found = [name for name, said in bad.items() if at_once or sum(said) >= SAMPLES_BAD]
        failing = self.known.failing[minute] = tuple(sorted(found))
        return failing

    def groups(self, minute: int, failing: Sequence[str]) -> int:
        """Independent groups that agree: failing locations, enough actors, actors at two sites."""
        known = self.known.groups.get(minute)
        if known is None:
            known = self.known.groups[minute] = self._voiced_groups(minute)
        return known + len(failing)

    def _voiced_groups(self, minute: int) -> int:
        policy = self.lines.policy
        minutes = range(minute - policy.active_window_minutes + 1, minute + 1)
        networks: dict[int, str] = {}
        for earlier in minutes:
            networks.update(self.voices(earlier))
        heard = 0
        if self.wide:
            for service in self.services:
                spoken = {said.mark for m in minutes for said in self._heard(service, m)}
                heard += int(len(spoken) > 1)
        sites = Counter(networks.values())
        found = int(len(networks) >= policy.quorum_actors)
        crowd = MANY_QUORUMS * policy.quorum_actors
        found += int(self.services == (SIGN_IN_SERVICE,) and len(networks) >= crowd)
        found += int(sum(1 for n in sites.values() if n > 1) > 1)
        return found + int(heard > 1)


def _parts(state: EngineState) -> dict[str, str]:
    """Cells and tracks that a person split off: key → the incident that has them."""
    ruled = {r.item: r.incident for r in state.rulings if r.kind == "cell" and r.holds}
    if not ruled:
        return {}
    keys = {key: cell_id(cell) for key, cell in state.cells.items()}
    keys |= {key: track_id(track) for key, track in state.tracks.items()}
    return {key: ruled[name] for key, name in keys.items() if name in ruled}
