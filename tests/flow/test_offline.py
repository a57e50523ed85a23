"""The engine alone over recorded signals, and the command that runs it."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from app.cli import main
from app.core.policy import Policy
from app.core.types import Status, TenantId
from app.flow.offline import Told, fold_all
from app.sources.recorded import Line
from tests.core.play import PROFILE, at, outage

TENANT = TenantId("contoso")


def lines() -> list[tuple[TenantId, Line]]:
    made = [
        (TENANT, Line(ref=f"s{n}", tenant=TENANT, received_at=s.received_at, signal=s))
        for n, s in enumerate(outage())
    ]
    twice = [(TENANT, Line(ref=f"again-{x.ref}", tenant=TENANT, signal=x.signal,
                           received_at=x.received_at + timedelta(seconds=5)))
             for _, x in made[::50]]  # fmt: skip
    return [*made, *twice]


@pytest.fixture(scope="module")
def told() -> Told:
    return fold_all(lines(), {TENANT: PROFILE}, Policy())[TENANT]


def test_nothing_is_open_at_the_end(told: Told) -> None:
    assert {i.status for i in told.incidents} == {Status.RESOLVED}
    assert len(told.incidents) == 2


def test_each_signal_is_assigned_to_who_holds_it_at_the_end(told: Told) -> None:
    held = dict(told.assignments)
    local, vendor = (i.id for i in told.incidents)
    for _, line in lines():
        signal = line.signal
        if signal.id.startswith("p-"):
            bad = getattr(signal, "http_status", 0) == 503
            assert held[line.ref] == (vendor if bad and signal.occurred_at >= at("06:05")
                                      else None), line  # fmt: skip
        elif signal.id.startswith("r-2-"):
            assert held[line.ref] == local
        elif signal.id.startswith("EX931445"):
            assert held[line.ref] == vendor
    storm = [held[line.ref] for _, line in lines() if line.signal.id.startswith("r-3-")]
    assert storm.count(vendor) > 0.99 * len(storm)


def test_a_duplicate_has_what_its_original_has(told: Told) -> None:
    held = dict(told.assignments)
    copies = [ref for ref in held if ref.startswith("again-")]
    assert copies
    assert all(held[ref] == held[ref.removeprefix("again-")] for ref in copies)


def a_file(directory: Path, *rows: dict[str, object]) -> Path:
    file = directory / "signals.ndjson"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def test_the_command_writes_three_files(tmp_path: Path) -> None:
    start = at("06:00")
    rows: list[dict[str, object]] = [
        {"tenant": "contoso", "users": 500, "locations": [{"name": "ny", "external": True}]},
    ]
    for number in range(40):
        moment = (start + timedelta(seconds=6 * number)).isoformat()
        rows.append({
            "ref": f"r{number}", "received_at": moment, "tenant": "contoso",
            "kind": "client_report",
            "body": {"service": "exchange-online", "http_status": 503, "occurred_at": moment,
                     "reporter": f"u{number}", "network": f"n{number % 3}"},
        })  # fmt: skip
    out = tmp_path / "out"
    assert main(["fold", "--signals", str(a_file(tmp_path, *rows)), "--out", str(out)]) == 0
    (incident,) = json.loads((out / "incidents.json").read_text())["items"]
    assert incident["impact"]["reporters"] == 40
    events = [json.loads(x) for x in (out / "events.ndjson").read_text().splitlines()]
    assert [e["sequence"] for e in events] == list(range(1, len(events) + 1))
    held = [json.loads(x) for x in (out / "assignments.ndjson").read_text().splitlines()]
    assert [h["incident"] for h in held] == [incident["id"]] * 40


def test_a_line_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = a_file(tmp_path, {"tenant": "contoso"}, {"tenant": "contoso", "kind": "rumour",
                  "ref": "1", "received_at": "2026-03-16T06:00:00Z", "body": {}})  # fmt: skip
    assert main(["fold", "--signals", str(file), "--out", str(tmp_path / "o")]) == 1
    assert "Line 2" in capsys.readouterr().err
