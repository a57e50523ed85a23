"""The engine as a whole, on a small outage told in signals."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from app.core.errors import IllegalTransition, NotFound
from app.core.incident import Incident
from app.core.signal import Command, Signal, Understood
from app.core.types import Disagreement, Origin, Severity, SignalId, Status
from tests.core.play import World, advisory, at, outage, probes, reports


@pytest.fixture(scope="module")
def told() -> World:
    world = World()
    world.play(outage(), until=at("09:40"))
    return world


def the_outage(world: World) -> Incident:
    return next(i for i in world.alive if i.origin is Origin.VENDOR)


def test_one_fault_is_one_incident_and_the_office_is_another(told: World) -> None:
    assert sorted(i.origin for i in told.alive) == [Origin.LOCAL, Origin.VENDOR]


def test_the_outage_is_seen_before_the_vendor_publishes(told: World) -> None:
    incident = the_outage(told)
    assert incident.detected_at is not None
    assert at("06:05") < incident.detected_at < at("06:10")
    assert incident.confirmed_at is not None
    assert incident.confirmed_at < at("06:12")
    assert incident.vendor_published_at == at("06:42")


def test_the_advisory_joins_the_incident_that_is_there(told: World) -> None:
    incident = the_outage(told)
    assert [a.id for a in incident.advisories] == ["EX931445"]
    assert told.types(incident).count("incident.advisory_linked") == 1
    assert told.types(incident).count("incident.advisory_updated") == 4


def test_the_vendor_is_not_believed_while_a_location_still_fails(told: World) -> None:
    incident = the_outage(told)
    ahead = [
        e
        for e in told.events
        if e.incident_id == incident.id
        and e.incident
        and e.incident.disagreement is Disagreement.VENDOR_AHEAD
    ]
    assert at("08:05") < ahead[0].occurred_at < at("08:10")
    assert at("08:35") <= ahead[-1].occurred_at < at("08:40")


def test_it_resolves_on_evidence_and_a_late_review_does_not_reopen_it(told: World) -> None:
    incident = the_outage(told)
    assert incident.status is Status.RESOLVED
    assert incident.resolved_at is not None
    assert at("08:44") < incident.resolved_at < at("08:50")
    order = [t for t in told.types(incident) if t != "incident.updated"]
    assert order == [
        "incident.opened",
        *(["incident.confirmed"] if "incident.confirmed" in order else []),
        "incident.advisory_linked",
        "incident.advisory_updated",
        "incident.advisory_updated",
        "incident.mitigating",
        "incident.advisory_updated",
        "incident.monitoring",
        "incident.resolved",
        "incident.advisory_updated",
    ]


def test_a_local_fault_is_never_blamed_on_the_vendor(told: World) -> None:
    local = next(i for i in told.alive if i.origin is Origin.LOCAL)
    assert local.networks == ("berlin-office",)
    assert local.severity is Severity.MINOR
    assert all(
        e.incident is None or e.incident.origin is Origin.LOCAL
        for e in told.events
        if e.incident_id == local.id
    )


def test_sequences_have_no_gaps_and_revisions_count_up(told: World) -> None:
    assert [e.sequence for e in told.events] == list(range(1, len(told.events) + 1))
    for incident in told.incidents.values():
        revisions = [
            e.incident.revision
            for e in told.events
            if e.incident is not None and e.incident_id == incident.id
        ]
        assert revisions == list(range(1, len(revisions) + 1))


def test_the_explanation_has_figures_for_and_against(told: World) -> None:
    texts = " ".join(r.text for r in the_outage(told).explanation)
    assert "distinct users in" in texts
    assert "outages are rare" in texts
    assert {r.effect for r in the_outage(told).explanation} == {"+", "-"}


def test_replaying_the_same_signals_gives_the_same_events(told: World) -> None:
    again = World()
    again.play(outage(), until=at("09:40"))
    assert again.events == told.events
    assert again.incidents == told.incidents


def shape(world: World) -> list[tuple[object, ...]]:
    """What must not depend on the order of arrival."""
    return sorted(
        (
            i.origin.value,
            i.status.value,
            i.services,
            i.networks,
            tuple(a.id for a in i.advisories),
            i.impact.reporters,
            i.impact.reports,
        )
        for i in world.alive
    )


def delayed(signals: list[Signal], seed: int) -> list[Signal]:
    """The same signals, each up to 100 minutes late, some of them twice; advisories in time."""
    chance = random.Random(seed)
    result: list[Signal] = []
    for signal in signals:
        if hasattr(signal, "occurred_at"):
            late = timedelta(minutes=chance.random() * 100)
            result.append(replace(signal, received_at=signal.received_at + late))
        else:
            result.append(signal)
    return result


@pytest.mark.parametrize("seed", range(3))
def test_any_order_within_the_lateness_window_gives_the_same_incidents(
    told: World, seed: int
) -> None:
    world = World()
    world.play(delayed(outage(), seed), until=at("11:30"), tick_seconds=300)
    assert shape(world) == shape(told)


def test_without_any_signal_nothing_happens() -> None:
    world = World()
    world.fold(at("06:00"))
    assert world.events == []


def test_background_noise_opens_nothing() -> None:
    world = World()
    noise = reports(
        at("04:00"),
        at("09:00"),
        per_minute=0.15,
        seed=7,
        services=("exchange-online", "microsoft-teams", "sharepoint-online"),
    )
    world.play([*noise, *probes(at("04:00"), at("09:00"), failing={})], until=at("09:30"))
    assert world.events == []


def test_reports_alone_open_an_incident_when_several_networks_agree() -> None:
    world = World()
    world.play(reports(at("06:00"), at("06:30"), per_minute=4, seed=5), until=at("06:20"))
    assert [i.origin for i in world.alive] == [Origin.VENDOR]


def test_a_single_failing_location_stays_below_the_quorum() -> None:
    world = World()
    lone = probes(at("05:30"), at("07:30"), failing={"london": ("06:00", "06:40")})
    world.play(lone, until=at("07:30"))
    assert all(i.status is not Status.CONFIRMED for i in world.incidents.values())


def test_an_advisory_alone_is_confirmed_and_follows_the_vendor() -> None:
    world = World()
    story = [
        advisory(1, "06:43", "investigating"),
        advisory(2, "07:30", "serviceRestored", resolved=True),
    ]
    world.play(story, until=at("08:00"))
    (incident,) = world.alive
    assert (incident.detected_at, incident.severity) == (None, Severity.MAJOR)
    assert world.types(incident) == [
        "incident.opened",
        "incident.advisory_updated",
        "incident.resolved",
    ]


def test_what_the_first_read_brings_is_primed_and_closed_ones_are_silent() -> None:
    world = World()
    world.play(
        [
            advisory(1, "06:43", "serviceDegradation", primed=True),
            advisory(1, "06:43", "serviceRestored", vendor_id="EX1", resolved=True, primed=True),
        ],
        until=at("06:50"),
    )
    assert [(e.type.value, e.reason) for e in world.events] == [("incident.opened", "primed")]


def test_own_evidence_upgrades_what_only_the_vendor_reported() -> None:
    world = World()
    world.play(
        [
            advisory(
                1, "06:01", "serviceDegradation", started="06:00", posts=(("06:01", "We see it"),)
            ),
            *reports(at("06:05"), at("06:30"), per_minute=6, seed=9),
        ],
        until=at("06:30"),
    )
    (incident,) = world.alive
    assert incident.detected_at is not None
    assert incident.impact.reporters > 10


def test_an_incident_of_the_suite_names_the_services_that_its_text_names() -> None:
    world = World()
    filed = advisory(1, "06:43", "investigating", service="microsoft-365-suite")
    world.play([replace(filed, understood=Understood(services=("copilot",)))], until=at("06:50"))
    (incident,) = world.alive
    assert incident.services == ("microsoft-365-suite", "copilot")


def test_a_false_positive_dismisses_what_only_the_vendor_reported() -> None:
    world = World()
    world.play(
        [
            advisory(1, "06:43", "investigating"),
            advisory(2, "07:00", "falsePositive", resolved=True),
        ],
        until=at("07:10"),
    )
    assert [i.status for i in world.incidents.values()] == [Status.DISMISSED]


def a_command(name: str, world: World, **body: object) -> Command:
    (incident,) = world.incidents.values()
    return Command(
        id=SignalId(f"c-{name}"),
        name=name,
        actor_kind="person",
        actor="mina",
        received_at=at("07:00"),
        incident=incident.id,
        body=dict(body),
    )


def vendor_only() -> World:
    world = World()
    world.play([advisory(1, "06:43", "investigating")], until=at("06:50"))
    return world


@pytest.mark.parametrize(("name", "body", "kind"), [
    ("acknowledge", {"note": "on it"}, "incident.acknowledged"),
    ("assign", {"assignee": "mina"}, "incident.updated"),
    ("notes", {"text": "called them", "visibility": "internal"}, "incident.noted"),
    ("severity", {"severity": "critical", "reason": "board"}, "incident.updated"),
    ("resolve", {"resolution": "vendor_fix"}, "incident.resolved"),
    ("dismiss", {"resolution": "not_ours", "reason": "test tenant"}, "incident.dismissed"),
])  # fmt: skip
def test_a_command_is_exactly_one_event(name: str, body: dict[str, object], kind: str) -> None:
    world = vendor_only()
    before = len(world.events)
    world.fold(at("07:00"), [a_command(name, world, **body)])
    assert [e.type.value for e in world.events[before:]] == [kind]


def test_what_a_person_resolved_stays_resolved() -> None:
    world = vendor_only()
    world.fold(at("07:00"), [a_command("resolve", world, resolution="customer_fix")])
    world.fold(at("07:10"), [])
    (incident,) = world.incidents.values()
    assert incident.status is Status.RESOLVED


def test_an_impossible_command_is_refused() -> None:
    world = vendor_only()
    with pytest.raises(IllegalTransition):
        world.fold(at("07:00"), [a_command("reopen", world, reason="no")])
    command = replace(a_command("resolve", world, resolution="unknown"), incident="inc_none")
    with pytest.raises(NotFound):
        world.fold(at("07:00"), [command])


def test_a_person_may_open_and_merge() -> None:
    world = vendor_only()
    opening = Command(
        id=SignalId("c-open"),
        name="open",
        actor_kind="person",
        actor="mina",
        received_at=at("07:00"),
        body={"title": "Mail", "services": ["exchange-online"], "severity": "minor"},
    )
    world.fold(at("07:00"), [opening])
    vendor, mine = sorted(world.incidents.values(), key=lambda i: i.by_person)
    merging = Command(
        id=SignalId("c-merge"),
        name="merge",
        actor_kind="person",
        actor="mina",
        received_at=at("07:01"),
        incident=mine.id,
        body={"into": vendor.id},
    )
    world.fold(at("07:01"), [merging])
    assert world.incidents[mine.id].merged_into == vendor.id
    assert mine.id in world.incidents[vendor.id].merged_from


def test_a_resolved_incident_is_closed_after_its_time() -> None:
    world = vendor_only()
    world.fold(at("07:00"), [a_command("resolve", world, resolution="vendor_fix")])
    world.fold(at("07:00") + timedelta(hours=73))
    assert [i.status for i in world.incidents.values()] == [Status.CLOSED]


def test_a_relapse_within_the_window_reopens() -> None:
    world = World()
    fail = {
        "berlin": ("06:00", "06:20"),
        "london": ("06:00", "06:20"),
        "new-york": ("06:00", "06:20"),
    }
    again = dict.fromkeys(fail, ("07:00", "07:15"))
    world.play(
        [
            *probes(at("05:30"), at("06:50"), failing=fail),
            *probes(at("06:50"), at("08:00"), failing=again),
        ],
        until=at("08:00"),
    )
    (incident,) = world.alive
    assert "incident.reopened" in world.types(incident)
    assert world.types(incident).count("incident.resolved") == 2
