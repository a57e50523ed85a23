"""The judgement of a demo: as told is met, and each way to go wrong fails its own check."""

import copy
from typing import Any

import pytest

from app.demo.expect import Record, judge, main_incident
from app.demo.story import Story

STORY = Story.load("exchange-2026-03")
Incident = dict[str, Any]

COURSE = (  # time, type, what it changed
    (
        "06:09",
        "incident.opened",
        {"status": "suspected", "origin": "unknown", "confirmed_at": None},
    ),
    ("06:10", "incident.confirmed", {"status": "confirmed", "origin": "vendor"}),
    ("06:42", "incident.advisory_linked", {"advisories": [{"id": "EX931445"}]}),
    ("07:25", "incident.mitigating", {"status": "mitigating"}),
    ("08:06", "incident.updated", {"disagreement": "vendor_ahead"}),
    ("08:46", "incident.resolved", {"status": "resolved", "disagreement": "none"}),
    ("09:05", "incident.advisory_updated", {}),
)


def instant(clock: str) -> str:
    """An instant of the story's day, as on the wire."""
    return f"2026-03-16T{clock}:00Z"


def incident(**more: Any) -> Incident:
    """An incident as the story ends, unless said otherwise."""
    return {
        "id": "inc_1", "number": "INC-2026-0002", "origin": "vendor", "status": "resolved",
        "services": ["exchange-online"], "advisories": [], "disagreement": "none",
        "confirmed_at": instant("06:10"), "resolved_at": instant("08:46"),
        "mitigated_at": instant("07:25"), "lead_time_seconds": 1980,
        "updated_at": instant("09:05"),
    } | more  # fmt: skip


def as_told() -> Record:
    """A record in which everything went as told."""
    record = Record(reported={"sent": 10, "accepted": 9, "duplicates": 1, "refused": []})
    state = incident()
    for number, (clock, kind, change) in enumerate(COURSE, start=1):
        state = state | change
        event = {
            "id": f"evt_{number}", "type": kind, "sequence": number,
            "occurred_at": instant(clock), "data": {"incident": copy.deepcopy(state)},
        }  # fmt: skip
        record.events.append(event)
        entry = {"id": event["id"], "incident": "inc_1", "sequence": number, "valid": True,
                 "superseded": [], "problem": ""}  # fmt: skip
        record.received.append(entry | {"status": 503, "attempt": 1})
        record.received.append(entry | {"status": 204, "attempt": 2})
    record.incidents["inc_1"] = state | {"confirmed_at": instant("06:10")}
    return record


def failed(record: Record) -> list[str]:
    """List the sentences that were not met."""
    return [check.sentence for check in judge(STORY, record) if not check.met]


def test_a_record_as_told_meets_everything() -> None:
    assert failed(as_told()) == []
    assert (main_incident(STORY, as_told()) or {})["id"] == "inc_1"


def test_an_empty_record_meets_next_to_nothing_and_does_not_crash() -> None:
    assert len(failed(Record())) == 14
    assert main_incident(STORY, Record()) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"advisories": []}, "linked"),
        ({"confirmed_at": instant("06:50")}, "confirmed before"),
        ({"lead_time_seconds": -5}, "lead"),
        ({"lead_time_seconds": None}, "lead"),
        ({"resolved_at": instant("08:20")}, "resolved between"),
        ({"status": "confirmed"}, "did not reopen"),
    ],
)
def test_a_wrong_end_fails_its_check(change: Incident, word: str) -> None:
    record = as_told()
    record.incidents["inc_1"] |= change
    (sentence,) = failed(record)
    assert word in sentence


def test_a_second_vendor_incident_fails() -> None:
    record = as_told()
    record.incidents["inc_2"] = incident(id="inc_2", number="INC-2026-0003")
    assert "exactly one" in failed(record)[0]


def test_a_local_fault_may_be_an_incident_but_not_the_vendors() -> None:
    record = as_told()
    local = incident(id="inc_0", number="INC-2026-0001", origin="local",
                     updated_at=instant("05:40"))  # fmt: skip
    record.incidents["inc_0"] = local
    assert failed(record) == []
    record.incidents["inc_0"] = local | {"origin": "vendor", "services": ["microsoft-teams"]}
    (sentence,) = failed(record)
    assert "local fault" in sentence


@pytest.mark.parametrize(
    ("index", "change", "word"),
    [
        (1, {"status": 401, "valid": False, "problem": "no signature fits"}, "signature"),
        (3, {"attempt": 1}, "retried"),
        (3, {"sequence": 99}, "in order"),
    ],
)
def test_a_wrong_delivery_fails(index: int, change: Incident, word: str) -> None:
    record = as_told()
    record.received[index] |= change
    assert any(word in sentence for sentence in failed(record))


def test_an_event_may_be_superseded_but_not_lost() -> None:
    record = as_told()
    lost = record.received[9]
    record.received[8:10] = []
    assert record.undelivered() == [lost["id"]]
    record.received[-1]["superseded"] = [lost["id"]]
    assert record.undelivered() == []


def test_reports_that_were_refused_fail() -> None:
    record = as_told()
    record.reported["refused"] = ["422 malformed"]
    assert failed(record) == ["Every client report was accepted."]
