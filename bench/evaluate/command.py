"""``sextant evaluate``: scenarios over seeds, in parallel, resumable; tables, page or one seed."""

import argparse
import json
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from app.core.errors import InvalidInput, SettingsError
from app.core.policy import Policy
from app.recordings import load_policy
from bench.evaluate import cost, page, show, table
from bench.evaluate.count import Counted, read
from bench.evaluate.digest import of_run
from bench.evaluate.run import STORE, Wish, case_of, judged, make, play, run
from bench.evaluate.targets import targets
from bench.scenarios import BadScenario, names

SEEDS = 3  # of each scenario, unless said otherwise
SIZES = Path(__file__).parent / "sizes"
WIDTH = 24  # of the progress bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "--scenarios", default="named", help="names or files by commas; named, sizes: all of them"
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds of each scenario")
    parser.add_argument("--first-seed", type=int, default=0, help="development 0 to 999")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--users", type=int, help="size of the tenant instead of the scenario's")
    parser.add_argument("--weeks", type=float, help="length of random and noise")
    parser.add_argument("--history-days", type=float, help="quiet days before the first")
    parser.add_argument("--set", action="append", metavar="TABLE.KEY=VALUE", default=[],
                        help="a parameter of bench/scenarios/defaults.toml")  # fmt: skip
    parser.add_argument("--policy", metavar="FILE", help="TOML with keys of [policy]")
    parser.add_argument("--tick", type=int, default=10, help="seconds between looks")
    parser.add_argument("--baselines", action="store_true", help="usual rules beside the engine")
    parser.add_argument("--permutations", type=int, default=0, help="orders asked of each run")
    parser.add_argument("--json", action="store_true", help="print every run and total as JSON")
    parser.add_argument("--losses", action="store_true", help="say what each losing run lost")
    parser.add_argument("--plan", metavar="FILE", help="parts to run one after the other; `count`")
    parser.add_argument("--minutes", type=float, help="begin no run of --plan after so long")
    parser.add_argument("--show", metavar="SCENARIO:SEED", help="one seed, truth beside incidents")
    parser.add_argument("--signals", metavar="FILE", help="score a file of signals instead")
    parser.add_argument("--truth", metavar="FILE", help="the truth of --signals")
    parser.add_argument("--write", metavar="FILE", help="write the page, and its pictures beside")
    parser.add_argument("--fresh", action="store_true", help="use no result stored before")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Raises:
        SettingsError: an argument names what is not there.
        InvalidInput: a file cannot be read.
    """
    parser = argparse.ArgumentParser(prog="sextant evaluate", description=__doc__)
    add_arguments(parser)
    try:
        return _main(parser.parse_args(argv))
    except BadScenario as error:
        raise SettingsError(str(error)) from error


def _main(arguments: argparse.Namespace) -> int:
    policy = load_policy(Path(arguments.policy) if arguments.policy else None)
    wish = Wish(
        options=_options(arguments),
        baselines=arguments.baselines or bool(arguments.write),
        permutations=arguments.permutations,
        policy=policy,
        tick=arguments.tick,
    )
    if arguments.show:
        return _show(arguments.show, wish)
    counted = Counted()
    if arguments.plan:
        counted = _count(arguments, policy)
        found = counted.runs
    elif arguments.signals:
        found = [_of_files(arguments, wish)]
    else:
        chosen = _chosen(arguments.scenarios)
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        asked = [(name, seed) for seed in seeds for name in chosen]
        found = _run_all(asked, wish, jobs=arguments.jobs, fresh=arguments.fresh)
    if arguments.json:
        print(json.dumps(_plain({"runs": found, "targets": _told(found)}), indent=1))
        return 0
    if arguments.write:
        page.write(Path(arguments.write), found, tick=arguments.tick, cost=cost.measure(),
                   counted=counted)  # fmt: skip
    for text in _tables(found, losses=arguments.losses):
        print(text)
    return 0


def _count(arguments: argparse.Namespace, policy: Policy) -> Counted:
    """Run the parts of a plan until the time is up; what was run before is not run again."""
    until = None
    if arguments.minutes is not None:
        until = time.perf_counter() + 60 * arguments.minutes
    counted = Counted()
    for part in read(arguments.plan):
        wish = Wish(
            options=part.options,
            baselines=part.baselines,
            permutations=part.permutations,
            policy=policy,
            tick=arguments.tick,
            only_order=part.only_order,
        )
        seeds = range(part.first_seed, part.first_seed + part.seeds)
        asked = [(name, seed) for seed in seeds for name in _chosen(part.scenarios)]
        print(f"{part.name}: {len(asked)} runs", file=sys.stderr, flush=True)
        found = _run_all(asked, wish, jobs=arguments.jobs, fresh=arguments.fresh, until=until)
        (counted.orders if part.only_order else counted.runs).extend(found)
        counted.done.append((part.name, len(found), len(asked)))
    return counted


def _chosen(words: str) -> list[str]:
    """The scenarios by name or file; ``named`` and ``sizes`` stand for all of their kind."""
    sizes = [str(file) for file in sorted(SIZES.glob("*.toml"))]
    groups = {"named": names(), "sizes": sizes}
    return [
        name
        for word in words.split(",") if word
        for name in groups.get(word, [word])
    ]  # fmt: skip


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {
        "users": arguments.users,
        "weeks": arguments.weeks,
        "history_days": arguments.history_days,
    }
    made: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if arguments.set:
        try:
            pairs = (one.split("=", 1) for one in arguments.set)
            made["settings"] = {k.strip(): tomllib.loads(f"x = {v}")["x"] for k, v in pairs}
        except ValueError as error:
            raise SettingsError(f"--set takes TABLE.KEY=VALUE, a value of TOML: {error}") from error
    return made


def _tables(found: Sequence[dict[str, Any]], *, losses: bool) -> Iterator[str]:
    yield from table.rows(found)
    yield ""
    yield from table.totals(targets(found))
    yield ""
    yield from table.compare(found)
    if losses:
        yield ""
        yield from table.lost(found)


def _told(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"name": t.name, "target": t.words, "value": t.figure.value, "low": t.figure.low,
         "high": t.figure.high, "n": t.figure.n, "unit": t.unit, "met": t.is_met}
        for t in targets(found)
    ]  # fmt: skip


def _plain(value: Any) -> Any:
    """The same without infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and abs(value) == float("inf"):
        return None
    return value


def _show(words: str, wish: Wish) -> int:
    name, _, seed = words.rpartition(":")
    if not name or not seed.isdigit():
        raise SettingsError("--show takes SCENARIO:SEED, such as ex931445:3.")
    played = play(make(name, int(seed), wish.options), wish.policy, wish.tick)
    for text in show.detail(played):
        print(text)
    return 0


def _of_files(arguments: argparse.Namespace, wish: Wish) -> dict[str, Any]:
    """Judge somebody's file; its lines carry labels, or its truth names the refs of each fault.

    Raises:
        SettingsError: a file is not there, or no truth was given.
        InvalidInput: one of them cannot be read.
    """
    signals, truth = Path(arguments.signals), Path(arguments.truth or "")
    for file in (signals, truth):
        if not file.is_file():
            raise SettingsError(f"There is no file {file}; --signals and --truth go together.")
    try:
        document = json.loads(truth.read_text("utf-8"))
        texts = signals.read_bytes().splitlines()
        labels = _labels(texts, document)
        document.setdefault("faults", [])
        case = case_of(signals.stem, 0, header=[], texts=texts, document=document, labels=labels)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"The files cannot be read: {error!s}") from error
    return judged(case, wish)


def _labels(texts: Iterable[bytes], document: Mapping[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in texts:
        line = json.loads(text) if text.strip() else {}
        if "ref" in line:
            labels[str(line["ref"])] = str(line.get("label") or "")
    for fault in document.get("faults", []):
        labels.update(dict.fromkeys(fault.get("refs", ()), fault["id"]))
    labels.update(document.get("labels", {}))
    return labels


def _run_all(
    asked: Sequence[tuple[str, int]],
    wish: Wish,
    *,
    jobs: int,
    fresh: bool,
    until: float | None = None,
) -> list[dict[str, Any]]:
    """Run what was not run before by the same engine; each result is stored as it comes."""
    STORE.mkdir(mode=0o700, exist_ok=True)
    stored = STORE / f"runs-{_key(wish)}.ndjson"
    known = {} if fresh else _stored(stored)
    waiting = [one for one in asked if one not in known]
    if waiting:
        with stored.open("a", encoding="utf-8") as file:
            for one, result in _results(waiting, wish, jobs, until):
                known[one] = result
                file.write(json.dumps({"name": one[0], "run": result}) + "\n")
                file.flush()
    return [known[one] for one in asked if one in known]


def _key(wish: Wish) -> str:
    options = sorted(wish.options.items())
    return of_run(options, wish.baselines, wish.permutations, wish.policy, wish.tick,
                  wish.only_order)  # fmt: skip


def _stored(file: Path) -> dict[tuple[str, int], dict[str, Any]]:
    if not file.exists():
        return {}
    rows = (json.loads(text) for text in file.read_text("utf-8").splitlines() if text)
    return {(row["name"], row["run"]["seed"]): row["run"] for row in rows}


def _results(
    waiting: Sequence[tuple[str, int]], wish: Wish, jobs: int, until: float | None
) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    begun, left, number = time.perf_counter(), list(reversed(waiting)), 0
    running: dict[Future[dict[str, Any]], tuple[str, int]] = {}
    with ProcessPoolExecutor(max_workers=max(1, jobs)) as pool:
        try:
            while left or running:
                while left and len(running) <= jobs:
                    if until is not None and time.perf_counter() > until:
                        left = []
                        break
                    one = left.pop()
                    running[pool.submit(run, *one, wish)] = one
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    one, number = running.pop(future), number + 1
                    _progress(number, len(waiting), time.perf_counter() - begun, one)
                    yield one, future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _progress(done: int, of: int, seconds: float, last: tuple[str, int]) -> None:
    full = round(WIDTH * done / of)
    rest = seconds / done * (of - done)
    text = (
        f"[{'#' * full}{'.' * (WIDTH - full)}] {done}/{of} runs, {seconds:.0f} s, "
        f"{rest:.0f} s to go, last {last[0]}:{last[1]}"
    )
    if sys.stderr.isatty():
        print(f"\r{text:100}", end="\n" if done == of else "", file=sys.stderr, flush=True)
    elif done == of or done % max(1, of // 10) == 0:
        print(text, file=sys.stderr, flush=True)
