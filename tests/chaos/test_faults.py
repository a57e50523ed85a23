"""Two replicas on one PostgreSQL are struck; ``CHAOS_FAULTS`` says how often."""

import os

import pytest

from tests.chaos.faults import storm
from tests.chaos.kill import tell

FAULTS = int(os.environ.get("CHAOS_FAULTS", "4"))
SEED = int(os.environ.get("CHAOS_SEED", "2"))


async def test_two_replicas_keep_every_promise_whatever_strikes_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report, kinds = await storm(FAULTS, SEED, print)
    tell(report, print)
    assert report.holds, capsys.readouterr().out
    assert kinds.total() == FAULTS
    assert report.history.acknowledged() > 0
    assert any(one.accepted and one.type != "test.ping" for one in report.history.heard)
