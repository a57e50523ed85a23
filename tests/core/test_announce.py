"""What a channel is told, and when: each phase once, and nothing to those it is not for."""

import pytest

from app.core.announce import (
    Audience,
    ChannelFacts,
    Notice,
    NoticePhase,
    Updates,
    lines_of,
    phase_due,
    plain_message,
)
from app.core.telling import Told
from app.core.types import Status
from tests.builders import NOW, an_incident

FACTS = ChannelFacts(name="desk", kind="slack")
ACTOR = {"kind": "person", "id": "anna"}


def told(kind: str = "incident.updated", **data: object) -> Told:
    incident = {"severity": "major", "services": ["x"], "status": "confirmed", "title": "T",
                "advisories": [], "impact": {"level": "many"}, "regions": []}  # fmt: skip
    document = {"data": {"actor": ACTOR, "incident": incident, **data}}
    return Told(id="evt_1", sequence=1, type=kind, document=document)


TURN = told(previous={"severity": "minor"})
IMPACT = told(previous={"impact": {"level": "some"}})
NOTE = told("incident.noted", note={"text": "secret", "visibility": "internal"})
PUBLIC = told("incident.noted", note={"text": "restart", "visibility": "public"})


def due(
    status: Status, last: str, *unheard: Told, updates: Updates = Updates.ALL, late: bool = False
) -> NoticePhase | None:
    return phase_due(
        an_incident(status=status), last=last, unheard=unheard, name="desk", updates=updates,
        late=late,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "last", "phase"),
    [
        (Status.CONFIRMED, "", "first"),
        (Status.MONITORING, "", "first"),
        (Status.RESOLVED, "", None),
        (Status.CONFIRMED, "first", None),
        (Status.MONITORING, "first", "mitigated"),
        (Status.MONITORING, "mitigated", None),
        (Status.CONFIRMED, "mitigated", "update"),  # a relapse
        (Status.RESOLVED, "first", "resolved"),
        (Status.DISMISSED, "update", "resolved"),
        (Status.CLOSED, "resolved", None),
        (Status.CONFIRMED, "resolved", "update"),  # reopened
        (Status.MONITORING, "resolved", "mitigated"),
    ],
)
def test_each_phase_is_due_once(status: Status, last: str, phase: str | None) -> None:
    assert due(status, last) == phase


def test_what_was_held_back_is_told_even_when_it_is_over() -> None:
    assert due(Status.RESOLVED, "", late=True) is NoticePhase.RESOLVED


@pytest.mark.parametrize(
    ("event", "of_all", "of_milestones"),
    [
        (TURN, True, True),
        (IMPACT, True, False),
        (NOTE, True, False),
        (PUBLIC, True, True),
        (told("incident.mitigating"), True, True),
        (told("source.stale"), False, False),
    ],
)
def test_updates_are_as_many_as_a_channel_wants(
    event: Told, *, of_all: bool, of_milestones: bool
) -> None:
    wanted = {Updates.ALL: of_all, Updates.MILESTONES: of_milestones, Updates.NONE: False}
    for updates, expected in wanted.items():
        phase = due(Status.CONFIRMED, "first", event, updates=updates)
        assert phase == (NoticePhase.UPDATE if expected else None)


@pytest.mark.parametrize("audience", list(Audience))
def test_internal_notes_reach_staff_alone(audience: Audience) -> None:
    lines = lines_of([NOTE, PUBLIC, TURN], name="desk", audience=audience)
    staff = audience in {Audience.HELP_DESK, Audience.SOC}
    assert any("secret" in line for line in lines) is staff
    assert any("restart" in line for line in lines)
    assert len(lines) == (3 if staff else 2)


def test_the_plain_words_name_what_matters() -> None:
    incident = an_incident(title="Mail\nis down")
    notice = Notice(incident=incident, phase=NoticePhase.FIRST, url="http://x/1", at=NOW,
                    mark="By chat, as mail is down.")  # fmt: skip
    message = plain_message(notice, FACTS)
    assert message.subject == f"[{incident.number}] Disruption: Mail is down"
    assert message.text.startswith("By chat, as mail is down.\n\n")
    assert message.text.endswith("http://x/1")
