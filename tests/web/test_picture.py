"""From documents to the picture."""

from datetime import timedelta

import pytest

from app.web.picture import lead_words, picture_of
from tests.web import story
from tests.web.story import at, iso


def pictured(clock: str, **changes: object):
    now = at(clock)
    incident = story.incident(now) | changes
    advisories = [story.advisory(now)] if incident["advisories"] else []
    return picture_of(incident, story.evidence(now), story.events(now), advisories, now)


def test_the_bracket_spans_detection_and_the_first_post() -> None:
    lead = pictured("09:10").lead
    assert lead is not None
    assert (lead.start, lead.end) == (at("06:07"), at("06:42"))
    assert lead.label == "Microsoft published 35 min later"


def test_the_bracket_is_open_while_the_vendor_is_silent() -> None:
    lead = pictured("06:25").lead
    assert lead is not None
    assert lead.open_ended
    assert lead.label == "Microsoft silent for 18 min"


def test_a_local_fault_has_no_bracket() -> None:
    assert pictured("06:25", origin="local").lead is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (2100, "Microsoft published 35 min later"),
        (-720, "Microsoft published 12 min earlier"),
        (10, "Microsoft published at the same time"),
        (None, "Microsoft silent"),
    ],
)
def test_the_lead_is_put_into_words(seconds: float | None, words: str) -> None:
    assert lead_words(seconds) == words


def test_the_vendor_lane_shows_silence_and_then_each_status() -> None:
    track = pictured("09:10").vendor[0]
    assert [(part.tone, part.start, part.end) for part in track.segments] == [
        ("silent", at("06:07"), at("06:42")),
        ("degraded", at("06:42"), at("07:25")),
        ("fixing", at("07:25"), at("08:05")),
        ("restored", at("08:05"), at("08:46")),
    ]
    assert track.stated_start == at("05:58")
    assert [tick.at for tick in track.ticks] == [at("06:42"), at("07:03"), at("07:25"), at("08:05")]


def test_a_check_that_gave_no_result_is_unknown_and_not_clean() -> None:
    munich = next(track for track in pictured("09:10").probes if "munich" in track.label)
    assert [part.tone for part in munich.segments] == [
        "healthy",
        "unknown",
        "healthy",
        "failing",
        "healthy",
    ]
    assert munich.segments[1].start == at("05:51")
    assert munich.segments[3].end == at("08:00")


def test_a_minute_in_which_the_location_itself_is_unsound_is_unknown() -> None:
    now = at("06:30")
    series = [
        {
            "minute": iso(at("06:00") + timedelta(minutes=i)),
            "count": 0,
            "reporters": 0,
            "expected": 0.0,
            "state": state,
        }
        for i, state in enumerate(["healthy", "abstains", "abstains", "failing"])
    ]
    cell = story.evidence(now)["cells"][4] | {"series": series}
    picture = picture_of(story.incident(now), {"cells": [cell]}, [], [], now)
    assert [part.tone for part in picture.probes[0].segments] == ["healthy", "unknown", "failing"]


def test_users_are_stacked_by_symptom_the_greatest_first() -> None:
    users = pictured("09:10").users
    assert users.symptoms == ("HTTP 5xx", "timeout", "sign-in loop", "connection failed")
    assert users.bin_minutes == 1
    assert sum(sum(column.parts) for column in users.columns) == sum(
        cell["count"]
        for cell in story.evidence(at("09:10"))["cells"]
        if cell["source"] == "client_report"
    )


def test_the_band_of_what_is_usual_follows_the_hours() -> None:
    hours = [{"from": iso(at("05:00")), "expected": 1.0, "upper": 3.0},
             {"from": iso(at("07:00")), "expected": 2.0, "upper": 2.0}]  # fmt: skip
    evidence = story.evidence(at("09:10")) | {
        "usual": [{"service": "a", "hours": hours}, {"service": "b", "hours": hours[:1]}]
    }
    users = picture_of(story.incident(at("09:10")), evidence, [], [], at("09:10")).users
    first, second = users.usual
    assert first.start < at("06:00")
    assert (first.end, second.start) == (at("07:00"), at("07:00"))
    assert (first.expected, second.expected) == (2.0, 3.0)
    assert first.upper == pytest.approx(2 + 8**0.5)  # variances add, not deviations
    assert second.upper == pytest.approx(3 + 4**0.5)


def test_a_long_incident_is_drawn_in_wider_bins() -> None:
    now = at("06:07") + timedelta(days=2)
    incident = story.incident(at("06:25"))
    picture = picture_of(incident, story.evidence(at("09:10")), [], [], now)
    assert picture.users.bin_minutes == 15


def test_more_symptoms_than_colours_are_summed_up() -> None:
    now = at("06:30")
    cells = [story.evidence(now)["cells"][0] | {"symptom": f"kind_{i}"} for i in range(9)]
    users = picture_of(story.incident(now), {"cells": cells}, [], [], now).users
    assert len(users.symptoms) == 6
    assert users.symptoms[-1] == "all others"
    assert users.columns[-1].parts[-1] == 4 * users.columns[-1].parts[0]


def test_an_incident_of_the_vendor_alone_needs_no_evidence() -> None:
    now = at("07:00")
    incident = story.incident(now) | {"detected_at": None, "first_signal_at": None}
    picture = picture_of(incident, {}, [], [story.advisory(now)], now)
    assert picture.lead is None
    assert picture.vendor[0].segments[0].start == at("06:42")
    assert picture.start < at("05:58")


def test_an_advisory_without_its_whole_document_is_still_drawn() -> None:
    now = at("07:00")
    picture = picture_of(story.incident(now), {}, [], [], now)
    assert picture.vendor[0].label.startswith(story.EX)
