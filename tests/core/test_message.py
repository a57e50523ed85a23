"""Messages: what may be said at all, by audience and phase."""

from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from app.core.announce import Audience, NoticePhase
from app.core.incident import Incident, LinkedAdvisory
from app.core.message import Reader, Written, facts_of, holds, phase_of, vendor_word
from app.core.types import Disagreement, Origin, Resolution, Status
from tests.builders import NOW, an_incident, minutes

READER = Reader(tenant="Contoso", zone=UTC)
ADVISORY = LinkedAdvisory(
    id="EX1", title="x", classification="incident", status="serviceDegradation",
    condition="degraded", published_at=NOW, started_at=NOW, is_resolved=False,
)  # fmt: skip
FIXED = replace(ADVISORY, is_resolved=True)
GONE = replace(ADVISORY, withdrawn=True)


@pytest.mark.parametrize(
    ("incident", "hears", "word"),
    [
        (an_incident(), True, "silent"),
        (an_incident(), False, "unread"),
        (an_incident(stale_sources=("graph",)), True, "unread"),
        (an_incident(stale_sources=("probe:berlin",)), True, "silent"),
        (an_incident(advisories=(ADVISORY,)), True, "confirms"),
        (an_incident(advisories=(ADVISORY, FIXED)), True, "confirms"),
        (an_incident(advisories=(FIXED,)), True, "fixed"),
        (an_incident(advisories=(GONE,)), True, "silent"),
        (an_incident(disagreement=Disagreement.VENDOR_AHEAD), True, "ahead"),
        (an_incident(disagreement=Disagreement.VENDOR_BEHIND), True, "behind"),
    ],
)
def test_the_vendor_is_quoted_in_one_word(incident: Incident, word: str, *, hears: bool) -> None:
    assert vendor_word(incident, hears_vendor=hears) == word


def test_after_a_first_follows_an_update() -> None:
    assert phase_of(an_incident()) is NoticePhase.FIRST
    assert phase_of(an_incident(), told=True) is NoticePhase.UPDATE


def test_a_phase_holds_only_while_it_is_so() -> None:
    over = an_incident(status=Status.RESOLVED)
    assert [holds(an_incident(), phase) for phase in NoticePhase] == [True, True, False, False]
    assert [holds(over, phase) for phase in NoticePhase] == [False, False, False, True]


def test_users_are_told_of_no_free_text_at_all() -> None:
    users = facts_of(an_incident(), READER, audience=Audience.USERS, phase=NoticePhase.FIRST)
    staff = facts_of(an_incident(), READER, audience=Audience.SOC, phase=NoticePhase.FIRST)
    assert users.keys() < staff.keys()
    assert not users.keys() & {"number", "url", "headline", "public_notes", "codes", "reporters"}


def test_the_earlier_start_counts_and_an_end_only_when_it_is_over() -> None:
    told = an_incident(
        vendor_started_at=NOW - minutes(37), status=Status.RESOLVED, resolved_at=NOW + minutes(23)
    )
    facts = facts_of(told, READER, audience=Audience.USERS, phase=NoticePhase.RESOLVED)
    assert (facts["since"], facts["lasted"]) == (NOW - minutes(37), timedelta(hours=1))
    early = facts_of(told, READER, audience=Audience.USERS, phase=NoticePhase.UPDATE)
    assert (early["over_at"], early["lasted"]) == (None, None)


@pytest.mark.parametrize(("at", "said"), [(None, False), (NOW, False), (NOW + minutes(9), True)])
def test_a_promise_of_the_vendor_is_passed_on_while_it_lies_ahead(
    at: object, *, said: bool
) -> None:
    facts = facts_of(
        an_incident(), READER, audience=Audience.USERS, phase=NoticePhase.UPDATE, next_update_at=at
    )
    assert (facts["next_update_at"] is not None) is said


def test_networks_are_named_for_staff_where_the_fault_is_theirs() -> None:
    for origin, named in ((Origin.LOCAL, ("berlin",)), (Origin.VENDOR, ())):
        facts = facts_of(
            an_incident(networks=("berlin",), origin=origin, resolution=Resolution.ROLLBACK,
                        vendor_published_at=NOW + minutes(9), cause_text="a\nb"),
            READER, audience=Audience.HELP_DESK, phase=NoticePhase.UPDATE,
        )  # fmt: skip
        assert facts["networks"] == named
        assert (facts["cause_text"], facts["resolution"]) == ("a b", "rollback")
        assert facts["lead"] == minutes(9)


def test_a_message_falls_into_paragraphs() -> None:
    made = Written(
        audience=Audience.USERS, language="en", phase=NoticePhase.UPDATE, title="t",
        text="one\ntwo\n\nthree\n\n", revision=1,
    )  # fmt: skip
    assert made.paragraphs == ("one\ntwo", "three")
