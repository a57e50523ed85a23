"""The story tells what issue and design say of it, and always the same."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from app.core.types import Client, Symptom
from app.demo.story import Kind, Story, UnknownStory, names

STORY = Story.load("exchange-2026-03")


def at(hour: int, minute: int, second: int = 0) -> datetime:
    """An instant of the story's day."""
    return datetime(2026, 3, 16, hour, minute, second, tzinfo=UTC)


def test_an_unknown_story_is_named_with_those_that_there_are() -> None:
    assert names() == ("exchange-2026-03",)
    with pytest.raises(UnknownStory, match="there is exchange-2026-03"):
        Story.load("../secrets")


def test_it_is_labelled_as_illustrative() -> None:
    assert "Illustrative, modelled on the March 2026 outages" in STORY.label
    issue = STORY.advisory_at(at(9, 10)) or {}
    assert all("(Illustrative.)" in post["description"]["content"] for post in issue["posts"])


def test_the_advisory_appears_at_0642_and_is_dated_back() -> None:
    assert STORY.advisory_at(at(6, 41, 59)) is None
    issue = STORY.advisory_at(at(6, 42)) or {}
    assert issue["startDateTime"] == "2026-03-16T06:05:00Z"
    assert issue["posts"][0]["createdDateTime"] == "2026-03-16T06:42:00Z"
    assert issue["endDateTime"] is None


@pytest.mark.parametrize(
    ("now", "status", "resolved", "posts"),
    [
        (at(6, 45), "investigating", False, 1),
        (at(7, 0), "serviceDegradation", False, 2),
        (at(7, 6), "serviceDegradation", False, 3),
        (at(7, 30), "restoringService", False, 4),
        (at(8, 5), "serviceRestored", True, 6),
        (at(9, 5), "postIncidentReviewPublished", True, 7),
    ],
)
def test_the_advisory_goes_through_its_revisions(
    now: datetime, status: str, resolved: object, posts: int
) -> None:
    issue = STORY.advisory_at(now) or {}
    assert (issue["status"], issue["isResolved"], len(issue["posts"])) == (status, resolved, posts)
    assert issue["lastModifiedDateTime"] == issue["posts"][-1]["createdDateTime"]


def test_only_berlin_and_all_of_berlin_fails_in_the_local_fault() -> None:
    for path in ("/owa/", "/control", "/mapi/emsmdb/", "/elsewhere"):
        assert STORY.front_door("berlin", path, at(5, 20)).kind is Kind.RESET
        assert STORY.front_door("london", path, at(5, 20)).kind is Kind.HEALTHY


def test_controls_stay_sound_in_the_outage_and_every_check_of_every_location_fails() -> None:
    for place in STORY.locations:
        assert STORY.front_door(place.name, "/control", at(7, 0)).kind is Kind.HEALTHY
        for path in ("/owa/", "/Microsoft-Server-ActiveSync", "/mapi/emsmdb/"):
            assert STORY.front_door(place.name, path, at(7, 0)).kind is not Kind.HEALTHY
            assert STORY.front_door(place.name, path, at(8, 35)).kind is Kind.HEALTHY


def test_every_way_to_fail_is_met() -> None:
    paths = ("/owa/", "/Microsoft-Server-ActiveSync", "/mapi/emsmdb/")
    met = {STORY.front_door(p.name, path, at(7, 0)).kind for p in STORY.locations for path in paths}
    assert met == {Kind.UNAVAILABLE, Kind.HANG, Kind.AUTH_LOOP}


def test_london_alone_fails_after_the_vendors_word() -> None:
    failing = [
        place.name
        for place in STORY.locations
        if STORY.front_door(place.name, "/owa/", at(8, 10)).kind is not Kind.HEALTHY
    ]
    assert failing == ["london"]


def test_reports_begin_slowly_ramp_over_four_minutes_and_end() -> None:
    background = STORY.report_rate(at(6, 4))
    assert background < 0.2
    assert STORY.report_rate(at(6, 5)) == pytest.approx(background + 1)
    assert STORY.report_rate(at(6, 14)) == pytest.approx(background + 9)
    assert STORY.report_rate(at(6, 16)) == pytest.approx(background + 18)
    assert STORY.report_rate(at(8, 35)) == background


def test_only_users_of_the_berlin_office_report_the_local_fault() -> None:
    reports = STORY.reports(at(5, 11), at(5, 36))
    local = [report for report in reports if report["id"].startswith("local-fault")]
    assert len(local) > 60
    assert {report["network"] for report in local} == {"berlin-office"}
    assert len({report["service"] for report in local}) == 3


def test_reports_are_the_same_however_time_is_cut() -> None:
    whole = STORY.reports(at(6, 0), at(6, 30))
    cut = [at(6, 0) + timedelta(seconds=7.3 * number) for number in range(247)] + [at(6, 30)]
    pieces = [report for since, until in pairwise(cut) for report in STORY.reports(since, until)]
    assert pieces == whole
    assert len({report["id"] for report in whole}) == len(whole)


def test_reports_keep_to_the_wire_shape_and_the_closed_lists() -> None:
    fields = {"id", "occurred_at", "service", "client", "code", "http_status", "message", "symptom",
              "reporter", "device", "region", "network", "count"}  # fmt: skip
    for report in STORY.reports(STORY.starts_at, STORY.ends_at):
        assert report.keys() <= fields
        Client(report["client"])
        Symptom(report.get("symptom", "other"))
        assert report.keys() & {"symptom", "code", "http_status", "message"}
        assert "{" not in report.get("message", "")
