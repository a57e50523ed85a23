"""Traces and log lines reach a collector, without what is nobody's business."""

import gzip
import logging
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.bootstrap import create_app
from app.settings import Settings
from tests.builders import TENANT
from tests.standins.server import serving

CANARY = "canary-4711"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, dict[str, str], str]] = []  # name, attributes, trace id
        self.lines: list[str] = []
        self.raw = b""
        self.keys: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = _inflated(await request.body(), request.headers.get("content-encoding"))
        self.raw += body
        self.keys.add(request.headers.get("x-key", ""))
        if scope["path"] == "/v1/traces":
            for one in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.spans += [
                    (span.name, {a.key: a.value.string_value for a in span.attributes},
                     span.trace_id.hex())
                    for scoped in one.scope_spans for span in scoped.spans
                ]  # fmt: skip
        else:
            for told in ExportLogsServiceRequest.FromString(body).resource_logs:
                self.lines += [
                    record.body.string_value
                    for scoped in told.scope_logs
                    for record in scoped.log_records
                ]
        await Response(status_code=200)(scope, receive, send)


def _inflated(body: bytes, encoding: str | None) -> bytes:
    return gzip.decompress(body) if encoding == "gzip" else body


async def test_a_collector_gets_spans_and_lines_and_no_more_than_is_on_the_list(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.WARNING, logger="httpx")  # as ``logs.configure`` does
    collector = Collector()
    async with serving(collector, None) as url:
        settings = Settings.model_validate(
            {
                "database": {"url": f"sqlite:///{tmp_path}/told.db"},
                "tenants": [{"id": TENANT}],
                "telemetry": {"endpoint": url, "headers": {"x-key": "k"}},
            }
        )
        api = create_app(settings, roles=("api",))
        async with api.router.lifespan_context(api):
            transport = httpx.ASGITransport(api, client=("198.51.100.4", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                headers = {
                    "traceparent": PARENT, "user-agent": CANARY,
                    "authorization": f"Bearer {CANARY}",
                }  # fmt: skip
                path = f"/v1/incidents/inc_1?q={CANARY}"
                assert (await client.get(path, headers=headers)).status_code == 401
                told = await client.post(f"/v1/client-reports?key={CANARY}", content=CANARY)
                assert told.status_code == 401
                assert (await client.post("/v1/probe-results")).status_code == 401
    spans = {name: (attributes, trace) for name, attributes, trace in collector.spans}
    attributes, trace = spans["GET /v1/incidents/{incident_id}"]
    assert attributes["http.route"] == "/v1/incidents/{incident_id}"
    assert trace == PARENT.split("-")[1]  # it goes on with the caller's trace
    assert "POST /v1/probe-results" in spans  # by the short cut too
    assert "started" in collector.lines
    assert collector.keys == {"k"}
    for secret in (CANARY, "198.51.100.4"):
        assert secret.encode() not in collector.raw


def test_without_an_endpoint_nothing_of_it_is_imported() -> None:
    script = (
        "import sys\n"
        "import app.bootstrap\n"
        "print([n for n in sys.modules if n.startswith(('opentelemetry.sdk',"
        " 'opentelemetry.exporter', 'requests'))])\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
