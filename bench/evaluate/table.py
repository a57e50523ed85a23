"""Tables for the terminal: one row for each scenario, and the totals against the targets."""

from collections.abc import Iterator, Sequence
from math import inf

from bench.evaluate.targets import Target, number, text_of
from bench.evaluate.totals import Run, View
from bench.evaluate.verdict import losses

COLUMNS = (
    ("recall", "any_recall", "%"),
    ("false", "", ""),
    ("p50", "delay50", "clock"),
    ("p90", "delay90", "clock"),
    ("pairF1", "pair_f1", ""),
    ("B3", "bcubed_f1", ""),
    ("frag", "fragmentation", ""),
    ("over", "over_merge", "%"),
    ("att+", "attach_right", "%"),
    ("att-", "attach_wrong", "%"),
    ("close", "close_error", "clock"),
    ("early", "premature", "%"),
    ("late", "zombie", "%"),
    ("kind5", "said_early", "%"),
    ("kind", "said", "%"),
)
SHOWN = 4  # losing seeds named in a row


def by_scenario(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by scenario, in the order of their numbers."""
    found: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run["number"], run["scenario"], run["seed"])):
        found.setdefault(run["scenario"], []).append(run)
    return found


def values(view: View) -> dict[str, float | None]:
    """What the columns show."""
    return {
        "any_recall": view.any_recall().value,
        "delay50": view.delay(0.5).value,
        "delay90": view.delay(0.9).value,
        "pair_f1": view.partition("pair_f1").value,
        "bcubed_f1": view.partition("bcubed_f1").value,
        "fragmentation": view.fragmentation().value,
        "over_merge": view.over_merge().value,
        "attach_right": view.attach("right").value,
        "attach_wrong": view.attach("wrong").value,
        "close_error": view.close_error().value,
        "premature": view.closing("premature").value,
        "zombie": view.closing("zombie").value,
        "said_early": view.kind("said_early").value,
        "said": view.kind("said").value,
    }


def cell(value: float | None, unit: str) -> str:
    """A value as a cell: shares without their sign, times as minutes and seconds."""
    if value is None:
        return "·"
    if value in (inf, -inf):
        return "miss"
    if unit == "%":
        return f"{value * 100:.0f}" if value in (0, 1) else f"{value * 100:.1f}"
    if unit == "clock":
        return f"{int(value) // 60}:{int(value) % 60:02d}"
    return f"{value:.3f}"


def rows(runs: Sequence[Run], engine: str = "sextant") -> Iterator[str]:
    """The table of scenarios."""
    widths = [6, 5, 6, 6, 6, 6, 6, 5, 5, 5, 6, 5, 5, 5, 5]
    heads = " ".join(name.rjust(w) for (name, _, _), w in zip(COLUMNS, widths, strict=True))
    yield f"{'scenario':22} {'n':>3} {heads}  losing seeds"
    groups = by_scenario(runs)
    for name, own in [*groups.items(), ("all", list(runs))]:
        view = View(own, engine)
        told = values(view)
        cells = []
        for (head, key, unit), width in zip(COLUMNS, widths, strict=True):
            text = str(view.false_rate().n) if head == "false" else cell(told[key], unit)
            cells.append(text.rjust(width))
        lost = [run["seed"] for run in own if losses(view.score(run))]
        named = "" if name == "all" else " ".join(map(str, lost[:SHOWN]))
        more = f" +{len(lost) - SHOWN}" if len(lost) > SHOWN and named else ""
        count = f"{len(lost)}/{len(own)}" if name == "all" else named + more
        yield f"{name:22} {len(own):>3} {' '.join(cells)}  {count}"


def lost(runs: Sequence[Run]) -> Iterator[str]:
    """What each losing run lost."""
    for name, own in by_scenario(runs).items():
        for run in own:
            found = losses(run["scores"]["sextant"])
            if found:
                yield f"{name}:{run['seed']}: {'; '.join(found)}"


def totals(found: Sequence[Target]) -> Iterator[str]:
    """The targets, met and missed."""
    for target in found:
        yield (
            f"{target.verdict:6} {target.name:56} {target.words:>10}   "
            f"{text_of(target.figure, target.unit)}  n={target.figure.n}"
            f"{'  ' + target.note if target.note else ''}"
        )


def compare(runs: Sequence[Run]) -> Iterator[str]:
    """The engine beside the baselines."""
    names = list(runs[0]["scores"]) if runs else []
    if len(names) < 2:
        return
    heads = ("recall", "precision", "p50", "p90", "earlier", "false/week", "pairF1", "B3", "frag",
             "over", "kind")  # fmt: skip
    yield f"{'':12} " + " ".join(head.rjust(10) for head in heads)
    for name in names:
        view = View([run for run in runs if name in run["scores"]], name)
        told = (
            cell(view.recall().value, "%"), cell(view.precision().value, "%"),
            cell(view.delay(0.5).value, "clock"), cell(view.delay(0.9).value, "clock"),
            cell(view.earlier().value, "%"), number(view.false_rate().value, "/week"),
            cell(view.partition("pair_f1").value, ""), cell(view.partition("bcubed_f1").value, ""),
            cell(view.fragmentation().value, ""), cell(view.over_merge().value, "%"),
            cell(view.kind("said").value, "%"),
        )  # fmt: skip
        yield f"{name:12} " + " ".join(text.rjust(10) for text in told)
