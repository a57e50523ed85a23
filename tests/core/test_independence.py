"""Independence: no message relies only on what is down."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.core.announce import WAITS, Audience, ChannelFacts, Hold, Send, Verdict
from app.core.catalogue import SERVICES
from app.core.incident import Approval, Incident
from app.core.independence import (
    SPARED,
    Way,
    choose,
    impairment,
    late_mark,
    needs,
    shared_needs,
    to_repeat,
    verdicts_of,
    warnings_of,
)
from app.core.types import OPEN_STATUSES, Status
from tests.builders import NOW, an_incident

TEAMS = Way(name="teams", depends_on=("microsoft-teams", "entra-id"))
MAIL = Way(name="mail", depends_on=("exchange-online",))
SMS = Way(name="sms", spare=True)
SLACK = Way(name="slack", depends_on=("slack",))


def down(*services: str, status: Status = Status.CONFIRMED) -> Incident:
    return an_incident(services=services, status=status)


def test_on_a_quiet_day_the_first_channel_is_taken_alone() -> None:
    route = choose([MAIL, SMS], [])
    assert (route.send_on, route.marks, route.independent) == (("mail",), (), True)


def test_a_channel_that_is_down_is_left_for_the_next_independent_one() -> None:
    route = choose([MAIL, SMS], [down("exchange-online")])
    assert route.send_on == ("sms",)
    assert [(i.name, i.service, i.incidents) for i in route.skipped] == [
        ("mail", "exchange-online", ("INC-2026-0001",))
    ]
    assert [(m.word, m.facts["channel"]) for m in route.marks] == [("instead", "mail")]


def test_of_two_that_are_always_used_the_one_that_is_down_waits() -> None:
    route = choose([MAIL, SLACK, SMS], [down("exchange-online")])
    assert (route.send_on, route.spared) == (("slack",), ("sms",))
    assert [found.name for found in route.skipped] == ["mail"]


def test_mail_depends_on_signing_in_but_may_work_without_so_both_are_taken() -> None:
    found = impairment(MAIL, [down("entra-id")])
    assert found is not None
    assert (found.service, found.through, found.direct) == ("entra-id", ("exchange-online",), False)
    route = choose([MAIL, SMS], [down("entra-id")])
    assert route.send_on == ("mail", "sms")
    assert [m.word for m in route.marks] == ["doubtful"]
    assert route.skipped == ()


def test_where_all_are_touched_all_are_used_and_it_is_said() -> None:
    route = choose([TEAMS, MAIL], [down("entra-id")])
    assert route.send_on == ("teams", "mail")
    assert not route.independent
    assert {m.word for m in route.marks} == {"all_impaired"}
    assert route.skipped == ()


def test_an_incident_that_is_over_impairs_nothing() -> None:
    for status in set(Status) - OPEN_STATUSES:
        assert impairment(MAIL, [down("exchange-online", status=status)]) is None


def test_the_first_channel_follows_when_it_is_well_again() -> None:
    plan = [MAIL, TEAMS, SMS]
    assert late_mark("mail").facts["channel"] == "mail"
    assert to_repeat(("mail", "teams"), plan, [down("exchange-online")]) == ()
    assert to_repeat(("mail", "teams"), plan, [down("microsoft-teams")]) == ("mail",)
    assert to_repeat(("mail", "teams"), plan, []) == ("mail", "teams")


def test_a_plan_of_nothing_but_microsoft_365_shares_what_it_depends_on() -> None:
    assert shared_needs([TEAMS, MAIL]) == ("entra-id", "exchange-online")
    assert shared_needs([MAIL]) == ("entra-id", "exchange-online")
    assert shared_needs([TEAMS, MAIL, SLACK]) == ()
    assert shared_needs([SLACK]) == ()  # what we do not watch is not for us to judge
    assert shared_needs([]) == ()


ways = st.lists(
    st.builds(
        Way,
        name=st.sampled_from(["a", "b", "c", "d"]),
        spare=st.booleans(),
        depends_on=st.lists(st.sampled_from([s.slug for s in SERVICES]), max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda way: way.name,
)
outages = st.lists(st.sampled_from([s.slug for s in SERVICES]), min_size=1, max_size=3).map(
    lambda slugs: [down(*slugs)]
)


@given(ways, outages)
def test_a_message_never_relies_only_on_what_is_down(
    plan: list[Way], open_: list[Incident]
) -> None:
    route = choose(plan, open_)
    by_name = {way.name: way for way in plan}
    well = {name for name in by_name if impairment(by_name[name], open_) is None}
    assert route.send_on
    assert route.independent == bool(well)
    if well:
        assert well & set(route.send_on)
        assert not {i.name for i in route.skipped} & set(route.send_on)
    else:
        assert set(route.send_on) == set(by_name)
    touched = {i.name for i in (*route.skipped, *route.doubtful)}
    assert {mark.facts["channel"] for mark in route.marks} == touched
    kinds = ({i.name for i in route.skipped}, set(route.spared), set(route.send_on))
    assert {name for some in kinds for name in some} >= well
    assert choose(plan, open_) == route


@given(ways, st.sampled_from([s.slug for s in SERVICES]))
def test_without_shared_needs_no_single_service_silences_a_plan(plan: list[Way], slug: str) -> None:
    silent = all(impairment(way, [down(slug)]) is not None for way in plan)
    assert silent == (slug in shared_needs(plan))


USERS = ChannelFacts(
    name="all", kind="smtp", audience=Audience.USERS, automatic=False, depends_on=MAIL.depends_on
)
PAGER = ChannelFacts(name="pager", kind="pagerduty", audience=Audience.USERS, spare=True)
DESK = ChannelFacts(name="desk", kind="smtp", depends_on=MAIL.depends_on)


def verdicts(incident: Incident, *plan: ChannelFacts) -> dict[str, Verdict]:
    return verdicts_of(incident, [incident], plan, lambda mark, language: f"{language} {mark.word}")


def approved(at: datetime = NOW, **changes: Any) -> Approval:
    said = {"audience": "users", "language": "en", "phase": "first", **changes}
    return Approval(at=at, by="anna", revision=1, title="t", text="x", **said)


def test_each_audience_has_a_plan_of_its_own() -> None:
    found = verdicts(down("exchange-online"), USERS, PAGER, DESK)
    assert found["desk"] == Send(mark="en all_impaired")  # the pager is not the help desk's
    assert found["pager"] == Send(mark="en instead")
    held = found["all"]
    assert isinstance(held, Hold)
    assert (held.for_later, held.until_begun) == (True, False)
    assert held.why == (
        "all depends on exchange-online, which INC-2026-0001 touches; it follows after recovery."
    )
    calm = verdicts(down("viva"), USERS, PAGER)
    assert calm["pager"] == Hold(why=SPARED, for_later=False, until_begun=True)


def test_users_are_told_what_a_person_let_out_while_it_is_so() -> None:
    waits = Hold(why=WAITS, for_later=False)
    incident = down("viva")
    assert verdicts(incident, USERS)["all"] == waits
    out = approved()
    told = replace(incident, approvals=(approved(phase="resolved"), out))
    assert verdicts(told, USERS)["all"] == Send(let_out=out)
    for other in (
        replace(told, approvals=(approved(language="de"),)),
        replace(told, approvals=(approved(audience="soc"),)),
        replace(told, status=Status.RESOLVED),
    ):
        assert verdicts(other, USERS)["all"] == waits


def test_the_warning_names_whom_it_leaves_without_a_word() -> None:
    (said,) = warnings_of([USERS, DESK, replace(PAGER, audience=Audience.HELP_DESK)])
    assert said == (
        "All your channels for users (all) depend on Microsoft 365: a fault of "
        "Microsoft Entra, Exchange Online silences them all."
    )


def test_needs_name_the_chain() -> None:
    assert needs(["bookings"]) == {
        "bookings": (), "entra-id": ("bookings",), "exchange-online": ("bookings",)
    }  # fmt: skip
