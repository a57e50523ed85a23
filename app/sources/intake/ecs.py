"""ECS documents of a SIEM: one, an array, on lines, or in the lines of Elastic's bulk API.

Fields: elastic.co/docs/reference/ecs and the integrations azure.signinlogs and o365.audit.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.core.foreign import Foreign, Hints
from app.sources.intake import frame

SIGN_INS = "azure.signinlogs.properties"
ACTIONS = frozenset({"index", "create"})
LEAST_ERROR = 400  # HTTP statuses from which on something failed


class Ecs:
    """Reads failures; what succeeded is passed over."""

    name = "ecs"
    media = frozenset({"application/json", "application/x-ndjson", "application/jsonl"})

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read documents, nested or with dotted names.

        Raises:
            UnreadablePayload: the body is no JSON.
        """
        del now
        found = Foreign()
        lines = frame.decode_lines(body)
        identity: str | None = None
        for index, record in frame.records(lines[0] if len(lines) == 1 else lines):
            if record is None:
                found.refuse(index, "A document is an object.")
                continue
            action = next(iter(record)) if len(record) == 1 else None
            if action in ACTIONS:
                identity = frame.word(frame.table(record[action]).get("_id"))
                continue
            document = _document(record, identity, hints)
            identity = None
            if document is None:
                found.passed_over += 1
            else:
                found.add_report(index, document)
        return found


def get(record: Mapping[str, Any], path: str) -> Any:
    """A member by its dotted name, however the names are split over levels; None without one."""
    if path in record:
        return record[path]
    head, _, rest = path.partition(".")
    while rest:
        inner = record.get(head)
        if isinstance(inner, dict):
            found = get(inner, rest)
            if found is not None:
                return found
        step, _, rest = rest.partition(".")
        head = f"{head}.{step}"
    return None


def _document(
    record: Mapping[str, Any], identity: str | None, hints: Hints
) -> dict[str, Any] | None:
    status = frame.status_of(get(record, "http.response.status_code"))
    code = frame.first(
        get(record, "error.code"),
        get(record, f"{SIGN_INS}.status.error_code"),
        get(record, "azure.signinlogs.result_type"),
        get(record, "o365.audit.ErrorNumber"),
        get(record, "o365.audit.LogonError"),
        get(record, "event.code"),
        limit=120,
    )
    outcome = frame.word(get(record, "event.outcome"))
    failed = outcome == "failure" or (outcome is None and (status or 0) >= LEAST_ERROR)
    if not failed and (outcome is not None or get(record, "error.message") is None):
        return None
    target = get(record, "url.full") or get(record, "url.domain") or get(record, "server.domain")
    agent = frame.word(get(record, "user_agent.original"), 500)
    region = frame.first(
        get(record, "source.geo.country_iso_code"), get(record, "client.geo.country_iso_code"),
        limit=64,
    )  # fmt: skip
    return {
        "id": identity or frame.word(get(record, "event.id")),
        "occurred_at": frame.instant(get(record, "@timestamp")),
        "service": _service(record, target, hints),
        "client": frame.client_of(agent, target),
        "code": code,
        "http_status": status,
        "message": frame.error_text(
            get(record, "error.message"),
            get(record, f"{SIGN_INS}.status.failure_reason"),
            get(record, "event.reason"),
            get(record, "message"),
        ),
        "reporter": frame.first(
            get(record, "user.id"), get(record, "user.email"), get(record, "user.name"), limit=256
        ),
        "device": frame.first(
            get(record, "device.id"), get(record, "host.id"), get(record, "host.name"), limit=256
        ),
        "region": region.lower() if region else None,
        "network": frame.first(
            get(record, "network.name"), get(record, "source.as.organization.name"), limit=256
        ),
    }


def _service(record: Mapping[str, Any], target: Any, hints: Hints) -> str:
    named = get(record, f"{SIGN_INS}.resource_display_name") or get(record, "service.name")
    found = frame.service_for(hints, named=named, target=target)
    if found is not None:
        return found
    data_set = frame.word(get(record, "event.dataset")) or ""
    signs_in = get(record, "event.category") in ("authentication", ["authentication"])
    return "entra-id" if data_set == "azure.signinlogs" or signs_in else "other"
