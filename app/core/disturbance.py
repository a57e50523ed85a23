"""Disturbances: findings gathered into faults, each with its scope, its size and its origin."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.core.aggregate import SIGN_IN
from app.core.detect import Finding
from app.core.episode import REPORTERS_CAP
from app.core.lines import Lines
from app.core.local import is_own, judged
from app.core.policy import Policy
from app.core.state import SIGN_IN_SERVICE, Cell, Track
from app.core.survey import Surveyed
from app.core.types import Client, Origin, Symptom
from app.core.voices import distinct

SIGN_IN_OWNER = "entra-id"  # the service that refused sign-ins are told of
SHARED = 0.3  # share of users with refused sign-ins who also met the outage: then it is the outage
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

    ``key`` names the domain that it began in; ``part`` is the incident that a person split off for
    it. ``last_bad`` is the newest bad minute of all its findings; ``networks`` are those whose own
    fault it is, none for one of a service; ``cells`` and ``tracks`` are what supports it.
    """

    key: str
    part: str | None
    findings: tuple[Finding, ...]
    services: tuple[str, ...]
    networks: tuple[str, ...]
    onset: int
    suspected: int
    confirmed: int | None
    last_bad: int
    silence: float
    turned: float
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
    def gap(self) -> int:
        """Most quiet minutes after which it came back."""
        return max(f.gap for f in self.findings)

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


def _cells_of(lines: Lines, findings: Sequence[Finding], *, wide: bool) -> list[Cell]:
    """The report cells that findings rest on."""
    cells = lines.state.cells
    if wide:
        networks = {f.network for f in findings}
        return [cells[key] for key in sorted(cells) if cells[key].location in networks]
    if lines.parts:
        part = findings[0].part
        cells = {key: cell for key, cell in cells.items() if lines.parts.get(key) == part}
    if all(f.services == (SIGN_IN_SERVICE,) for f in findings):
        return [cells[key] for key in sorted(cells) if cells[key].symptom in SIGN_IN]
    whole = {s for f in findings if f.network is None for s in f.services}
    parts = {(s, f.network) for f in findings if f.network is not None for s in f.services}
    return [
        cells[key]
        for key in sorted(cells)
        if cells[key].service in whole or (cells[key].service, cells[key].location) in parts
    ]


def _tracks_of(lines: Lines, findings: Sequence[Finding], *, wide: bool) -> list[Track]:
    if wide:
        places = sorted({f.network or "" for f in findings})
        return [track for place in places for _, track in lines.places.get(place, ())]
    services = sorted({s for f in findings for s in f.services})
    part = findings[0].part
    return [
        track
        for service in services
        for key, track in lines.tracks.get(service, ())
        if lines.parts.get(key) == part
    ]


def _size(
    lines: Lines,
    cells: Sequence[Cell],
    tracks: Sequence[Track],
    findings: Sequence[Finding],
    *,
    wide: bool,
) -> Size:
    start, end = min(f.onset for f in findings), max(f.last_bad for f in findings)
    symptoms: Counter[str] = Counter()
    clients: Counter[str] = Counter()
    regions: Counter[str] = Counter()
    networks: Counter[str] = Counter()
    reports = 0
    for cell in cells:
        heard_all = wide or (cell.location or "") not in lines.excluded
        said = 0
        for minute, count in cell.counts.items():
            if start <= minute <= end and (
                heard_all or not lines.is_excluded(cell.location or "", minute)
            ):
                said += count
        reports += said
        symptoms[cell.symptom] += said
        clients[cell.client] += said
        regions[cell.region or ""] += said
        networks[cell.location or ""] += said
    features = set()
    for track in tracks:
        bad = [p for m, p in track.minutes.items() if start <= m <= end and p.is_bad]
        if len(bad) > 1:
            features.add(track.feature or "")
            symptoms.update(p.symptom or Symptom.OTHER for p in bad)
            clients.update([track.client or ""])
            regions.update([track.region or ""])
    marks = {mark for finding in findings for mark in finding.marks}
    return Size(
        reporters=distinct(marks, REPORTERS_CAP),
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


def _own_network(lines: Lines, findings: Sequence[Finding]) -> str | None:
    """The one network from which several services fail, while the others see them well."""
    services = {s for f in findings for s in f.services}
    minutes = judged(findings)
    heard: Counter[str] = Counter()
    for service in services:
        for cell in lines.cells.get(service, ()):
            heard[cell.location or ""] += sum(n for m, n in cell.firsts.items() if m in minutes)
    heard.update({lines.profile.network_of(n): 1 for f in findings for n in f.failed_ever})
    for network, _ in heard.most_common(1):
        if network and is_own(lines, services, {network}, minutes):
            return network
    return None


def _origin(lines: Lines, findings: Sequence[Finding], size: Size) -> tuple[Origin, str]:
    """Say whose fault a service's trouble is, and why."""
    if all(f.services == (SIGN_IN_SERVICE,) for f in findings):
        return Origin.IDENTITY, "sign-ins are refused and nothing else fails for these users"
    network = _own_network(lines, findings)
    if network is not None:
        return _own((network,))
    return _by_places(lines, findings, size)


def _by_places(lines: Lines, findings: Sequence[Finding], size: Size) -> tuple[Origin, str]:
    """Say whose fault it is by where it fails and where it does not."""
    profile, policy = lines.profile, lines.policy
    failed = {name for f in findings for name in f.failed_ever}
    watching = {name for f in findings for name in f.locations}
    outside = sorted(failed & profile.external)
    clean = len(watching - failed)
    said = sum(count for _, count in size.symptoms)
    sign_in = sum(count for name, count in size.symptoms if name in SIGN_IN)
    identity = said > 0 and sign_in / said >= policy.identity_share and clean > 1
    if outside:
        return Origin.VENDOR, f"not local: {', '.join(outside)} outside our network fails too"
    if len(failed) > 1:
        return Origin.VENDOR, f"not local: {len(failed)} locations fail independently"
    if identity:
        share = f"{100 * sign_in / said:.0f} % of what fails is sign-in"
        return Origin.IDENTITY, f"{share}, while {clean} locations see the service well"
    spread = [name for name, count in size.networks if count > 1]
    if len(spread) > 1:
        return Origin.VENDOR, f"reports come from {len(spread)} networks at once"
    if len(failed) == 1 and clean > 0:
        place = next(iter(failed))
        if size.reporters >= policy.quorum_actors:
            text = f"one service alone fails at {place}, for probes and users alike"
            return Origin.VENDOR, text
        return Origin.LOCAL, f"only {place} fails, {clean} other locations are well"
    return Origin.UNKNOWN, "one vantage alone cannot tell us from Microsoft"


def _make(
    lines: Lines,
    findings: Sequence[Finding],
    *,
    origin: tuple[Origin, str] | None = None,
    networks: tuple[str, ...] = (),
) -> Disturbance:
    first = min(findings, key=lambda f: (f.onset, f.domain))
    wide = bool(networks)
    cells = _cells_of(lines, findings, wide=wide)
    tracks = _tracks_of(lines, findings, wide=wide)
    size = _size(lines, cells, tracks, findings, wide=wide)
    confirmed = [f.confirmed for f in findings if f.confirmed is not None]
    newest = list({f.domain: f for f in sorted(findings, key=lambda f: f.onset)}.values())
    whose, why = origin or _origin(lines, findings, size)
    services = {service for f in findings for service in f.services}
    if SIGN_IN_SERVICE in services:
        services = services - {SIGN_IN_SERVICE} or {SIGN_IN_OWNER}
    return Disturbance(
        key=first.domain if networks or first.part else f"service:{first.services[0]}",
        part=first.part,
        findings=tuple(sorted(findings, key=lambda f: (f.onset, f.domain))),
        services=tuple(sorted(services)),
        networks=networks,
        onset=first.onset,
        suspected=min(f.suspected for f in findings),
        confirmed=min(confirmed) if confirmed else None,
        last_bad=max(f.last_bad for f in findings),
        silence=min(f.silence for f in newest),
        turned=min(f.turned for f in newest),
        waiting=tuple(sorted({name for f in newest for name in f.waiting})),
        size=size,
        origin=whose,
        origin_text=why,
        cells=tuple(cells),
        tracks=tuple(tracks),
    )


def _stretches(found: Sequence[Finding], policy: Policy) -> list[list[Finding]]:
    """Join what one service met, whole or at one network, while it went on or soon after."""
    joined: list[list[Finding]] = []
    for finding in sorted(found, key=lambda f: (f.services, f.onset, f.domain)):
        for group in joined:
            if group[0].services != finding.services:
                continue
            end = max(f.last_bad for f in group)
            if finding.onset <= end + policy.reopen_minutes:
                group.append(finding)
                break
        else:
            joined.append([finding])
    return joined


def _is_sign_in(lines: Lines, stretch: Sequence[Finding]) -> bool:
    """Whether almost all of what fails is sign-in, while probes see the service well."""
    start, end = min(f.onset for f in stretch), max(f.last_bad for f in stretch)
    if any(f.failed_ever for f in stretch):
        return False
    said = sign_in = 0
    for cell in lines.cells.get(stretch[0].services[0], ()):
        count = sum(n for m, n in cell.firsts.items() if start <= m <= end)
        said += count
        if cell.symptom in SIGN_IN:
            sign_in += count
    return sign_in > 0 and sign_in >= lines.policy.identity_share * said


def _components(lines: Lines, stretches: Sequence[list[Finding]]) -> Iterable[list[Finding]]:
    """Join stretches of different services whose onsets lie close to the first one's.

    Refused sign-ins alone are not joined with an outage: an attack may run beside it.
    """
    groups: list[tuple[int, bool, set[str], list[Finding]]] = []
    outage = [s for s in stretches if s[0].services != (SIGN_IN_SERVICE,)]
    door = any(f.failed_ever for s in outage for f in s if f.services == (SIGN_IN_OWNER,))
    for stretch in sorted(outage, key=lambda s: (min(f.onset for f in s), s[0].services)):
        onset = min(f.onset for f in stretch)
        service = stretch[0].services[0]
        nature = not door and _is_sign_in(lines, stretch)
        for begun, kind, services, group in groups:
            near = onset - begun <= lines.policy.common_cause_minutes
            if near and kind is nature and service not in services:
                group.extend(stretch)
                services.add(service)
                break
        else:
            groups.append((onset, nature, {service}, list(stretch)))
    found = [group for *_, group in groups]
    refused = [s for s in stretches if s[0].services == (SIGN_IN_SERVICE,)]
    for stretch in sorted(refused, key=lambda s: min(f.onset for f in s)):
        joined = next((group for group in found if _is_shared(stretch, group)), None)
        if joined is not None:
            joined.extend(stretch)
        else:
            found.append(list(stretch))
    return found


def _is_shared(stretch: Sequence[Finding], group: Sequence[Finding]) -> bool:
    """Whether users whose sign-in is refused also meet the outage: then it is no attack."""
    marks = {mark for f in stretch for mark in f.marks}
    others = {mark for f in group for mark in f.marks}
    start, end = min(f.onset for f in stretch), max(f.last_bad for f in stretch)
    meets = any(f.onset <= end and start <= f.last_bad for f in group)
    return meets and len(marks & others) >= SHARED * max(1, len(marks))


def _own(networks: Sequence[str]) -> tuple[Origin, str]:
    names = ", ".join(networks)
    if len(networks) == 1:
        return Origin.LOCAL, f"only {names} reports, over several services; elsewhere is calm"
    text = f"only {names} fail, over several services; elsewhere is calm: the path to them"
    return Origin.THIRD_PARTY, text


def disturbances(surveyed: Surveyed) -> list[Disturbance]:
    """Everything that our own evidence says is or was wrong, oldest first.

    A function of the counted signals alone: the order in which they came has no say.
    """
    lines = surveyed.lines
    result = []
    for group in surveyed.local:
        names = tuple(sorted({f.network or "" for f in group}))
        result.append(_make(lines, group, origin=_own(names), networks=names))
    parts = sorted({f.part for f in surveyed.services if f.part is not None})
    result += [_make(lines, [f for f in surveyed.services if f.part == p]) for p in parts]
    whole = [f for f in surveyed.services if f.part is None]
    stretches = _stretches(whole, lines.policy)
    result += [_make(lines, group) for group in _components(lines, stretches)]
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
