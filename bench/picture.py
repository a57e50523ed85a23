"""The picture of the last figures: bars against their targets, as an SVG made here."""

from dataclasses import dataclass
from html import escape

WIDTH = 900
LABEL = 300  # where the bars begin
BAR = 400  # a bar that just meets its target, or its floor, ends in the middle of this
ROW = 34
TOP = 64
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2933}.t{font-size:17px;font-weight:600}"
    ".m{fill:#5b6673;font-size:12px}.g{fill:#2f7d5b}.b{fill:#c2571a}.k{fill:#e6eaee}"
    ".l{stroke:#1f2933;stroke-width:1.5;stroke-dasharray:4 3}"
    "@media(prefers-color-scheme:dark){text{fill:#e6eaee}.m{fill:#9aa5b1}.k{fill:#323f4b}"
    ".g{fill:#4caf83}.b{fill:#e8824a}.l{stroke:#e6eaee}}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One figure: its value, its target and which way is better."""

    label: str
    value: float
    target: float
    unit: str
    more_is_better: bool = False

    @property
    def meets(self) -> bool:
        """Whether the target is met."""
        if self.more_is_better:
            return self.value >= self.target
        return self.value <= self.target

    @property
    def shown(self) -> str:
        """The value in words."""
        return f"{self.value:.2f}{self.unit}" if self.value < 10 else f"{self.value:.0f}{self.unit}"

    @property
    def aim(self) -> str:
        """The target in words."""
        word = "at least" if self.more_is_better else "at most"
        return f"{word} {self.target:g}{self.unit}"


def draw(bars: list[Bar], *, title: str, note: str) -> str:
    """Draw the bars; the dashed line is the target of each."""
    height = TOP + ROW * len(bars) + 40
    middle = LABEL + BAR // 2
    words = "; ".join(f"{bar.label}: {bar.shown}, {bar.aim}" for bar in bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}. {escape(words)}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="t" x="20" y="28">{escape(title)}</text>',
        f'<text class="m" x="20" y="48">{escape(note)}</text>',
    ]
    for number, bar in enumerate(bars):
        y = TOP + ROW * number
        length = max(round(min(bar.value / bar.target / 2, 1.0) * BAR), 2)
        colour = "g" if bar.meets else "b"
        parts += [
            f'<text x="20" y="{y + 19}">{escape(bar.label)}</text>',
            f'<rect class="k" x="{LABEL}" y="{y + 6}" width="{BAR}" height="18" rx="3"/>',
            f'<rect class="{colour}" x="{LABEL}" y="{y + 6}" width="{length}" height="18" rx="3"/>',
            f'<text x="{LABEL + BAR + 12}" y="{y + 19}">{escape(bar.shown)}</text>',
            f'<text class="m" x="{LABEL + BAR + 76}" y="{y + 19}">{escape(bar.aim)}</text>',
        ]
    end = TOP + ROW * len(bars)
    parts += [
        f'<line class="l" x1="{middle}" y1="{TOP - 4}" x2="{middle}" y2="{end + 4}"/>',
        f'<text class="m" x="{middle}" y="{end + 22}" text-anchor="middle">target</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
