"""Every door for client reports against a route that stores nothing, in the same run.

Run: ``python -m bench.doors [--seconds 2] [--rounds 3] [--json]``.

Method. As ``bench.intake``, whose floor *F*, load and server these are: F takes the documented
schema with FastAPI and Pydantic and stores nothing; ours answers after the commit. Each door is
sent the same errors, 100 in a request (50 by a page), in its own format, by a trusted key. Within
a round F comes first, then each door in turn; the ratio is the median of the rounds' ratios of
reports per second. The formats differ in size, which stands beside: an OTLP record is twice as long
as a report of our own.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from bench.intake import CODES, Server, load, prepare, reports

BATCH = 100
PAGE = 50  # most reports of a web page in one request
CONNECTIONS = 32
STATUSES = (500, 502, 503, 504)


def _json(count: int) -> bytes:
    return reports(count, ids=True, texts=200).encode()


def _lines(count: int) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in json.loads(_json(count)))


def _errors(count: int) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    return [
        {
            "at": now - timedelta(microseconds=random.randrange(300_000_000)),
            "code": random.choice(CODES),
            "status": random.choice(STATUSES),
            "text": f"Cannot reach the mailbox server {random.randrange(200)}",
            "who": f"user{random.randrange(5200)}@contoso.example",
            "id": f"{random.getrandbits(128):032x}",
        }
        for _ in range(count)
    ]


def _otlp(count: int) -> dict[str, Any]:
    def told(name: str, value: str) -> dict[str, Any]:
        return {"key": name, "value": {"stringValue": value}}

    records = [
        {
            "timeUnixNano": str(int(one["at"].timestamp() * 1e9)),
            "severityNumber": 17,
            "body": {"stringValue": one["text"]},
            "attributes": [
                told("error.type", one["code"]),
                told("enduser.id", one["who"]),
                told("sextant.service", "exchange-online"),
                {"key": "http.response.status_code", "value": {"intValue": str(one["status"])}},
            ],
        }
        for one in _errors(count)
    ]
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": records}]}]}


def _otlp_json(count: int) -> bytes:
    return json.dumps(_otlp(count)).encode()


def _otlp_protobuf(count: int) -> bytes:
    made = ExportLogsServiceRequest()
    scope = made.resource_logs.add().scope_logs.add()
    for one in _errors(count):
        record = scope.log_records.add()
        record.time_unix_nano = int(one["at"].timestamp() * 1e9)
        record.severity_number = 17
        record.body.string_value = one["text"]
        facts = {
            "error.type": one["code"],
            "enduser.id": one["who"],
            "sextant.service": "exchange-online",
        }
        for name, value in facts.items():
            told = record.attributes.add()
            told.key, told.value.string_value = name, value
        told = record.attributes.add()
        told.key, told.value.int_value = "http.response.status_code", one["status"]
    return made.SerializeToString()


def _ecs(count: int) -> bytes:
    documents = [
        {
            "@timestamp": one["at"].isoformat(),
            "event": {"outcome": "failure", "id": one["id"]},
            "error": {"code": one["code"], "message": one["text"]},
            "user": {"id": one["who"]},
            "http": {"response": {"status_code": one["status"]}},
            "service": {"name": "exchange-online"},
        }
        for one in _errors(count)
    ]
    return b"\n".join(json.dumps(document).encode() for document in documents)


def _sentry(count: int) -> bytes:
    parts = [b"{}"]
    for one in _errors(count):
        event = {
            "event_id": one["id"],
            "timestamp": one["at"].timestamp(),
            "level": "error",
            "message": one["text"],
            "user": {"id": one["who"]},
            "tags": {"service": "exchange-online", "code": one["code"]},
        }
        parts += [b'{"type":"event"}', json.dumps(event).encode()]
    return b"\n".join(parts) + b"\n"


def _reporting(count: int) -> bytes:
    made = [
        {
            "type": "network-error",
            "age": random.randrange(300_000),
            "url": f"https://outlook.office365.com/owa/{one['id']}",
            "user_agent": "Mozilla/5.0",
            "body": {
                "type": "http.error",
                "phase": "application",
                "status_code": one["status"],
                "elapsed_time": random.randrange(9000),
                "sampling_fraction": 1.0,
            },
        }
        for one in _errors(count)
    ]
    return json.dumps(made).encode()


JSON, NDJSON = "application/json", "application/x-ndjson"
DOORS: dict[str, tuple[str, str, Callable[[int], bytes]]] = {
    "own JSON": ("/v1/client-reports", JSON, _json),
    "own NDJSON": ("/v1/client-reports", NDJSON, _lines),
    "web page": ("/v1/intake/browser", JSON, _json),
    "OTLP protobuf": ("/v1/otlp/v1/logs", "application/x-protobuf", _otlp_protobuf),
    "OTLP JSON": ("/v1/otlp/v1/logs", JSON, _otlp_json),
    "ECS": ("/v1/intake/ecs", NDJSON, _ecs),
    "Sentry": ("/v1/intake/sentry/api/1/envelope/", "application/x-sentry-envelope", _sentry),
    "Reporting API": ("/v1/intake/reporting", "application/reports+json", _reporting),
}


def _work(key: str, door: str, count: int) -> tuple[list[bytes], int]:
    """Whole requests for a door, and the reports in each."""
    path, media, make = DOORS[door]
    batch = PAGE if door == "web page" else BATCH
    made = []
    for _ in range(count):
        body = make(batch)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {media}\r\n"
            f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made, batch


def _run(server: Server, work: list[bytes], batch: int, seconds: float) -> tuple[float, float]:
    """Reports per second, and microseconds of processor per report."""
    before = server.cpu()
    one = asyncio.run(load(server.port, work, seconds=seconds, connections=CONNECTIONS))
    return one["rate"] * batch, (server.cpu() - before) * 1e6 / (one["requests"] * batch)


def measure(*, rounds: int, seconds: float) -> dict[str, Any]:
    """Reports per second at each door, of F in the same round."""
    found: dict[str, list[tuple[float, float, float, float]]] = {door: [] for door in DOORS}
    base: list[float] = []
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        key = prepare(url, ("reports:write", "intake:write"))
        floor, ours = Server("naive", url), Server("durable", url)
        try:
            floor.wait()
            ours.wait()
            for number in range(rounds + 1):  # the first one warms up
                work, batch = _work(key, "own JSON", int(seconds * 900))
                f_rate, f_cpu = _run(floor, work, batch, seconds)
                base += [f_rate] if number else []
                for door in DOORS:
                    work, batch = _work(key, door, int(seconds * 700))
                    sizes[door] = len(work[0]) // batch
                    rate, cpu = _run(ours, work, batch, seconds)
                    if number:
                        found[door].append((rate, rate / f_rate, f_cpu / cpu, cpu))
        finally:
            floor.stop()
            ours.stop()
    medians = {
        door: [statistics.median(one) for one in zip(*ones, strict=True)]
        for door, ones in found.items()
    }
    result: dict[str, Any] = {"F": {"rate": round(statistics.median(base))}}
    for door, (rate, of_f, by_cpu, _) in medians.items():
        result[door] = {
            "rate": round(rate), "of_f": round(of_f, 2), "by_processor": round(by_cpu, 2),
            "bytes": sizes[door],
        }  # fmt: skip
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(rounds=options.rounds, seconds=options.seconds)
    if options.json:
        print(json.dumps(found))
        return
    for door, one in found.items():
        more = (
            ""
            if door == "F"
            else (
                f"   {one['of_f']:.2f} of F ({one['by_processor']:.2f} by processor)"
                f"   {one['bytes']} bytes a report"
            )
        )
        print(f"{door:14} {one['rate']:>8,} reports/s{more}")


if __name__ == "__main__":
    main()
