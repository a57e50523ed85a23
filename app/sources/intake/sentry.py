"""Sentry envelopes: events and feedback become client reports, check-ins probe results.

Grammar and items: develop.sentry.dev/sdk/data-model/envelopes.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from app.core.errors import UnreadablePayload
from app.core.foreign import Foreign, Hints
from app.sources.intake import frame

ENVELOPE = "application/x-sentry-envelope"
ITEMS = 100  # of one envelope
MILD = frozenset({"info", "debug", "log"})
CHECK_INS = {"ok": "ok", "error": "failed", "timeout": "failed", "missed": "unknown"}


class Sentry:
    """Reads one envelope. Browsers send it as plain text, to be spared a question beforehand."""

    name = "sentry"
    media = frozenset({ENVELOPE, "text/plain", "application/json", ""})

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read an envelope; items that are no error are passed over.

        Raises:
            UnreadablePayload: it is none.
        """
        del now
        found = Foreign()
        for index, (kind, item) in enumerate(_items(body)):
            if kind == "event" and str(item.get("level", "error")) not in MILD:
                found.add_report(index, _event(item, hints))
            elif kind in {"user_report", "feedback"}:
                found.add_report(index, _feedback(item, hints))
            elif kind == "check_in" and frame.word(item.get("status")) in CHECK_INS:
                found.add_result(index, _check_in(item, hints))
            else:
                found.passed_over += 1
        return found


def _items(body: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    head, _, rest = body.partition(b"\n")
    if not isinstance(frame.decode(head), dict):
        raise UnreadablePayload("An envelope begins with a line of headers.")
    count = 0
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        if not line.strip():
            continue
        header = frame.table(frame.decode(line))
        length = header.get("length")
        if isinstance(length, int) and not isinstance(length, bool):
            if not 0 <= length <= len(rest):
                raise UnreadablePayload("An item of the envelope is cut short.")
            payload, rest = rest[:length], rest[length:].removeprefix(b"\n")
        else:
            payload, _, rest = rest.partition(b"\n")
        count += 1
        if count > ITEMS:
            raise UnreadablePayload(f"An envelope holds at most {ITEMS} items.")
        kind = frame.word(header.get("type")) or ""
        known = kind in {"event", "user_report", "feedback", "check_in"}
        yield kind, frame.table(frame.decode(payload)) if known else {}


def _event(event: Mapping[str, Any], hints: Hints) -> dict[str, Any]:
    request = frame.table(event.get("request"))
    tags = _tags(event.get("tags"))
    contexts = frame.table(event.get("contexts"))
    answer = frame.table(contexts.get("response"))
    agent = _header(request.get("headers"), "user-agent")
    target = tags.get("url") or request.get("url")
    thrown = _thrown(event)
    return {
        "id": frame.word(event.get("event_id")),
        "occurred_at": frame.instant(event.get("timestamp")),
        "service": frame.service_for(hints, named=tags.get("service"), target=target) or "other",
        "client": frame.client_of(agent, target),
        "code": frame.first(tags.get("code"), tags.get("error.code"), limit=120),
        "http_status": frame.status_of(
            answer.get("status_code") or tags.get("http.status_code") or tags.get("status_code")
        ),
        "message": frame.error_text(*thrown, _message(event)),
        **_who(event, contexts),
    }


def _thrown(event: Mapping[str, Any]) -> list[str]:
    """Type and value of what was thrown last."""
    exception = event.get("exception")
    values = exception.get("values") if isinstance(exception, dict) else exception
    last = frame.table((frame.rows(values) or [None])[-1])
    words = (frame.word(last.get("type")), frame.word(last.get("value"), frame.ERROR_LIMIT))
    return [one for one in words if one]


def _message(event: Mapping[str, Any]) -> Any:
    entry = event.get("logentry") or event.get("message")
    if isinstance(entry, dict):
        return entry.get("formatted") or entry.get("message")
    return entry


def _who(event: Mapping[str, Any], contexts: Mapping[str, Any]) -> dict[str, str | None]:
    user = frame.table(event.get("user"))
    device = frame.table(contexts.get("device"))
    place = frame.table(user.get("geo"))
    return {
        "reporter": frame.first(
            *(user.get(field) for field in ("id", "username", "email", "ip_address")), limit=256
        ),
        "device": frame.first(device.get("id"), device.get("name"), limit=256),
        "region": (frame.word(place.get("country_code"), 64) or "").lower() or None,
    }


def _feedback(item: Mapping[str, Any], hints: Hints) -> dict[str, Any]:
    inner = frame.table(frame.table(item.get("contexts")).get("feedback")) or item
    told = frame.error_text(inner.get("message") or inner.get("comments"))
    return {
        "id": frame.word(f"feedback {item.get('event_id')}") if item.get("event_id") else None,
        "occurred_at": frame.instant(item.get("timestamp")),
        "service": frame.service_for(hints, target=inner.get("url")) or "other",
        "message": told,
        "reporter": frame.first(inner.get("contact_email"), inner.get("email"), limit=256),
    }


def _check_in(item: Mapping[str, Any], hints: Hints) -> dict[str, Any]:
    name = frame.word(item.get("monitor_slug")) or "check-in"
    seconds = item.get("duration")
    return {
        "id": frame.word(f"check-in {item.get('check_in_id')} {item.get('status')}"),
        "probe": name,
        "location": frame.first(hints.location, item.get("environment"), limit=100) or "sentry",
        "service": frame.service_for(hints),
        "outcome": CHECK_INS[str(item.get("status"))],
        "latency_ms": frame.milliseconds(seconds, 1000.0),
    }


def _tags(listed: Any) -> dict[str, Any]:
    if isinstance(listed, dict):
        return dict(listed)
    pairs = (pair for pair in frame.rows(listed) if isinstance(pair, list) and len(pair) == 2)  # noqa: PLR2004 - name and value
    return {str(name): value for name, value in pairs}


def _header(headers: Any, wanted: str) -> str | None:
    for name, value in _tags(headers).items():
        if name.lower() == wanted:
            return frame.word(value, 500)
    return None
