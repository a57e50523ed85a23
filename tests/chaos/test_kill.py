"""Sextant is killed while it takes in and delivers; ``CHAOS_KILLS`` says how often."""

import os

import pytest

from tests.chaos.kill import Plan, run, tell

KILLS = int(os.environ.get("CHAOS_KILLS", "3"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


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
    assert set(report.codes) == {0}


@pytest.fixture
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an SQLite database that is not there yet."""
    return f"sqlite:///{tmp_path_factory.mktemp('chaos')}/gentle.db"
