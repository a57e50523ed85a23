"""Sealing: minutes for which no signal counts any more become final, teach, and are forgotten."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from app.core.detect import IDLE_MINUTES, STILL, Scan, seal_marks
from app.core.domains import domains_of
from app.core.episode import ScanPoint
from app.core.lines import Domain, Lines
from app.core.policy import Policy
from app.core.rates import HOUR, publish, pupil_of
from app.core.state import EPOCH, EngineState, TenantProfile, without_minutes_before
from app.core.survey import Memo, is_lively, settled_point

SEAL_STEP = 10  # minutes that are sealed at once
PUBLISH_AHEAD = 140  # minutes before its hour that a rate is published: sealed by then, never later
MARKS_KEPT = 95  # minutes of epochs kept before the sealed: look-back of onset and of freshness
ENDED_KEPT = 720  # minutes that an ended stretch is remembered
GAP = 3 * 1440  # after a longer absence the minutes between are not walked through
EVIDENCE_KEPT = 60  # minutes of counts kept before the sealed ones

Busy = dict[str, list[tuple[int, int]]]  # service -> spans of minutes that teach nothing


def sealed_target(minute: int, policy: Policy) -> int:
    """The newest minute for which no signal counts any more."""
    return (minute - policy.lateness_minutes) // SEAL_STEP * SEAL_STEP


def seal(
    state: EngineState,
    *,
    profile: TenantProfile,
    policy: Policy,
    minute: int,
    memo: Memo | None,
    busy: Busy,
    keep_from: int,
) -> EngineState:
    """Make the minutes final for which no signal counts any more; learn from them; forget.

    Args:
        state: what is remembered.
        profile: the tenant.
        policy: thresholds.
        minute: the present one, or that of the oldest record which still waits.
        memo: what was worked out of this state, if anything; what local faults explain is in it.
        busy: minutes of incidents, which teach nothing.
        keep_from: minutes whose counts open incidents still show.
    """
    target = sealed_target(minute, policy)
    if target <= state.sealed_to:
        return state
    if target - state.sealed_to > GAP:
        state = _after_gap(state, target, profile, policy)
    else:
        lines = Lines(state, profile, policy, former=memo.lines if memo is not None else None)
        if memo is not None:
            lines.excluded = memo.local.excluded
        state = _walk(state, target, lines, busy)
    oldest = target - EVIDENCE_KEPT
    return without_minutes_before(
        state, evidence=min(oldest, keep_from), marks=target - MARKS_KEPT - EPOCH
    )


def _walk(state: EngineState, target: int, lines: Lines, busy: Busy) -> EngineState:
    """Walk over the minutes that become final."""
    profile, policy = lines.profile, lines.policy
    domains = domains_of(lines)
    for domain in domains:
        lines.share(domain)
    scans = {d.name: Scan(d, policy, settled_point(state, d.name)) for d in domains}
    moving = _moving(scans.values(), lines, state.sealed_to, target)
    pupil = pupil_of(state.learned, profile, policy)
    rates = dict(state.rates)
    for minute in range(state.sealed_to + 1, target + 1):
        for scan in moving:
            scan.step(minute)
        _teach(lines, domains, pupil, minute, busy)
        if (minute + PUBLISH_AHEAD) % HOUR == 0:
            hour = (minute + PUBLISH_AHEAD) // HOUR
            services = sorted({*state.epochs, *lines.tracks, *pupil.learned.bins})
            rates[hour] = publish(pupil.learned, hour, services, profile, policy)
            lines.publish(rates)
    points = {}
    for name, scan in scans.items():
        seal_marks(scan.domain, scan.point, policy)
        kept = _worth_keeping(scan.point, target)
        if kept is not None:
            points[name] = kept
    oldest = (target - MARKS_KEPT) // HOUR
    failures = pupil.learned.failures
    tracks = {
        key: replace(track, failure_rate=failures[key][0]) if key in failures else track
        for key, track in state.tracks.items()
    }
    return replace(
        state,
        sealed_to=target,
        tracks=tracks,
        scans=points,
        learned=pupil.learned,
        rates={hour: said for hour, said in rates.items() if hour >= oldest},
    )


def _moving(scans: Iterable[Scan], lines: Lines, begin: int, target: int) -> list[Scan]:
    """The scans that must walk; the others, of which nothing bad was said, are there at once."""
    span = range(begin + 1, target + 1)
    bad = {
        key
        for tracks in lines.tracks.values()
        for key, track in tracks
        if any(m in track.minutes and track.minutes[m].is_bad for m in span)
    }
    moving = []
    for scan in scans:
        point = scan.point
        silent = (
            point.idle >= IDLE_MINUTES
            and not is_lively(point, begin + 1, lines.policy)
            and not any(key in bad for key in scan.domain.track_keys)
            and not any(scan.domain.counts(minute)[0] for minute in span)
        )
        if silent:
            point.minute, point.idle = target, point.idle + len(span)
            point.ratios = list(STILL)
        else:
            moving.append(scan)
    return moving


def _worth_keeping(point: ScanPoint, minute: int) -> ScanPoint | None:
    point.episodes = [e for e in point.episodes if minute - e.last_bad <= ENDED_KEPT]
    if point.episodes or point.idle < IDLE_MINUTES:
        return point
    return None


def _teach(lines: Lines, domains: list[Domain], pupil: Any, minute: int, busy: Busy) -> None:
    for domain in domains:
        if domain.wide or domain.network is not None or domain.part is not None:
            continue
        (service,) = domain.services
        calm = not _is_busy(busy, service, minute)
        said = [s for s in domain.spoken(minute) if s.fresh]
        networks: dict[str, int] = {}
        for one in said:
            if one.network:
                networks[one.network] = networks.get(one.network, 0) + 1
        pupil.hear(
            minute,
            service,
            seen=round(sum(s.scale for s in said)),
            networks=networks,
            rate=lines.rate(domain, minute),
            calm=calm,
        )
        if calm:
            for key, track in lines.tracks.get(service, ()):
                result = track.minutes.get(minute)
                if result is not None and result.speaks:
                    pupil.watch(key, bad=result.is_bad)
    pupil.forget()


def _is_busy(busy: Busy, service: str, minute: int) -> bool:
    return any(start <= minute <= end for start, end in busy.get(service, ()))


def _after_gap(
    state: EngineState, target: int, profile: TenantProfile, policy: Policy
) -> EngineState:
    """Nobody was here for days: forget the scans, keep what was learned."""
    services = sorted(state.learned.bins)
    hours = range(target // HOUR, (target + PUBLISH_AHEAD) // HOUR + 1)
    rates = {h: publish(state.learned, h, services, profile, policy) for h in hours}
    return replace(state, sealed_to=target, scans={}, rates=rates)
