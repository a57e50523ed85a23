"""Uptime Kuma's webhook: one call for each change of a monitor."""

from datetime import datetime
from typing import Any

from app.core.errors import UnreadablePayload
from app.core.foreign import Foreign, Hints
from app.sources.intake import frame

DOWN, UP, PENDING, MAINTENANCE = 0, 1, 2, 3  # server/src/util.ts
OUTCOMES = {DOWN: "failed", UP: "ok", MAINTENANCE: "unknown"}
CODE = "status code "


class UptimeKuma:
    """Reads one call. Of the monitor only name, address and type are looked at.

    The whole monitor has carried secrets in some versions, so nothing else of it is touched.
    """

    name = "uptime-kuma"
    media = frame.JSON

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read a call.

        Raises:
            UnreadablePayload: it is not the JSON that Uptime Kuma sends.
        """
        del now
        message = frame.table(frame.decode(body))
        if "heartbeat" not in message or "monitor" not in message:
            raise UnreadablePayload('Choose "application/json" as the body of the webhook.')
        found = Foreign()
        beat, monitor = frame.table(message["heartbeat"]), frame.table(message["monitor"])
        if not beat or not monitor:
            found.passed_over = 1  # its test button
            return found
        status = beat.get("status")
        status = status if isinstance(status, int) else None
        name = frame.word(monitor.get("name"))
        if status == PENDING:
            found.passed_over = 1  # it is still trying
        elif status not in OUTCOMES:
            found.refuse(0, "status is 0, 1, 2 or 3.", "/heartbeat/status")
        elif name is None:
            found.refuse(0, "The monitor has no name.", "/monitor/name")
        else:
            outcome = OUTCOMES[status]
            target = monitor.get("url") or monitor.get("hostname")
            found.add_result(
                0,
                {
                    "id": f"{self.name}:{monitor.get('id')}:{status}:{beat.get('time')}",
                    "probe": name,
                    "occurred_at": frame.instant(beat.get("time")),  # UTC without saying so
                    "location": hints.location or self.name,
                    "service": frame.service_for(hints, target=target),
                    "outcome": outcome,
                    "http_status": _status(beat.get("msg")),
                    "error": None if outcome == "ok" else frame.error_text(beat.get("msg")),
                    "latency_ms": frame.milliseconds(beat.get("ping")),
                },
                hold=frame.SPOKEN_ON_CHANGE,
            )
        return found


def _status(text: Any) -> int | None:
    line = frame.word(text, frame.ERROR_LIMIT) or ""
    _, code, rest = line.rpartition(CODE)
    return frame.status_of((rest if code else line)[:3])
