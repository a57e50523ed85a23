"""``python -m bench [--quick] [--json] [--only PART …]``: measure, print, write the page.

A full run takes ten minutes. What was measured replaces its part in ``bench/figures.json``, and
``docs/performance.md`` and ``docs/img/bench.svg`` are made anew from it; so parts can be measured
one by one with ``--only``. ``--quick`` takes a few minutes and prints only. ``--json`` prints
figures alone.
``sextant bench ingest|fold|deliver|read`` is ``--only`` with the words of the product.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import deliver, door, engine, ledger, page, picture, probes, reads, start, webhooks
from bench.ledger import Entry
from bench.rig import ROOT

PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "img" / "bench.svg"


def _plan(*, quick: bool) -> dict[str, Callable[[], Any]]:
    rounds, seconds = (1, 1.0) if quick else (3, 2.0)
    return {
        "start": lambda: start.measure(1 if quick else 5),
        "intake": lambda: [
            door.measure(batch, rounds=rounds, seconds=seconds) for batch in (100, 1)
        ],
        "webhooks": lambda: webhooks.measure(notes=60 if quick else 300, bursts=5 if quick else 20),
        "deliver": lambda: deliver.measure(
            seconds=seconds, events=100 if quick else 400, rounds=10 if quick else 40
        ),
        "engine": lambda: engine.measure(rounds=1 if quick else 3, batches=20),
        "reads": lambda: reads.measure(rounds=rounds, seconds=seconds),
        "probes": lambda: probes.measure(30.0 if quick else 60.0),
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


WORDS = {
    "ingest": ("intake",),
    "fold": ("engine",),
    "deliver": ("webhooks", "deliver"),
    "read": ("reads",),
}


def _measured(parts: Sequence[str], *, quick: bool) -> dict[str, Entry]:
    entries = {}
    for name, run in _plan(quick=quick).items():
        if not parts or name in parts:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            load = ledger.load_now()
            entries[name] = ledger.entry(load, run())
            if not quick:
                ledger.keep({name: entries[name]})  # a part that was measured is not lost
    return entries


def _figures(entries: dict[str, Entry]) -> dict[str, Any]:
    return {part: one.found for part, one in entries.items()}


def command(argv: Sequence[str]) -> int:
    """Measure one thing: what ``sextant bench`` does."""
    parser = argparse.ArgumentParser(
        prog="sextant bench", description="Measure one part as ratios to a floor in the same run."
    )
    parser.add_argument("part", choices=list(WORDS))
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--json", action="store_true", help="print the figures alone, as JSON")
    options = parser.parse_args(argv)
    found = {
        part: run() for part, run in _plan(quick=options.quick).items()
        if part in WORDS[options.part]
    }  # fmt: skip
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        page.show(found)
    return 0


def main() -> None:
    """Measure everything and tell it."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds; nothing is written")
    parser.add_argument("--json", action="store_true", help="print the figures alone, as JSON")
    parser.add_argument("--only", nargs="+", choices=list(_plan(quick=True)), help="parts")
    options = parser.parse_args()
    entries = _measured(options.only or (), quick=options.quick)
    if options.json:
        print(json.dumps(_figures(entries), indent=1))
        return
    page.show(_figures(entries))
    if options.quick:
        return
    entries = ledger.read()
    bars = page.targets(_figures(entries))
    _write(PICTURE, picture.draw(bars, title="Sextant, measured", note="bench/figures.json"))
    by_hand = page.by_hand(PAGE.read_text("utf-8")) if PAGE.exists() else ""
    _write(PAGE, page.document(entries) + by_hand)
    print(f"Wrote {PAGE.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)}.", file=sys.stderr)


if __name__ == "__main__":
    main()
