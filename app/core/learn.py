"""Learning: the baseline of each service and the failure rate of each vantage, from calm time."""

from dataclasses import replace

from app.core.policy import Policy
from app.core.state import Baseline, EngineState, TenantProfile
from app.core.views import baseline_of, services_of

BASELINE_MEMORY = 14 * 1440.0  # minutes after which an old minute weighs a third
TRACK_MEMORY = 1440.0  # the same for a vantage's own failure rate


def _first_seen(state: EngineState, service: str, start: int, end: int, back: int) -> list[int]:
    """Actors first seen per minute of ``start`` (exclusive) to ``end`` (inclusive)."""
    by_minute: dict[int, set[str]] = {}
    for cell in state.cells.values():
        if cell.service == service:
            for minute, bucket in cell.minutes.items():
                if start - back <= minute <= end:
                    by_minute.setdefault(minute, set()).update(bucket.actors)
    heard: dict[str, int] = {}
    fresh = dict.fromkeys(range(start + 1, end + 1), 0)
    for minute in sorted(by_minute):
        for actor in by_minute[minute]:
            if minute - heard.get(actor, minute - back - 1) > back:
                heard[actor] = minute
                if minute in fresh:
                    fresh[minute] += 1
    return [fresh[minute] for minute in sorted(fresh)]


def _is_busy(minute: int, busy: list[tuple[int, int]]) -> bool:
    return any(start <= minute <= end for start, end in busy)


def learn(
    state: EngineState,
    sealed: int,
    *,
    busy: list[tuple[int, int]],
    profile: TenantProfile,
    policy: Policy,
) -> EngineState:
    """Take newly sealed minutes into the baselines; minutes of an incident teach nothing.

    Args:
        state: what is remembered.
        sealed: the last minute for which no signal counts any more.
        busy: spans of minutes (inclusive) in which an incident was open.
        profile: the tenant.
        policy: thresholds.
    """
    if state.sealed_to == 0 or sealed - state.sealed_to > policy.lateness_minutes:
        return replace(state, sealed_to=sealed)
    if sealed <= state.sealed_to:
        return state
    span = range(state.sealed_to + 1, sealed + 1)
    calm = [not _is_busy(minute, busy) for minute in span]
    baselines = dict(state.baselines)
    for service in services_of(state):
        baseline = baseline_of(state, service, profile, policy)
        counts = _first_seen(state, service, span.start - 1, sealed, policy.actor_window_minutes)
        for count, is_calm in zip(counts, calm, strict=True):
            if is_calm:
                weight = min(baseline.weight + 1, BASELINE_MEMORY)
                mean = baseline.mean + (count - baseline.mean) / weight
                grown = baseline.weight + 1
                baseline = Baseline(mean=mean, weight=grown)
        baselines[service] = baseline
    tracks = dict(state.tracks)
    for key, track in state.tracks.items():
        rate, weight = track.failure_rate, track.failure_weight
        for minute, is_calm in zip(span, calm, strict=True):
            result = track.minutes.get(minute)
            if result is not None and result.speaks and is_calm:
                weight = min(weight + 1, TRACK_MEMORY)
                rate += (float(result.is_bad) - rate) / max(weight, 60.0)
        tracks[key] = replace(track, failure_rate=rate, failure_weight=weight)
    return replace(state, sealed_to=sealed, baselines=baselines, tracks=tracks)
