"""The mirror against an instance that misbehaves: a share of the seeded runs of ``make chaos``."""

import os
from collections import Counter
from pathlib import Path

import pytest

from app.core.ports import MirrorAnswer, MirrorWord
from app.sinks.servicenow.sink import ServiceNowMirror
from tests.chaos import ledger
from tests.chaos.inline import Inline
from tests.chaos.mirror import SHARE, many, play

RUNS = int(os.environ.get("CHAOS_MIRRORS", "120"))


@pytest.mark.parametrize("first", range(0, RUNS, SHARE))
async def test_one_ticket_each_and_no_person_is_written_over(first: int) -> None:
    wrong, ends = await many(first, SHARE)
    assert wrong == []
    assert ends["tickets"] > SHARE


async def _absent(self: ServiceNowMirror, correlation: str) -> MirrorAnswer:
    return MirrorAnswer(word=MirrorWord.ABSENT)


async def test_the_checker_sees_a_lookup_that_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServiceNowMirror, "find", _absent)
    database = Inline()
    found: list[str] = []
    for seed in range(40):
        database.clear()
        found += (await play(database, seed))[0]
        if any("tickets of" in text for text in found):
            break
    database.close()
    assert any("tickets of" in text for text in found)


async def test_a_seed_gives_the_same_run_again() -> None:
    assert await many(7, 1) == await many(7, 1)


def test_a_ledger_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    line = '{"first": 0, "runs": 20, "wrong": [], "counts": {"tickets": 3}}\n'
    path.write_text(f'{line}{line}{{"fir')
    assert list(ledger.play(_never, range(20), share=20, jobs=1, path=path)) == []
    assert ledger.summary(ledger.read(path)) == (20, [], Counter(tickets=3))


def _never(first: int, runs: int) -> tuple[list[str], Counter[str]]:
    raise AssertionError(first, runs)
