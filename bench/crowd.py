"""A hundred thousand incidents and ten million reports stored, against a thousand incidents.

Method. Two databases of SQLite differ in nothing else; each has twenty incidents that live, the
rest has ended. Two servers read them side by side, one request in turn each, so that whatever else
the machine does meets both alike. Read are the list of incidents (its first page, and a page behind
the first half), the list of one status, the board of the API and that of the console. Told are p50
and p99 of both and the ratio of the p99. ``python -m bench.crowd [--requests 500] [--json]``
"""

import argparse
import http.client
import json
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from app.core.batch import batch_of_reports
from app.core.ids import derived_id
from app.core.types import IncidentId, Status
from app.store import chunks, incidents, migrate
from app.store.engine import Database
from app.store.tables import IntakeRow
from bench.rig import HOST, TENANT, Process, create_key, quantile, running, start_sextant
from bench.rig import write_settings as settings_of
from tests.builders import NOW, a_report, an_incident

FEW, MANY = 1_000, 100_000
ROWS, REPORTS = 10_000, 1_000  # of the intake log, and reports in each: ten million
LIVE = 20
STEP = 2_000
WARM = 20  # requests that are not counted
I = IntakeRow.__table__  # type: ignore[attr-defined]  # noqa: E741 - SQLModel adds it at run time


def fill(db: Database, count: int, *, live: int = LIVE) -> None:
    """Store incidents, the oldest first, the last of them alive."""
    base = an_incident(tenant=TENANT)
    for first in range(0, count, STEP):
        made = []
        for number in range(first, min(first + STEP, count)):
            at = NOW - timedelta(minutes=10 * (count - number))
            ended = {} if number >= count - live else {
                "status": Status.CLOSED, "resolved_at": at, "closed_at": at
            }  # fmt: skip
            made.append(
                replace(
                    base, id=IncidentId(derived_id("inc", at, str(number))),
                    number=f"INC-2026-{number:06d}", key=f"vendor:{number}", opened_at=at,
                    updated_at=at, onset_at=at, first_signal_at=at, detected_at=at,
                    confirmed_at=at, **ended,
                )
            )  # fmt: skip
        db.write_now(lambda c, made=made: incidents.put(c, made))


def report(db: Database) -> None:
    """Store ten million reports, as rows of a thousand; all of one content, which nobody reads."""
    batch = batch_of_reports([a_report() for _ in range(REPORTS)])
    row: dict[str, Any] = {
        "tx": 0, "tenant": TENANT, "kind": batch.kind.value, "source": "bench",
        "intake_id": "int_0", "received_at": NOW, "count": REPORTS, "codec": "bench",
        "ids": batch.ids, "body": chunks.pack(batch),
    }  # fmt: skip
    db.write_now(lambda c: c.execute(insert(I), [row]))
    names = ", ".join(row)
    copied = text(
        f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) "
        f"INSERT INTO intake ({names}) SELECT {names} FROM n, (SELECT * FROM intake LIMIT 1)"
    )
    db.write_now(lambda c: c.execute(copied))


def prepare(folder: Path, count: int) -> Path:
    """Make a database and its settings."""
    folder.mkdir()
    db = Database(f"sqlite:///{folder}/bench.db")
    migrate.upgrade(db)
    fill(db, count)
    if count == MANY:
        report(db)
    db.close()
    return settings_of(folder)


class Reader:
    """One connection to one server."""

    def __init__(self, process: Process, key: str) -> None:
        self._connection = http.client.HTTPConnection(HOST, process.port, timeout=60)
        self._headers = {"authorization": f"Bearer {key}"}

    def get(self, path: str) -> tuple[float, bytes]:
        """Seconds of one request, and its body."""
        begun = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        took = time.perf_counter() - begun
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
        return took, body

    def behind_half(self) -> str:
        """The address of a page of the list behind its first pages."""
        path = "/v1/incidents?limit=500"
        for _ in range(1):
            following = json.loads(self.get(path)[1])["next"]
            path = f"/v1/incidents?limit=50&cursor={following}"
        return path


def _told(few: list[float], many: list[float]) -> dict[str, float]:
    p99 = [quantile(times, 0.99) * 1000 for times in (few, many)]
    p50 = [statistics.median(times) * 1000 for times in (few, many)]
    return {
        "p50_few": p50[0], "p50_many": p50[1], "p99_few": p99[0], "p99_many": p99[1],
        "ratio_p50": p50[1] / p50[0], "ratio_p99": p99[1] / p99[0],
    }  # fmt: skip


def measure(requests: int) -> dict[str, Any]:
    """Read both, in turn."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        readers = []
        for count in (FEW, MANY):
            settings = prepare(Path(name) / str(count), count)
            key = create_key(settings)
            process = stack.enter_context(running(start_sextant(settings, "api")))
            readers.append(Reader(process, key))
        paths = {
            "list, first page": ["/v1/incidents?limit=50"] * 2,
            "list, a page further on": [reader.behind_half() for reader in readers],
            "list of the closed": ["/v1/incidents?limit=50&status=closed"] * 2,
            "list of the open": ["/v1/incidents?limit=50&open=true"] * 2,
            "board": ["/v1/services"] * 2,
            "board of the console": ["/"] * 2,
        }
        found = {}
        for what, pair in paths.items():
            times: list[list[float]] = [[], []]
            for number in range(requests + WARM):
                for side in (0, 1) if number % 2 else (1, 0):
                    took, _ = readers[side].get(pair[side])
                    if number >= WARM:
                        times[side].append(took)
            found[what] = _told(*times)
        return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--requests", type=int, default=500, help="of each kind and side")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.requests)
    if given.json:
        print(json.dumps(found))
        return
    print("| | p50 ms, 1,000 | p50 ms, 100,000 | p99 ms, 1,000 | p99 ms, 100,000 | ratio p99 |")
    print("|---|---:|---:|---:|---:|---:|")
    for what, told in found.items():
        figures = (told[n] for n in ("p50_few", "p50_many", "p99_few", "p99_many"))
        line = " | ".join(f"{figure:.1f}" for figure in figures)
        print(f"| {what} | {line} | {told['ratio_p99']:.2f} |")


if __name__ == "__main__":
    main()
