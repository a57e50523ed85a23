"""Results inside a maintenance window are kept, and weigh nothing."""

from datetime import timedelta
from typing import Any

import pytest

from app.core.batch import RESULT_FIELDS, Batch, batch_of_results
from app.core.maintenance import Window, excused, excused_batch
from app.core.types import SelfCheck, SignalKind
from tests.builders import NOW, TENANT, a_probe_result, minutes

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
    counted = excused_batch(Batch(SignalKind.PROBE_RESULT, [b"12345678"], [short]), [window()])
    assert counted.rows[0][: len(short)] == short
    assert counted.rows[0][RESULT_FIELDS.index("self_check")] is SelfCheck.FAILED
