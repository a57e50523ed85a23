"""Views: the cells of one fault domain laid out minute by minute, ready to be scanned."""

from dataclasses import dataclass, field

from app.core.policy import Policy
from app.core.state import Baseline, Cell, EngineState, TenantProfile, Track

SERVICES_SHARING_PRIOR = 4  # reports of an average tenant spread over about so many services
PRIOR_WEIGHT = 720.0  # minutes that the prior counts for
FLOOR_PER_MINUTE = 1 / 720  # one actor per twelve hours and cell (correlation.md 2.6)


@dataclass(slots=True)
class View:
    """One fault domain over time.

    ``actors``: minute → actor → networks it spoke from.
    ``locations``: location → minute → whether it failed. ``failure_rates``: location → 0 to 1.
    ``baseline`` is the expected number of first-seen actors per minute. ``spans_services``: several
    services agree, which is a group of its own. ``rejoins``: a relapse
    belongs to the stretch before.
    """

    domain: str
    baseline: float
    inflation: float
    actors: dict[int, dict[str, str]] = field(default_factory=dict)
    locations: dict[str, dict[int, bool]] = field(default_factory=dict)
    failure_rates: dict[str, float] = field(default_factory=dict)
    abstaining: dict[str, set[int]] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    spans_services: bool = False
    rejoins: bool = True

    @property
    def first_minute(self) -> int | None:
        """The earliest minute that anything was said in."""
        starts = [min(self.actors)] if self.actors else []
        starts += [min(minutes) for minutes in self.locations.values() if minutes]
        return min(starts) if starts else None


def prior_rate(profile: TenantProfile, policy: Policy) -> float:
    """First-seen actors per minute and service expected of a tenant of that size."""
    users = profile.users or policy.default_users
    per_minute = users * policy.reports_per_user_hour / 60 / SERVICES_SHARING_PRIOR
    return max(per_minute, FLOOR_PER_MINUTE)


def baseline_of(
    state: EngineState, service: str, profile: TenantProfile, policy: Policy
) -> Baseline:
    """The learned baseline of a service, or the prior of a tenant of that size."""
    known = state.baselines.get(service)
    return known or Baseline(mean=prior_rate(profile, policy), weight=PRIOR_WEIGHT)


def _inflation(baseline: Baseline, policy: Policy) -> float:
    fortnight = 14 * 1440
    learned = baseline.weight - PRIOR_WEIGHT >= fortnight
    return policy.null_inflation if learned else policy.first_days_inflation


def _enter_cell(view: View, cell: Cell, excluded: dict[str, list[tuple[int, int]]]) -> None:
    spans = excluded.get(cell.location or "", [])
    used = False
    for minute, bucket in cell.minutes.items():
        if any(start <= minute <= end for start, end in spans):
            continue
        used = True
        heard = view.actors.setdefault(minute, {})
        for actor in bucket.actors:
            heard[actor] = min(heard.get(actor, "~"), cell.location or "")
    if used:
        view.cells.append(cell)


def _enter_track(view: View, track: Track, policy: Policy) -> None:
    view.tracks.append(track)
    verdicts = view.locations.setdefault(track.location, {})
    for minute, result in track.minutes.items():
        if result.speaks:
            verdicts[minute] = verdicts.get(minute, False) or result.is_bad
        elif result.abstained:
            view.abstaining.setdefault(track.location, set()).add(minute)
    rate = max(track.failure_rate, policy.probe_failure_floor)
    view.failure_rates[track.location] = max(view.failure_rates.get(track.location, 0.0), rate)


def service_view(
    state: EngineState,
    service: str,
    *,
    excluded: dict[str, list[tuple[int, int]]],
    profile: TenantProfile,
    policy: Policy,
) -> View:
    """One service, without the reports that a local fault explains.

    Args:
        state: what is remembered.
        service: slug of the service.
        excluded: network → spans of minutes (inclusive) that a local fault explains.
        profile: the tenant.
        policy: thresholds.
    """
    baseline = baseline_of(state, service, profile, policy)
    view = View(f"service:{service}", baseline.mean, _inflation(baseline, policy))
    for key in sorted(state.cells):
        cell = state.cells[key]
        if cell.service == service:
            _enter_cell(view, cell, excluded)
    for key in sorted(state.tracks):
        track = state.tracks[key]
        if track.service == service:
            _enter_track(view, track, policy)
    return view


def network_view(
    state: EngineState, network: str, *, profile: TenantProfile, policy: Policy
) -> View:
    """Everything that is reported from one network, over all services; probes have no say."""
    services = {cell.service for cell in state.cells.values()}
    networks = {cell.location for cell in state.cells.values() if cell.location}
    total = sum(baseline_of(state, s, profile, policy).mean for s in services)
    share = 1 / max(2, len(networks))
    view = View(
        f"network:{network}", max(total * share, FLOOR_PER_MINUTE), policy.first_days_inflation
    )
    for key in sorted(state.cells):
        cell = state.cells[key]
        if cell.location == network:
            _enter_cell(view, cell, {})
    view.rejoins = (
        False  # each stretch is judged by itself: it may be local or part of a wide fault
    )
    view.spans_services = len({cell.service for cell in view.cells}) > 1
    return view


def services_of(state: EngineState) -> list[str]:
    """Every service that anything was said of, sorted."""
    said = {cell.service for cell in state.cells.values()}
    said |= {track.service for track in state.tracks.values()}
    return sorted(said)


def networks_of(state: EngineState) -> list[str]:
    """Every network that reports came from, sorted."""
    return sorted({cell.location for cell in state.cells.values() if cell.location})
