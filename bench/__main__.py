"""``python -m bench [--quick] [--json] [--only PART …]``: measure, print, write the page.

A full run takes about ten minutes and writes ``docs/performance.md`` and ``docs/img/bench.svg``;
``--quick`` takes a few, and prints only, as does ``--only``. ``--json`` prints figures alone.
``sextant bench ingest|fold|deliver|read`` is ``--only`` with the words of the product.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import deliver, door, engine, page, picture, probes, reads, start, webhooks
from bench.rig import ROOT, machine

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


def _measured(parts: Sequence[str], *, quick: bool) -> dict[str, Any]:
    found = {}
    for name, run in _plan(quick=quick).items():
        if not parts or name in parts:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            found[name] = run()
    return found


def command(argv: Sequence[str]) -> int:
    """Measure one thing: what ``sextant bench`` does."""
    parser = argparse.ArgumentParser(
        prog="sextant bench", description="Measure one part as ratios to a floor in the same run."
    )
    parser.add_argument("part", choices=list(WORDS))
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--json", action="store_true", help="print the figures alone, as JSON")
    options = parser.parse_args(argv)
    found = _measured(WORDS[options.part], quick=options.quick)
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
    found = _measured(options.only or (), quick=options.quick)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    page.show(found)
    if options.quick or options.only:
        return
    here, day = machine(), f"{datetime.now(UTC):%d %B %Y}"
    bars = page.targets(found)
    drawn = picture.draw(bars, title="Sextant, measured", note=f"{day}; {here}")
    _write(PICTURE, drawn)
    _write(PAGE, page.document(found, command="python -m bench", machine=here, day=day))
    print(f"Wrote {PAGE.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)}.", file=sys.stderr)


if __name__ == "__main__":
    main()
