"""The board: the worst of what is known, and unknown is never healthy."""

from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.board import ServiceStanding, Sighting, Standing, board, worst
from app.core.incident import EvidenceSummary, Incident
from app.core.types import Condition, IncidentId, Severity, SourceKind, Status
from tests.builders import NOW, an_incident

MAIL = "exchange-online"
NAMES = {MAIL: "Exchange Online", "microsoft-teams": "Microsoft Teams"}
HEALTHY, DEGRADED = Condition.HEALTHY, Condition.DEGRADED
FAILING, UNKNOWN = Condition.FAILING, Condition.UNKNOWN
ADVISORY, PROBE, REPORT = SourceKind.ADVISORY, SourceKind.PROBE, SourceKind.CLIENT_REPORT


def a_sighting(kind: SourceKind, condition: Condition, service: str = MAIL) -> Sighting:
    return Sighting(kind=kind, service=service, condition=condition, as_of=NOW)


def a_standing(
    kind: SourceKind, *, stale: bool = False, services: tuple[str, ...] = ()
) -> Standing:
    return Standing(kind=kind, stale=stale, as_of=NOW, services=services)


def mail(
    *incidents: Incident, said: tuple[Sighting, ...] = (), read: tuple[Standing, ...] = ()
) -> ServiceStanding:
    lines = board(NAMES, incidents=incidents, sightings=said, standings=read)
    assert [line.service for line in lines] == list(NAMES)
    return lines[0]


def test_where_nobody_speaks_nothing_is_known() -> None:
    line = mail()
    assert line.condition is UNKNOWN
    assert {word.condition for word in line.sources.values()} == {UNKNOWN}
    assert {word.as_of for word in line.sources.values()} == {None}


def test_a_complete_read_without_open_advisories_is_healthy() -> None:
    line = mail(read=(a_standing(ADVISORY),))
    assert line.sources[ADVISORY].condition is HEALTHY
    assert line.sources[ADVISORY].as_of == NOW
    assert line.condition is HEALTHY


def test_a_stale_source_never_makes_it_green() -> None:
    line = mail(read=(a_standing(ADVISORY, stale=True),))
    assert line.condition is UNKNOWN


def test_a_stale_source_keeps_its_bad_word() -> None:
    line = mail(said=(a_sighting(ADVISORY, DEGRADED),), read=(a_standing(ADVISORY, stale=True),))
    assert line.condition is DEGRADED


def test_another_source_may_speak_where_one_is_stale() -> None:
    line = mail(said=(a_sighting(PROBE, HEALTHY),), read=(a_standing(ADVISORY, stale=True),))
    assert line.sources[ADVISORY].condition is UNKNOWN
    assert line.condition is HEALTHY


def test_quiet_users_alone_prove_nothing() -> None:
    line = mail(read=(a_standing(REPORT),))
    assert line.sources[REPORT].condition is HEALTHY
    assert line.condition is UNKNOWN


def test_a_failing_probe_outweighs_a_vendor_who_knows_of_nothing() -> None:
    line = mail(
        said=(a_sighting(PROBE, HEALTHY), a_sighting(PROBE, FAILING)),
        read=(a_standing(ADVISORY), a_standing(PROBE)),
    )
    assert line.sources[PROBE].condition is FAILING
    assert line.condition is FAILING


def test_a_probe_that_is_unknown_hides_that_the_others_are_well() -> None:
    line = mail(said=(a_sighting(PROBE, HEALTHY), a_sighting(PROBE, UNKNOWN)))
    assert line.sources[PROBE].condition is UNKNOWN


def test_what_is_said_of_one_service_leaves_the_others_alone() -> None:
    line = mail(
        said=(a_sighting(PROBE, FAILING, "microsoft-teams"),),
        read=(a_standing(ADVISORY, services=("microsoft-teams",)),),
    )
    assert line.condition is UNKNOWN


@pytest.mark.parametrize(
    ("status", "severity", "condition"),
    [
        (Status.SUSPECTED, Severity.CRITICAL, DEGRADED),
        (Status.CONFIRMED, Severity.MINOR, DEGRADED),
        (Status.CONFIRMED, Severity.MAJOR, FAILING),
        (Status.MONITORING, Severity.CRITICAL, FAILING),
        (Status.RESOLVED, Severity.CRITICAL, HEALTHY),
        (Status.MERGED, Severity.CRITICAL, HEALTHY),
    ],
)
def test_an_open_incident_shows_on_its_services(
    status: Status, severity: Severity, condition: Condition
) -> None:
    incident = an_incident(status=status, severity=severity, services=(MAIL,))
    line = mail(incident, read=(a_standing(ADVISORY),))
    assert line.condition is condition
    assert line.incidents == (() if condition is HEALTHY else ("inc_1",))


def test_users_speak_through_the_incidents_that_they_reported() -> None:
    reported = an_incident(
        id=IncidentId("inc_2"), evidence={REPORT: EvidenceSummary(count=3)}, severity=Severity.MAJOR
    )
    silent = an_incident(id=IncidentId("inc_1"), evidence={REPORT: EvidenceSummary()})
    other = an_incident(id=IncidentId("inc_0"), evidence={})
    line = mail(reported, silent, other, read=(a_standing(REPORT, stale=True),))
    assert line.sources[REPORT].condition is FAILING
    assert line.incidents == ("inc_0", "inc_1", "inc_2")


def test_the_newest_word_dates_a_source() -> None:
    earlier = Standing(kind=ADVISORY, stale=False, as_of=NOW - timedelta(hours=1))
    never = Standing(kind=ADVISORY, stale=False, as_of=None)
    line = mail(read=(earlier, a_standing(ADVISORY), never))
    assert line.sources[ADVISORY].as_of == NOW


@given(st.lists(st.sampled_from(Condition)))
def test_the_worst_is_never_better_than_any(conditions: list[Condition]) -> None:
    order = [HEALTHY, UNKNOWN, DEGRADED, FAILING]
    found = worst(conditions)
    assert found is UNKNOWN if not conditions else found in conditions
    assert all(order.index(found) >= order.index(one) for one in conditions)


def test_green_needs_a_trusted_green_word() -> None:
    for advisory, probe, stale in product(Condition, Condition, (True, False)):
        line = mail(
            said=(a_sighting(ADVISORY, advisory), a_sighting(PROBE, probe)),
            read=(a_standing(ADVISORY, stale=stale), a_standing(PROBE, stale=stale)),
        )
        if line.condition is HEALTHY:
            assert not stale
            assert HEALTHY in {advisory, probe}
        assert (line.condition in {DEGRADED, FAILING}) is bool(
            {advisory, probe} & {DEGRADED, FAILING}
        )
