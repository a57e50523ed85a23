"""The page on understanding tells what is measured, and the measure does not fall."""

import pytest

from bench.understanding import OWN, PAGE, REAL, document, labelled, measure


def test_the_page_is_what_is_measured() -> None:
    assert PAGE.read_text("utf-8") == document()


@pytest.mark.parametrize("parts", [REAL, OWN], ids=["real", "own"])
def test_what_is_found_is_right_more_often_than_nine_times_in_ten(parts: tuple[str, ...]) -> None:
    scores = measure(parts)
    right = sum(score.right for score in scores.values())
    invented = sum(score.invented for score in scores.values())
    missed = sum(score.missed for score in scores.values())
    assert right / (right + invented) >= 0.95
    assert right / (right + missed) >= 0.85
    assert scores["next_update"].missed == scores["next_update"].invented == 0


def test_every_finding_names_its_words() -> None:
    for _, read in labelled():
        words = read.words or {}
        for kind in ("services", "features", "clients", "symptoms", "regions"):
            assert {f"{kind}.{key}" for key in getattr(read, kind)} <= words.keys()
        assert (read.mitigation_category is None) == ("mitigation" not in words)
        assert (read.next_update_at is None) == ("next_update_at" not in words)
        assert (read.cause is None) == ("cause" not in words)
