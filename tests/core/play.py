"""A small outage as signals, and a player that folds them in virtual time."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from app.core.decide import decide
from app.core.events import Event
from app.core.incident import Incident
from app.core.policy import DEFAULT_POLICY, Policy
from app.core.signal import (
    Advisory,
    ClientReport,
    Post,
    ProbeResult,
    Signal,
    Understood,
)
from app.core.state import EngineState, Snapshot, TenantProfile
from app.core.types import Client, Outcome, SelfCheck, SignalId, Status, Symptom, TenantId

START = datetime(2026, 3, 16, 4, 0, tzinfo=UTC)
PROFILE = TenantProfile(
    id=TenantId("contoso"),
    users=5200,
    external=frozenset({"new-york"}),
    service_names={"exchange-online": "Exchange Online"},
)
LOCATIONS = ("berlin", "london", "new-york")
MIX = (
    (Client.OUTLOOK_WEB, Symptom.HTTP_5XX),
    (Client.OUTLOOK_DESKTOP, Symptom.TIMEOUT),
    (Client.ACTIVESYNC, Symptom.SYNC_FAILED),
    (Client.OUTLOOK_DESKTOP, Symptom.AUTH_LOOP),
)


def at(clock: str) -> datetime:
    """An instant of the story's day."""
    hours, minutes = clock.split(":")
    return START.replace(hour=int(hours), minute=int(minutes))


@dataclass
class World:
    """Folds signals as they arrive and keeps what follows."""

    policy: Policy = DEFAULT_POLICY
    profile: TenantProfile = PROFILE
    state: EngineState = field(default_factory=EngineState)
    incidents: dict[str, Incident] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    sequence: int = 0
    number: int = 0
    memo: object = None

    def fold(self, now: datetime, signals: Iterable[Signal] = ()) -> None:
        alive = tuple(
            sorted(
                (
                    i
                    for i in self.incidents.values()
                    if i.status not in (Status.CLOSED, Status.MERGED)
                ),
                key=lambda i: (i.opened_at, i.id),
            )
        )
        snapshot = Snapshot(
            profile=self.profile,
            state=self.state,
            incidents=alive,
            sequence=self.sequence,
            number=self.number,
            memo=self.memo,
        )
        decision = decide(snapshot, list(signals), now=now, policy=self.policy)
        self.state, self.memo = decision.state, decision.memo
        self.incidents |= {i.id: i for i in decision.incidents}
        self.events += decision.events
        self.sequence, self.number = decision.sequence, decision.number

    def play(self, signals: Iterable[Signal], *, until: datetime, tick_seconds: int = 60) -> None:
        """Fold every signal at its arrival, with ticks between."""
        waiting = sorted(signals, key=lambda s: (s.received_at, s.id))
        now = waiting[0].received_at if waiting else START
        position = 0
        while now <= until:
            batch = []
            while position < len(waiting) and waiting[position].received_at <= now:
                batch.append(waiting[position])
                position += 1
            self.fold(now, batch)
            now += timedelta(seconds=tick_seconds)

    @property
    def alive(self) -> list[Incident]:
        """Incidents that stand for a fault: neither merged nor dismissed."""
        return [
            i for i in self.incidents.values() if i.status not in (Status.MERGED, Status.DISMISSED)
        ]

    def types(self, incident: Incident) -> list[str]:
        return [e.type.value for e in self.events if e.incident_id == incident.id]


def probes(
    start: datetime,
    end: datetime,
    *,
    failing: dict[str, tuple[str, str]],
    unsound: dict[str, tuple[str, str]] | None = None,
    service: str = "exchange-online",
) -> list[ProbeResult]:
    """One result a minute and location; ``failing`` maps location to a span of clock times."""
    result = []
    minute = start
    while minute < end:
        for offset, location in enumerate(LOCATIONS):
            moment = minute + timedelta(seconds=7 + 11 * offset)
            bad = location in failing and at(failing[location][0]) <= moment < at(
                failing[location][1]
            )
            span = (unsound or {}).get(location)
            off = span is not None and at(span[0]) <= moment < at(span[1])
            result.append(
                ProbeResult(
                    id=SignalId(f"p-{location}-{moment.isoformat()}"),
                    probe="owa",
                    location=location,
                    service=service,
                    feature="outlook-web",
                    client=Client.OUTLOOK_WEB,
                    outcome=Outcome.FAILED if bad or off else Outcome.OK,
                    symptom=Symptom.HTTP_5XX
                    if bad
                    else (Symptom.CONNECTION_FAILED if off else None),
                    http_status=503 if bad else 302,
                    self_check=SelfCheck.FAILED if off else SelfCheck.OK,
                    occurred_at=moment,
                    received_at=moment + timedelta(seconds=2),
                )
            )
        minute += timedelta(minutes=1)
    return result


def reports(
    start: datetime,
    end: datetime,
    *,
    per_minute: float,
    seed: int,
    services: tuple[str, ...] = ("exchange-online",),
    networks: tuple[str, ...] = ("berlin-office", "london-office", "vpn"),
    mix: tuple[tuple[Client, Symptom], ...] = MIX,
    pool: int = 400,
) -> list[ClientReport]:
    """Reports at a mean rate from a pool of users."""
    chance = random.Random(seed)
    result = []
    seconds = (end - start).total_seconds()
    moment = 0.0
    while True:
        moment += chance.expovariate(per_minute / 60)
        if moment >= seconds:
            return result
        client, symptom = chance.choice(mix)
        occurred = start + timedelta(seconds=moment)
        result.append(
            ClientReport(
                id=SignalId(f"r-{seed}-{len(result)}"),
                service=chance.choice(services),
                client=client,
                symptom=symptom,
                actor=f"a{seed}-{chance.randrange(pool):05d}",
                occurred_at=occurred,
                received_at=occurred + timedelta(seconds=chance.random() * 6),
                region="de",
                network=chance.choice(networks),
                code="503",
                message="Something went wrong",
            )
        )


def advisory(
    revision: int,
    received: str,
    status: str,
    *,
    resolved: bool = False,
    vendor_id: str = "EX931445",
    posts: tuple[tuple[str, str], ...] = (("06:42", "We see it"),),
    started: str = "06:05",
    service: str = "exchange-online",
    classification: str = "incident",
    primed: bool = False,
    cause: str | None = None,
) -> Advisory:
    """One revision of an advisory."""
    return Advisory(
        id=SignalId(f"{vendor_id}-{revision}"),
        vendor_id=vendor_id,
        service=service,
        service_name="Exchange Online",
        classification=classification,
        status=status,
        title="Users can't access their mailboxes",
        impact_description="Users are affected",
        is_resolved=resolved,
        started_at=at(started),
        last_modified_at=at(received),
        first_seen_at=at("06:42"),
        received_at=at(received),
        digest=f"d{revision}",
        published_at=at(posts[0][0]),
        primed=primed,
        understood=Understood(
            cause=cause,
            cause_category="configuration_change" if cause else None,
            symptoms=(Symptom.HTTP_5XX,),
        ),
        posts=tuple(
            Post(id=f"{vendor_id}-{i}", created_at=at(t), type="regular", text=x, html=x)
            for i, (t, x) in enumerate(posts)
        ),
    )


def outage() -> list[Signal]:
    """The outage exchange-2026-03, told in signals, with a local fault of one office before."""
    fail = {
        "berlin": ("06:05", "08:05"),
        "london": ("06:05", "08:35"),
        "new-york": ("06:05", "08:05"),
    }
    everything = ("exchange-online", "microsoft-teams", "sharepoint-online")
    p1 = (("06:42", "Investigating"),)
    p2 = (*p1, ("07:05", "Cause: a configuration change"))
    p3 = (*p2, ("07:25", "Rolled back"))
    p4 = (*p3, ("08:05", "Restored"))
    p5 = (*p4, ("09:05", "A post-incident report has been published."))
    return [
        *probes(at("04:30"), at("09:30"), failing=fail, unsound={"berlin": ("05:10", "05:35")}),
        *reports(at("04:30"), at("09:30"), per_minute=0.05, seed=1, services=everything),
        *reports(
            at("05:10"),
            at("05:35"),
            per_minute=3,
            seed=2,
            services=everything,
            networks=("berlin-office",),
            mix=((Client.OUTLOOK_DESKTOP, Symptom.CONNECTION_FAILED),),
        ),
        *reports(at("06:05"), at("08:05"), per_minute=8, seed=3),
        *reports(at("08:05"), at("08:33"), per_minute=2, seed=4, networks=("london-office",)),
        advisory(1, "06:43", "serviceDegradation", posts=p1),
        advisory(2, "07:06", "serviceDegradation", posts=p2, cause="a configuration change"),
        advisory(3, "07:26", "restoringService", posts=p3, cause="a configuration change"),
        advisory(
            4, "08:06", "serviceRestored", posts=p4, resolved=True, cause="a configuration change"
        ),
        advisory(
            5,
            "09:06",
            "postIncidentReviewPublished",
            posts=p5,
            resolved=True,
            cause="a configuration change",
        ),
    ]


__all__ = ["START", "World", "advisory", "at", "outage", "probes", "replace", "reports"]
