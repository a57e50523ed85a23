"""``sextant doctor``: what to know before the outage, as sentences with what to do."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.doctor import Finding

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]

DAY = timedelta(days=1)


def register(add: Add) -> None:
    """Add the command to the command line."""
    doctor = add("doctor", _doctor, "Look at everything that an outage will need.")
    doctor.add_argument("--json", action="store_true", help="findings as JSON")
    doctor.add_argument("--offline", action="store_true", help="do not ask Microsoft Graph")


def _doctor(arguments: argparse.Namespace) -> int:
    from app.bootstrap import make_clock, retention_with  # noqa: PLC0415 - slow to import
    from app.doctor import Instruments, examine  # noqa: PLC0415 - the same
    from app.kit.clock import FixedClock  # noqa: PLC0415 - the same
    from app.main import read_settings  # noqa: PLC0415 - the same

    settings = read_settings(arguments.config)
    clock = make_clock(settings.clock)
    yesterday = FixedClock(clock.now() - DAY)
    found = asyncio.run(
        examine(
            settings,
            Instruments(
                clock=clock,
                overdue=lambda db: retention_with(settings, db, clock=yesterday).due(),
                offline=arguments.offline,
            ),
        )
    )
    counted = Counter(finding.grade.value for finding in found)
    print(_document(found, counted) if arguments.json else _text(found))
    if counted["problem"]:
        print(f"sextant: {_summary(counted)}", file=sys.stderr)
        return 1
    if not arguments.json:
        print(f"No problem. {_summary(counted)}")
    return 0


def _summary(counted: Counter[str]) -> str:
    def some(word: str) -> str:
        number = counted[word]
        return f"{number} {word}{'' if number == 1 else 's'}"

    return f"{some('problem')}, {some('warning')}."


def _document(found: Sequence["Finding"], counted: Counter[str]) -> str:
    document = {
        "well": not counted["problem"],
        "problems": counted["problem"],
        "warnings": counted["warning"],
        "findings": [asdict(finding) for finding in found],
    }
    return json.dumps(document, ensure_ascii=False, indent=2)


def _text(found: Sequence["Finding"]) -> str:
    lines = []
    for finding in found:
        grade = finding.grade.value
        shown = grade.upper() if grade == "problem" else grade
        whose = f"{finding.tenant}: " if finding.tenant else ""
        lines.append(f"{finding.area:<11}{shown:<9}{whose}{finding.text}")
        if finding.fix:
            lines.append(f"{'':<20}To do: {finding.fix}")
    return "\n".join(lines)
