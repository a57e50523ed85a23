"""The last figures of each part, with day, machine and load, so that parts are measured apart."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from bench.rig import ROOT, machine

LEDGER = ROOT / "bench" / "figures.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """What measuring one part gave; ``load`` is how many processes wanted a core before it."""

    day: str
    machine: str
    load: float
    found: Any

    @property
    def when(self) -> str:
        """When and where, as a sentence."""
        return f"Measured {self.day} on {self.machine}; load {self.load:.1f} before it began."


def entry(load: float, found: Any) -> Entry:
    """Make an entry of today on this machine; figures as they come back from the ledger."""
    plain = json.loads(json.dumps(found))
    return Entry(f"{datetime.now(UTC):%d %B %Y}", machine(), round(load, 1), plain)


def load_now() -> float:
    """How many processes wanted a core in the last minute."""
    return os.getloadavg()[0]


def read() -> dict[str, Entry]:
    """Read the ledger; empty where there is none yet."""
    if not LEDGER.exists():
        return {}
    return {part: Entry(**one) for part, one in json.loads(LEDGER.read_text("utf-8")).items()}


def keep(fresh: dict[str, Entry]) -> dict[str, Entry]:
    """Put fresh entries over the old ones, write the ledger and give all of it."""
    entries = read() | fresh
    body = {part: asdict(one) for part, one in sorted(entries.items())}
    LEDGER.write_text(json.dumps(body, indent=1) + "\n", "utf-8")
    return entries
