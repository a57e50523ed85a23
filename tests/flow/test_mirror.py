"""One ticket per incident, kept in step, never fought over."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from app.core.link import LinkState
from app.core.types import Status
from app.store import events
from app.store.engine import Database
from tests.builders import TENANT
from tests.chaos.inline import Inline
from tests.chaos.storm import named_in
from tests.flow.mirroring import MirrorWorld
from tests.standins.servicenow import Fault, Kind

RESOLVED = {"state": "6", "close_code": "Solution provided", "close_notes": "By hand."}


@pytest.fixture
def world() -> Iterator[MirrorWorld]:
    database = Inline()  # nothing here depends on threads, nor outlives the test
    yield MirrorWorld(database)
    database.close()


def happened(world: MirrorWorld, kind: str) -> list[Any]:
    found = world.db.read_now(lambda c: events.after(c, TENANT, 0, 1000))
    return [event for event in found if event.type.value == kind]


async def test_a_ticket_is_made_after_the_debounce(world: MirrorWorld) -> None:
    incident = await world.open()
    await world.run(170)
    assert world.tickets() == []
    assert world.link(incident).state is LinkState.PENDING
    await world.run(20)
    ticket = world.ticket()
    assert ticket["correlation_id"] == f"sextant:{incident.id}"
    assert (ticket["impact"], ticket["urgency"], ticket["priority"]) == ("1", "2", "2")
    assert ticket["short_description"] == "Mail is down"
    link = world.link(incident)
    assert (link.state, link.number) == (LinkState.IN_STEP, ticket["number"])
    assert "[sextant evt:" in world.notes()[0]


async def test_what_ends_within_the_debounce_gets_no_ticket(world: MirrorWorld) -> None:
    incident = await world.open()
    await world.run(60)
    await world.do("resolve", incident, resolution="self_restored")
    await world.run(600)
    assert world.tickets() == []
    assert world.link(incident).state is LinkState.ENDED


async def test_news_become_work_notes_that_go_out_together(world: MirrorWorld) -> None:
    incident = await world.open()
    await world.run(300)
    for number in range(5):
        await world.do("notes", incident, text=f"step {number}")
    await world.run(120)
    _, *later = world.notes()
    assert len(later) <= 2
    assert [f"step {n}" in "\n".join(later) for n in range(5)] == [True] * 5
    assert "anna" in later[0]
    assert world.ticket()["comments"] == ""


async def test_a_severity_that_rises_raises_impact_and_one_that_falls_does_not(
    world: MirrorWorld,
) -> None:
    incident = await world.open(severity="minor")
    await world.run(300)
    assert world.ticket()["impact"] == "2"
    await world.do("severity", incident, severity="critical", reason="all of them")
    await world.run(120)
    assert (world.ticket()["impact"], world.ticket()["urgency"]) == ("1", "1")
    await world.do("severity", incident, severity="minor", reason="few")
    await world.run(120)
    assert (world.ticket()["impact"], world.ticket()["urgency"]) == ("1", "1")
    assert all("priority" not in (sent.body or {}) for sent in world.writes())


async def test_the_end_of_an_incident_resolves_its_ticket(world: MirrorWorld) -> None:
    incident = await world.open()
    await world.run(300)
    await world.do("resolve", incident, resolution="vendor_fix", text="Mail flows again.")
    await world.run(120)
    ticket = world.ticket()
    assert (ticket["state"], ticket["close_code"]) == ("6", "Solution provided")
    assert "Mail flows again." in ticket["close_notes"]
    assert all((sent.body or {}).get("state") != "7" for sent in world.writes())
    assert world.link(incident).state is LinkState.IN_STEP


async def test_the_close_code_is_one_that_the_instance_has(world: MirrorWorld) -> None:
    world.instance.close_codes = ("Solved (Permanently)", "Closed/Resolved by Caller")
    incident = await world.open()
    await world.run(300)
    world.instance.close_codes = ("Fixed", "Whatever")  # renamed after it was learnt
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run(120)
    assert (world.ticket()["state"], world.ticket()["close_code"]) == ("6", "Fixed")


async def test_a_person_who_changed_the_state_keeps_it(world: MirrorWorld) -> None:
    incident = await world.open()
    await world.run(300)
    world.human(world.ticket(), state="2")
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run(300)
    assert world.ticket()["state"] == "2"
    assert "resolved" in world.notes()[-1]
    link = world.link(incident)
    assert link.state is LinkState.AWAITING_HUMAN
    notes = len(world.notes())
    await world.run(7 * 3600)
    assert len(world.notes()) == notes


async def test_who_puts_the_state_back_after_it_was_left_to_them_keeps_it(
    world: MirrorWorld,
) -> None:
    incident = await world.open()
    await world.run(300)
    world.human(world.ticket(), state="2")
    await world.do("dismiss", incident, resolution="false_positive", reason="none")
    await world.run(300)
    world.human(world.ticket(), state="1")
    await world.run(3600)
    assert world.ticket()["state"] == "1"
    assert world.link(incident).state is LinkState.AWAITING_HUMAN


async def test_work_in_the_ticket_acknowledges_and_assigns(world: MirrorWorld) -> None:
    incident = await world.open()
    await world.run(300)
    group = world.instance.add_group("Messaging")
    world.human(world.ticket(), state="2", assignment_group=group, assigned_to="a" * 32)
    world.human(world.ticket(), work_notes="Calling Microsoft.", comments="We are on it.")
    await world.run(120)
    known = world.incident(incident)
    assert known.acknowledged_by == "snow"
    assert (known.assignee_id, known.assignee_by) == ("demo.agent", "mirror:snow")
    assert [(n.text, n.visibility) for n in known.notes] == [
        ("demo.agent: We are on it.", "public"),
        ("demo.agent: Calling Microsoft.", "internal"),
    ]
    written = len(world.writes())
    await world.run(1800)
    assert len(world.writes()) == written  # nothing of it goes back


async def test_a_ticket_closed_by_a_person_is_a_conflict_and_left_alone(
    world: MirrorWorld,
) -> None:
    incident = await world.open()
    await world.run(300)
    world.human(world.ticket(), **RESOLVED)
    await world.run(120)
    link = world.link(incident)
    assert link.state is LinkState.CONFLICT
    assert "demo.agent" not in link.explanation
    assert world.incident(incident).status is Status.CONFIRMED
    assert len(happened(world, "link.conflict")) == 1
    written = len(world.writes())
    await world.do("severity", incident, severity="critical", reason="worse")
    await world.run(1800)
    assert len(world.writes()) == written
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run(60)
    await world.do("reopen", incident, reason="again")
    await world.run(300)
    assert [t["correlation_id"] for t in world.tickets()] == [
        f"sextant:{incident.id}", f"sextant:{incident.id}#2",
    ]  # fmt: skip
    assert world.ticket(0)["state"] == "6"


async def test_a_reopened_incident_reopens_the_ticket_that_we_resolved(
    world: MirrorWorld,
) -> None:
    incident = await world.open()
    await world.run(300)
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run(60)
    await world.do("reopen", incident, reason="it is back")
    await world.run(60)
    assert world.ticket()["state"] == "2"
    assert world.ticket()["reopen_count"] == "1"
    assert len(world.tickets()) == 1


async def test_a_ticket_that_a_person_reopened_is_not_resolved_again(world: MirrorWorld) -> None:
    incident = await world.open()
    await world.run(300)
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run(60)
    world.human(world.ticket(), state="2")
    await world.run(3600)
    assert world.ticket()["state"] == "2"
    assert world.link(incident).state is LinkState.AWAITING_HUMAN


async def test_a_dismissed_incident_cancels_its_ticket_where_that_is_offered(
    world: MirrorWorld,
) -> None:
    for states, expected in ((("1", "2", "3", "6", "7", "8"), "8"), (("1", "2", "6"), "6")):
        world.instance.states = states
        world.clock.at = world.clock.at.replace(hour=world.clock.at.hour + 2)
        incident = await world.open(f"False {expected}")
        await world.run(300)
        await world.do("dismiss", incident, resolution="false_positive", reason="none")
        await world.run(60)
        assert world.tickets()[-1]["state"] == expected
        assert world.link(incident).state is LinkState.ENDED


async def test_a_merged_incident_leaves_its_ticket_as_a_child(world: MirrorWorld) -> None:
    one, two = await world.open("one"), await world.open("two")
    await world.run(300)
    await world.do("merge", one, into=str(two.id))
    await world.run(60)
    child, parent = world.link(one), world.link(two)
    record = world.instance.tables["incident"][child.remote_id or ""]
    assert (record["state"], record["parent_incident"]) == ("6", parent.remote_id)
    assert child.state is LinkState.ENDED


async def test_a_hidden_ticket_is_gone_and_nothing_takes_its_place(world: MirrorWorld) -> None:
    incident = await world.open()
    await world.run(300)
    world.instance.hidden = {world.ticket()["sys_id"]}
    await world.do("notes", incident, text="anything")
    await world.run(1200)
    assert world.link(incident).state is LinkState.GONE
    assert len(world.tickets()) == 1


@pytest.mark.parametrize("kind", [Kind.COMMIT_ERROR, Kind.COMMIT_RESET, Kind.LATE_COMMIT])
async def test_a_create_that_nobody_heard_of_is_found_again(world: MirrorWorld, kind: Kind) -> None:
    world.instance.faults.append(Fault(kind=kind, method="POST", path="incident", seconds=50))
    incident = await world.open()
    await world.run(181)
    assert world.link(incident).state is LinkState.CREATE_UNKNOWN
    await world.run(600)
    assert len(world.tickets()) == 1
    assert world.link(incident).state is LinkState.IN_STEP
    assert len(world.writes("POST")) == 1


async def test_what_a_person_changed_before_the_ticket_was_found_is_theirs(
    world: MirrorWorld,
) -> None:
    world.instance.faults.append(Fault(kind=Kind.COMMIT_ERROR, method="POST"))
    incident = await world.open()
    await world.run(181)  # sent, and the answer was lost
    ticket = world.ticket()
    assert world.link(incident).state is LinkState.CREATE_UNKNOWN
    world.human(ticket, urgency="3", short_description="better words")
    await world.run(300)
    assert world.link(incident).state is LinkState.IN_STEP
    await world.do("severity", incident, severity="critical", reason="worse")
    await world.run(300)
    assert (ticket["urgency"], ticket["short_description"]) == ("3", "better words")


async def test_a_state_that_a_person_set_before_the_ticket_was_found_is_theirs(
    world: MirrorWorld,
) -> None:
    world.instance.faults.append(Fault(kind=Kind.COMMIT_ERROR, method="POST"))
    incident = await world.open()
    await world.run(181)
    world.human(world.ticket(), state="2")
    await world.run(20)
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run(300)
    assert world.ticket()["state"] == "2"
    assert world.link(incident).state is LinkState.AWAITING_HUMAN


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.RESET, Kind.GATEWAY])
async def test_a_create_that_was_lost_is_sent_again_after_the_last_look(
    world: MirrorWorld, kind: Kind
) -> None:
    world.instance.faults.append(Fault(kind=kind, method="POST", path="incident"))
    incident = await world.open()
    await world.run(300)
    assert world.tickets() == []
    assert world.link(incident).state is LinkState.CREATE_UNKNOWN
    await world.run(300)
    assert len(world.tickets()) == 1
    first, second = world.writes("POST")
    assert (second.at - first.at).total_seconds() >= 130


async def test_an_instance_that_ignores_the_filter_is_not_believed(world: MirrorWorld) -> None:
    world.instance.insert("incident", short_description="foreign", state="1", correlation_id="")
    incident = await world.open()

    async def misread(request: Any) -> None:
        request.url = request.url.copy_set_param("sysparm_query", "correlation_idd=x")

    world.wires[0].before = misread
    await world.run(300)
    link = world.link(incident)
    assert link.state is LinkState.FAILED
    assert "ignores the filter" in link.explanation
    assert world.writes("POST") == []


async def test_a_denied_field_is_noticed_by_the_echo_and_not_fought_for(
    world: MirrorWorld,
) -> None:
    incident = await world.open(severity="minor")
    await world.run(300)
    world.instance.denied_fields = {"impact", "urgency"}
    await world.do("severity", incident, severity="critical", reason="worse")
    await world.run(600)
    link = world.link(incident)
    assert "impact, urgency" in link.explanation
    sent = [one for one in world.writes("PATCH") if "impact" in one.body]
    assert len(sent) == 1


async def test_a_storm_keeps_to_its_budget_and_forgets_nobody(database: Database) -> None:
    world = MirrorWorld(database, terms={"budget": 10, "poll": timedelta(seconds=240)})
    opened = [await world.open(f"fault {n}") for n in range(25)]
    await world.run(300)
    ours = [t for t in world.tickets() if "held-" not in t["correlation_id"]]
    assert len(ours) == 10
    (summary,) = [t for t in world.tickets() if "held-" in t["correlation_id"]]
    assert "holds back tickets for 15 incidents" in summary["short_description"]
    held = [i for i in opened if world.link(i).state is LinkState.HELD]
    assert len(held) == 15
    assert named_in(summary["description"]) == {i.number for i in held}
    for incident in held[1::2]:  # no ticket is made for what ends before its turn
        await world.do("resolve", incident, resolution="self_restored")
    await world.run(300)
    assert "holds back tickets for 8 incidents" in summary["short_description"]
    assert named_in(summary["description"]) == {i.number for i in held[::2]}
    await world.run(3 * 3600)
    ours = [t for t in world.tickets() if "held-" not in t["correlation_id"]]
    wanted = [i for i in opened if i not in held[1::2]]
    assert sorted(t["correlation_id"] for t in ours) == sorted(f"sextant:{i.id}" for i in wanted)
    assert summary["state"] == "6"
