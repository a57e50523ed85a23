"""The picture as SVG: well-formed, escaped, styled by class, and held to a golden file."""

import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from app.web.charts import draw
from app.web.drawing import Scale, ceiling, place
from app.web.lanes import Lead, Marker, Picture, Segment, Track
from app.web.picture import picture_of
from tests.web import story
from tests.web.story import at

GOLDEN = Path(__file__).parent / "golden"


def story_picture(clock: str) -> Picture:
    now = at(clock)
    return picture_of(
        story.incident(now), story.evidence(now), story.events(now), [story.advisory(now)], now
    )


@pytest.mark.parametrize("form", ["wide", "narrow"])
def test_the_story_is_drawn_as_the_golden_file_shows(form: str) -> None:
    drawn = draw(story_picture("09:10"), narrow=form == "narrow").replace("><", ">\n<") + "\n"
    file = GOLDEN / f"lanes-{form}.svg"
    if os.environ.get("SEXTANT_WRITE_GOLDEN"):
        file.write_text(drawn)
    assert drawn == file.read_text()


@pytest.mark.parametrize("clock", ["06:08", "06:25", "08:20", "09:10"])
@pytest.mark.parametrize("narrow", [False, True])
def test_the_picture_is_well_formed_and_has_no_inline_style(clock: str, *, narrow: bool) -> None:
    svg = draw(story_picture(clock), narrow=narrow)
    root = ET.fromstring(svg)
    assert "style=" not in svg
    left, _, width, height = map(float, root.attrib["viewBox"].split())
    for shape in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert left <= float(shape.attrib["x"])
        assert float(shape.attrib["x"]) + float(shape.attrib["width"]) <= width
        assert float(shape.attrib["y"]) + float(shape.attrib["height"]) <= height


def test_words_of_others_are_escaped() -> None:
    evil = "<script>\"&'"
    picture = Picture(
        start=at("06:00"),
        end=at("07:00"),
        description=evil,
        vendor=(
            Track(
                label=evil,
                segments=(
                    Segment(
                        start=at("06:10"), end=at("06:50"), tone="failing", label=evil, title=evil
                    ),
                ),
            ),
        ),
        markers=(Marker(at=at("06:10"), label=evil, kind="own"),),
        lead=Lead(start=at("06:10"), end=at("06:20"), label=evil),
    )
    svg = draw(picture)
    assert "<script" not in svg
    ET.fromstring(svg)


def test_an_empty_picture_says_what_is_missing() -> None:
    svg = draw(Picture(start=at("06:00"), end=at("07:00"), description=""))
    assert "No advisory so far" in svg
    assert "No probe evidence" in svg
    assert "No client reports" in svg


def test_labels_that_would_touch_take_another_row() -> None:
    assert place([(0, 50), (20, 70), (60, 90), (200, 220)]) == (0, 1, 0, 0)


def test_ticks_are_round_and_inside() -> None:
    scale = Scale(start=at("05:43"), end=at("08:57"), left=0, right=900)
    ticks = scale.ticks(64)
    assert all(tick.minute % 15 == 0 for tick in ticks)
    assert ticks[0] == at("05:45")
    assert ticks[-1] == at("08:45")


@pytest.mark.parametrize(
    ("value", "top"), [(0, 4), (4, 4), (7, 8), (29, 30), (101, 120), (999, 1000)]
)
def test_an_axis_ends_at_a_good_number(value: float, top: int) -> None:
    assert ceiling(value) == top
