"""OTLP over HTTP, protobuf and JSON: logs become client reports, httpcheck metrics probe results.

Fields: opentelemetry.io/docs/specs/otlp and the semantic conventions; of the collector's httpcheck
receiver its documentation.md.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from app.core.errors import UnreadablePayload
from app.core.foreign import Foreign, Hints
from app.sources.intake import frame

PROTOBUF = "application/x-protobuf"
MEDIA = frozenset({PROTOBUF, "application/json"})
WARN = 13  # severityNumber from which a log record counts
DEPTH = 4  # how deep a value may hold values
ALIVE = frozenset({401, 403, 451})  # a front door that asks who is there is open
ANY = {  # members of AnyValue that are read, and their names in JSON
    "string_value": "stringValue",
    "int_value": "intValue",
    "double_value": "doubleValue",
    "bool_value": "boolValue",
}
PLACES = ("location", "sextant.location", "site", "cloud.region", "host.name", "service.name")


class _Otlp:
    media = MEDIA
    name = "otlp"
    field = ""

    def _whole(self, body: bytes, hints: Hints) -> list[Any]:
        if hints.received_as == PROTOBUF:
            return frame.rows(self._unpacked(body).get(self.field))
        whole = frame.decode(body)
        if not isinstance(whole, dict):
            raise UnreadablePayload("An OTLP request is an object.")
        return frame.rows(whole.get(self.field))

    def _unpacked(self, body: bytes) -> dict[str, Any]:
        # The library costs several megabytes, so it comes with the first such body.
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - see above

        message = self._message()
        try:
            message.ParseFromString(body)
            return self._plain(message)
        except (DecodeError, ValueError, RecursionError) as error:
            raise UnreadablePayload("The body is no OTLP message.") from error

    def _message(self) -> Any:
        raise NotImplementedError

    def _plain(self, message: Any) -> dict[str, Any]:
        """The message in the shape of its JSON."""
        from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - large

        return dict(MessageToDict(message))


class OtlpLogs(_Otlp):
    """Reads ``ExportLogsServiceRequest``."""

    field = "resourceLogs"

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read a request; records that are milder than a warning are passed over.

        Raises:
            UnreadablePayload: it is none.
        """
        del now
        found = Foreign()
        index = 0
        for origin, inner in _inner(self._whole(body, hints), "scopeLogs"):
            for record in map(frame.table, frame.rows(inner.get("logRecords"))):
                self._read_record(found, index, record, origin, hints)
                index += 1
                if index > frame.RECORD_LIMIT:
                    raise UnreadablePayload(f"More than {frame.RECORD_LIMIT:,} records at once.")
        return found

    def _read_record(
        self,
        found: Foreign,
        index: int,
        record: Mapping[str, Any],
        origin: Mapping[str, Any],
        hints: Hints,
    ) -> None:
        said = {**origin, **_attributes(record.get("attributes"))}
        severity = record.get("severityNumber")
        failed = said.get("error.type") or said.get("exception.type") or said.get("error.code")
        if _severity(severity) < WARN and not (failed and not severity):
            found.passed_over += 1
            return
        status = frame.status_of(
            said.get("http.response.status_code") or said.get("http.status_code")
        )
        kind = frame.first(said.get("error.code"), failed, limit=120)
        target = said.get("url.full") or said.get("http.url") or said.get("server.address")
        agent = frame.word(said.get("user_agent.original"), 500)
        found.add_report(
            index,
            {
                "id": frame.word(said.get("log.record.uid")),
                "occurred_at": _at(record),
                "service": frame.service_for(
                    hints, named=said.get("sextant.service"), target=target
                )
                or "other",
                "client": frame.word(said.get("sextant.client"), 40)
                or frame.client_of(agent, target),
                "code": None if status is not None and kind == str(status) else kind,
                "http_status": status,
                "message": frame.error_text(
                    _value(record.get("body"), 0),
                    said.get("exception.message"),
                    said.get("error.message"),
                ),
                "reporter": frame.first(said.get("enduser.id"), said.get("user.id"), limit=256),
                "device": frame.first(
                    said.get("host.id"), said.get("device.id"), said.get("service.instance.id"),
                    said.get("host.name"), limit=256,
                ),
                "region": frame.word(said.get("sextant.region"), 64),
                "network": frame.word(said.get("sextant.network"), 256),
            },
        )  # fmt: skip

    def _message(self) -> Any:
        from opentelemetry.proto.collector.logs.v1 import logs_service_pb2  # noqa: PLC0415 - late

        return logs_service_pb2.ExportLogsServiceRequest()

    def _plain(self, message: Any) -> dict[str, Any]:
        """What of the message is read; the library's own way takes five times as long."""
        return {
            self.field: [
                {
                    "resource": {"attributes": _pairs(outer.resource.attributes)},
                    "scopeLogs": [
                        {"logRecords": [_plain_record(one) for one in inner.log_records]}
                        for inner in outer.scope_logs
                    ],
                }
                for outer in message.resource_logs
            ]
        }


class OtlpMetrics(_Otlp):
    """Reads ``ExportMetricsServiceRequest``: what the httpcheck receiver and blackbox measure."""

    field = "resourceMetrics"

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read a request; metrics that are no check are passed over.

        Raises:
            UnreadablePayload: it is none.
        """
        del now
        found = Foreign()
        checks: dict[tuple[str, str, str], dict[str, Any]] = {}
        for origin, inner in _inner(self._whole(body, hints), "scopeMetrics"):
            for metric in map(frame.table, frame.rows(inner.get("metrics"))):
                if not _gather(checks, metric, origin, hints):
                    found.passed_over += 1
        for index, (key, document) in enumerate(sorted(checks.items())):
            if len(checks) > frame.RECORD_LIMIT:
                raise UnreadablePayload(f"More than {frame.RECORD_LIMIT:,} checks at once.")
            if "outcome" in document:
                at = document["occurred_at"]
                found.add_result(index, {"id": f"otlp:{key[0]}:{key[1]}:{at}", **document})
            else:
                found.passed_over += 1  # a duration without a verdict
        return found

    def _message(self) -> Any:
        from opentelemetry.proto.collector.metrics.v1 import (  # noqa: PLC0415 - late
            metrics_service_pb2,
        )

        return metrics_service_pb2.ExportMetricsServiceRequest()


def _gather(
    checks: dict[tuple[str, str, str], dict[str, Any]],
    metric: Mapping[str, Any],
    origin: Mapping[str, Any],
    hints: Hints,
) -> bool:
    """Enter the points of one metric into the checks they belong to."""
    name = frame.word(metric.get("name")) or ""
    put = POINTS.get(name)
    if put is None:
        return False
    inner = frame.table(metric.get("gauge") or metric.get("sum"))
    for point in map(frame.table, frame.rows(inner.get("dataPoints"))):
        said = {**origin, **_attributes(point.get("attributes"))}
        value = _number(point)
        target = frame.first(said.get("http.url"), said.get("url.full"), said.get("instance"))
        at = _at(point)
        if value is None or target is None or at is None:
            continue
        place = frame.first(*(said.get(x) for x in PLACES), hints.location, limit=100) or "otlp"
        document = checks.setdefault(
            (target, place, at),
            {
                "probe": f"{name.partition('.')[0].partition('_')[0]} {target}"[: frame.NAME_LIMIT],
                "occurred_at": at,
                "location": place,
                "service": frame.service_for(
                    hints, named=said.get("sextant_service"), target=target
                ),
            },
        )
        put(document, value, said)
    return True


def _put_status(document: dict[str, Any], value: float, said: Mapping[str, Any]) -> None:
    status = frame.status_of(said.get("http.status_code") or said.get("http.response.status_code"))
    group = frame.word(said.get("http.status_class")) or f"{(status or 0) // 100}xx"
    if value != 1 or document.get("outcome") == "failed":
        return
    well = group in {"1xx", "2xx", "3xx"} or status in ALIVE
    document["outcome"] = "ok" if well else "failed"
    document["http_status"] = status


def _put_error(document: dict[str, Any], value: float, said: Mapping[str, Any]) -> None:
    if value > 0:
        document["outcome"] = "failed"
        document["error"] = frame.error_text(said.get("error.message")) or "no answer"


def _put_duration(document: dict[str, Any], value: float, said: Mapping[str, Any]) -> None:
    del said
    document["latency_ms"] = frame.milliseconds(value)


def _put_success(document: dict[str, Any], value: float, said: Mapping[str, Any]) -> None:
    del said
    document["outcome"] = "ok" if value == 1 else "failed"


def _put_seconds(document: dict[str, Any], value: float, said: Mapping[str, Any]) -> None:
    del said
    document["latency_ms"] = frame.milliseconds(value, 1000.0)


def _put_code(document: dict[str, Any], value: float, said: Mapping[str, Any]) -> None:
    del said
    document["http_status"] = frame.status_of(int(value))


POINTS = {
    "httpcheck.status": _put_status,
    "httpcheck.error": _put_error,
    "httpcheck.duration": _put_duration,
    "probe_success": _put_success,  # of the blackbox exporter, as a collector scrapes it
    "probe_duration_seconds": _put_seconds,
    "probe_http_status_code": _put_code,
}


def _inner(whole: list[Any], field: str) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    for outer in map(frame.table, whole):
        origin = _attributes(frame.table(outer.get("resource")).get("attributes"))
        for inner in frame.rows(outer.get(field)):
            yield origin, frame.table(inner)


def _plain_record(record: Any) -> dict[str, Any]:
    return {
        "timeUnixNano": str(record.time_unix_nano),
        "observedTimeUnixNano": str(record.observed_time_unix_nano),
        "severityNumber": record.severity_number,
        "body": _any(record.body),
        "attributes": _pairs(record.attributes),
    }


def _pairs(listed: Any) -> list[dict[str, Any]]:
    return [{"key": pair.key, "value": _any(pair.value)} for pair in listed]


def _any(value: Any, depth: int = 0) -> dict[str, Any]:
    kind = value.WhichOneof("value")
    if kind in ANY:
        return {ANY[kind]: getattr(value, kind)}
    if kind == "array_value" and depth < DEPTH:
        return {
            "arrayValue": {"values": [_any(one, depth + 1) for one in value.array_value.values[:1]]}
        }
    return {}


def _attributes(listed: Any) -> dict[str, Any]:
    found = {}
    for pair in map(frame.table, frame.rows(listed)):
        key = frame.word(pair.get("key"))
        if key is not None:
            found[key] = _value(pair.get("value"), 0)
    return found


def _value(wrapped: Any, depth: int) -> Any:
    """The value in an ``AnyValue``; of a list its first word, for nothing else is needed here."""
    value = frame.table(wrapped)
    for kind in ("stringValue", "intValue", "doubleValue", "boolValue"):
        if kind in value:
            return value[kind]
    inner = frame.rows(frame.table(value.get("arrayValue")).get("values"))
    return _value(inner[0], depth + 1) if inner and depth < DEPTH else None


def _severity(value: Any) -> int:
    if isinstance(value, str):  # JSON made from protobuf by its library names the enum
        name = value.removeprefix("SEVERITY_NUMBER_").rstrip("234")
        return {"WARN": 13, "ERROR": 17, "FATAL": 21}.get(name, 0)
    return value if isinstance(value, int) else 0


def _at(record: Mapping[str, Any]) -> str | None:
    for field in ("timeUnixNano", "observedTimeUnixNano"):
        text = frame.word(record.get(field), 20) or ""
        if text.isdigit() and int(text):
            return frame.instant(int(text) / 1e9)
    return None


def _number(point: Mapping[str, Any]) -> float | None:
    value = point.get("asInt", point.get("asDouble"))
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def partial_success(kind: str, refused: int, why: str, media: str) -> bytes:
    """The answer to an export: empty when all was taken, else how many were not and why.

    Args:
        kind: ``logs`` or ``metrics``.
        refused: how many records were not taken.
        why: of the first of them.
        media: in which of the two encodings it is answered.
    """
    if media != PROTOBUF:
        counted = "rejectedLogRecords" if kind == "logs" else "rejectedDataPoints"
        if not refused:
            return b"{}"
        text = f'{{"partialSuccess":{{"{counted}":"{refused}","errorMessage":"see the log"}}}}'
        return text.replace('"see the log"', frame.quoted(why)).encode()
    if not refused:
        return b""
    # ExportXServiceResponse{partial_success=1{rejected=1 varint, error_message=2 string}}
    message = why.encode()[:120]
    inner = b"\x08" + _varint(refused) + b"\x12" + _varint(len(message)) + message
    return b"\x0a" + _varint(len(inner)) + inner


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits to a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
