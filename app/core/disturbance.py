"""Disturbances: findings gathered into faults, each with its scope, its size and its origin."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.core.detect import Finding, scan
from app.core.policy import Policy
from app.core.state import Cell, EngineState, TenantProfile, Track
from app.core.types import Client, Origin, Symptom
from app.core.views import View, network_view, networks_of, service_view, services_of

SIGN_IN = frozenset({Symptom.AUTH_LOOP, Symptom.AUTH_REJECTED})
LOCAL_SERVICES = 2  # services that a network's own fault must touch
NOTABLE = 0.02  # share of reports from which a client, symptom or region is named


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much a disturbance shows; ``reporters`` are distinct over its whole time."""

    reporters: int
    reports: int
    symptoms: tuple[tuple[str, int], ...]
    clients: tuple[tuple[str, int], ...]
    regions: tuple[tuple[str, int], ...]
    networks: tuple[tuple[str, int], ...]
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """One fault by our own evidence: findings with one cause.

    ``key`` names the domain that it began in. ``last_bad`` is the newest bad minute of all its
    findings; ``cells`` and ``tracks`` are what supports it.
    """

    key: str
    findings: tuple[Finding, ...]
    services: tuple[str, ...]
    network: str | None
    onset: int
    suspected: int
    confirmed: int | None
    last_bad: int
    silence: float
    waiting: tuple[str, ...]
    size: Size
    origin: Origin
    origin_text: str
    cells: tuple[Cell, ...]
    tracks: tuple[Track, ...]

    @property
    def lead(self) -> Finding:
        """The finding that showed first."""
        return min(self.findings, key=lambda f: (f.onset, f.domain))

    @property
    def failing_now(self) -> tuple[str, ...]:
        """Locations that fail now, over all findings."""
        return tuple(sorted({name for f in self.findings for name in f.failing_now}))

    @property
    def locations(self) -> tuple[str, ...]:
        """Locations that watch any of the services."""
        return tuple(sorted({name for f in self.findings for name in f.locations}))

    @property
    def most_failing(self) -> int:
        """Most locations that ever failed at one moment."""
        return max((f.most_failing for f in self.findings), default=0)


def _size(views: Sequence[View], start: int, end: int) -> Size:
    actors: set[str] = set()
    symptoms: Counter[str] = Counter()
    clients: Counter[str] = Counter()
    regions: Counter[str] = Counter()
    networks: Counter[str] = Counter()
    reports = 0
    for view in views:
        for cell in view.cells:
            said = sum(b.count for m, b in cell.minutes.items() if start <= m <= end)
            reports += said
            symptoms[cell.symptom] += said
            clients[cell.client] += said
            regions[cell.region or ""] += said
            networks[cell.location or ""] += said
        for minute, heard in view.actors.items():
            if start <= minute <= end:
                actors.update(heard)
    features = set()
    for track in (track for view in views for track in view.tracks):
        bad = {m: p for m, p in track.minutes.items() if start <= m <= end and p.is_bad}
        if len(bad) > 1:
            features.add(track.feature or "")
            symptoms.update(p.symptom or Symptom.OTHER for p in bad.values())
            clients.update([track.client or ""])
            regions.update([track.region or ""])
    return Size(
        reporters=len(actors),
        reports=reports,
        symptoms=_notable(symptoms),
        clients=_notable(clients),
        regions=_notable(regions),
        networks=_notable(networks),
        features=tuple(sorted(features - {""})),
    )


def _notable(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    total = sum(counts.values())
    kept = [(n, c) for n, c in counts.items() if n and c > 0 and c >= NOTABLE * total]
    return tuple(sorted(kept, key=lambda pair: (-pair[1], pair[0])))


def _is_local(state: EngineState, view: View, finding: Finding, policy: Policy) -> bool:
    """Whether a network's trouble is its own: several services, and calm everywhere else."""
    network = view.domain.removeprefix("network:")
    start, end = finding.onset, finding.last_bad
    inside: dict[str, set[str]] = {}
    outside: set[str] = set()
    for cell in state.cells.values():
        for minute, bucket in cell.minutes.items():
            if start <= minute <= end:
                target = outside
                if cell.location == network:
                    target = inside.setdefault(cell.service, set())
                target.update(bucket.actors)
    touched = sum(1 for actors in inside.values() if len(actors) > 1)
    total = len({actor for actors in inside.values() for actor in actors})
    share = total / max(1, total + len(outside))
    failing = any(
        sum(1 for m, p in track.minutes.items() if start <= m <= end and p.is_bad) > 1
        for track in state.tracks.values()
    )
    return touched >= LOCAL_SERVICES and share >= policy.local_share and not failing


def _local(
    state: EngineState, profile: TenantProfile, policy: Policy, *, now: int, fraction: float
) -> list[tuple[View, Finding]]:
    found = []
    for network in networks_of(state):
        view = network_view(state, network, profile=profile, policy=policy)
        scanned = scan(view, policy, now=now, fraction=fraction)
        found += [(view, f) for f in scanned if _is_local(state, view, f, policy)]
    return found


def _origin(
    finding: Finding, size: Size, profile: TenantProfile, policy: Policy
) -> tuple[Origin, str]:
    """Say whose fault a service's trouble is, and why."""
    failed = set(finding.failed_ever)
    outside = sorted(failed & profile.external)
    if outside:
        return Origin.VENDOR, f"not local: {', '.join(outside)} outside our network fails too"
    if len(failed) > 1:
        return Origin.VENDOR, f"not local: {len(failed)} locations fail independently"
    said = sum(count for _, count in size.symptoms)
    sign_in = sum(count for name, count in size.symptoms if name in SIGN_IN)
    clean = len(finding.locations) - len(failed)
    if said and sign_in / said >= policy.identity_share and clean > 1:
        share = f"{100 * sign_in / said:.0f} % of what fails is sign-in"
        return Origin.IDENTITY, f"{share}, while {clean} locations see the service well"
    spread = [name for name, count in size.networks if count > 1]
    if len(spread) > 1:
        return Origin.VENDOR, f"reports come from {len(spread)} networks at once"
    if len(failed) == 1 and clean > 0:
        return Origin.LOCAL, f"only {next(iter(failed))} fails, {clean} other locations are well"
    return Origin.UNKNOWN, "one vantage alone cannot tell us from Microsoft"


def _make(
    findings: Sequence[Finding],
    views: Sequence[View],
    *,
    origin: tuple[Origin, str] | None,
    network: str | None,
    profile: TenantProfile,
    policy: Policy,
) -> Disturbance:
    first = min(findings, key=lambda f: (f.onset, f.domain))
    onset = min(f.onset for f in findings)
    last_bad = max(f.last_bad for f in findings)
    size = _size(views, onset, max(last_bad, onset))
    confirmed = [f.confirmed for f in findings if f.confirmed is not None]
    whose, why = origin or _origin(first, size, profile, policy)
    services = {f.domain.removeprefix("service:") for f in findings}
    if network is not None:
        services = {cell.service for view in views for cell in view.cells}
    return Disturbance(
        key=first.domain,
        findings=tuple(sorted(findings, key=lambda f: (f.onset, f.domain))),
        services=tuple(sorted(services)),
        network=network,
        onset=onset,
        suspected=min(f.suspected for f in findings),
        confirmed=min(confirmed) if confirmed else None,
        last_bad=last_bad,
        silence=min(f.silence for f in findings),
        waiting=tuple(sorted({name for f in findings for name in f.waiting})),
        size=size,
        origin=whose,
        origin_text=why,
        cells=tuple(cell for view in views for cell in view.cells),
        tracks=tuple(track for view in views for track in view.tracks),
    )


def _components(
    found: Sequence[tuple[View, Finding]], policy: Policy
) -> Iterable[list[tuple[View, Finding]]]:
    """Join findings of different services whose onsets lie close to the first one's."""
    groups: list[list[tuple[View, Finding]]] = []
    for view, finding in sorted(found, key=lambda pair: (pair[1].onset, pair[1].domain)):
        for group in groups:
            near = finding.onset - group[0][1].onset <= policy.common_cause_minutes
            if near and all(finding.domain != other.domain for _, other in group):
                group.append((view, finding))
                break
        else:
            groups.append([(view, finding)])
    return groups


def disturbances(
    state: EngineState, *, profile: TenantProfile, policy: Policy, now: int, fraction: float
) -> list[Disturbance]:
    """Everything that our own evidence says is or was wrong, oldest first.

    A function of the counted signals alone: the order in which they came has no say.
    """
    local = _local(state, profile, policy, now=now, fraction=fraction)
    excluded: dict[str, list[tuple[int, int]]] = {}
    result = []
    for view, finding in local:
        network = view.domain.removeprefix("network:")
        span = (finding.onset - 1, finding.last_bad + policy.quiet_minutes)
        excluded.setdefault(network, []).append(span)
        text = f"only {network} reports, over several services; everywhere else is calm"
        result.append(
            _make(
                [finding],
                [view],
                origin=(Origin.LOCAL, text),
                network=network,
                profile=profile,
                policy=policy,
            )
        )
    found = []
    for service in services_of(state):
        view = service_view(state, service, excluded=excluded, profile=profile, policy=policy)
        found += [(view, f) for f in scan(view, policy, now=now, fraction=fraction)]
    for group in _components(found, policy):
        findings = [finding for _, finding in group]
        views = [view for view, _ in group]
        result.append(
            _make(findings, views, origin=None, network=None, profile=profile, policy=policy)
        )
    return sorted(result, key=lambda d: (d.onset, d.key))


def named(pairs: Iterable[tuple[str, int]], limit: int = 8) -> tuple[str, ...]:
    """The names of counted things, most frequent first."""
    return tuple(name for name, _ in list(pairs)[:limit])


def clients_of(size: Size) -> tuple[Client, ...]:
    """The clients that are named in a size, in the order of the list, so that it stays stable."""
    names = {name for name, _ in size.clients}
    return tuple(client for client in Client if client in names)


def symptoms_of(size: Size) -> tuple[Symptom, ...]:
    """The symptoms that are named in a size, in the order of the list, so that it stays stable."""
    names = {name for name, _ in size.symptoms}
    return tuple(symptom for symptom in Symptom if symptom in names)
