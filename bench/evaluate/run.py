"""One run: a scenario of one seed made, folded offline, judged, with the baselines beside it."""

import gc
import pickle
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from app.core.policy import DEFAULT_POLICY, Policy
from app.core.state import EngineState, TenantProfile
from app.flow.offline import Offline, Told
from app.recordings import make_recording
from app.sources.recorded import Line
from app.store import states
from bench.evaluate import order, story, truth
from bench.evaluate.baselines import BASELINES
from bench.evaluate.digest import of_run_options, of_scenarios
from bench.evaluate.score import score
from bench.evaluate.story import Story
from bench.evaluate.truth import Truth
from bench.scenarios import generate

PROCESSES = ("random", "noise", "users_")
WEEK = 7 * 86400.0
STORE = Path(tempfile.gettempdir()) / "sextant-evaluate"  # signals as made, to make them once


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The signals of one tenant, and the truth about them."""

    scenario: str
    seed: int
    profile: TenantProfile
    lines: list[Line]
    truth: Truth

    @property
    def weeks(self) -> float:
        """How long the lines go, in weeks."""
        return (self.lines[-1].received_at - self.lines[0].received_at).total_seconds() / WEEK


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A case folded: what was told, and what it cost (seconds of one core)."""

    case: Case
    told: Told
    story: Story
    seconds: float
    state_bytes: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to run besides the engine itself. ``options`` are those of the generator."""

    options: Mapping[str, Any]
    baselines: bool = False
    permutations: int = 0
    only_order: bool = False
    policy: Policy = DEFAULT_POLICY
    tick: int = 10


def make(scenario: str, seed: int, options: Mapping[str, Any]) -> Case:
    """Make a case, or take the one made before by the same generator.

    ``weeks`` is of the processes alone; the other scenarios have a length of their own.
    """
    stem = Path(scenario).stem
    if not stem.startswith(PROCESSES):
        options = {key: value for key, value in options.items() if key != "weeks"}
    asked = of_run_options(options)
    name = f"{stem}-{seed}-{asked}-{of_scenarios(scenario, options)}.pickle"
    kept = STORE / name
    if kept.exists():
        with kept.open("rb") as file:
            found: Case = pickle.load(file)
        return found
    made = _make(scenario, seed, options)
    STORE.mkdir(mode=0o700, exist_ok=True)
    part = kept.with_suffix(f".{time.perf_counter_ns()}")
    part.write_bytes(pickle.dumps(made, pickle.HIGHEST_PROTOCOL))
    part.rename(kept)
    for old in STORE.glob(f"{stem}-{seed}-{asked}-*.pickle"):
        if old != kept:
            old.unlink(missing_ok=True)  # of a former generator
    return made


def _make(scenario: str, seed: int, options: Mapping[str, Any]) -> Case:
    made = generate(scenario, seed, **options)
    labels: dict[str, str] = {}

    def texts() -> Iterable[bytes]:
        for line in made.lines():
            labels[line.ref] = line.label
            yield made.text(line)

    header = [msgspec.json.encode(made.header)]
    return case_of(scenario, seed, header=header, texts=texts(), document=made.truth, labels=labels)


def case_of(
    scenario: str,
    seed: int,
    *,
    header: Iterable[bytes],
    texts: Iterable[bytes],
    document: Mapping[str, Any],
    labels: Mapping[str, str],
) -> Case:
    """Read lines through the readers of the doors; ``labels`` may fill while they are read."""
    recording = make_recording(Policy())
    gc.disable()  # nothing of what is read is garbage; looking for it costs half of the reading
    try:
        lines = [*recording.read(iter(header)), *recording.read(iter(texts))]
    finally:
        gc.enable()
    (profile,) = recording.profiles.values()
    return Case(
        scenario=scenario,
        seed=seed,
        profile=profile,
        lines=lines,
        truth=truth.read(document, labels),
    )


def _restarts(case: Case) -> Callable[[EngineState, datetime], EngineState] | None:
    """Restarts that a scenario asks for: the state is written and read again at that time."""
    due = [truth.instant(one["at"]) for one in case.truth.document.get("actions", [])
           if one["do"] == "restart"]  # fmt: skip
    due.sort(reverse=True)

    def between(state: EngineState, now: datetime) -> EngineState:
        again = False
        while due and due[-1] <= now:
            due.pop()
            again = True
        return states.decode(states.encode(state)) if again else state

    return between if due else None


def play(case: Case, policy: Policy, tick: int = 10) -> Played:
    """Fold a case."""
    gc.freeze()  # the signals stay; no collection need look at them
    engine = Offline(profile=case.profile, policy=policy, tick=tick, between=_restarts(case))
    begun = time.process_time()
    told = engine.run(case.lines)
    seconds = time.process_time() - begun
    gc.unfreeze()
    return Played(
        case=case,
        told=told,
        story=story.read(told),
        seconds=seconds,
        state_bytes=len(states.encode(engine.state)),
        steps=engine.steps,
    )


def watch_of(document: Mapping[str, Any]) -> str:
    """How a tenant is watched: ``probes 60 s``, or ``reports`` alone."""
    probes = document.get("probes") or {}
    if not probes.get("services") or not probes.get("locations"):
        return "reports"
    return f"probes {round(probes['interval_seconds'])} s"


def run(scenario: str, seed: int, wish: Wish) -> dict[str, Any]:
    """Run and judge one seed; gives plain values that can be stored."""
    case = make(scenario, seed, wish.options)
    if wish.only_order:
        return {"scenario": Path(scenario).stem, "seed": seed, "order": _order(case, wish)}
    return judged(case, wish)


def _order(case: Case, wish: Wish) -> dict[str, Any]:
    return order.examine(case.profile, case.lines, wish.policy, seed=case.seed,
                         permutations=wish.permutations)  # fmt: skip


def judged(case: Case, wish: Wish) -> dict[str, Any]:
    """Play and judge a case; gives plain values that can be stored."""
    played = play(case, wish.policy, wish.tick)
    scores = {"sextant": score(played.story, case.truth, case.lines).document()}
    if wish.baselines:
        for name, baseline in BASELINES.items():
            told = baseline(case.lines, case.profile.users)
            scores[name] = score(told, case.truth, case.lines).document()
    result = {
        "scenario": Path(case.scenario).stem,
        "number": case.truth.document.get("number", 99),
        "seed": case.seed,
        "users": case.profile.users,
        "watch": watch_of(case.truth.document),
        "weeks": case.weeks,
        "signals": len(case.lines),
        "fold_seconds": played.seconds,
        "steps": played.steps,
        "state_bytes": played.state_bytes,
        "scores": scores,
    }
    if wish.permutations:
        result["order"] = _order(case, wish)
    return result
