"""Local: stretches of trouble that a network, or the path of a few, explains; not the vendor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.core.detect import Finding
from app.core.lines import Domain, Lines
from app.core.state import Track

LOCAL_SERVICES = 2  # services that a fault of networks must touch
JUDGED_MINUTES = 30  # first minutes of a stretch by which it is judged
TOUCHED_ACTORS = 2  # reporters of a service from which it counts as touched
TOUCHED_RESULTS = 2  # bad minutes of a probe from which it counts as touched
CLEAR_RESULTS = 2  # good minutes of a probe elsewhere that speak for the service
MISSED_ACTORS = 5.0  # reporters elsewhere that a fault of the vendor would have shown by now
AT_ONCE = 3  # minutes within which networks fail by one path even where each might fail alone
MISSED_SHARE = 0.25  # at most so many of them did show

Group = tuple[Finding, ...]  # the stretches of networks that fail together


@dataclass(frozen=True, slots=True)
class Locals:
    """The stretches that are local, and when their networks are not heard about services."""

    groups: tuple[Group, ...] = ()
    excluded: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def find_locals(lines: Lines, found: Sequence[Finding], now: int) -> Locals:
    """Pick the stretches of networks that are the networks' own, or their path's.

    Args:
        lines: what was said.
        found: stretches of network domains.
        now: the present minute.
    """
    # One path explains networks that fail at once better than a fault of each of them does.
    groups = [g for g in _together(lines, found, AT_ONCE) if len(g) > 1]
    rest = [f for f in found if not any(f in group for group in groups)]
    alone = [f for f in rest if _is_own(lines, (f,))]
    groups += [(f,) for f in alone]
    rest = [f for f in rest if f not in alone]
    near = lines.policy.common_cause_minutes
    groups += [g for g in _together(lines, rest, near) if len(g) > 1]
    excluded: dict[str, list[tuple[int, int]]] = {}
    for finding in (f for group in groups for f in group):
        # Until it is over its network stays unheard; afterwards a fault there may be the vendor's.
        over = now - finding.last_bad > lines.policy.quiet_minutes
        end = finding.last_bad + lines.policy.quiet_minutes
        span = (finding.onset - 1, end if over else max(end, now))
        excluded.setdefault(finding.network or "", []).append(span)
    return Locals(tuple(groups), excluded)


def _together(lines: Lines, found: Sequence[Finding], within: int) -> Iterable[Group]:
    """Networks that began to fail ``within`` so many minutes, while others did not: one path."""
    rest = sorted(found, key=lambda f: (f.onset, f.domain))
    everywhere = {*lines.networks, *lines.places}
    while rest:
        begun = rest[0].onset
        group = tuple(f for f in rest if f.onset - begun <= within)
        rest = [f for f in rest if f not in group]
        networks = {f.network for f in group}
        some = len(networks) == len(group) and len(networks) < len(everywhere)
        if some and _is_own(lines, group):
            yield group


def _is_own(lines: Lines, group: Group) -> bool:
    """Whether the trouble is these networks' own: several services, and calm everywhere else."""
    networks = {f.network or "" for f in group}
    services = {s for f in group for s in f.services}
    services |= {t.service for network in networks for _, t in lines.places.get(network, ())}
    return is_own(lines, services, networks, judged(group))


def judged(group: Sequence[Finding]) -> range:
    """The minutes by which stretches are judged."""
    start = min(f.onset for f in group)
    return range(start, min(max(f.last_bad for f in group), start + JUDGED_MINUTES) + 1)


def is_own(lines: Lines, services: Iterable[str], networks: set[str], minutes: range) -> bool:
    """Whether several services fail from some networks alone, where others would show it too."""
    touched, missed, clear = 0, 0.0, False
    for service in sorted(services):
        verdict = _judge(lines, service, networks, minutes)
        if verdict is not None and verdict.everywhere:
            if len(networks) > 1:
                return False  # what fails everywhere explains the rest better than a path does
        elif verdict is not None:
            touched += 1
            missed += verdict.missed
            clear = clear or verdict.clear
    return touched >= LOCAL_SERVICES and (clear or missed >= MISSED_ACTORS)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What speaks against the vendor: reporters that are missing elsewhere, and good probes.

    ``everywhere``: nothing does, the service fails elsewhere too.
    """

    missed: float
    clear: bool
    everywhere: bool = False


def _judge(lines: Lines, service: str, networks: set[str], minutes: range) -> _Judged | None:
    """Judge whether a service fails from these networks and not from others; None: it does not."""
    key = (service, frozenset(networks), minutes.start, minutes.stop)
    if key not in lines.judged:
        lines.judged[key] = _judgement(lines, service, networks, minutes)
    found: _Judged | None = lines.judged[key]
    return found


def _judgement(lines: Lines, service: str, networks: set[str], minutes: range) -> _Judged | None:
    here = elsewhere = clear = False
    for _, track in lines.tracks.get(service, ()):
        good, bad = _results(track, minutes)
        if lines.profile.network_of(track.location) in networks:
            here = here or bad >= TOUCHED_RESULTS
        else:
            elsewhere = elsewhere or bad >= TOUCHED_RESULTS
            clear = clear or good >= CLEAR_RESULTS
    if elsewhere:
        return _Judged(0.0, clear=False, everywhere=True) if here else None
    inside = outside = 0
    for cell in lines.cells.get(service, ()):
        said = sum(cell.firsts[m] for m in minutes if m in cell.firsts)
        if cell.location in networks:
            inside += said
        else:
            outside += said
    whole, share = _usual(lines, service, networks, minutes)
    excess = max(0.0, outside - whole * (1 - share))
    if inside < TOUCHED_ACTORS:
        return _Judged(0.0, clear) if here and excess <= TOUCHED_ACTORS else None
    missed = inside * (1 - share) / share
    if excess > MISSED_SHARE * max(missed, 1.0):
        return None
    return _Judged(missed, clear)


def _usual(lines: Lines, service: str, networks: set[str], minutes: range) -> tuple[float, float]:
    """Reporters that are expected everywhere anyway, and the share of these networks in them."""
    middle = minutes[len(minutes) // 2]
    everywhere = lines.rate(Domain(f"service:{service}", lines, (service,)), middle)
    there = sum(
        lines.rate(Domain(f"service:{service}@{n}", lines, (service,), n), middle).mean
        for n in networks
    )
    share = min(0.95, max(0.05, there / everywhere.mean))
    return everywhere.null * len(minutes), share


def _results(track: Track, minutes: range) -> tuple[int, int]:
    good = bad = 0
    results = track.minutes
    for minute in minutes:
        result = results.get(minute)
        if result is None:
            continue
        if result.failed:  # as ``is_bad`` and ``speaks`` say it; they are asked very often
            bad += result.failed >= result.ok
            good += result.failed < result.ok
        elif result.ok:
            good += 1
    return good, bad
