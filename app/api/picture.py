"""The picture of one tenant as the board, the sources and the probes show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from sqlalchemy import Connection

from app.api.context import App
from app.core.advisory import condition_of
from app.core.board import Sighting, Standing
from app.core.incident import Incident
from app.core.lease import Holder, lease_of
from app.core.state import ProbeMinute, Track, instant_of, voiced
from app.core.types import Condition, SignalKind, SourceKind, SourceState, TenantId
from app.kit.clock import SystemClock
from app.store import advisories, incidents, leases, probes, sources, states
from app.store.advisories import StoredAdvisory
from app.store.arrivals import Arrivals
from app.store.probes import NewestResult
from app.store.sources import SIGHTINGS, SourceRecord, is_stale, state_of

OPEN_ADVISORIES = 500  # most open advisories that the board takes in
DOORS = {
    SignalKind.CLIENT_REPORT: ("client_report", "Client reports"),
    SignalKind.PROBE_RESULT: ("probe", "Probe results"),
}
USUAL_GAP = timedelta(minutes=5)  # between two runs of a check that we saw once
GAPS = 10  # newest runs from which the usual gap is taken
SILENCE = timedelta(days=7)  # without any report nobody knows whether reports still come
SETTLING = timedelta(seconds=70)  # a run shows after its minute, and ten seconds are forgiven


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source as people see it; a door has no record of reads, only of arrivals.

    ``holder`` is the replica that reads it.
    """

    id: str
    tenant: TenantId
    kind: str
    name: str
    state: SourceState
    last_complete_at: datetime | None
    record: SourceRecord | None = None
    holder: Holder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeState:
    """How one check at one location stands.

    ``newest`` is the newest result of a check that we run ourselves, with its measurements.
    """

    track: Track
    condition: Condition
    last_at: datetime | None
    stale: bool
    failing_since: datetime | None
    newest: NewestResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything that is known of a tenant now."""

    sources: tuple[Source, ...]
    probes: tuple[ProbeState, ...]
    advisories: tuple[StoredAdvisory, ...]
    incidents: tuple[Incident, ...]
    voiced: tuple[str, ...]
    read_at: datetime

    def sightings(self) -> list[Sighting]:
        """What is said of services now."""
        said = [
            Sighting(
                kind=SourceKind.ADVISORY,
                service=stored.advisory.service,
                condition=condition_of(stored.advisory.status),
                as_of=stored.advisory.last_modified_at,
            )
            for stored in self.advisories
            if not stored.advisory.withdrawn
        ]
        said += [
            Sighting(
                kind=SourceKind.PROBE,
                service=probe.track.service,
                condition=probe.condition,
                as_of=probe.last_at,
            )
            for probe in self.probes
        ]
        return said

    def standings(self) -> list[Standing]:
        """How well each source that should speak is read.

        People speak only of services on which some have reported before, and only while reports
        still come: nobody knows of the others whether anybody could have reported.
        """
        standings = []
        for source in self.sources:
            if source.kind == "status_feed":  # corroboration: nobody goes blind without it
                continue
            kind = SIGHTINGS.get(source.kind, SourceKind.CLIENT_REPORT)
            people = kind is SourceKind.CLIENT_REPORT
            if people and not self.voiced:
                continue
            heard = source.last_complete_at
            standings.append(
                Standing(
                    kind=kind,
                    # One that never spoke is not trusted either, however young its first failure.
                    stale=heard is None
                    or source.state not in {SourceState.FRESH, SourceState.FAILING}
                    or (people and self.read_at - heard > SILENCE),
                    as_of=heard,
                    services=self.voiced if people else (),
                )
            )
        return standings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What is kept of the newest engine state of a tenant."""

    revision: int
    tracks: tuple[Track, ...]
    voiced: tuple[str, ...]


class Pictures:
    """Reads pictures; keeps of the newest engine state of each tenant, which is large, a part."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._kept: dict[TenantId, _Kept] = {}
        self._arrivals = Arrivals()

    async def read(self, tenant: TenantId) -> Picture:
        """Read the picture of a tenant."""
        now = self._app.clock.now()

        def work(c: Connection) -> Picture:
            checks = self._probes(c, tenant, now)
            return Picture(
                sources=_sources(c, tenant, now, checks, self._arrivals),
                probes=checks,
                voiced=self._known(c, tenant).voiced,
                read_at=now,
                advisories=tuple(
                    advisories.page(c, tenant, limit=OPEN_ADVISORIES, is_resolved=False)
                ),
                incidents=incidents.living(c, tenant),
            )

        return await self._app.db.read(work)

    async def sources(self, tenant: TenantId) -> tuple[Source, ...]:
        """Read how the sources of a tenant stand."""
        now = self._app.clock.now()
        return await self._app.db.read(
            lambda c: _sources(c, tenant, now, self._probes(c, tenant, now), self._arrivals)
        )

    async def probes(self, tenant: TenantId) -> tuple[ProbeState, ...]:
        """Read how the checks of a tenant stand."""
        now = self._app.clock.now()
        return await self._app.db.read(lambda c: self._probes(c, tenant, now))

    def _probes(self, c: Connection, tenant: TenantId, now: datetime) -> tuple[ProbeState, ...]:
        tracks = {(track.probe, track.location): track for track in self._known(c, tenant).tracks}
        own = {(r.probe, r.location): r for r in probes.listing(c, tenant, now=now)}
        return tuple(
            own_state(own[key], tracks.get(key)) if key in own else probe_state(tracks[key], now)
            for key in sorted(tracks.keys() | own.keys())
        )

    def _known(self, c: Connection, tenant: TenantId) -> _Kept:
        revision = states.checkpoint(c, tenant).revision
        known = self._kept.get(tenant)
        if known is None or known.revision != revision:
            checkpoint, state = states.load(c, tenant)
            known = self._kept[tenant] = _Kept(
                revision=checkpoint.revision,
                tracks=tuple(state.tracks[key] for key in sorted(state.tracks)),
                voiced=tuple(sorted(voiced(state))),
            )
        return known


def own_state(newest: NewestResult, track: Track | None) -> ProbeState:
    """Say how a check of ours stands: by its newest result, unless one is overdue."""
    followed = track or Track(
        probe=newest.probe,
        location=newest.location,
        service=newest.service,
        feature=newest.feature,
        client=newest.client,
        region=newest.region,
    )
    spoken = [minute for minute in sorted(followed.minutes) if followed.minutes[minute].speaks]
    return ProbeState(
        track=followed,
        condition=newest.condition,
        last_at=newest.occurred_at,
        stale=newest.silent,
        failing_since=_failing_since(followed, spoken),
        newest=newest,
    )


def probe_state(track: Track, now: datetime) -> ProbeState:
    """Say how a check stands: by its newest minute that carries weight, unless that is too old."""
    spoken = [minute for minute in sorted(track.minutes) if track.minutes[minute].speaks]
    if not spoken:
        return ProbeState(
            track=track, condition=Condition.UNKNOWN, last_at=None, stale=True, failing_since=None
        )
    newest = track.minutes[spoken[-1]]
    last_at = newest.last_at or instant_of(spoken[-1])
    stale = now - last_at > _usual_gap(spoken) * sources.INTERVALS + SETTLING
    if stale:
        condition = Condition.UNKNOWN
    elif newest.is_bad:
        condition = Condition.FAILING
    else:
        condition = Condition.DEGRADED if newest.failed else Condition.HEALTHY
    return ProbeState(
        track=track,
        condition=condition,
        last_at=last_at,
        stale=stale,
        failing_since=_failing_since(track, spoken),
    )


def _usual_gap(minutes: Sequence[int]) -> timedelta:
    newest = minutes[-GAPS:]
    gaps = [later - earlier for earlier, later in pairwise(newest)]
    return timedelta(minutes=median(gaps)) if gaps else USUAL_GAP


def _failing_since(track: Track, spoken: Sequence[int]) -> datetime | None:
    since: ProbeMinute | None = None
    for minute in reversed(spoken):
        if not track.minutes[minute].is_bad:
            break
        since = track.minutes[minute]
    return None if since is None else since.first_at


def _sources(
    c: Connection,
    tenant: TenantId,
    now: datetime,
    checks: Sequence[ProbeState],
    arrivals: Arrivals,
) -> tuple[Source, ...]:
    records = sources.listing(c, tenant)
    names = {record.id: lease_of(record.id, tenant) for record in records}
    held = leases.holders(c, names.values(), SystemClock().now())
    read = [
        Source(
            id=record.id,
            tenant=tenant,
            kind=record.kind,
            name=record.name,
            state=SourceState.STALE if is_stale(record, now) else state_of(record, now),
            last_complete_at=record.last_complete_at,
            record=record,
            holder=held.get(names[record.id]),
        )
        for record in records
    ]
    kinds = {source.kind for source in read}
    doors = []
    for signal, (kind, name) in DOORS.items():
        if kind in kinds:
            continue
        came = arrivals.last(c, tenant, signal)
        state = SourceState.NEVER_READ if came is None else SourceState.FRESH
        if kind == "probe" and came and checks and all(check.stale for check in checks):
            state = SourceState.STALE  # every check is overdue: nothing comes in any more
        doors.append(
            Source(id=kind, tenant=tenant, kind=kind, name=name, state=state, last_complete_at=came)
        )
    return (*read, *doors)
