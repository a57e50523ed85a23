"""Targets: each metric of the issue with its figure, and whether the target is met."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from bench.evaluate.figures import Figure
from bench.evaluate.totals import SMALL, Run, View, order_share

HARD = frozenset(
    {"vendor_plus_local", "regional_s2", "partial_15pct", "spray_during_outage", "slow_burn",
     "mo_umbrella", "flap_onoff", "isp_path", "random"}
)  # fmt: skip
NOISY = frozenset(
    {"noise", "noisy_client", "flapping_probe", "clock_skew_batch", "profile_shift",
     "rotating_actor_storm", "password_spray", "advisory_only", "false_positive_adv"}
)  # fmt: skip
MINUTE = 60.0
SEEN = "faults that no probe met count as told by reports alone"


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table. ``unit`` is %, min, s, a plain number or per week."""

    name: str
    words: str
    figure: Figure
    unit: str
    is_met: bool
    is_sure: bool
    note: str = ""

    @property
    def verdict(self) -> str:
        """``met``, ``met?`` where the interval reaches over the target, or ``MISSED``."""
        if not self.is_met:
            return "MISSED"
        return "met" if self.is_sure else "met?"


def carries(run: Run) -> bool:
    """Whether the tenant is large enough, or has probes, for the promise to hold."""
    return run["users"] >= SMALL or run["watch"] != "reports"


def _least(name: str, wanted: float, figure: Figure, unit: str, note: str = "") -> Target:
    words = f"≥ {wanted:g}" if unit != "%" else f"≥ {wanted * 100:g} %"
    met = figure.value is not None and figure.value >= wanted
    low = figure.low if figure.low is not None else figure.value
    return Target(name, words, figure, unit, met, low is not None and low >= wanted, note)


def _most(name: str, wanted: float, figure: Figure, unit: str, note: str = "") -> Target:
    words = f"≤ {wanted:g}" if unit != "%" else f"≤ {wanted * 100:g} %"
    met = figure.value is not None and figure.value <= wanted
    high = figure.high if figure.high is not None else figure.value
    return Target(name, words, figure, unit, met, high is not None and high <= wanted, note)


def _minutes(figure: Figure) -> Figure:
    def of(value: float | None) -> float | None:
        return None if value is None else value / MINUTE

    return Figure(of(figure.value), of(figure.low), of(figure.high), figure.n)


def targets(
    runs: Sequence[Run],
    engine: str = "sextant",
    cost: Mapping[str, float] | None = None,
    orders: Sequence[Run] = (),
) -> list[Target]:
    """All targets of the issue, in its order; those of cost where it was measured."""
    every = View(runs, engine)
    able = every.of(carries)
    found = [
        _least("vendor-fault precision", 0.98, able.precision(), "%"),
        _least("vendor-fault recall", 0.99, able.recall(), "%"),
        *_grouping(every),
        *_delays(every),
        *_against_vendor(every),
        *_noise(every),
        *_kinds(every),
        *_attaching(every),
        *_closing(every),
        _least("order: equal partitions", 1.0, order_share([*runs, *orders]), "%",
               _permuted([*runs, *orders])),
        _most("calibration error", 0.03, every.calibration_error(), ""),
        *_cost(runs, cost),
    ]  # fmt: skip
    return [target for target in found if target.figure.value is not None]


def _permuted(runs: Sequence[Run]) -> str:
    asked = [run["order"]["asked"] for run in runs if run.get("order")]
    return (
        f"{sum(asked):,} permutations of the busiest 45 minutes of {len(asked)} scenarios (some"
        " hundred reporters, all probes): delayed within the lateness window, doubled, restarted"
    )


def _grouping(every: View) -> list[Target]:
    easy = every.of(lambda run: run["scenario"] not in HARD)
    hard = every.of(lambda run: run["scenario"] in HARD)
    return [
        _least("pair F1", 0.99, easy.partition("pair_f1"), ""),
        _least("B-cubed F1", 0.98, easy.partition("bcubed_f1"), ""),
        _least("pair F1, hard scenarios", 0.95, hard.partition("pair_f1"), ""),
        _least("B-cubed F1, hard scenarios", 0.95, hard.partition("bcubed_f1"), ""),
        _most("fragmentation", 1.01, every.fragmentation(), ""),
        _most("over-merge", 0.005, every.over_merge(), "%"),
    ]


def _delays(every: View) -> list[Target]:
    def of(keep: Callable[[Run], bool]) -> View:
        return every.of(keep)

    rows = []
    for name, keep, seen, half, most in (
        ("one-minute probes", lambda run: run["watch"] == "probes 60 s",
         lambda row: row["probed"], 1, 3),
        ("reports alone, ≥ 500 users", lambda run: run["users"] >= SMALL,
         lambda row: not row["probed"], 3, 6),
        ("60 users, five-minute probes",
         lambda run: run["watch"] == "probes 300 s" and run["users"] <= 60, bool, 10, 20),
    ):  # fmt: skip
        view = of(keep)
        for part, wanted in ((0.5, half), (0.9, most)):
            figure = _minutes(view.delay(part, keep=seen))
            rows.append(_most(f"detected, {name}, p{part * 100:.0f}", wanted, figure, "min", SEEN))
    return rows


def _against_vendor(every: View) -> list[Target]:
    return [
        _least("earlier than the vendor", 0.97, every.earlier(), "%"),
        _least("median lead", 20, _minutes(every.lead()), "min"),
    ]


def _noise(every: View) -> list[Target]:
    noisy = every.of(lambda run: run["scenario"] in NOISY)
    weeks = noisy.weeks
    return [
        _most("false incidents per tenant-week, noise and adversaries", 0.05, noisy.false_rate(),
              "/week", f"{weeks:.1f} tenant-weeks of the 200 that are asked for"),
        _most("false incidents per tenant-week, all scenarios", 0.05, every.false_rate(),
              "/week", f"{every.weeks:.1f} tenant-weeks"),
    ]  # fmt: skip


def _kinds(every: View) -> list[Target]:
    spray = every.of(lambda run: "spray" in run["scenario"])
    filed = sum(
        row["origin"] == "identity" and row["said"] == "vendor"
        for run in spray.runs
        for row in spray.score(run)["faults"]
    )
    sprayed = sum(
        row["origin"] == "identity" for run in spray.runs for row in spray.score(run)["faults"]
    )
    share = Figure(filed / sprayed, None, None, sprayed) if sprayed else Figure(None)
    return [
        _least("kind right at +5 min", 0.98, every.kind("said_early"), "%"),
        _least("kind right at close", 0.98, every.kind("said"), "%"),
        _most("password spray filed as the vendor's", 0.0, share, "%"),
    ]


def _attaching(every: View) -> list[Target]:
    return [
        _least("attach right", 0.98, every.attach("right"), "%"),
        _most("attach wrong", 0.005, every.attach("wrong"), "%"),
        _most("attached after arrival, p90", 5, every.attach_delay(0.9), "s"),
    ]


def _closing(every: View) -> list[Target]:
    return [
        _most("close error, median", 10, _minutes(every.close_error()), "min"),
        _most("closed early (premature)", 0.01, every.closing("premature"), "%"),
        _most("closed late (zombie)", 0.01, every.closing("zombie"), "%"),
    ]


def _cost(runs: Sequence[Run], cost: Mapping[str, float] | None) -> list[Target]:
    largest = max((run["state_bytes"] for run in runs), default=None)
    rows = [
        _most("state of a tenant as stored, largest", 300_000,
              Figure(None if largest is None else float(largest), n=len(runs)), "bytes"),
    ]  # fmt: skip
    if cost is not None:
        rows += [
            _least("signals folded per second and core, storm", 100_000,
                   Figure(cost["signals_per_second"], n=1), "", "see `bench/evaluate/cost.py`"),
            _most("state after ten times the signals", 1.05, Figure(cost["state_growth"], n=1),
                  "", "times the state after the tenth"),
            _most("a minute's look at 100,000 cells, calm", 50, Figure(cost["look_ms"], n=1),
                  "ms", "twenty tenants; some hundred cells heard of an error"),
            _most("the same, all failing", 50, Figure(cost["worst_look_ms"], n=1),
                  "ms", "an error in every cell each minute, everything fails at once"),
        ]  # fmt: skip
    return rows


def text_of(figure: Figure, unit: str) -> str:
    """A figure with its interval as text."""
    if figure.value is None:
        return "—"
    low, high = figure.low, figure.high
    said = number(figure.value, unit)
    if low is None or high is None:
        return said
    return f"{said} ({number(low, unit)} to {number(high, unit)})"


def number(value: float | None, unit: str) -> str:
    """A value in its unit, short."""
    if value is None:
        return "—"
    if value in (inf, -inf):
        return "missed"
    if unit == "%":
        return f"{value * 100:.1f} %"
    if unit == "bytes" or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    digits = {"min": 1, "s": 0, "/week": 3}.get(unit, 3)
    return f"{value:.{digits}f}" + (f" {unit}" if unit in {"min", "s"} else "")
