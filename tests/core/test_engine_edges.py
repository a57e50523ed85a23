"""Corners of the engine: attribution, vendor's moods, persons, late and withdrawn evidence."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.core.changes import Log
from app.core.commands import merge
from app.core.correlate import score, started_at
from app.core.errors import IllegalTransition, InvalidInput
from app.core.events import ENGINE
from app.core.explain import listed
from app.core.policy import DEFAULT_POLICY, Policy
from app.core.signal import Advisory, Command, Signal, Understood
from app.core.types import (
    Client,
    Disagreement,
    ImpactLevel,
    Origin,
    Outcome,
    Resolution,
    Severity,
    SignalId,
    Status,
    Symptom,
)
from tests.core.play import World, advisory, at, probes, reports

AUTH = ((Client.OUTLOOK_DESKTOP, Symptom.AUTH_REJECTED),)
EVERYWHERE = {"berlin": ("06:00", "06:40"), "london": ("06:00", "06:40"),
              "new-york": ("06:00", "06:40")}  # fmt: skip


def news(name: str, **body: object) -> Command:
    return Command(id=SignalId(f"n-{name}-{body}"), name=name, actor_kind="source", actor="graph",
                   received_at=at("06:00"), body=dict(body))  # fmt: skip


def order(name: str, world: World, **body: object) -> Command:
    incident = next(iter(world.incidents.values()))
    return Command(id=SignalId(f"c-{name}-{len(world.events)}"), name=name, actor_kind="person",
                   actor="mina", received_at=at("07:00"), incident=incident.id,
                   body=dict(body))  # fmt: skip


def test_failing_sign_ins_while_probes_are_well_are_an_identity_fault() -> None:
    world = World()
    spray = reports(at("06:00"), at("06:30"), per_minute=6, seed=21, mix=AUTH)
    world.play([*probes(at("05:30"), at("07:00"), failing={}), *spray], until=at("06:20"))
    (incident,) = world.alive
    assert incident.origin is Origin.IDENTITY
    assert incident.disagreement is Disagreement.NONE
    assert any(r.reason == "probes_clean" and r.effect == "-" for r in incident.explanation)


def test_reports_from_one_network_and_service_alone_leave_the_origin_open() -> None:
    world = World()
    world.play(reports(at("06:00"), at("06:30"), per_minute=5, seed=22, networks=("hamburg",)),
               until=at("06:20"))  # fmt: skip
    assert [i.origin for i in world.alive] == [Origin.UNKNOWN]


def test_services_that_fail_together_are_one_incident() -> None:
    world = World()
    both = [*probes(at("05:30"), at("07:30"), failing=EVERYWHERE),
            *(replace(p, probe="teams", id=SignalId(f"t{p.id}"), service="microsoft-teams")
              for p in probes(at("05:30"), at("07:30"), failing=EVERYWHERE))]  # fmt: skip
    world.play(both, until=at("07:20"))
    (incident,) = world.alive
    assert incident.services == ("exchange-online", "microsoft-teams")
    assert any(r.reason == "common_cause" for r in incident.explanation)


def test_services_that_fail_far_apart_are_two() -> None:
    world = World()
    later = dict.fromkeys(EVERYWHERE, ("06:30", "06:59"))
    world.play([*probes(at("05:30"), at("07:30"), failing=EVERYWHERE),
                *(replace(p, probe="teams", id=SignalId(f"t{p.id}"), service="microsoft-teams")
                  for p in probes(at("05:30"), at("07:30"), failing=later))],
               until=at("07:00"))  # fmt: skip
    assert len(world.alive) == 2


def test_the_vendor_behind_is_shown_and_does_not_hold_us_back() -> None:
    world = World()
    world.play([*probes(at("05:30"), at("08:00"), failing=EVERYWHERE),
                advisory(1, "06:20", "serviceDegradation", started="06:00",
                         posts=(("06:20", "We see it"),))], until=at("07:30"))  # fmt: skip
    (incident,) = world.alive
    assert incident.status is Status.RESOLVED
    assert incident.disagreement is Disagreement.VENDOR_BEHIND
    assert incident.resolved_at is not None
    assert incident.resolved_at >= at("07:00")


def test_a_location_that_went_silent_does_not_count_as_well() -> None:
    world = World()
    silent = [p for p in probes(at("05:30"), at("07:30"), failing=EVERYWHERE)
              if p.location != "london" or p.occurred_at < at("06:30")]  # fmt: skip
    world.play(silent, until=at("07:30"))
    (incident,) = world.alive
    assert incident.status is not Status.RESOLVED


def test_too_little_evidence_of_silence_waits_and_then_gives_up() -> None:
    policy = Policy(low_evidence_minutes=60, power_nats=1000.0)
    world = World(policy=policy)
    world.play(probes(at("05:30"), at("08:30"), failing=EVERYWHERE), until=at("08:00"))
    (incident,) = world.alive
    assert (incident.status_reason, incident.resolution) == (
        "timeout_low_evidence", Resolution.SELF_RESTORED)  # fmt: skip


def test_one_reporter_and_one_location_is_a_single_user() -> None:
    world = World(policy=Policy(suspect_ratio=1e9, quorum_actors=1))
    world.play(reports(at("06:00"), at("06:10"), per_minute=1, seed=5, pool=1), until=at("06:04"))
    assert [i.impact.level for i in world.alive] == [ImpactLevel.SINGLE]


def test_a_fifty_of_a_hundred_is_everybody() -> None:
    world = World(profile=replace(World().profile, users=100))
    story: list[Signal] = [*probes(at("05:30"), at("06:40"), failing=EVERYWHERE),
                           *reports(at("06:00"), at("06:40"), per_minute=8, seed=3)]  # fmt: skip
    world.play(story, until=at("06:30"))
    (incident,) = world.alive
    assert (incident.impact.level, incident.severity) == (ImpactLevel.ALL, Severity.CRITICAL)


def test_late_reports_add_to_what_is_known_and_open_nothing() -> None:
    world = World()
    late = [replace(r, late=True) for r in reports(at("04:00"), at("04:20"), per_minute=9, seed=1)]
    world.play([replace(r, received_at=at("06:30")) for r in late], until=at("06:40"))
    assert world.events == []
    world.play(probes(at("05:30"), at("06:40"), failing=EVERYWHERE), until=at("06:30"))
    (incident,) = world.alive
    before = world.incidents[incident.id].impact.reports
    known = [replace(r, late=True, id=SignalId(f"l{r.id}"), received_at=at("06:31"))
             for r in reports(at("06:05"), at("06:10"), per_minute=9, seed=8)]  # fmt: skip
    for minute in range(12):
        world.fold(at("06:31") + timedelta(minutes=minute), known if minute == 0 else [])
    assert world.incidents[incident.id].impact.reports >= before + len(known)


def test_news_of_sources_is_told_once_and_shows_on_incidents() -> None:
    world = World()
    unknown = {"source": "graph", "field": "status", "value": "napping"}
    world.fold(at("06:00"), [news("source_stale", source="graph", kind="advisory"),
                             news("source_unknown_value", **unknown)])  # fmt: skip
    world.fold(at("06:01"), [replace(news("source_unknown_value", **unknown), id=SignalId("x"))])
    world.play([advisory(1, "06:43", "investigating")], until=at("06:50"))
    (incident,) = world.alive
    assert incident.stale_sources == ("graph",)
    world.fold(at("06:51"), [news("source_recovered", source="graph", kind="advisory")])
    assert world.incidents[incident.id].stale_sources == ()
    told = [e.type.value for e in world.events if e.incident is None]
    assert told == ["source.stale", "source.unknown_value", "source.recovered"]


@pytest.mark.parametrize(("status", "resolved", "expected"), [
    ("investigationSuspended", False, Status.CONFIRMED),
    ("somethingNew", False, Status.CONFIRMED),
    ("extendedRecovery", False, Status.MITIGATING),
    ("verifyingService", False, Status.MONITORING),
    ("serviceRestored", False, Status.MONITORING),
    ("serviceInterruption", False, Status.CONFIRMED),
    ("postIncidentReviewPublished", True, Status.RESOLVED),
])  # fmt: skip
def test_an_incident_of_the_vendor_alone_follows_its_words(
    status: str, *, resolved: bool, expected: Status
) -> None:
    world = World()
    world.play([advisory(1, "06:43", "investigating"),
                advisory(2, "07:00", status, resolved=resolved)], until=at("07:05"))  # fmt: skip
    assert [i.status for i in world.incidents.values()] == [expected]


def test_the_vendor_may_open_again_what_it_had_closed() -> None:
    world = World()
    world.play([advisory(1, "06:43", "investigating"),
                advisory(2, "07:00", "serviceRestored", resolved=True),
                advisory(3, "07:20", "serviceDegradation")], until=at("07:30"))  # fmt: skip
    (incident,) = world.alive
    assert incident.status is Status.CONFIRMED
    assert "incident.reopened" in world.types(incident)


def test_an_old_resolution_is_not_undone_by_the_vendor() -> None:
    world = World()
    world.play(
        [
            advisory(1, "06:43", "investigating"),
            advisory(2, "07:00", "serviceRestored", resolved=True),
        ],
        until=at("07:10"),
    )
    world.fold(at("07:00") + timedelta(hours=5), [advisory(3, "07:20", "serviceDegradation")])
    assert [i.status for i in world.incidents.values()] == [Status.RESOLVED]


def test_a_withdrawn_advisory_is_silence_after_a_day() -> None:
    world = World()
    world.play([advisory(1, "06:43", "investigating")], until=at("06:50"))
    gone = replace(advisory(2, "07:00", "investigating"), withdrawn=True, withdrawn_at=at("07:00"))
    world.fold(at("07:00"), [gone])
    (incident,) = world.incidents.values()
    assert incident.advisories[0].withdrawn
    assert incident.status is Status.CONFIRMED
    world.fold(at("07:00") + timedelta(hours=25))
    assert world.incidents[incident.id].status is Status.CONFIRMED


def test_a_third_party_advisory_keeps_its_origin() -> None:
    world = World()
    world.play([replace(advisory(1, "06:43", "investigating"), origin="thirdParty")],
               until=at("06:50"))  # fmt: skip
    assert [i.origin for i in world.alive] == [Origin.THIRD_PARTY]


def test_the_same_revision_twice_changes_nothing() -> None:
    world = World()
    world.play([advisory(1, "06:43", "investigating")], until=at("06:45"))
    before = len(world.events)
    world.fold(at("06:46"), [advisory(1, "06:43", "investigating")])
    assert len(world.events) == before


def test_a_dismissed_fault_stays_dismissed_while_it_goes_on() -> None:
    world = World()
    story = probes(at("05:30"), at("06:40"), failing=EVERYWHERE)
    world.play([s for s in story if s.received_at < at("06:15")], until=at("06:15"))
    world.fold(at("06:15"), [order("dismiss", world, resolution="not_ours", reason="drill")])
    world.play([s for s in story if s.received_at >= at("06:15")], until=at("06:40"))
    assert [i.status for i in world.incidents.values()] == [Status.DISMISSED]


def test_a_person_may_reopen_and_hand_severity_back() -> None:
    world = World()
    world.play(probes(at("05:30"), at("07:30"), failing=EVERYWHERE), until=at("07:10"))
    (incident,) = world.alive
    measured = incident.severity
    assert incident.status is Status.RESOLVED
    world.fold(at("07:11"), [order("reopen", world, reason="still bad")])
    world.fold(at("07:12"), [order("severity", world, severity="info", reason="small")])
    assert world.incidents[incident.id].severity is Severity.INFO
    world.fold(at("07:13"), [order("severity", world, severity=None)])
    assert world.incidents[incident.id].severity is measured


def test_a_resolution_by_hand_holds_until_the_evidence_turned_and_came_back() -> None:
    world = World()
    again = dict.fromkeys(EVERYWHERE, ("07:10", "07:30"))
    story = [*probes(at("05:30"), at("07:00"), failing=EVERYWHERE),
             *probes(at("07:00"), at("08:00"), failing=again)]  # fmt: skip
    world.play([s for s in story if s.received_at < at("06:20")], until=at("06:20"))
    world.fold(at("06:20"), [order("resolve", world, resolution="customer_fix", text="rebooted")])
    world.play([s for s in story if at("06:20") <= s.received_at < at("07:00")],
               until=at("07:00"))  # fmt: skip
    (incident,) = world.alive
    assert incident.status is Status.RESOLVED
    world.play([s for s in story if s.received_at >= at("07:00")], until=at("07:20"))
    assert world.incidents[incident.id].status is Status.CONFIRMED


def test_merging_into_itself_or_into_the_ended_is_refused() -> None:
    world = World()
    world.play([advisory(1, "06:43", "investigating")], until=at("06:45"))
    (incident,) = world.incidents.values()
    with pytest.raises(InvalidInput):
        world.fold(at("06:46"), [order("merge", world, into=incident.id)])
    world.fold(at("06:46"), [order("dismiss", world, resolution="duplicate", reason="x")])
    with pytest.raises(IllegalTransition):
        world.fold(at("06:47"), [order("acknowledge", world)])


def test_merging_keeps_all_advisories() -> None:
    world = World()
    world.play([advisory(1, "06:43", "investigating"),
                advisory(1, "06:43", "investigating", vendor_id="MO1", service="intune")],
               until=at("06:45"))  # fmt: skip
    first, second = world.incidents.values()
    log = Log(tenant=first.tenant, sequence=9, now=at("06:50"))
    gone, kept = merge(log, second, first, actor=ENGINE, reason="same_fault")
    assert gone.merged_into == kept.id
    assert [a.id for a in kept.advisories] == ["EX931445", "MO1"]
    assert [e.sequence for e in log.events] == [10, 11]


def fit(said: Advisory, **changes: object) -> float:
    values: dict[str, object] = {"start": at("06:05"), "services": ("exchange-online",),
                                 "onset": at("06:05"), "symptoms": ("http_5xx",),
                                 "regions": ("de",)}  # fmt: skip
    return score(said, **{**values, **changes})  # type: ignore[arg-type]


def reads(**changes: object) -> Advisory:
    return replace(advisory(1, "06:43", "investigating"),
                   understood=Understood(**changes))  # type: ignore[arg-type]  # fmt: skip


def test_an_advisory_fits_by_service_time_symptom_and_region() -> None:
    assert fit(reads(symptoms=(Symptom.HTTP_5XX,), regions=("de",))) == 1.0
    assert fit(reads(), services=("intune",)) == 0.0
    assert fit(replace(reads(), service="microsoft-365-suite")) == pytest.approx(0.64)
    assert fit(reads(symptoms=(Symptom.MAIL_DELAYED,))) == pytest.approx(0.15)
    assert fit(reads(symptoms=(Symptom.DATA_STALE,))) == pytest.approx(0.8)
    assert fit(reads(symptoms=(Symptom.HTTP_5XX,), regions=("us",))) == pytest.approx(0.2)
    assert fit(reads(symptoms=(Symptom.HTTP_5XX,), regions=("emea",))) == 1.0
    assert fit(reads(symptoms=(Symptom.HTTP_5XX,)), onset=at("18:05")) < 0.25


def test_the_start_is_what_the_text_states() -> None:
    said = advisory(1, "06:43", "investigating", started="06:50")
    assert started_at(said, at("06:42")) == at("06:42")
    assert started_at(said, None) == at("06:50")
    assert started_at(replace(said, stated_started_at=at("05:00")), None) == at("05:00")


def test_names_are_joined_as_people_do() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a", "b", "c", "d", "e"], limit=2) == "a, b and 3 more"


def test_the_digest_of_a_policy_changes_with_any_value() -> None:
    assert DEFAULT_POLICY.digest == Policy().digest
    assert Policy(quiet_minutes=11).digest != DEFAULT_POLICY.digest


def test_an_unknown_probe_outcome_is_never_healthy() -> None:
    world = World()
    unknown = [replace(p, outcome=Outcome.UNKNOWN) if p.occurred_at >= at("06:40") else p
               for p in probes(at("05:30"), at("07:30"), failing=EVERYWHERE)]  # fmt: skip
    world.play(unknown, until=at("07:30"))
    assert [i.status for i in world.alive] != [Status.RESOLVED]


@pytest.mark.parametrize(
    ("symptom", "opened"), [(Symptom.SLOW, 1), (Symptom.CONTENT_ERROR, 0), (Symptom.THROTTLED, 0)]
)
def test_slow_everywhere_is_an_incident_and_a_changed_contract_is_none(
    symptom: Symptom, opened: int
) -> None:
    world = World()
    results = [
        replace(r, outcome=Outcome.DEGRADED, symptom=symptom, http_status=200)
        if r.outcome is Outcome.FAILED
        else r
        for r in probes(at("05:30"), at("06:20"), failing=EVERYWHERE)
    ]
    world.play(results, until=at("06:15"))
    assert len(world.alive) == opened
    for incident in world.alive:
        assert incident.status is Status.CONFIRMED
        assert incident.symptoms == (Symptom.SLOW,)
        assert incident.severity is Severity.MINOR
