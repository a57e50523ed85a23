"""Memory while a million reports arrive: read, stored, remembered and folded in one process.

Run: ``python -m bench.flat [--reports 1000000] [--json]``.

Method. Eight bodies of 1,000 reports at a time, each report with an id of its own, are read by the
door's reader and appended to the log (SQLite, synchronous=FULL), and the fold takes a step. There
is no HTTP, so that the sender's memory and time are few. Resident memory is read after each step;
what counts is how far it rises after the first 100,000, when caches are full.
"""

import argparse
import asyncio
import json
import random
import re
import tempfile
from pathlib import Path
from typing import Any

from app.bootstrap import build
from app.core.types import TenantId
from app.settings import Settings
from app.store import migrate
from app.store.engine import Database
from bench.intake import reports
from bench.rig import TENANT

LINES = 1_000  # reports of one body
AT_ONCE = 8  # bodies
WARM = 100_000  # reports before memory is compared
ID = re.compile(r'"id":"[0-9a-f]{16}"')
PAGE_MIB = 4096 / 2**20


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MIB


def _body(bodies: list[str]) -> bytes:
    """One of the bodies, with new ids."""
    return ID.sub(lambda _: f'"id":"{random.getrandbits(64):016x}"', random.choice(bodies)).encode()


async def _run(db: Database, count: int) -> dict[str, Any]:
    settings = {"tenants": [{"id": TENANT, "name": "Bench", "users": 5200}]}
    context = build(Settings.model_validate(settings), db)
    tenant = TenantId(TENANT)
    bodies = [reports(LINES, ids=True, texts=200) for _ in range(20)]

    async def send() -> int:
        now = context.clock.now()
        read = context.report_reader.parse(tenant, _body(bodies), "application/json", now=now)
        made = context.intake.append_batch(tenant, read.batch, source="client-reports", now=now)
        return (await made).accepted

    accepted, before, most = 0, 0.0, 0.0
    while accepted < count:
        accepted += sum(await asyncio.gather(*(send() for _ in range(AT_ONCE))))
        await context.fold.step(tenant)
        if accepted >= WARM:
            before = before or _resident()
            most = max(most, _resident())
    return {"reports": accepted, "mib": {"before": round(before), "most": round(most)}}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/bench.db")
        migrate.upgrade(db)
        try:
            found = asyncio.run(_run(db, options.reports))
        finally:
            db.close()
    print(json.dumps(found, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
