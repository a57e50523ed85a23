"""The page: ``docs/evaluation.md`` with its tables and pictures, losing scenarios first."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.evaluate import figures, plots
from bench.evaluate.baselines import BASELINES
from bench.evaluate.count import Counted
from bench.evaluate.table import by_scenario, cell, values
from bench.evaluate.targets import Target, number, targets, text_of
from bench.evaluate.totals import Run, View, signals_per_second
from bench.evaluate.verdict import losses

TOP_LOSSES = 4  # kinds of loss named for a scenario
DEVELOPMENT = 1000  # seeds below were looked at while the engine was tuned
RULES = {
    "sextant": "the engine",
    "threshold": "five reporters of a service in 15 min, or two failing vantages in 3 min",
    "window": "bad signals of a service within 5 min of each other are one incident",
    "ratio": "reporters in 15 min at three times the mean of the hour, at least three",
    "vendor": "each advisory is an incident from its arrival to its end",
}
HEAD = """# Evaluation

How well the engine turns signals into incidents, measured on scenarios whose truth is known. This page is written by one command, `make evaluation`; nothing on it is edited by hand.

**What was run.** {runs} runs of {scenarios} scenarios, seeds {seeds}; {weeks:.1f} tenant-weeks, {signals:,} signals, each folded by `decide` in virtual time with a look each {tick} s, as `sextant fold` does.
{kind} The generator (`bench/scenarios/`) was written from the reference by someone who had not read the engine, and is not imported by `app/`. It is still a model: figures on real tenants will differ.

**What is counted.** A fault is *claimed* when an incident with evidence of our own is confirmed; *suspected* and vendor-only incidents do not count. Claims and faults are matched one to one by the signals they share, then by service and time. The delay runs from the first
failing event of a user or a probe (told or not) to the instant at which the incident can be read; a missed fault is an infinite delay. An incident that matches no fault is false; one that shares its fault with another is a fragment. Intervals are 95 %: bootstrap over runs, exact Poisson
for counts, three over n where nothing was missed. **met** means that the interval meets the target as well, **met?** that only the value does.
"""


def write(
    file: Path,
    runs: Sequence[Run],
    *,
    tick: int,
    cost: Mapping[str, float] | None = None,
    counted: Counted | None = None,
) -> None:
    """Write the page, and its pictures under ``img`` beside it."""
    counted = counted or Counted()
    found = targets(runs, cost=cost, orders=counted.orders)
    images = file.parent / "img"
    images.mkdir(parents=True, exist_ok=True)
    note = f"{len(runs)} runs, seeds {_seeds(runs)}"
    for name, drawing in _pictures(runs, found, note).items():
        (images / name).write_text(drawing, "utf-8")
    file.write_text("\n".join(_text(runs, found, tick, counted)) + "\n", "utf-8")


def _pictures(runs: Sequence[Run], found: Sequence[Target], note: str) -> dict[str, str]:
    beside = _compared(runs)
    engines = list(RULES) if beside else ["sextant"]
    curves = {
        name: [row["delay"] for run in beside or runs for row in View(runs, name).faults(run)]
        for name in engines
    }
    bins = figures.reliability(View(runs).samples())
    return {
        "evaluation-delay.svg": plots.delays(curves, title="How soon a fault is an incident",
                                             note=note),
        "evaluation-reliability.svg": plots.reliability(
            bins, title="Is 90 % sure right nine times of ten?", note=note),
        "evaluation-targets.svg": plots.bars(found, title="Metric and target", note=note),
    }  # fmt: skip


def _seeds(runs: Sequence[Run]) -> str:
    seeds = sorted({run["seed"] for run in runs})
    return f"{seeds[0]} to {seeds[-1]}"


def _text(
    runs: Sequence[Run], found: Sequence[Target], tick: int, counted: Counted
) -> Iterator[str]:
    first = min(run["seed"] for run in runs)
    unseen = first >= DEVELOPMENT
    yield HEAD.format(
        runs=len(runs),
        scenarios=len(by_scenario(runs)),
        seeds=_seeds(runs),
        weeks=View(runs).weeks,
        signals=sum(run["signals"] for run in runs),
        tick=tick,
        kind="These are **evaluation seeds** (1000 and up): parameters are jittered by 30 %, and "
        "nobody looked at them while the engine was tuned on seeds 0 to 999."
        if unseen
        else "These are **development seeds** (0 to 999), on which the engine was tuned: the "
        "figures are optimistic.",
    )
    yield from _parts(counted)
    yield from _lost(runs)
    yield from _targets(found)
    yield from _scenarios(runs)
    yield from _sizes(runs)
    yield from _baselines(runs)
    yield from _calibration(runs)
    yield from _more(runs)


def _parts(counted: Counted) -> Iterator[str]:
    if not counted.done:
        return
    told = [f"{name} ({done} of {asked})" if done < asked else f"{name} ({done})"
            for name, done, asked in counted.done]  # fmt: skip
    yield f"**Parts** (`bench/evaluate/count.toml`, runs): {'; '.join(told)}."
    yield ""


def _compared(runs: Sequence[Run]) -> list[Run]:
    """The runs beside which the usual rules were run."""
    return [run for run in runs if set(BASELINES) <= set(run["scores"])]


def _lost(runs: Sequence[Run]) -> Iterator[str]:
    yield "## Where it loses"
    yield ""
    rows = []
    for name, own in by_scenario(runs).items():
        lost = [(run["seed"], losses(run["scores"]["sextant"])) for run in own]
        lost = [(seed, words) for seed, words in lost if words]
        if lost:
            rows.append((len(lost) / len(own), name, len(own), lost))
    if not rows:
        yield "No run lost anything."
    else:
        yield "| scenario | runs lost | what | look at |"
        yield "|---|---|---|---|"
    for _, name, count, lost in sorted(rows, key=lambda row: (-row[0], row[1])):
        kinds: dict[str, int] = {}
        for _, words in lost:
            for word in {_kind(word) for word in words}:
                kinds[word] = kinds.get(word, 0) + 1
        named = sorted(kinds.items(), key=lambda one: (-one[1], one[0]))[:TOP_LOSSES]
        said = "; ".join(f"{word} ×{n}" for word, n in named)  # noqa: RUF001 - times
        yield (
            f"| {name} | {len(lost)} of {count} | {said} | "
            f"`sextant evaluate --show {name}:{lost[0][0]}` |"
        )
    yield ""


def _kind(word: str) -> str:
    """A loss without the name of its fault or advisory."""
    parts = word.split(" ", 1)
    return parts[1] if len(parts) > 1 and parts[0] not in {"false", "merged"} else word


def _targets(found: Sequence[Target]) -> Iterator[str]:
    yield "## Metric and target"
    yield ""
    yield "![Each metric with its target](img/evaluation-targets.svg)"
    yield ""
    yield "| | metric | target | measured (95 %) | n | note |"
    yield "|---|---|---|---|---|---|"
    for target in found:
        word = target.verdict if target.is_met else "**missed**"
        yield (
            f"| {word} | {target.name} | {target.words} | {text_of(target.figure, target.unit)} "
            f"| {target.figure.n} | {target.note} |"
        )
    yield ""


COLUMNS = {
    "claimed %": ("any_recall", "%"),
    "p50": ("delay50", "clock"),
    "p90": ("delay90", "clock"),
    "pair F1": ("pair_f1", ""),
    "B³ F1": ("bcubed_f1", ""),
    "pieces": ("fragmentation", ""),
    "over-merged %": ("over_merge", "%"),
    "attach right %": ("attach_right", "%"),
    "wrong %": ("attach_wrong", "%"),
    "close error": ("close_error", "clock"),
    "early %": ("premature", "%"),
    "late %": ("zombie", "%"),
    "kind +5 min %": ("said_early", "%"),
    "at close %": ("said", "%"),
}


def _scenarios(runs: Sequence[Run]) -> Iterator[str]:
    yield "## By scenario"
    yield ""
    yield "Times are minutes:seconds; a dot means that the scenario has nothing to measure."
    yield ""
    yield "| scenario | runs | false | " + " | ".join(COLUMNS) + " |"
    yield "|---" * (3 + len(COLUMNS)) + "|"
    for name, own in by_scenario(runs).items():
        yield _row(name, View(own))
    yield _row("**all**", View(runs))
    yield ""


def _row(name: str, view: View) -> str:
    told = values(view)
    cells = [cell(told[key], unit) for key, unit in COLUMNS.values()]
    return f"| {name} | {len(view.runs)} | {view.false_rate().n} | {' | '.join(cells)} |"


def _sizes(runs: Sequence[Run]) -> Iterator[str]:
    yield "## By size of the tenant and how it is watched"
    yield ""
    yield "Where reports alone cannot carry a claim, the engine says so instead of lowering its bound; small tenants are shown for that reason."
    yield ""
    yield "| users | watched by | runs | vendor faults: precision | recall | any fault claimed | p50 | p90 | false per week |"
    yield "|---|---|---|---|---|---|---|---|---|"
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run["users"], run["watch"]), []).append(run)
    for (users, watch), own in sorted(groups.items()):
        view = View(own)
        yield (
            f"| {users} | {watch} | {len(own)} | {text_of(view.precision(), '%')} | "
            f"{text_of(view.recall(), '%')} | {text_of(view.any_recall(), '%')} | "
            f"{cell(view.delay(0.5).value, 'clock')} | {cell(view.delay(0.9).value, 'clock')} | "
            f"{text_of(view.false_rate(), '/week')} |"
        )
    yield ""


def _baselines(runs: Sequence[Run]) -> Iterator[str]:
    beside = _compared(runs)
    names = ["sextant", *BASELINES] if beside else ["sextant"]
    yield "## Beside the usual rules"
    yield ""
    yield "The same signals under rules in common use (`bench/evaluate/baselines.py`). None of them names an origin: they blame the vendor for everything."
    yield ""
    yield "![Share of faults claimed over time](img/evaluation-delay.svg)"
    yield ""
    yield "| rule | vendor faults: precision | recall | p50 | p90 | before the vendor | false per week | pair F1 | B³ F1 | pieces | over-merged | kind |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for name in names:
        view = View(beside or runs, name)
        yield (
            f"| **{name}**: {RULES[name]} | {text_of(view.precision(), '%')} | "
            f"{text_of(view.recall(), '%')} | {cell(view.delay(0.5).value, 'clock')} | "
            f"{cell(view.delay(0.9).value, 'clock')} | {text_of(view.earlier(), '%')} | "
            f"{text_of(view.false_rate(), '/week')} | {cell(view.partition('pair_f1').value, '')} | "
            f"{cell(view.partition('bcubed_f1').value, '')} | "
            f"{cell(view.fragmentation().value, '')} | {text_of(view.over_merge(), '%')} | "
            f"{text_of(view.kind('said'), '%')} |"
        )
    yield ""


def _calibration(runs: Sequence[Run]) -> Iterator[str]:
    view = View(runs)
    yield "## Calibration"
    yield ""
    yield f"Expected calibration error {text_of(view.calibration_error(), '')}, over what each incident said of itself in every event until it ended; each incident weighs the same, suspicions among them."
    yield ""
    yield "![Reliability](img/evaluation-reliability.svg)"
    yield ""
    yield "| said | was | incidents |"
    yield "|---|---|---|"
    for row in figures.reliability(view.samples()):
        yield f"| {row.said:.3f} | {row.was:.3f} | {row.weight:.1f} |"
    yield ""


def _more(runs: Sequence[Run]) -> Iterator[str]:
    view = View(runs)
    rows: Mapping[str, Any] = {
        "suspected after, p50 (min:s)": cell(view.delay(0.5, "shown_delay").value, "clock"),
        "claimed after the first signal that arrived, p50": cell(
            view.delay(0.5, "told_delay").value, "clock"),
        "the same, p90": cell(view.delay(0.9, "told_delay").value, "clock"),
        "suspicions that were no fault, per tenant-week": text_of(view.suspicion_rate(), "/week"),
        "adjusted Rand index (runs of two and more faults)": text_of(view.partition("ari"), ""),
        "V-measure (the same)": text_of(view.partition("v_measure"), ""),
        "reopened per fault": text_of(view.told("reopened"), ""),
        "events per fault": text_of(view.told("told"), ""),
        "close error, p90 (min:s)": cell(view.close_error(0.9).value, "clock"),
        "signals per second and core in these runs (most of it is time that passes)": number(
            signals_per_second(runs), ""),
        "attached after arrival, p50 (s)": number(view.attach_delay(0.5).value, "s"),
    }  # fmt: skip
    yield "## For reference"
    yield ""
    yield "| figure | value |"
    yield "|---|---|"
    for name, value in rows.items():
        yield f"| {name} | {value} |"
    yield ""
    yield "The bound printed beside false incidents is the engine's own promise: at most 0.05 per tenant-week by `false_incidents_per_week` of the policy."
