"""What operators see of a tenant's evidence: no group of people under five, no single voice."""

from app.core.evidence import for_outsiders


def cell(reporters, *minutes, source="client_report"):
    series = [{"minute": str(n), "count": 9, "reporters": m} for n, m in enumerate(minutes)]
    return {"source": source, "reporters": reporters, "series": series,
            "exemplars": [{"text": "one person's words"}]}  # fmt: skip


def test_small_groups_are_left_out_and_counted():
    document = {"advisories": [1], "cells": [cell(4, 4), cell(5, 5), cell(0, 0, source="probe")]}
    seen = for_outsiders(document)
    assert [c["reporters"] for c in seen["cells"]] == [5, 0]
    assert (seen["withheld"], seen["advisories"]) == (1, [1])


def test_a_minute_of_few_tells_no_number_and_nobody_is_quoted():
    (seen,) = for_outsiders({"cells": [cell(12, 7, 4, 1, 0)]})["cells"]
    assert [m["reporters"] for m in seen["series"]] == [7, 0, 0, 0]
    assert [m["count"] for m in seen["series"]] == [9, 9, 9, 9]
    assert seen["exemplars"] == []


def test_what_probes_say_is_about_nobody():
    probe = cell(0, 0, source="probe")
    assert for_outsiders({"cells": [probe]})["cells"] == [probe]
