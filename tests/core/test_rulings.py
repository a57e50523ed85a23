"""Rulings: what a person splits, pins or merges holds, whatever the evidence says later."""

from dataclasses import replace

import pytest

from app.core.errors import IllegalTransition, InvalidInput, NotFound
from app.core.incident import Incident
from app.core.signal import Command, Signal
from app.core.state import cell_id
from app.core.types import IncidentId, SignalId, Status
from tests.core.play import World, advisory, at, probes, reports

EVERYWHERE = dict.fromkeys(("berlin", "london", "new-york"), ("06:05", "08:00"))


def story() -> list[Signal]:
    """An outage of Exchange that goes on for two hours, reported from three networks."""
    return [
        *probes(at("05:30"), at("09:30"), failing=EVERYWHERE),
        *reports(at("06:05"), at("08:00"), per_minute=6, seed=31),
    ]


def command(name: str, incident: Incident, clock: str, **body: object) -> Command:
    return Command(
        id=SignalId(f"c-{name}-{clock}"),
        name=name,
        actor_kind="person",
        actor="mina",
        received_at=at(clock),
        incident=incident.id,
        body=dict(body),
    )


@pytest.fixture
def outage() -> World:
    world = World()
    world.play([s for s in story() if s.received_at <= at("06:30")], until=at("06:30"))
    return world


def rest(world: World, until: str) -> None:
    later = [s for s in story() if at("06:30") < s.received_at <= at(until)]
    world.play(later, until=at(until))


def only(world: World) -> Incident:
    (incident,) = world.alive
    return incident


def test_labels_stay_while_the_engine_works_and_go_with_what_is_split_off(outage: World) -> None:
    whole = only(outage)
    outage.fold(at("06:31"), [command("label", whole, "06:31", labels={"team": "mail"})])
    rest(outage, "06:50")
    assert only(outage).labels == {"team": "mail"}
    webs = [cell_id(c) for c in outage.state.cells.values() if c.client == "outlook_web"]
    outage.fold(at("06:51"), [command("split", only(outage), "06:51", evidence=webs)])
    assert [incident.labels for incident in outage.alive] == [{"team": "mail"}] * 2


def test_split_evidence_is_an_incident_of_its_own_and_stays_one(outage: World) -> None:
    whole = only(outage)
    webs = [cell_id(c) for c in outage.state.cells.values() if c.client == "outlook_web"]
    outage.fold(at("06:31"), [command("split", whole, "06:31", evidence=webs, title="The web")])
    told = [e.type.value for e in outage.events]
    assert told.count("incident.split") == 1
    assert told[told.index("incident.split") + 1] == "incident.opened"
    rest(outage, "07:30")
    first, part = sorted(outage.alive, key=lambda i: i.split_from is not None)
    assert (part.split_from, part.title) == (whole.id, "The web")
    assert [c.value for c in part.clients] == ["outlook_web"]
    assert "activesync" in [c.value for c in first.clients]
    assert part.impact.reports > 0
    reported = sum(i.impact.reports for i in outage.alive)
    counted = sum(sum(c.counts.values()) for c in outage.state.cells.values())
    assert reported <= counted
    assert not any(e.type.value == "incident.merged" for e in outage.events)


def test_what_is_split_ends_on_its_own_evidence(outage: World) -> None:
    whole = only(outage)
    webs = [cell_id(c) for c in outage.state.cells.values() if c.client == "outlook_web"]
    outage.fold(at("06:31"), [command("split", whole, "06:31", evidence=webs)])
    rest(outage, "09:30")
    assert {i.status for i in outage.alive} == {Status.RESOLVED}


def test_evidence_of_others_cannot_be_split_off(outage: World) -> None:
    whole = only(outage)
    with pytest.raises(InvalidInput) as refused:
        outage.fold(at("06:31"), [command("split", whole, "06:31", evidence=["cell_none"])])
    assert refused.value.facts["errors"][0]["pointer"] == "/evidence/0"
    lost = replace(whole, id=IncidentId("inc_none"))
    with pytest.raises(NotFound):
        outage.fold(at("06:31"), [command("split", lost, "06:31", evidence=["cell_none"])])


def test_the_ended_takes_no_ruling(outage: World) -> None:
    whole = only(outage)
    ended = command("dismiss", whole, "06:31", resolution="not_ours", reason="a drill")
    outage.fold(at("06:31"), [ended])
    with pytest.raises(IllegalTransition):
        outage.fold(at("06:32"), [command("pin", whole, "06:32", item="EX1", linked=True)])


def test_a_pin_moves_an_advisory_and_holds(outage: World) -> None:
    outage.fold(at("06:43"), [advisory(1, "06:43", "serviceDegradation")])
    whole = only(outage)
    assert [a.id for a in whole.advisories] == ["EX931445"]
    outage.fold(at("06:44"), [command("pin", whole, "06:44", item="EX931445", linked=False)])
    whole = outage.incidents[whole.id]
    assert (whole.advisories, whole.pins) == ((), ("-EX931445",))
    outage.fold(at("06:45"), [advisory(2, "06:45", "serviceInterruption")])
    assert outage.incidents[whole.id].advisories == ()
    alone = next(i for i in outage.alive if i.id != whole.id)
    assert [a.id for a in alone.advisories] == ["EX931445"]
    outage.fold(at("06:46"), [command("pin", whole, "06:46", item="EX931445", linked=True)])
    assert [a.id for a in outage.incidents[whole.id].advisories] == ["EX931445"]
    assert outage.incidents[alone.id].advisories == ()
    assert outage.incidents[whole.id].pins == ("EX931445",)
    outage.fold(at("06:47"), [command("unpin", whole, "06:47", item="EX931445")])
    assert outage.incidents[whole.id].pins == ()


def test_an_unknown_advisory_cannot_be_pinned(outage: World) -> None:
    with pytest.raises(NotFound):
        outage.fold(at("06:31"), [command("pin", only(outage), "06:31", item="EX9", linked=True)])


def test_what_a_person_merged_stays_one(outage: World) -> None:
    teams = [
        replace(p, probe="teams", id=SignalId(f"t{p.id}"), service="microsoft-teams")
        for p in probes(
            at("05:30"), at("09:30"), failing=dict.fromkeys(EVERYWHERE, ("06:40", "08:00"))
        )
    ]
    signals = sorted([*story(), *teams], key=lambda s: s.received_at)
    world = World()
    world.play([s for s in signals if s.received_at <= at("06:55")], until=at("06:55"))
    mail, chat = sorted(world.alive, key=lambda i: i.opened_at)
    world.fold(at("06:56"), [command("merge", chat, "06:56", into=mail.id)])
    world.play(
        [s for s in signals if at("06:55") < s.received_at <= at("07:40")], until=at("07:40")
    )
    assert [i.id for i in world.alive] == [mail.id]
    assert set(world.incidents[mail.id].services) == {"exchange-online", "microsoft-teams"}
