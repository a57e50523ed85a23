"""Totals over runs: every metric of the evaluation as a figure with its interval."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from bench.evaluate import figures
from bench.evaluate.figures import Figure

Run = dict[str, Any]  # one stored run, see ``bench.evaluate.run``
Row = dict[str, Any]  # one fault, claim or figure of a run

VENDOR = "vendor"
SMALL = 500  # users: below, and without probes, reports cannot carry the promise


@dataclass(frozen=True, slots=True)
class View:
    """The runs as one engine told them: ``sextant``, or a baseline by its name."""

    runs: Sequence[Run]
    engine: str = "sextant"

    def score(self, run: Run) -> Row:
        """The score of a run."""
        found: Row = run["scores"][self.engine]
        return found

    def faults(self, run: Run) -> list[Row]:
        """The faults of a run that could be seen."""
        return [row for row in self.score(run)["faults"] if row["seen"] and row["required"]]

    def found(self, run: Run) -> list[Row]:
        """Those that were claimed."""
        return [row for row in self.score(run)["faults"] if row["seen"] and row["claim"]]

    def of(self, keep: Callable[[Run], bool]) -> "View":
        """The same over some of the runs."""
        return View([run for run in self.runs if keep(run)], self.engine)

    # Each figure below is one metric of the evaluation.

    def recall(self) -> Figure:
        """Vendor faults that were claimed and said to be the vendor's."""

        def parts(run: Run) -> tuple[float, float]:
            rows = [row for row in self.faults(run) if row["origin"] == VENDOR]
            return sum(row["said"] == VENDOR for row in rows), len(rows)

        return figures.share(self.runs, parts)

    def any_recall(self) -> Figure:
        """Faults of any origin that were claimed, whoever was named."""
        return figures.share(
            self.runs,
            lambda run: (sum(bool(r["claim"]) for r in self.faults(run)), len(self.faults(run))),
        )

    def precision(self) -> Figure:
        """Claims against the vendor that match a vendor fault one to one."""

        def parts(run: Run) -> tuple[float, float]:
            score = self.score(run)
            true = {row["id"] for row in score["faults"] if row["origin"] == VENDOR}
            claims = [row for row in score["claims"] if row["origin"] == VENDOR]
            right = sum(row["verdict"] == "right" and row["fault"] in true for row in claims)
            return right, len(claims)

        return figures.share(self.runs, parts)

    def delay(self, part: float, name: str = "delay", keep: Callable[[Row], bool] = bool) -> Figure:
        """Seconds to the claim, of the faults that are kept; infinite where one was missed."""

        def delays(run: Run) -> list[float]:
            return [row[name] for row in self.faults(run) if keep(row)]

        return figures.spread(self.runs, delays, part)

    def earlier(self) -> Figure:
        """Posted faults that were claimed before the vendor posted."""
        return figures.share(
            self.runs,
            lambda run: (
                sum(row["lead"] > 0 for row in self._posted(run)), len(self._posted(run)),
            ),
        )  # fmt: skip

    def lead(self, part: float = 0.5) -> Figure:
        """Seconds ahead of the vendor."""
        return figures.spread(self.runs, lambda run: [r["lead"] for r in self._posted(run)], part)

    def _posted(self, run: Run) -> list[Row]:
        return [row for row in self.faults(run) if row["lead"] is not None]

    def false_rate(self) -> Figure:
        """False incidents per tenant-week."""
        return figures.rate(self._claims("false"), self.weeks)

    def suspicion_rate(self) -> Figure:
        """Suspicions per tenant-week that were no fault and were never told as a fact."""
        return figures.rate(sum(self.score(run)["suspicions"] for run in self.runs), self.weeks)

    @property
    def weeks(self) -> float:
        """Tenant-weeks."""
        return sum(run["weeks"] for run in self.runs)

    def _claims(self, verdict: str) -> int:
        return sum(
            row["verdict"] == verdict for run in self.runs for row in self.score(run)["claims"]
        )

    def partition(self, name: str) -> Figure:
        """A figure of how the partition of the signals agrees, over runs."""
        return figures.average(self.runs, lambda run: self.score(run)["partition"][name])

    def fragmentation(self) -> Figure:
        """Incidents for each fault that was claimed."""
        return figures.ratio(
            self.runs,
            lambda run: (sum(r["fragments"] for r in self.found(run)), len(self.found(run))),
        )

    def over_merge(self) -> Figure:
        """Claims that hold the most of two or more faults."""
        return figures.share(
            self.runs,
            lambda run: (
                sum(len(row["covers"]) > 1 for row in self.score(run)["claims"]),
                len(self.score(run)["claims"]),
            ),
        )

    def attach(self, verdict: str) -> Figure:
        """Advisories of claimed faults by where they ended; wrong ones of all advisories."""

        def parts(run: Run) -> tuple[float, float]:
            own = [v for row in self.found(run) for v in row["attach"].values()]
            if verdict == "wrong":
                own += list(self.score(run)["stray"].values())
            return own.count(verdict), len(own)

        return figures.share(self.runs, parts)

    def attach_delay(self, part: float) -> Figure:
        """Seconds from the arrival of an advisory until it was told to belong to its incident."""
        return figures.spread(
            self.runs,
            lambda run: [s for row in self.found(run) for s in row["attach_seconds"]],
            part,
        )

    def close_error(self, part: float = 0.5) -> Figure:
        """Seconds between the true end and the last word of ours on it."""
        return figures.spread(
            self.runs, lambda run: [row["close_error"] for row in self.found(run)], part
        )

    def closing(self, name: str) -> Figure:
        """Claimed faults that were closed early (premature) or late (zombie)."""
        return figures.share(
            self.runs,
            lambda run: (sum(row[name] for row in self.found(run)), len(self.found(run))),
        )

    def kind(self, name: str) -> Figure:
        """Claimed faults whose origin was right: ``said_early`` (+5 min) or ``said`` (close)."""
        return figures.share(
            self.runs,
            lambda run: (
                sum(row[name] == row["origin"] for row in self.found(run)), len(self.found(run)),
            ),
        )  # fmt: skip

    def told(self, name: str) -> Figure:
        """Reopenings, or events in all, for each claimed fault."""
        return figures.average(
            self.runs,
            lambda run: figures.mean([row[name] for row in self.found(run)]),
        )

    def samples(self) -> list[tuple[float, float, float]]:
        """Everything for the calibration."""
        return [tuple(s) for run in self.runs for s in self.score(run)["calibration"]]

    def calibration_error(self) -> Figure:
        """The expected calibration error with its interval over runs."""

        def of(runs: Sequence[Run]) -> float | None:
            return figures.calibration_error(View(runs, self.engine).samples())

        return Figure(of(self.runs), *figures.bootstrap(self.runs, of), len(self.samples()))


def order_share(runs: Iterable[Run]) -> Figure:
    """Permutations whose partition equals that of the order told."""
    asked = [run for run in runs if run.get("order")]
    return figures.share(asked, lambda run: (run["order"]["equal"], run["order"]["asked"]))


def signals_per_second(runs: Sequence[Run]) -> float | None:
    """Signals folded per second of one core's time."""
    seconds = sum(run["fold_seconds"] for run in runs)
    return sum(run["signals"] for run in runs) / seconds if seconds else None


def finite(value: float | None) -> float | None:
    """The value, or None where it stands for a miss or for nothing."""
    return None if value is None or value in (inf, -inf) else value
