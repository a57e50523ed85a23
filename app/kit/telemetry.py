"""OpenTelemetry: spans of requests and our own log lines to a collector, over OTLP (HTTP).

Its libraries are an extra and cost memory and start, so nothing of them is imported before
somebody wants it. What leaves the house is an allow-list: no queries, no addresses, no
texts of errors, which quote what they were given.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.kit.logs import fields_of

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

SERVICE = "sextant"
TIMEOUT_SECONDS = 5.0  # of one export; what does not get through is dropped, never waited for
SPAN_ATTRIBUTES = frozenset(
    {
        "code.function.name", "error.type", "http.request.method", "http.response.status_code",
        "http.route", "network.protocol.version", "url.path", "url.scheme",
    }
)  # fmt: skip
# The exporters' own lines would be exported, and so on.
NOT_EXPORTED = ("opentelemetry", "urllib3", "requests")


class Missing(Exception):  # noqa: N818 - a word of the field
    """Raised when the libraries are not installed."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What spans and lines go to."""

    tracers: "TracerProvider"
    loggers: "LoggerProvider"
    handler: logging.Handler

    def config(self) -> dict[str, Any]:
        """What FastAPI is told: spans by our provider; its own logs quote bodies, so none."""
        return {
            "tracing": True, "tracer_provider": self.tracers, "metrics": False, "logs": False,
            "operation_spans": True, "auto_configure": False,
        }  # fmt: skip

    def close(self) -> None:
        """Send what waits, within the time of one export or two, and end."""
        logging.getLogger().removeHandler(self.handler)
        self.tracers.shutdown()
        self.loggers.shutdown()


def open_telemetry(endpoint: str, *, headers: Mapping[str, str], ratio: float) -> Telemetry:
    """Begin to export spans, and the lines of the root logger.

    Args:
        endpoint: root of the collector, without ``/v1/traces``.
        headers: sent with each export.
        ratio: share of requests that are traced, 0 to 1; a caller's own decision goes before.

    Raises:
        Missing: the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415 - see above
        from opentelemetry.exporter.otlp.proto.http._log_exporter import (  # noqa: PLC0415
            OTLPLogExporter,
        )
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk._logs import LoggerProvider  # noqa: PLC0415
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415
    except ImportError as error:
        raise Missing from error

    class Discreet(OTLPSpanExporter):
        """Exports what is on the list."""

        def export(self, spans: "Sequence[ReadableSpan]") -> Any:
            """Export copies of spans."""
            return super().export([_discreet(span) for span in spans])

    root = endpoint.rstrip("/")
    given: dict[str, Any] = {
        "headers": dict(headers),
        "timeout": TIMEOUT_SECONDS, "compression": Compression.Gzip,
    }  # fmt: skip
    resource = Resource.create({"service.name": SERVICE})
    tracers = TracerProvider(
        resource=resource,
        sampler=ParentBasedTraceIdRatio(ratio),
        shutdown_on_exit=False,
    )
    tracers.add_span_processor(BatchSpanProcessor(Discreet(endpoint=f"{root}/v1/traces", **given)))
    loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
    loggers.add_log_record_processor(
        BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"{root}/v1/logs", **given))
    )
    handler = _Lines(loggers)
    logging.getLogger().addHandler(handler)
    return Telemetry(tracers, loggers, handler)


def _discreet(span: "ReadableSpan") -> "ReadableSpan":
    """The span without what is not on the list, and without its events, which quote errors."""
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 - as above
    from opentelemetry.trace import Status  # noqa: PLC0415 - as above

    kept = {k: v for k, v in (span.attributes or {}).items() if k in SPAN_ATTRIBUTES}
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=kept,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


class _Lines(logging.Handler):
    """Hands our log lines on, with the fields that they have on stderr."""

    def __init__(self, loggers: "LoggerProvider") -> None:
        from opentelemetry._logs import LogRecord, SeverityNumber  # noqa: PLC0415 - as above

        super().__init__()
        self._logger = loggers.get_logger(SERVICE)
        self._record = LogRecord
        self._severities = {
            "debug": SeverityNumber.DEBUG,
            "info": SeverityNumber.INFO,
            "warning": SeverityNumber.WARN,
            "error": SeverityNumber.ERROR,
            "critical": SeverityNumber.FATAL,
        }

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one line on; never waits."""
        if record.name.startswith(NOT_EXPORTED):
            return
        told = fields_of(record)
        level = told["level"]
        attributes = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in told.items()
            if name not in {"at", "level", "action"} and value is not None
        }
        self._logger.emit(
            self._record(
                timestamp=int(record.created * 1e9),
                severity_text=level,
                severity_number=self._severities.get(level),
                body=told["action"],
                attributes=attributes,
            )
        )
