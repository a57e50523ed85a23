"""``sextant bench``: the words of the product stand for parts that are measured and shown."""

from pathlib import Path

import pytest

from app.cli import main
from bench import ledger, page
from bench.__main__ import WORDS, _plan


def test_every_word_stands_for_parts_that_have_a_table() -> None:
    assert set(WORDS) == {"ingest", "fold", "deliver", "read"}
    assert {part for parts in WORDS.values() for part in parts} <= set(page.TABLES)
    assert set(page.TABLES) == set(_plan(quick=True))


def test_what_was_not_measured_is_not_shown() -> None:
    reads = {"ours": {"rate": 1.0, "p50": 1.0, "p99": 1.0}, "floor": {"rate": 2.0, "p50": 1.0,
             "p99": 1.0}, "ratio": 0.5}  # fmt: skip
    (table,) = page.tables({"reads": {"list": reads, "one": reads}})
    assert table.title == "Reading over the API"
    assert page.targets({"reads": {}}) == []


@pytest.mark.parametrize("arguments", [["bench"], ["bench", "everything"]])
def test_a_word_that_is_not_known_is_wrong_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "ingest" in capsys.readouterr().err


def test_the_page_says_of_each_part_when_it_was_measured_and_keeps_what_is_by_hand() -> None:
    one = {"step": {"p50": 1.0, "p99": 2.0}, "steps_per_second": 3.0}
    storm = {"step": one["step"], "idle_step": one["step"], "reports_per_second": 9.0,
             "floor_ratio": 0.5}  # fmt: skip
    told = page.document({"engine": ledger.entry(1.26, {"story": one, "storm": storm})})
    assert "load 1.3 before it began" in told
    assert "## The engine alone" in told
    assert "## Reading" not in told
    assert page.by_hand(told) == ""
    written = f"{told}\n{page.BY_HAND}\n## Ours\n"
    assert page.by_hand(told + page.by_hand(written)) == page.by_hand(written)


def test_a_part_that_is_measured_anew_replaces_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "LEDGER", tmp_path / "figures.json")
    assert ledger.read() == {}
    ledger.keep({"start": ledger.entry(0, {16: 1}), "reads": ledger.entry(0, 1)})
    kept = ledger.keep({"reads": ledger.entry(0, 2)})
    assert kept == ledger.read()
    assert [kept["start"].found, kept["reads"].found] == [{"16": 1}, 2]
