"""Results inside a maintenance window are kept, and weigh nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.core.batch import RESULT_FIELDS, ResultBatch, batch_of_results
from app.core.maintenance import Window, excused, excused_batch, explaining
from app.core.types import SelfCheck
from tests.builders import NOW, TENANT, a_probe_result, minutes
from tests.core.play import PROFILE, World, at, probes, reports

HOUR = timedelta(hours=1)


def window(**changes: Any) -> Window:
    values = {
        "id": "mw_1", "tenant": TENANT, "title": "Patch", "starts_at": NOW, "ends_at": NOW + HOUR,
        "created_at": NOW,
    }  # fmt: skip
    return Window(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "minute", "covered"),
    [
        ({}, 0, True),
        ({}, 59, True),
        ({}, 60, False),
        ({}, -1, False),
        ({"services": frozenset({"exchange-online"})}, 5, True),
        ({"services": frozenset({"microsoft-teams"})}, 5, False),
        ({"probes": frozenset({"owa-front-door"}), "locations": frozenset({"berlin"})}, 5, True),
        ({"probes": frozenset({"owa-front-door"}), "locations": frozenset({"paris"})}, 5, False),
        ({"probes": frozenset({"other"})}, 5, False),
    ],
)
def test_a_window_covers_what_it_names(
    changes: dict[str, Any], minute: int, *, covered: bool
) -> None:
    result = a_probe_result(at=NOW + minutes(minute), self_check=SelfCheck.OK)
    counted = excused(result, [window(**changes)])
    assert (counted.self_check is SelfCheck.FAILED) is covered
    assert (counted == result) is not covered
    assert ((counted.diagnostics or {}).get("maintenance") == "mw_1") is covered
    assert counted.outcome is result.outcome


def test_a_batch_is_excused_row_by_row_and_keeps_its_ids() -> None:
    results = [a_probe_result(at=NOW + minutes(n)) for n in (5, 90)]
    batch = batch_of_results(results)
    counted = excused_batch(batch, [window(id="mw_2"), window()])
    assert counted.ids == batch.ids
    place = RESULT_FIELDS.index("self_check")
    assert [row[place] for row in counted.rows] == [SelfCheck.FAILED, results[1].self_check]
    assert counted.rows[0][RESULT_FIELDS.index("diagnostics")] == {"maintenance": "mw_1"}
    assert counted.rows[1] == batch.rows[1]


def test_rows_whose_defaults_were_left_off_are_understood() -> None:
    short = batch_of_results([a_probe_result(at=NOW)]).rows[0][:5]
    counted = excused_batch(ResultBatch(b"12345678", [short]), [window()])
    assert counted.rows[0][: len(short)] == short
    assert counted.rows[0][RESULT_FIELDS.index("self_check")] is SelfCheck.FAILED


@pytest.mark.parametrize(
    ("changes", "services", "found"),
    [
        ({}, ["exchange-online"], True),
        ({}, [], True),
        ({"services": frozenset({"exchange-online", "entra-id"})}, ["exchange-online"], True),
        ({"services": frozenset({"exchange-online"})}, ["exchange-online", "entra-id"], False),
        ({"services": frozenset({"exchange-online"})}, [], False),
        ({"probes": frozenset({"owa"})}, ["exchange-online"], False),
        ({"locations": frozenset({"berlin"})}, ["exchange-online"], False),
        ({"ends_at": NOW}, ["exchange-online"], False),
    ],
)
def test_planned_work_explains_an_incident_of_its_services(
    changes: dict[str, Any], services: list[str], *, found: bool
) -> None:
    made = explaining([window(id="mw_2"), window()] if not changes else [window(**changes)],
                      services, at=NOW)  # fmt: skip
    assert (made is not None) is found
    assert made is None or made.id == "mw_1"


def test_an_incident_in_planned_work_is_suppressed_until_it_is_over() -> None:
    """The flag comes and goes with the window; status, events and figures are as without it."""
    until = at("06:40")
    signals = [
        *reports(at("04:30"), until, per_minute=0.05, seed=1),
        *reports(at("05:30"), until, per_minute=8, seed=3),
        *probes(at("04:30"), until, failing={}),
    ]
    plain = World()
    plain.play(signals, until=until)
    planned = window(starts_at=at("05:00"), ends_at=at("06:20"),
                     services=frozenset({"exchange-online"}))  # fmt: skip
    held = World(profile=replace(PROFILE, windows=(planned,)))
    held.play(signals, until=until)
    (with_window,), (without,) = held.alive, plain.alive
    assert with_window.suppressed is None
    mine = [event for event in held.events if event.incident_id == with_window.id]
    flags = [event.incident.suppressed for event in mine]
    assert flags[0] == "mw_1"
    assert flags[-1] is None
    (ends,) = [event for event in mine if "suppressed" in event.changed]
    assert ends.type.value == "incident.updated"
    assert at("06:20") <= ends.occurred_at < at("06:21")
    assert with_window.status == without.status
    told = [event.type for event in mine if event.type.value != "incident.updated"]
    assert told == [e.type for e in plain.events if e.type.value != "incident.updated"]
