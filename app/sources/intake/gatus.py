"""Gatus: its endpoint statuses as its API lists them, and its custom alerting webhook."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.core.errors import UnreadablePayload
from app.core.foreign import Foreign, Hints
from app.sources.intake import frame

ID_LENGTH = 200  # of a probe result
NANOSECONDS = 1e-6  # to milliseconds
OUTCOMES = {"TRIGGERED": "failed", "RESOLVED": "ok"}


class Gatus:
    """Reads ``GET /api/v1/endpoints/statuses`` as somebody passed it on, or one webhook call.

    The webhook's body is the operator's own; docs/intake.md gives the one that is read here.
    """

    name = "gatus"
    media = frame.JSON

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read a body.

        Raises:
            UnreadablePayload: it is neither.
        """
        del now
        found = Foreign()
        for index, record in frame.records(frame.decode(body)):
            entry = frame.table(record)
            if "results" in entry:
                self._read_endpoint(found, index, entry, hints)
            elif "status" in entry:
                self._read_call(found, index, entry, hints)
            else:
                found.refuse(index, "An endpoint has results; a webhook call has a status.")
        if len(found.results) > frame.RECORD_LIMIT:
            raise UnreadablePayload(f"The body holds more than {frame.RECORD_LIMIT:,} results.")
        return found

    def _read_endpoint(
        self, found: Foreign, index: int, entry: Mapping[str, Any], hints: Hints
    ) -> None:
        name = _name(entry.get("group"), entry.get("name"))
        if name is None:
            found.refuse(index, "The endpoint has no name.", "/name")
            return
        for result in map(frame.table, frame.rows(entry["results"])):
            sound = result.get("success")
            if not isinstance(sound, bool):
                found.refuse(index, "A result says whether it is a success.", "/results")
                continue
            at = frame.instant(result.get("timestamp"))
            identity = f"{self.name}:{entry.get('key') or name}:{result.get('timestamp')}"
            document = {
                "id": identity,
                "probe": name,
                "occurred_at": at,
                "location": hints.location or self.name,
                "service": frame.service_for(hints, target=result.get("hostname")),
                "outcome": "ok" if sound else "failed",
                "http_status": frame.status_of(result.get("status")),
                "latency_ms": frame.milliseconds(result.get("duration"), NANOSECONDS),
                "error": None if sound else _reasons(result),
            }
            if at is None or len(identity) > ID_LENGTH:
                # Its time is what tells two results of an endpoint apart; a long one is derived.
                del document["id"]
            found.add_result(index, document)

    def _read_call(
        self, found: Foreign, index: int, entry: Mapping[str, Any], hints: Hints
    ) -> None:
        name = _name(entry.get("group"), entry.get("endpoint"))
        outcome = OUTCOMES.get(str(entry["status"]).upper())
        if name is None or outcome is None:
            detail = "A call names its endpoint, and its status is TRIGGERED or RESOLVED."
            found.refuse(index, detail, "/endpoint" if name is None else "/status")
            return
        document = {
            "probe": name,
            "location": hints.location or self.name,
            "service": frame.service_for(hints, target=entry.get("url")),
            "outcome": outcome,
            "error": None
            if outcome == "ok"
            else frame.error_text(entry.get("description"), entry.get("errors")),
        }
        found.add_result(index, document, hold=frame.SPOKEN_ON_CHANGE)


def _name(group: Any, name: Any) -> str | None:
    own = frame.word(name)
    if own is None:
        return None
    return " / ".join(filter(None, (frame.word(group), own)))[: frame.NAME_LIMIT]


def _reasons(result: Mapping[str, Any]) -> str | None:
    failed = (
        condition.get("condition")
        for condition in map(frame.table, frame.rows(result.get("conditionResults")))
        if condition.get("success") is False
    )
    return frame.error_text(*frame.rows(result.get("errors")), *failed)
