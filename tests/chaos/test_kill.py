"""Sextant is killed while it takes in and delivers; ``CHAOS_KILLS`` says how often."""

import os

import pytest

from tests.chaos.kill import Plan, run, tell
from tests.chaos.sabotage import SABOTAGES

KILLS = int(os.environ.get("CHAOS_KILLS", "3"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
LONG = KILLS >= 25


async def test_nothing_acknowledged_is_lost_and_nothing_undelivered_is_invisible(
    empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = await run(Plan(url=empty_url, kills=KILLS, seed=SEED), print)
    tell(report, print)
    assert report.holds, capsys.readouterr().out
    assert len(report.restarts) == KILLS + 1
    assert report.history.acknowledged() > 0
    assert any(one.accepted and one.type != "test.ping" for one in report.history.heard)


async def test_told_to_stop_it_ends_in_order(
    sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = await run(Plan(url=sqlite_url, kills=1, seed=SEED, gentle=True), print)
    tell(report, print)
    assert report.holds, capsys.readouterr().out
    assert report.orderly == 1 + 1 + 1  # the preparing life, the one that is ended, the last


@pytest.mark.skipif(not LONG, reason="long runs only: set CHAOS_KILLS to 25 or more")
@pytest.mark.parametrize("name", sorted(SABOTAGES))
async def test_a_promise_that_is_broken_on_purpose_is_found(sqlite_url: str, name: str) -> None:
    report = await run(Plan(url=sqlite_url, kills=4, seed=SEED, sabotage=name), print)
    assert report.verdict.counts()[SABOTAGES[name][1]] > 0
    assert not report.holds


@pytest.fixture
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an SQLite database that is not there yet."""
    return f"sqlite:///{tmp_path_factory.mktemp('chaos')}/gentle.db"
