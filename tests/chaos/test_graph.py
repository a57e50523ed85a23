"""The Graph source against a vendor that changes and fails; ``CHAOS_POLLS`` makes it a long run."""

import os
from pathlib import Path

from app.kit.clock import FixedClock
from tests.chaos.graph import START, run
from tests.chaos.vendor import Vendor, meaning
from tests.standins.graph import recorded_issues

POLLS = int(os.environ.get("CHAOS_POLLS", "120"))
SEED = int(os.environ.get("CHAOS_SEED", "20260316"))


async def test_the_stored_picture_equals_the_vendors_truth(tmp_path: Path) -> None:
    verdict = await run(POLLS, SEED, tmp_path)
    print(verdict.tried)
    assert verdict.tried["failed"] > POLLS // 50
    assert verdict.tried["revisions"] > POLLS // 10
    assert verdict.wrong == []
    assert verdict.invented == []
    assert verdict.duplicates == []
    assert (verdict.over_budget, verdict.unsafe) == (0, 0)


def test_the_vendor_remembers_what_was_true() -> None:
    """The judge itself: a state that was never served is not among the remembered ones."""
    (issue, *_) = recorded_issues()
    vendor = Vendor(FixedClock(START), None, None)  # type: ignore[arg-type]  # neither is asked
    vendor.note(issue)
    assert meaning(issue) in vendor.ever[issue["id"]]
    assert meaning({**issue, "isResolved": not issue["isResolved"]}) not in vendor.ever[issue["id"]]
