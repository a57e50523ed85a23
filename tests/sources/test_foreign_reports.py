"""Reports of other programs: OTLP, Sentry, ECS, the Reporting API, and our own snippet."""

import json
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from app.core.errors import UnreadablePayload
from app.core.foreign import Hints
from app.sources.client_report import ClientReportReader
from app.sources.intake.browser import MOST, Browser
from app.sources.intake.ecs import Ecs, get
from app.sources.intake.otlp import PROTOBUF, OtlpLogs, OtlpMetrics, partial_success
from app.sources.intake.reporting import Reporting
from app.sources.intake.sentry import Sentry
from app.sources.symptom_table import load_symptom_table
from tests.builders import NOW, TENANT

FOLDER = Path("tests/fixtures/monitors")


def saved(name):
    return (FOLDER / name).read_bytes()


def read(kind, body, media="application/json", **hints):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return kind.read(body, hints=Hints(received_as=media, **hints), now=NOW)


def only(found):
    ((_, document),) = found.reports
    return document


def taken(found):
    reader = ClientReportReader(load_symptom_table().classify, key=b"k")
    lines = b"\n".join(json.dumps(document).encode() for _, document in found.reports)
    parsed = reader.parse(TENANT, lines, "application/x-ndjson", now=NOW)
    assert not parsed.rejected
    return parsed.good


# -- OTLP --------------------------------------------------------------------------------------


def otlp_log():
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="host.id").value.string_value = "laptop-7"
    record = resource.scope_logs.add().log_records.add()
    record.time_unix_nano = 1773643930_500000000
    record.severity_number = 17
    record.body.string_value = "mailbox does not open"
    for key, value in {
        "error.type": "0x8004011D",
        "url.full": "https://outlook.office365.com/owa/?a=b",
        "user_agent.original": "Mozilla/5.0 Chrome",
        "enduser.id": "anna@contoso.example",
    }.items():
        record.attributes.add(key=key).value.string_value = value
    record.attributes.add(key="http.response.status_code").value.int_value = 503
    return request


def as_json(request):
    from google.protobuf.json_format import MessageToJson  # noqa: PLC0415 - only here

    return MessageToJson(request).encode()


@pytest.mark.parametrize("packed", [True, False])
def test_a_log_record_is_a_report_in_both_encodings(packed):
    request = otlp_log()
    body = request.SerializeToString() if packed else as_json(request)
    found = read(OtlpLogs(), body, PROTOBUF if packed else "application/json")
    assert only(found) == {
        "occurred_at": "2026-03-16T06:52:10.500000+00:00",
        "service": "exchange-online",
        "client": "outlook_web",
        "code": "0x8004011D",
        "http_status": 503,
        "message": "mailbox does not open",
        "reporter": "anna@contoso.example",
        "device": "laptop-7",
    }
    (report,) = taken(found)
    assert "anna" not in repr(report)


def test_what_is_milder_than_a_warning_is_passed_over():
    found = read(OtlpLogs(), saved("otlp_logs.json"))
    assert (found.reports, found.passed_over) == ([], 1)


@pytest.mark.parametrize("packed", [True, False])
def test_httpcheck_tells_one_result_for_each_check(packed):
    body = saved("otlp_httpcheck_metrics.json")
    if packed:
        from google.protobuf.json_format import Parse  # noqa: PLC0415 - only here

        body = Parse(body, ExportMetricsServiceRequest()).SerializeToString()
    found = read(OtlpMetrics(), body, PROTOBUF if packed else "application/json")
    ((_, document),) = [one for one in found.results if "owa" in one[1]["probe"]]
    assert document["outcome"] == "failed"
    assert document["http_status"] == 503
    assert document["latency_ms"] == 1601.0
    assert (document["service"], document["location"]) == ("exchange-online", "otelcol-probe-eu")


def gauge(name, value, **attributes):
    pairs = [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()]
    point = {"timeUnixNano": "1773643930000000000", "asDouble": value, "attributes": pairs}
    return {"name": name, "gauge": {"dataPoints": [point]}}


def metrics(*listed):
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": list(listed)}]}]}


def test_the_blackbox_exporter_is_read_as_a_collector_scrapes_it():
    labels = {"instance": "https://outlook.office365.com/owa/", "location": "berlin"}
    found = read(
        OtlpMetrics(),
        metrics(
            gauge("probe_success", 0, **labels),
            gauge("probe_duration_seconds", 0.25, **labels),
            gauge("probe_http_status_code", 503, **labels),
            gauge("go_goroutines", 7),
        ),
    )
    ((_, document),) = found.results
    assert (document["outcome"], document["http_status"]) == ("failed", 503)
    assert (document["latency_ms"], document["location"]) == (250.0, "berlin")
    assert found.passed_over == 1


def test_a_challenge_means_that_somebody_is_there():
    url = {"http.url": "https://x.example/"}
    asked = gauge(
        "httpcheck.status", 1, **url, **{"http.status_code": "401", "http.status_class": "4xx"}
    )
    gone = gauge(
        "httpcheck.status", 1, **url, **{"http.status_code": "404", "http.status_class": "4xx"}
    )
    assert read(OtlpMetrics(), metrics(asked)).results[0][1]["outcome"] == "ok"
    assert read(OtlpMetrics(), metrics(gone)).results[0][1]["outcome"] == "failed"
    dead = gauge("httpcheck.error", 1, **url, **{"error.message": "no such host"})
    assert read(OtlpMetrics(), metrics(dead)).results[0][1]["error"] == "no such host"


@pytest.mark.parametrize("kind", [OtlpLogs(), OtlpMetrics()])
def test_what_is_no_otlp_is_refused(kind):
    for body, media in (
        (b"\xff\xff\xff", PROTOBUF),
        (b"{", "application/json"),
        (b"[]", "application/json"),
    ):
        with pytest.raises(UnreadablePayload):
            read(kind, body, media)


def test_an_export_is_answered_as_its_sender_reads_it():
    told = ExportLogsServiceResponse.FromString(
        partial_success("logs", 300, "/service no", PROTOBUF)
    )
    assert told.partial_success.rejected_log_records == 300
    assert told.partial_success.error_message == "/service no"
    told = ExportMetricsServiceResponse.FromString(partial_success("metrics", 2, "x", PROTOBUF))
    assert told.partial_success.rejected_data_points == 2
    assert partial_success("logs", 0, "", PROTOBUF) == b""
    assert json.loads(partial_success("logs", 0, "", "application/json")) == {}
    told = json.loads(partial_success("metrics", 2, 'a "b"', "application/json"))
    assert told == {"partialSuccess": {"rejectedDataPoints": "2", "errorMessage": 'a "b"'}}


# -- Sentry ------------------------------------------------------------------------------------

EVENT = {
    "event_id": "9ec79c33ec9942ab8353589fcb2e04dc",
    "timestamp": "2026-03-16T06:52:10.5Z",
    "level": "error",
    "exception": {"values": [{"type": "HttpError", "value": "AADSTS90033: try later"}]},
    "user": {"id": "u-17", "email": "anna@contoso.example"},
    "contexts": {"response": {"status_code": 503}, "device": {"name": "laptop-7"}},
    "request": {
        "url": "https://outlook.office.com/mail/",
        "headers": {"User-Agent": "Mozilla/5.0"},
    },
}


def envelope(*items, lengths=True):
    lines = [b'{"dsn":"https://x@example/1"}']
    for kind, payload in items:
        body = json.dumps(payload).encode()
        header = {"type": kind, **({"length": len(body)} if lengths else {})}
        lines += [json.dumps(header).encode(), body]
    return b"\n".join(lines) + b"\n"


@pytest.mark.parametrize("lengths", [True, False])
def test_an_event_is_a_report(lengths):
    found = read(Sentry(), envelope(("event", EVENT), ("session", {}), lengths=lengths))
    document = only(found)
    assert document["message"] == "HttpError: AADSTS90033: try later"
    assert (document["service"], document["client"]) == ("exchange-online", "outlook_web")
    assert (document["http_status"], document["reporter"]) == (503, "u-17")
    assert found.passed_over == 1
    (report,) = taken(found)
    assert report.fine == "directory_unavailable"


def test_feedback_is_a_report_and_a_check_in_a_result():
    feedback = {"contexts": {"feedback": {"message": "no mail", "contact_email": "a@b.example"}}}
    checked = {"check_in_id": "1", "monitor_slug": "owa", "status": "error", "duration": 1.5}
    found = read(
        Sentry(), envelope(("feedback", feedback), ("check_in", checked),
                           ("check_in", {**checked, "status": "in_progress"}),
                           ("event", {**EVENT, "level": "info"})),
    )  # fmt: skip
    assert only(found)["message"] == "no mail"
    ((_, result),) = found.results
    assert (result["probe"], result["outcome"], result["latency_ms"]) == ("owa", "failed", 1500.0)
    assert found.passed_over == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{}\n{"type":"event","length":99}\n{}', b'{}\n{"type":"event","length":-1}\n{}',
     b'{}\n{"type":"event"}\nnonsense', b"{}\n" + b'{"type":"x"}\n{}\n' * 101],
)  # fmt: skip
def test_a_broken_envelope_is_refused(body):
    with pytest.raises(UnreadablePayload):
        read(Sentry(), body)


# -- ECS ---------------------------------------------------------------------------------------

SIGN_IN = {
    "@timestamp": "2026-03-16T06:52:10Z",
    "event": {"category": ["authentication"], "outcome": "failure", "dataset": "azure.signinlogs"},
    "azure": {"signinlogs": {"properties": {
        "status": {"error_code": 90033, "failure_reason": "A transient error has occurred."},
    }}},
    "user": {"id": "7"}, "source": {"geo": {"country_iso_code": "DE"}},
}  # fmt: skip


def test_a_failed_sign_in_of_a_siem_is_a_report():
    document = only(read(Ecs(), SIGN_IN))
    assert document["service"] == "entra-id"
    assert (document["code"], document["region"], document["reporter"]) == ("90033", "de", "7")
    (report,) = taken(read(Ecs(), SIGN_IN))
    assert report.fine == "directory_unavailable"


def test_names_may_be_dotted_and_lines_may_be_of_the_bulk_api():
    dotted = {
        "@timestamp": "2026-03-16T06:52:10Z", "event.outcome": "failure",
        "error.code": "0x8004011D", "url.domain": "outlook.office365.com", "host.name": "laptop-7",
    }  # fmt: skip
    fine = {"event": {"outcome": "success"}, "user": {"id": "8"}}
    lines = [{"index": {"_id": "doc-1"}}, dotted, {"create": {}}, fine]
    found = read(Ecs(), b"\n".join(json.dumps(line).encode() for line in lines))
    assert only(found)["id"] == "doc-1"
    assert only(found)["device"] == "laptop-7"
    assert found.passed_over == 1


def test_a_member_is_found_however_its_name_is_split():
    assert get({"a": {"b.c": {"d": 1}}}, "a.b.c.d") == 1
    assert get({"a.b": {"c": 1}}, "a.b.c") == 1
    assert get({"a": {"x": 1}}, "a.b.c") is None


# -- Reporting API, snippet --------------------------------------------------------------------


def test_network_errors_are_reports_and_the_rest_is_passed_over():
    found = read(Reporting(), saved("nel_reports.json"), "application/reports+json")
    codes = [document["code"] for _, document in found.reports]
    assert codes[:2] == ["http.protocol.error", "dns.name_not_resolved"]
    assert "ok" not in codes
    assert found.reports[0][1]["count"] == 2  # every second one is sampled
    assert found.passed_over >= 3
    assert all(report.fine for report in taken(found))


def test_a_report_says_how_old_it_is():
    body = {"type": "network-error", "age": 60_000, "body": {"type": "tcp.timed_out"}}
    assert only(read(Reporting(), [body]))["occurred_at"] == "2026-03-16T06:29:00+00:00"


def test_the_snippet_sends_our_own_shape_and_not_too_many():
    found = read(Browser(), [{"code": "1"}] * (MOST + 1), service="microsoft-teams")
    assert len(found.reports) == MOST
    assert found.reports[0][1] == {"code": "1", "service": "microsoft-teams"}
    assert [one.index for one in found.refused] == [MOST]
    assert read(Browser(), [{"code": "1", "cookie": "x"}]).refused[0].pointer == "/cookie"


@pytest.mark.parametrize(
    "kind", [Sentry(), Ecs(), Reporting(), Browser(), OtlpLogs(), OtlpMetrics()]
)
def test_any_member_may_be_of_another_kind(kind):
    bodies = {
        Sentry: EVENT, Ecs: SIGN_IN, Browser: [{"code": "1"}],
        Reporting: json.loads(saved("nel_reports.json"))[:2],
        OtlpLogs: json.loads(as_json(otlp_log())),
        OtlpMetrics: json.loads(saved("otlp_httpcheck_metrics.json")),
    }  # fmt: skip
    whole = bodies[type(kind)]
    for path in paths(whole):
        for value in (None, [], {}, -1, 1e300, "x" * 3000, "\x00", [[]], [None]):
            body = changed(whole, path, value)
            body = envelope(("event", body)) if isinstance(kind, Sentry) else body
            try:
                found = read(kind, body)
            except UnreadablePayload:
                continue
            for _, document in [*found.reports, *found.results]:
                json.dumps(document, allow_nan=False)


def paths(value, at=()):
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in steps:
        yield (*at, key)
        if isinstance(inner, dict | list):
            yield from paths(inner, (*at, key))


def changed(whole, path, value):
    copy = json.loads(json.dumps(whole))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy
