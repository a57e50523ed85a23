"""SVG primitives: escaped elements, styled by class because our pages forbid inline style."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

# Widths of ticks that people read easily, in minutes.
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080)


def number(value: float) -> str:
    """Write a coordinate with one decimal, without a trailing zero."""
    text = f"{value:.1f}"
    return text.removesuffix(".0")


def element(name: str, content: str = "", **attributes: str | float | None) -> str:
    """Write one element; ``content`` is markup, attribute values are escaped.

    ``class_`` stands for ``class``, and other underscores for hyphens; None leaves one out.
    """
    words = []
    for key, value in attributes.items():
        if value is None:
            continue
        text = value if isinstance(value, str) else number(value)
        words.append(f" {key.rstrip('_').replace('_', '-')}={quoteattr(text)}")
    opening = f"<{name}{''.join(words)}"
    return f"{opening}>{content}</{name}>" if content else f"{opening}/>"


def titled(text: str | None) -> str:
    """Write the tooltip of an element."""
    return f"<title>{escape(text)}</title>" if text else ""


def label(x: float, y: float, text: str, kind: str, *, anchor: str | None = None) -> str:
    """Write a text at a baseline; ``anchor`` is start, middle or end."""
    return element("text", escape(text), x=x, y=y, class_=kind, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Draw a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    kind: str,
    *,
    title: str | None = None,
    radius: float | None = None,
) -> str:
    """Draw a rectangle with a tooltip."""
    return element(
        "rect",
        titled(title),
        x=x,
        y=y,
        width=max(width, 0.0),
        height=max(height, 0.0),
        rx=radius,
        class_=kind,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Maps instants onto horizontal positions."""

    start: datetime
    end: datetime
    left: float
    right: float

    def x(self, at: datetime) -> float:
        """Position of an instant, kept inside the drawing."""
        whole = (self.end - self.start).total_seconds() or 1.0
        share = (at - self.start).total_seconds() / whole
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def ticks(self, room: float) -> tuple[datetime, ...]:
        """Round instants that are at least ``room`` apart on the drawing."""
        minutes = (self.end - self.start).total_seconds() / 60 or 1.0
        fitting = max((self.right - self.left) / room, 1.0)
        step = next((step for step in STEPS if minutes / step <= fitting), STEPS[-1])
        midnight = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        index = -(-(self.start - midnight) // timedelta(minutes=step))
        ticks = []
        while (at := midnight + timedelta(minutes=step * index)) <= self.end:
            ticks.append(at)
            index += 1
        return tuple(ticks)


def text_width(text: str, size: float = 11.0) -> float:
    """Estimate the width of a text in pixels, since the server has no font to measure."""
    return len(text) * size * 0.56


def place(spans: Sequence[tuple[float, float]], gap: float = 8.0) -> tuple[int, ...]:
    """Give each horizontal span, in order, the first row in which it touches no other.

    Returns:
        The row of each span, from 0.
    """
    rows: list[list[tuple[float, float]]] = []
    chosen = []
    for left, right in spans:
        for index, taken in enumerate(rows):
            if all(right + gap <= other[0] or other[1] + gap <= left for other in taken):
                taken.append((left, right))
                chosen.append(index)
                break
        else:
            rows.append([(left, right)])
            chosen.append(len(rows) - 1)
    return tuple(chosen)


def ceiling(value: float) -> int:
    """Round a greatest value up to a number that makes a good axis."""
    if value <= 4:  # noqa: PLR2004 - small counts keep their own axis
        return 4
    power: int = 10 ** (len(str(int(value))) - 1)
    for factor in (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10):
        if value <= factor * power:
            return round(factor * power)
    return 10 * power


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where things go in one drawing: the time scale, the gutter and whether it is narrow."""

    scale: Scale
    width: float
    prefix: str
    narrow: bool
