"""The console over a socket: the board past a hundred thousand incidents, and a long incident.

Method. Two databases of SQLite: an empty one, and one with a hundred thousand ended incidents. Two
servers read them side by side, one request of the board in turn each, so that whatever else the
machine does meets both alike; timed is the first byte of the answer, from before the request is
sent. Then an incident of thirty days with ten thousand events, five hundred notes and the evidence
that an open incident keeps at most (26 hours, every minute of nine checks and twelve cells) is
stored, and its page is opened whole, over new connections.
``python -m bench.board [--requests 500] [--incidents 100000]``
"""

import argparse
import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.core.document import rfc3339
from app.core.events import Actor, Event, EventType
from app.core.incident import Incident, Note
from app.core.types import ActorKind, Severity
from app.formats.native_v1 import Renderer
from app.kit.clock import SystemClock
from app.store import events, evidence, incidents, migrate
from app.store.engine import Database
from bench.crowd import fill
from bench.rig import HOST, TENANT, Process, quantile, running, start_sextant, write_settings
from tests.builders import an_event, an_incident

WARM = 20  # requests that are not counted
DAYS, EVENTS, NOTES = 30, 10_000, 500
MINUTES, CHECKS, CELLS = 26 * 60, 9, 12
OPENINGS = 40
STEP = 2_000


def _first_byte(connection: http.client.HTTPConnection, path: str) -> tuple[float, float, int]:
    """Seconds to the first byte and to the last of one answer, and its size."""
    begun = time.perf_counter()
    connection.request("GET", path, headers={"host": HOST})
    answer = connection.getresponse()
    first = time.perf_counter() - begun
    body = answer.read()
    whole = time.perf_counter() - begun
    if answer.status != http.client.OK:
        raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
    return first, whole, len(body)


def _connected(process: Process) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(HOST, process.port, timeout=60)


def boards(sides: list[Process], requests: int) -> dict[str, float]:
    """Read the board of both, in turn; milliseconds."""
    lines = [_connected(process) for process in sides]
    times: list[list[float]] = [[], []]
    for number in range(requests + WARM):
        for side in (0, 1) if number % 2 else (1, 0):
            first, _, _ = _first_byte(lines[side], "/")
            if number >= WARM:
                times[side].append(first * 1000)
    p50 = [statistics.median(one) for one in times]
    p99 = [quantile(one, 0.99) for one in times]
    return {
        "p50_empty": p50[0], "p50_full": p50[1], "p99_empty": p99[0], "p99_full": p99[1],
        "ratio_p50": p50[1] / p50[0], "ratio_p99": p99[1] / p99[0],
    }  # fmt: skip


def long_incident(now: datetime) -> Incident:
    """An incident that has gone on for thirty days."""
    begun = now - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / NOTES
    notes = tuple(
        Note(at=begun + step * n, by="ada", text=f"Note {n}: still looking into it. " * 3,
             visibility="public" if n % 5 == 0 else "internal")
        for n in range(NOTES)
    )  # fmt: skip
    return an_incident(
        tenant=TENANT, number="INC-2026-0042", opened_at=begun, onset_at=begun,
        first_signal_at=begun, detected_at=begun, confirmed_at=begun + timedelta(minutes=3),
        updated_at=now, severity=Severity.MAJOR, notes=notes,
    )  # fmt: skip


def store(db: Database, now: datetime) -> Incident:
    """Store it with its events and its evidence."""
    incident = long_incident(now)
    render, step = Renderer(public_url="http://127.0.0.1"), timedelta(days=DAYS) / EVENTS
    short = an_incident(**{
        name: getattr(incident, name)
        for name in ("id", "tenant", "number", "opened_at", "onset_at", "detected_at",
                     "confirmed_at", "first_signal_at", "updated_at", "severity")
    })  # fmt: skip
    for begin in range(0, EVENTS, STEP):
        made = [_event(short, number, step) for number in range(begin, begin + STEP)]
        pairs = [(event, render(event)) for event in made]
        db.write_now(lambda c, pairs=pairs: events.append(c, pairs))
    body = json.dumps(_evidence(now)).encode()
    db.write_now(lambda c: incidents.put(c, [incident]))
    db.write_now(lambda c: evidence.put(c, incident.tenant, {incident.id: body}))
    return incident


def _event(incident: Incident, number: int, step: timedelta) -> Event:
    """An event of a long life: the opening, then figures of the engine, and notes of people."""
    at = incident.opened_at + step * number
    if number % 3 == 2:
        actor = Actor(kind=ActorKind.PERSON, id="ada")
        note = {"note": {"text": f"Note {number}", "visibility": "internal"}}
        kind, reason, facts = EventType.NOTED, "noted", note
    else:
        kind = EventType.UPDATED if number else EventType.OPENED
        actor, reason, facts = an_event().actor, "figures", {}
    return an_event(
        id=f"evt_{number:06d}", type=kind, tenant=TENANT, sequence=1_000_000 + number,
        occurred_at=at, actor=actor, reason=reason, facts=facts, incident=incident,
    )  # fmt: skip


def _evidence(now: datetime) -> dict[str, Any]:
    start = now - timedelta(minutes=MINUTES)
    minutes = [rfc3339(start + timedelta(minutes=n)) for n in range(MINUTES)]

    def cell(number: int, source: str, point: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        samples = [
            {"id": f"s{n}", "occurred_at": minutes[n], "text": "503 from the front door",
             "code": "503", "http_status": 503}
            for n in range(5)
        ]  # fmt: skip
        series = [{"minute": minutes[n], "reporters": 0, "expected": 0.01, **point(n)}
                  for n in range(MINUTES)]  # fmt: skip
        return {
            "id": f"c{number}", "source": source, "probe": f"check-{number % 3}",
            "service": "exchange-online", "feature": None, "client": "outlook_desktop",
            "symptom": ("http_5xx", "timeout", "slow")[number % 3], "region": "de",
            "location": f"place-{number // 3}", "first_at": minutes[0], "last_at": minutes[-1],
            "count": MINUTES, "reporters": 40, "series": series, "exemplars": samples,
        }  # fmt: skip

    def probe(n: int) -> dict[str, Any]:
        bad = n // 17 % 2
        return {"count": bad, "state": "failing" if bad else "healthy"}

    def people(n: int) -> dict[str, Any]:
        return {"count": n % 7, "reporters": n % 3}

    cells = [cell(n, "probe", probe) for n in range(CHECKS)]
    cells += [cell(n, "client_report", people) for n in range(CELLS)]
    return {"advisories": [], "cells": cells, "usual": []}


def openings(process: Process, incident: Incident) -> dict[str, float]:
    """Open its page again and again; milliseconds until the last byte."""
    times, size, used = [], 0, process.cpu()
    for _ in range(OPENINGS):
        connection = _connected(process)
        _, whole, size = _first_byte(connection, f"/incidents/{incident.id}")
        connection.close()
        times.append(whole * 1000)
    return {
        "first": times[0], "p50": statistics.median(times), "most": max(times), "bytes": size,
        "processor": (process.cpu() - used) * 1000 / OPENINGS,
    }  # fmt: skip


def measure(requests: int, count: int) -> dict[str, Any]:
    """Measure both."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        sides, databases = [], []
        for many in (0, count):
            folder = Path(name) / str(many)
            folder.mkdir()
            db = Database(f"sqlite:///{folder}/bench.db")
            stack.callback(db.close)
            migrate.upgrade(db)
            fill(db, many, live=0)
            databases.append(db)
            started = start_sextant(write_settings(folder), "api")
            sides.append(stack.enter_context(running(started)))
        board = boards(sides, requests)
        incident = store(databases[1], SystemClock().now().astimezone(UTC))
        return {"board": board, "incident": openings(sides[1], incident)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--requests", type=int, default=500, help="of each side")
    parser.add_argument("--incidents", type=int, default=100_000)
    given = parser.parse_args()
    print(json.dumps(measure(given.requests, given.incidents), indent=1))


if __name__ == "__main__":
    main()
