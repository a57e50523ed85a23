"""The band of usual latency of a check over the hours of a day, drawn small."""

from collections.abc import Mapping

from app.web.drawing import element, number

HOURS = 24
HEIGHT = 32
STEP = 6  # pixels of an hour


def band_of(
    hours: Mapping[int, tuple[float, float]], *, hour: int | None, latency_ms: float | None
) -> str:
    """Draw the band, with the newest result as a dot at its hour; nothing while all is unknown.

    Args:
        hours: hour of the day, UTC → least and greatest of the days' medians, milliseconds.
        hour: when the newest result is from.
        latency_ms: how long it took.
    """
    known = [value for pair in hours.values() for value in pair]
    if latency_ms is not None:
        known.append(latency_ms)
    if not known:
        return ""
    top = max(known) * 1.1 or 1.0
    parts = [
        element(
            "rect",
            x=at * STEP,
            y=HEIGHT - _tall(most, top),
            width=STEP,
            height=max(_tall(most, top) - _tall(least, top), 2.0),
            class_="usual",
        )
        for at, (least, most) in sorted(hours.items())
    ]
    parts.append(element("line", x1=0, y1=HEIGHT, x2=HOURS * STEP, y2=HEIGHT, class_="base"))
    if hour is not None and latency_ms is not None:
        y = HEIGHT - _tall(latency_ms, top)
        parts.append(element("circle", cx=hour * STEP + STEP / 2, cy=y, r=2.6, class_="newest"))
    return element(
        "svg",
        "".join(parts),
        viewBox=f"0 0 {number(HOURS * STEP)} {HEIGHT + 1}",
        class_="band",
        aria_hidden="true",
    )


def _tall(value: float, top: float) -> float:
    return value / top * HEIGHT
