"""The picture of a replay: as it was above, under the other policy below, on one time axis."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.web.drawing import Scale, box, element, label, line, place, titled
from app.web.replayview import Bar
from app.web.times import span, stamp

ROW = 12.0
BAR = 8.0
LEAST = 4.0  # width of the shortest bar, so that it can be seen
LANES = (("stored", "As it was"), ("replayed", "Under this policy"))
ROWS = 8  # most rows of a lane; more lie upon each other


def draw(bars: Sequence[Bar], since: datetime, until: datetime, *, narrow: bool = False) -> str:
    """Draw it.

    Args:
        bars: what came out otherwise.
        since: where the window begins; the axis holds no more of it than is needed.
        until: where it ends.
        narrow: for a phone.
    """
    since, until = _around(bars, since, until)
    width = 340.0 if narrow else 1160.0
    left = 0.0 if narrow else 150.0
    scale = Scale(start=since, end=until, left=left, right=width)
    parts, y = [], 0.0
    middles: dict[tuple[str, int], tuple[float, float]] = {}
    for lane, name in LANES:
        mine = [bar for bar in bars if bar.lane == lane]
        spans = [_span(bar, scale) for bar in mine]
        chosen = [min(row, ROWS - 1) for row in place(spans, gap=2.0)]
        y += 18 if narrow else 6
        parts.append(label(0, y - 4 if narrow else y + 11, name, "lane-name"))
        parts.append(line(left, y, width, y, "lane-edge"))
        for bar, (start, end), row in zip(mine, spans, chosen, strict=True):
            top = y + 4 + row * ROW
            words = (
                f"{bar.title}, {stamp(bar.start)}, {span((bar.end - bar.start).total_seconds())}"
            )
            parts.append(
                box(start, top, end - start, BAR, f"fault {bar.kind}", title=words, radius=2)
            )
            if bar.pair >= 0:
                middles[(lane, bar.pair)] = (start, top + BAR / 2)
        y += max(chosen, default=0) * ROW + ROW + 10
    parts += [
        line(*middles[("stored", pair)], *middles[("replayed", pair)], "tie")
        for (lane, pair) in middles
        if lane == "stored" and ("replayed", pair) in middles
    ]
    parts = [*_axis(scale, y), *parts]
    said = f"{len(bars)} bars: incidents that came out otherwise, as they were and as they would be"
    return element(
        "svg",
        titled(said) + "".join(parts),
        viewBox=f"0 0 {width:.0f} {y + 18:.0f}",
        class_=f"lanes replay {'narrow' if narrow else 'wide'}",
        role="img",
        aria_label=said,
    )


def _around(bars: Sequence[Bar], since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """The part of the window in which something differs, with some room beside it."""
    if not bars:
        return since, until
    first, last = min(bar.start for bar in bars), max(bar.end for bar in bars)
    room = max((last - first) / 12, timedelta(minutes=15))
    return max(since, first - room), min(max(until, last), last + room)


def _span(bar: Bar, scale: Scale) -> tuple[float, float]:
    start = min(scale.x(bar.start), scale.right - LEAST)
    return start, max(scale.x(bar.end), start + LEAST)


def _axis(scale: Scale, y: float) -> list[str]:
    parts = [line(scale.left, y, scale.right, y, "axis")]
    days = (scale.end - scale.start).total_seconds() > 2 * 86_400
    for at in scale.ticks(90.0):
        x = scale.x(at)
        text = f"{at:%-d %b}" if days else f"{at:%H:%M}"
        if scale.left + 12 < x < scale.right - 16:
            parts.append(label(x, y + 13, text, "tick", anchor="middle"))
            parts.append(line(x, 0, x, y, "grid"))
    return parts
