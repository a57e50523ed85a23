"""``sextant bench``: the words of the product stand for parts that are measured and shown."""

import pytest

from app.cli import main
from bench import page
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
