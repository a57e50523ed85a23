"""Undo: one change is taken back, whatever came later stays, and the engine respects it."""

from dataclasses import replace

import pytest

from app.core.errors import IllegalTransition, NotFound
from app.core.events import EventType
from app.core.incident import Incident
from app.core.signal import Command
from app.core.state import cell_id
from app.core.types import IncidentId, SignalId, Status
from tests.core.play import World, advisory, at, probes, reports
from tests.core.test_rulings import command, only, rest, story


@pytest.fixture
def outage() -> World:
    world = World()
    world.play([s for s in story() if s.received_at <= at("06:30")], until=at("06:30"))
    return world


def do(world: World, name: str, about: Incident, clock: str, **body: object) -> str:
    """Carry out a command; gives the id of the first event of it."""
    told = len(world.events)
    world.fold(at(clock), [command(name, about, clock, **body)])
    return next(e.id for e in world.events[told:] if e.actor.id == "mina")


def undo(world: World, about: Incident, clock: str, event: str) -> Incident:
    world.fold(at(clock), [command("undo", about, clock, event=event)])
    return world.incidents[about.id]


def second(world: World, clock: str) -> Incident:
    """Another incident, opened by a person."""
    body = {"title": "Printers", "services": ["other"], "severity": "minor"}
    made = Command(
        id=SignalId(f"c-open-{clock}"), name="open", actor_kind="person", actor="mina",
        received_at=at(clock), body=body,
    )  # fmt: skip
    world.fold(at(clock), [made])
    return next(i for i in world.alive if i.title == "Printers")


@pytest.mark.parametrize(
    ("name", "body", "seen"),
    [
        ("acknowledge", {"note": "on it"}, "acknowledged_by"),
        ("assign", {"assignee": "jo"}, "assignee_id"),
        ("severity", {"severity": "info", "reason": "few"}, "severity"),
        ("label", {"labels": {"team": "mail"}}, "labels"),
        ("dismiss", {"resolution": "not_ours", "reason": "a drill"}, "status"),
        ("resolve", {"resolution": "unknown"}, "status"),
    ],
)
def test_a_command_is_taken_back(
    outage: World, name: str, body: dict[str, object], seen: str
) -> None:
    was = only(outage)
    event = do(outage, name, was, "06:31", **body)
    assert getattr(outage.incidents[was.id], seen) != getattr(was, seen)
    after = undo(outage, was, "06:32", event)
    assert getattr(after, seen) == getattr(was, seen)
    told = next(e for e in reversed(outage.events) if e.reason == "person_undone")
    assert (told.actor.id, told.facts) == ("mina", {"undone": event})


def test_what_came_later_stays(outage: World) -> None:
    whole = only(outage)
    first = do(outage, "label", whole, "06:31", labels={"team": "mail", "desk": "one"})
    do(outage, "label", whole, "06:32", labels={"team": "web", "floor": "2"})
    do(outage, "assign", whole, "06:33", assignee="jo")
    after = undo(outage, whole, "06:34", first)
    assert (after.labels, after.assignee_id) == ({"team": "web", "floor": "2"}, "jo")


def test_a_note_is_taken_back_and_those_of_others_stay(outage: World) -> None:
    whole = only(outage)
    first = do(outage, "notes", whole, "06:31", text="hello", visibility="public")
    do(outage, "notes", whole, "06:32", text="hello", visibility="public")
    do(outage, "assign", whole, "06:33", assignee="jo")
    after = undo(outage, whole, "06:34", first)
    assert [(note.at, note.text) for note in after.notes] == [(at("06:32"), "hello")]
    assert after.assignee_id == "jo"
    with pytest.raises(IllegalTransition, match="cannot be undone"):  # each once
        undo(outage, whole, "06:35", first)


def test_a_change_that_was_changed_again_is_not_taken_back(outage: World) -> None:
    whole = only(outage)
    first = do(outage, "assign", whole, "06:31", assignee="jo")
    newer = do(outage, "assign", whole, "06:32", assignee="kim")
    with pytest.raises(IllegalTransition, match="newer"):
        undo(outage, whole, "06:33", first)
    assert undo(outage, whole, "06:33", newer).assignee_id == "jo"
    assert undo(outage, whole, "06:34", first).assignee_id is None
    with pytest.raises(IllegalTransition):  # each once
        undo(outage, whole, "06:35", first)


def test_a_person_severity_goes_back_to_the_one_before_and_then_to_the_engine(
    outage: World,
) -> None:
    whole = only(outage)
    first = do(outage, "severity", whole, "06:31", severity="info", reason="few")
    second_one = do(outage, "severity", whole, "06:32", severity="minor", reason="more")
    back = undo(outage, whole, "06:33", second_one)
    assert (back.severity.word, back.severity_pinned) == ("info", True)
    back = undo(outage, whole, "06:34", first)
    assert (back.severity, back.severity_pinned) == (back.severity_measured, False)


def test_a_merger_is_undone_by_the_name_of_either_and_holds(outage: World) -> None:
    whole = only(outage)
    outage.fold(at("06:31"), [advisory(1, "06:31", "serviceDegradation")])
    printers = second(outage, "06:32")
    event = do(outage, "merge", printers, "06:33", into=whole.id)
    merged = outage.incidents[whole.id]
    assert outage.incidents[printers.id].status is Status.MERGED
    assert merged.merged_from == (printers.id,)
    assert "other" in merged.services
    outage.fold(at("06:34"))
    back = undo(outage, printers, "06:35", event)
    left = outage.incidents[whole.id]
    assert (back.status, back.merged_into) == (Status.CONFIRMED, None)
    assert back.revision > printers.revision
    assert (left.merged_from, "other" in left.services) == ((), False)
    assert [a.id for a in left.advisories] == ["EX931445"]
    assert outage.types(back)[-1:] == ["incident.reopened"]
    rest(outage, "07:10")
    assert not any(
        e.type.value == "incident.merged" and e.sequence > outage.sequence - 5
        for e in outage.events
    )
    assert outage.incidents[printers.id].status is Status.CONFIRMED


def test_a_merger_of_the_engine_is_undone_and_not_repeated() -> None:
    world = World()
    only_vendor = [advisory(1, "05:00", "serviceDegradation")]
    world.play([*only_vendor, *probes(at("05:30"), at("06:00"), failing={})], until=at("05:55"))
    vendors = only(world)
    world.play(
        [s for s in story() if at("05:55") < s.received_at <= at("06:40")], until=at("06:40")
    )
    merged = [e for e in world.events if e.type.value == "incident.merged"]
    if not merged:  # it was attached instead: nothing to take back, and nothing merged behind
        assert only(world).id == vendors.id
        return
    back = world.incidents[str(merged[0].incident_id)]
    world.fold(at("06:41"), [command("undo", back, "06:41", event=merged[0].id)])
    world.play([s for s in story() if at("06:41") < s.received_at], until=at("07:20"))
    again = [e for e in world.events if e.type.value == "incident.merged"]
    assert again == merged


def test_a_split_is_undone(outage: World) -> None:
    whole = only(outage)
    webs = [cell_id(c) for c in outage.state.cells.values() if c.client == "outlook_web"]
    event = do(outage, "split", whole, "06:31", evidence=webs)
    rest(outage, "06:40")
    after = undo(outage, whole, "06:41", event)
    part = next(i for i in outage.incidents.values() if i.split_from == whole.id)
    assert (part.status, part.merged_into) == (Status.MERGED, whole.id)
    assert after.status is Status.CONFIRMED
    rest(outage, "07:10")
    assert "outlook_web" in [c.value for c in only(outage).clients]
    assert not outage.state.rulings


def test_a_pin_is_undone(outage: World) -> None:
    outage.fold(at("06:43"), [advisory(1, "06:43", "serviceDegradation")])
    whole = only(outage)
    event = do(outage, "pin", whole, "06:44", item="EX931445", linked=False)
    assert outage.incidents[whole.id].advisories == ()
    after = undo(outage, whole, "06:44", event)
    assert ([a.id for a in after.advisories], after.pins) == (["EX931445"], ())
    assert outage.state.links["EX931445"] == whole.id


def test_what_cannot_be_undone_says_so(outage: World) -> None:
    whole = only(outage)
    comment = replace(command("notes", whole, "06:31", text="hello"), actor_kind="mirror")
    outage.fold(at("06:31"), [comment])
    event = outage.events[-1].id
    assert outage.events[-1].type is EventType.NOTED
    with pytest.raises(IllegalTransition, match="cannot be undone"):
        undo(outage, whole, "06:32", event)
    lost = replace(whole, id=IncidentId("inc_none"))
    with pytest.raises(NotFound):
        outage.fold(at("06:32"), [command("undo", lost, "06:32", event=event)])


def test_nothing_that_can_be_undone_outlives_its_incident(outage: World) -> None:
    whole = only(outage)
    do(outage, "acknowledge", whole, "06:31")
    assert len(outage.state.undoable) == 1
    for number in range(40):
        do(outage, "label", whole, "06:32", labels={"n": str(number)})
    assert len(outage.state.undoable) == 30
    rest(outage, "09:30")
    closed = replace(outage.incidents[whole.id], status=Status.CLOSED)
    outage.incidents[whole.id] = closed
    outage.fold(at("09:31"))
    assert outage.state.undoable == ()


def test_reports_are_still_heard_after_an_undone_merger(outage: World) -> None:
    whole, printers = only(outage), second(outage, "06:31")
    event = do(outage, "merge", printers, "06:32", into=whole.id)
    undo(outage, whole, "06:33", event)
    before = outage.incidents[whole.id].impact.reports
    outage.play(reports(at("06:34"), at("06:44"), per_minute=6, seed=7), until=at("06:45"))
    assert outage.incidents[whole.id].impact.reports > before


def test_a_clock_that_is_put_back_for_hours_stops_nothing(outage: World) -> None:
    rest(outage, "09:30")
    for clock in ("04:00", "06:00", "08:00", "09:31"):
        outage.fold(at(clock))
    assert {i.status for i in outage.alive} == {Status.RESOLVED}
