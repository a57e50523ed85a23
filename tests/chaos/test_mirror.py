"""The mirror against an instance that misbehaves: a share of the seeded runs of ``make chaos``."""

import os
from pathlib import Path

import pytest

from app.core.ports import MirrorAnswer, MirrorWord
from app.sinks.servicenow.sink import ServiceNowMirror
from tests.chaos.mirror import many, open_quickly, play

RUNS = int(os.environ.get("CHAOS_MIRRORS", "120"))
SHARE = 20  # runs of one test, so that processes share them


@pytest.mark.parametrize("first", range(0, RUNS, SHARE))
async def test_one_ticket_each_and_no_person_is_written_over(first: int, tmp_path: Path) -> None:
    wrong, ends = await many(first, SHARE, tmp_path)
    assert wrong == []
    assert ends["tickets"] > SHARE


async def _absent(self: ServiceNowMirror, correlation: str) -> MirrorAnswer:
    return MirrorAnswer(word=MirrorWord.ABSENT)


async def test_the_checker_sees_a_lookup_that_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ServiceNowMirror, "find", _absent)
    database = open_quickly(tmp_path)
    found: list[str] = []
    for seed in range(40):
        found += (await play(database, seed))[0]
        if any("tickets of" in text for text in found):
            break
    database.close()
    assert any("tickets of" in text for text in found)
