"""Pictures of the page: curves of delay, the reliability plot, and targets as bars; plain SVG."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import inf, isfinite, log10

from bench.evaluate.figures import Bin
from bench.evaluate.targets import Target, number, text_of

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 180, 56, 52
COLOURS = ("a", "b", "c", "d", "e")
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2933}.t{font-size:17px;font-weight:600}"
    ".m{fill:#5b6673;font-size:12px}.x{stroke:#c5ccd3;stroke-width:1}.n{fill:none;stroke-width:2}"
    ".a{stroke:#2463a8}.b{stroke:#c2571a}.c{stroke:#2f7d5b}.d{stroke:#8a4fa3}.e{stroke:#7a6a00}"
    ".p{fill:#2463a8}.i{stroke:#2463a8;stroke-width:1.5}.h{stroke-dasharray:4 3}"
    ".met{fill:#2f7d5b}.miss{fill:#c2571a}"
    "@media(prefers-color-scheme:dark){text{fill:#e6eaee}.m{fill:#9aa5b1}.x{stroke:#3e4c59}"
    ".a{stroke:#6aa9ee}.b{stroke:#e8824a}.c{stroke:#4caf83}.d{stroke:#c18ddb}.e{stroke:#d3bf3c}"
    ".p{fill:#6aa9ee}.i{stroke:#6aa9ee}.met{fill:#4caf83}.miss{fill:#e8824a}}"
)


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where a value lies on the picture."""

    low: float
    high: float
    log: bool = False

    def x(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            value, low, high = log10(max(value, low)), log10(low), log10(high)
        part = min(max((value - low) / (high - low), 0.0), 1.0)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    @staticmethod
    def y(value: float) -> float:
        return HEIGHT - BOTTOM - min(max(value, 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)


def _page(title: str, note: str, words: str, parts: Iterable[str], height: int = HEIGHT) -> str:
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}. {escape(words)}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="t" x="20" y="26">{escape(title)}</text>',
        f'<text class="m" x="20" y="44">{escape(note)}</text>',
        *parts,
        "</svg>",
    ]) + "\n"  # fmt: skip


def _frame(axes: _Axes, marks: Mapping[float, str], label: str) -> list[str]:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = axes.y(share)
        parts += [
            f'<line class="x" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>',
            f'<text class="m" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>',
        ]
    for value, text in marks.items():
        x = axes.x(value)
        parts += [
            f'<line class="x" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}"/>',
            _middle(x, HEIGHT - BOTTOM + 18, text),
        ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_middle(middle, HEIGHT - 12, label))
    return parts


def _middle(x: float, y: float, text: str) -> str:
    return f'<text class="m" x="{x:.1f}" y="{y}" text-anchor="middle">{escape(text)}</text>'


def delays(curves: Mapping[str, Sequence[float]], *, title: str, note: str) -> str:
    """The share of faults claimed within so many minutes, a curve for each engine.

    Args:
        curves: name → seconds; infinite ones are faults that were missed.
        title: what is shown.
        note: what it rests on.
    """
    axes = _Axes(0.25, 1440.0, log=True)
    parts = _frame(
        axes,
        {0.5: "30 s", 1: "1 min", 3: "3", 10: "10", 30: "30", 120: "2 h", 720: "12 h"},
        "from the first failing event to the incident (minutes, logarithmic)",
    )
    said = []
    for place, (name, seconds) in enumerate(curves.items()):
        colour = COLOURS[place % len(COLOURS)]
        points = _steps(seconds, axes)
        y = TOP + 16 + 22 * place
        found = sum(isfinite(s) for s in seconds)
        said.append(f"{name}: {found} of {len(seconds)} claimed")
        parts += [
            f'<polyline class="n {colour}" points="{points}"/>',
            _stroke(colour, WIDTH - RIGHT + 14, y),
            f'<text x="{WIDTH - RIGHT + 46}" y="{y + 4}">{escape(name)}</text>',
        ]
    return _page(title, note, "; ".join(said), parts)


def _stroke(colour: str, x: int, y: int) -> str:
    return f'<line class="n {colour}" x1="{x}" y1="{y}" x2="{x + 24}" y2="{y}"/>'


def _steps(seconds: Sequence[float], axes: _Axes) -> str:
    ordered = sorted(s / 60 for s in seconds if s != inf)
    points = [(axes.x(axes.low), axes.y(0))]
    for place, minutes in enumerate(ordered):
        x = axes.x(max(minutes, axes.low))
        points += [(x, axes.y(place / len(seconds))), (x, axes.y((place + 1) / len(seconds)))]
    points.append((axes.x(axes.high), points[-1][1]))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def reliability(bins: Sequence[Bin], *, title: str, note: str) -> str:
    """What was said against what was so; a point is as large as what it rests on."""
    axes = _Axes(0.0, 1.0)
    marks = {0.0: "0 %", 0.25: "25 %", 0.5: "50 %", 0.75: "75 %", 1.0: "100 %"}
    parts = _frame(axes, marks, "probability said; upwards: how often it was a fault")
    parts.append(
        f'<line class="n b h" x1="{axes.x(0)}" y1="{axes.y(0)}" x2="{axes.x(1)}" y2="{axes.y(1)}"/>'
    )
    every = sum(row.weight for row in bins) or 1.0
    for row in bins:
        size = 3 + 9 * (row.weight / every) ** 0.5
        parts.append(
            f'<circle class="p" cx="{axes.x(row.said):.1f}" cy="{axes.y(row.was):.1f}" '
            f'r="{size:.1f}"/>'
        )
    words = "; ".join(f"said {row.said:.2f}, was {row.was:.2f}" for row in bins)
    return _page(title, note, words, parts)


def bars(found: Sequence[Target], *, title: str, note: str) -> str:
    """Each metric with its interval, met or missed, as a list that can be read at a glance."""
    row = 24
    height = TOP + 12 + row * len(found) + 16
    parts = []
    for place, target in enumerate(found):
        y = TOP + 12 + row * place
        colour = "met" if target.is_met else "miss"
        parts += [
            f'<circle class="{colour}" cx="28" cy="{y + 8}" r="6"/>',
            f'<text x="44" y="{y + 13}">{escape(target.name)}</text>',
            f'<text class="m" x="430" y="{y + 13}">{escape(target.words)}</text>',
            f'<text x="510" y="{y + 13}">{escape(text_of(target.figure, target.unit))}</text>',
        ]
    words = "; ".join(
        f"{t.name} {number(t.figure.value, t.unit)}, {t.words}: {t.verdict}" for t in found
    )
    return _page(title, note, words, parts, height)
