"""The picture as a file that stands alone: each class of the style sheet becomes attributes.

The pages forbid inline style, and a file that is mailed or attached brings no style sheet along.
The colours are those of the light scheme, because paper and mail are light.
"""

import re
from xml.sax.saxutils import escape

from app.web.drawing import box, element, label, number, text_width

INK, SOFT, FAINT, EDGE, EDGE_2 = "#17212b", "#4d5b68", "#586571", "#dce2e6", "#c3ccd3"
HEALTHY, DEGRADED, FAILING, UNKNOWN = "#27734b", "#955800", "#b92d20", "#5f6c78"
VENDOR, VENDOR_PALE, PAPER = "#2c6aa8", "#e6eff7", "#ffffff"
SYMPTOMS = ("#35669c", "#cf8a2e", "#8f5f9e", "#4c9289", "#a8515c", "#8b95a0")

Look = dict[str, str]

_PLATE = {
    "paint-order": "stroke", "stroke": PAPER, "stroke-width": "3", "stroke-linejoin": "round",
}  # fmt: skip
# class → attributes; an element of two classes takes the later one's where both speak
LOOKS: dict[str, Look] = {
    "lane-name": {"font-size": "13", "font-weight": "600", "fill": INK, **_PLATE},
    "lane-about": {"font-size": "11.5", "font-weight": "400", "fill": FAINT},
    "lane-edge": {"stroke": EDGE},
    "row-name": {"fill": SOFT, **_PLATE},
    "row-base": {"stroke": EDGE},
    "grid": {"stroke": EDGE, "opacity": ".65"},
    "tick": {"fill": FAINT},
    "axis": {"stroke": EDGE_2},
    "level": {"stroke": EDGE, "stroke-dasharray": "2 3"},
    "level-label": {"fill": FAINT, "font-size": "10.5", **_PLATE},
    "now": {"stroke": FAINT, "stroke-dasharray": "1 3"},
    "seg": {},
    "failing": {"fill": FAILING},
    "degraded": {"fill": DEGRADED},
    "fixing": {"fill": VENDOR},
    "healthy": {"fill": HEALTHY},
    "restored": {"fill": "#e9f4ee", "stroke": HEALTHY},
    "unknown": {"stroke": EDGE_2, "stroke-width": ".8"},
    "silent": {"stroke": EDGE_2, "stroke-width": ".8"},
    "hatch-unknown": {"stroke": UNKNOWN, "stroke-width": "2"},
    "hatch-silent": {"stroke": EDGE_2, "stroke-width": "2"},
    "seg-label": {"font-size": "10.5", "font-weight": "600"},
    "post": {"fill": PAPER, "stroke": INK, "stroke-width": "1.5"},
    "stated": {"fill": "none", "stroke": VENDOR, "stroke-width": "1.6"},
    "rule": {"stroke": FAINT, "stroke-width": "1.4"},
    "mark": {"font-weight": "600", "fill": INK},
    "own": {},
    "vendor": {},
    "good": {},
    "faint": {"opacity": ".42", "stroke-width": "1", "stroke-dasharray": "3 3"},
    "lead": {"stroke": INK, "stroke-width": "1.6"},
    "dashed": {"stroke-dasharray": "5 4"},
    "lead-band": {"fill": VENDOR_PALE},
    "lead-plate": {"fill": VENDOR_PALE},
    "lead-label": {"font-size": "12", "font-weight": "600", "fill": INK},
    "hint": {"fill-opacity": "0"},
    "usual": {"fill": FAINT, "fill-opacity": ".16"},
    "expected": {"fill": "none", "stroke": FAINT, "stroke-dasharray": "4 3"},
    "reporters": {"fill": "none", "stroke": INK, "stroke-width": "1.2"},
    **{f"s{index}": {"fill": colour} for index, colour in enumerate(SYMPTOMS)},
}
# What a word means depends on what it stands beside.
TOGETHER: dict[tuple[str, str], Look] = {
    ("rule", "own"): {"stroke": INK},
    ("rule", "vendor"): {"stroke": VENDOR},
    ("rule", "good"): {"stroke": HEALTHY},
    ("mark", "vendor"): {"fill": VENDOR},
    ("mark", "good"): {"fill": HEALTHY},
    ("seg-label", "restored"): {"fill": HEALTHY, "stroke": "none"},
    **{("seg-label", tone): {"fill": PAPER} for tone in ("failing", "degraded", "fixing")},
}
KEY = (
    (FAILING, "failing"), (DEGRADED, "degraded"), (VENDOR, "vendor is fixing"),
    (HEALTHY, "clean or restored"),
)  # fmt: skip
FONT = "Inter, system-ui, Segoe UI, Roboto, Helvetica Neue, Liberation Sans, Arial, sans-serif"
MARGIN, HEAD, FOOT = 20, 34, 30

_CLASS = re.compile(r' class="([^"]*)"')
_ROOT = re.compile(r'<svg [^>]*viewBox="0 0 (?P<width>[\d.]+) (?P<height>[\d.]+)"[^>]*>')


def plain(drawing: str, *, heading: str) -> str:
    """Make a file of a drawing of ours, with a heading and a key.

    Raises:
        ValueError: it is no drawing of ours.
    """
    root = _ROOT.match(drawing)
    if root is None:
        raise ValueError("no drawing of ours")
    wide, high = float(root["width"]), float(root["height"])
    whole, tall = wide + 2 * MARGIN, high + HEAD + FOOT + MARGIN
    opening = (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="w-t w-d" '
        f'width="{number(whole)}" height="{number(tall)}" '
        f'viewBox="{-MARGIN} {-HEAD} {number(whole)} {number(tall)}" '
        f'font-family="{FONT}" font-size="11" fill="{SOFT}">'
    )
    paper = element("rect", x=-MARGIN, y=-HEAD, width=whole, height=tall, fill=PAPER)
    title = element("text", escape(heading), x=2, y=-12, font_size=15, font_weight="600", fill=INK)
    inner = _CLASS.sub(_attributes, drawing[root.end() :].removesuffix("</svg>"))
    key = _CLASS.sub("", "".join(_key(high + FOOT)))
    return f"{opening}{paper}{title}{inner}{key}</svg>\n"


def _key(y: float) -> list[str]:
    parts, x = [], 2.0
    for colour, words in KEY:
        parts.append(box(x, y - 8, 14, 9, "key").replace("<rect", f'<rect fill="{colour}"'))
        parts.append(label(x + 20, y, words, "key"))
        x += text_width(words) + 42
    return parts


def _attributes(found: re.Match[str]) -> str:
    words = found[1].split()
    look: Look = {}
    for word in words:
        look |= LOOKS.get(word, {})
    for (first, second), more in TOGETHER.items():
        if first in words and second in words:
            look |= more
    if "faint" in words:
        look |= LOOKS["faint"]
    return "".join(f' {name}="{value}"' for name, value in look.items())
