"""Local: stretches of trouble that one network, not the vendor, explains."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.core.detect import Finding
from app.core.lines import Domain, Lines
from app.core.state import Track

LOCAL_SERVICES = 2  # services that a network's own fault must touch
JUDGED_MINUTES = 30  # first minutes of a stretch by which it is judged
TOUCHED_ACTORS = 2  # reporters of a service from which it counts as touched
TOUCHED_RESULTS = 2  # bad minutes of a probe from which it counts as touched


@dataclass(frozen=True, slots=True)
class Locals:
    """The stretches that are local, and when their networks are not heard about services."""

    findings: tuple[Finding, ...] = ()
    excluded: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def find_locals(lines: Lines, found: Sequence[Finding], now: int) -> Locals:
    """Pick the stretches of networks that are the network's own.

    Args:
        lines: what was said.
        found: stretches of network domains.
        now: the present minute.
    """
    local = tuple(f for f in found if is_local(lines, f))
    excluded: dict[str, list[tuple[int, int]]] = {}
    for finding in local:
        # Until it is over its network stays unheard; afterwards a fault there may be the vendor's.
        over = now - finding.last_bad > lines.policy.quiet_minutes
        end = finding.last_bad + lines.policy.quiet_minutes
        span = (finding.onset - 1, end if over else max(end, now))
        excluded.setdefault(finding.network or "", []).append(span)
    return Locals(local, excluded)


def is_local(lines: Lines, finding: Finding) -> bool:
    """Whether a network's trouble is its own: several services, and calm everywhere else."""
    start = finding.onset
    end = min(finding.last_bad, start + JUDGED_MINUTES)
    network = finding.network or ""
    services = {*finding.services, *(t.service for _, t in lines.places.get(network, ()))}
    touched = [s for s in sorted(services) if _is_touched(lines, s, network, start, end)]
    return len(touched) >= LOCAL_SERVICES


def _is_touched(lines: Lines, service: str, network: str, start: int, end: int) -> bool:
    """Whether a service fails from this network, and not from others."""
    inside = outside = 0
    for cell in lines.state.cells.values():
        if cell.service == service:
            said = sum(n for m, n in cell.firsts.items() if start <= m <= end)
            if cell.location == network:
                inside += said
            else:
                outside += said
    here = elsewhere = False
    for _, track in lines.tracks.get(service, ()):
        failed = _bad_minutes(track, start, end) >= TOUCHED_RESULTS
        if track.location == network:
            here = here or failed
        else:
            elsewhere = elsewhere or failed
    if elsewhere:
        return False
    usual = _usual(lines, service, network, start, end)
    excess = max(0.0, outside - usual)
    share = lines.policy.local_share
    if inside >= TOUCHED_ACTORS:
        return inside >= share * (inside + excess)
    return here and excess <= TOUCHED_ACTORS


def _usual(lines: Lines, service: str, network: str, start: int, end: int) -> float:
    """Reporters that are expected outside of the network anyway."""
    everywhere = Domain(f"service:{service}", lines, (service,))
    there = Domain(f"service:{service}@{network}", lines, (service,), network)
    return sum(
        max(0.0, lines.rate(everywhere, m).null - lines.rate(there, m).mean)
        for m in range(start, end + 1)
    )


def _bad_minutes(track: Track, start: int, end: int) -> int:
    return sum(1 for m in range(start, end + 1) if m in track.minutes and track.minutes[m].is_bad)
