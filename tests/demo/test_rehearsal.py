"""The rehearsal: the story's signals, read as at the doors and folded without a server."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.document import incident_document, rfc3339
from app.core.events import Event
from app.core.signal import ClientReport, ProbeResult, Signal
from app.core.state import TenantProfile
from app.core.types import Client, Outcome, SelfCheck, SignalId, Symptom, TenantId
from app.demo.expect import Check, Record, judge
from app.demo.stage import CHECKS
from app.demo.story import Kind, Location, Story
from app.sources.client_report import ClientReportReader
from app.sources.graph import translate
from app.sources.symptom_table import load_symptom_table
from tests.core.play import World

STORY = Story.load("exchange-2026-03")
TENANT = TenantId("contoso")
SYMPTOMS = {
    Kind.UNAVAILABLE: Symptom.HTTP_5XX,
    Kind.HANG: Symptom.TIMEOUT,
    Kind.AUTH_LOOP: Symptom.AUTH_LOOP,
    Kind.RESET: Symptom.CONNECTION_FAILED,
}
MINUTE = timedelta(minutes=1)
TICK = timedelta(seconds=10)  # as the fold ticks; used where the story is decided
ONSET = datetime(2026, 3, 16, 6, 0, tzinfo=UTC), datetime(2026, 3, 16, 6, 20, tzinfo=UTC)


def read_reports(
    reader: ClientReportReader, since: datetime, until: datetime
) -> list[ClientReport]:
    """The reports of a time as the intake door reads them."""
    due = STORY.reports(since, until)
    if not due:
        return []
    body = json.dumps(due).encode()
    parsed = reader.parse(TENANT, body, "application/json", now=until)
    assert parsed.rejected == []
    return parsed.good


def probe_round(place: Location, now: datetime) -> Iterator[ProbeResult]:
    """What the probes of one location measure then; the control check first."""
    sound = STORY.front_door(place.name, "/control", now).kind is Kind.HEALTHY
    for name, path, feature, client in [("control", "control", None, None), *CHECKS]:
        kind = STORY.front_door(place.name, f"/{path}", now).kind
        yield ProbeResult(
            id=SignalId(f"{name}-{place.name}-{now.isoformat()}"),
            probe=name,
            location=place.name,
            region=place.region,
            service="exchange-online" if client else "other",
            feature=feature,
            client=Client(client) if client else None,
            outcome=Outcome.OK if kind is Kind.HEALTHY else Outcome.FAILED,
            symptom=SYMPTOMS.get(kind),
            self_check=SelfCheck.OK if sound else SelfCheck.FAILED,
            occurred_at=now,
            received_at=now + timedelta(seconds=2),
        )


def probes(since: datetime, until: datetime) -> list[ProbeResult]:
    """One round of each location per minute, each location at its own second."""
    found = []
    for number, place in enumerate(STORY.locations):
        moment = since.replace(second=0) + timedelta(seconds=11 * number + 5)
        while moment < until:
            if moment >= since:
                found += list(probe_round(place, moment))
            moment += MINUTE
    return found


def document(event: Event) -> dict[str, Any]:
    """An event as the feed gives it, as far as the judgement reads it."""
    shown = event.incident and incident_document(event.incident, public_url="")
    return {
        "id": event.id,
        "type": event.type.value,
        "sequence": event.sequence,
        "occurred_at": rfc3339(event.occurred_at),
        "data": {"incident": shown, "changed": list(event.changed)},
    }


@pytest.fixture(scope="module")
def record() -> Record:
    """What would be seen through the doors, had everything in between worked."""
    reader = ClientReportReader(load_symptom_table().classify, key=b"k" * 32)
    profile = TenantProfile(
        id=TENANT, users=STORY.tenant["users"], external=frozenset({"new-york"}),
        service_names={"exchange-online": "Exchange Online"},
    )  # fmt: skip
    world, revision, now = World(profile=profile), "", STORY.skip_to
    while now < STORY.ends_at:
        since, now = now, now + (TICK if ONSET[0] <= now < ONSET[1] else MINUTE)
        signals: list[Signal] = [*read_reports(reader, since, now), *probes(since, now)]
        issue = STORY.advisory_at(now)
        if issue and issue["lastModifiedDateTime"] != revision:
            revision = issue["lastModifiedDateTime"]
            signals.append(translate(issue, names={"Exchange Online": "Exchange"}, now=now))
        world.fold(now, signals)
    return Record(
        events=[document(event) for event in world.events],
        incidents={
            key: incident_document(incident, public_url="")
            for key, incident in world.incidents.items()
        },
    )


def test_the_engine_decides_the_story_as_told(record: Record) -> None:
    undelivered = {"receiver", "signature", "in order", "retried", "client report"}
    failed: list[Check] = [
        check
        for check in judge(STORY, record)
        if not check.met and not any(word in check.sentence for word in undelivered)
    ]
    assert failed == []


def test_the_local_fault_opens_at_most_one_incident_and_it_is_local(record: Record) -> None:
    before = rfc3339(STORY.expect["local_before"]) or ""
    early = [
        e for e in record.events if e["type"] == "incident.opened" and e["occurred_at"] < before
    ]
    origins = {record.incidents[e["data"]["incident"]["id"]]["origin"] for e in early}
    assert len(early) <= 1
    assert origins <= {"local"}
