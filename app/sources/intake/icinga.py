"""Icinga 2: objects of its event stream (``/v1/events``), one or many, as somebody passes them on.

Kinds and fields: icinga2 doc/12-icinga2-api.md, Event Stream Types.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.core.foreign import Foreign, Hints
from app.sources.intake import frame

SERVICE_STATES = ("ok", "degraded", "failed", "unknown")  # OK, WARNING, CRITICAL, UNKNOWN
HOST_STATES = ("ok", "failed")  # UP, DOWN
HARD = 1
STATED = frozenset({"PROBLEM", "RECOVERY"})


class Icinga:
    """Reads check results as they are measured, and changes of state as words that stand."""

    name = "icinga"
    media = frozenset({"application/json", "application/x-ndjson", "application/jsonl"})

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read one event, an array of them, or one on each line.

        Raises:
            UnreadablePayload: the body is none of these.
        """
        del now
        found = Foreign()
        lines = frame.decode_lines(body)
        whole = lines[0] if len(lines) == 1 else lines
        for index, record in frame.records(whole):
            self._read_event(found, index, frame.table(record), hints)
        return found

    def _read_event(
        self, found: Foreign, index: int, event: Mapping[str, Any], hints: Hints
    ) -> None:
        kind = frame.word(event.get("type"))
        host = frame.word(event.get("host"))
        if kind not in {"CheckResult", "StateChange", "Notification"}:
            found.passed_over += 1
            return
        if host is None:
            found.refuse(index, "The event names no host.", "/host")
            return
        checked = frame.table(event.get("check_result"))
        hold = None if kind == "CheckResult" else frame.SPOKEN_ON_CHANGE
        soft = kind == "StateChange" and event.get("state_type", HARD) != HARD
        about = frame.word(event.get("notification_type"))
        if soft or (kind == "Notification" and about not in STATED):
            found.passed_over += 1  # it is still trying, or says nothing of a state
            return
        outcome = _outcome(event, checked)
        if outcome is None:
            found.refuse(
                index, "The event holds no state that Icinga knows.", "/check_result/state"
            )
            return
        found.add_result(index, self._document(event, checked, host, outcome, hints), hold=hold)

    def _document(
        self,
        event: Mapping[str, Any],
        checked: Mapping[str, Any],
        host: str,
        outcome: str,
        hints: Hints,
    ) -> dict[str, Any]:
        service = frame.word(event.get("service"))
        at = checked.get("execution_end") or event.get("timestamp")
        words = frame.error_text(checked.get("output") or event.get("text"))
        command = " ".join(filter(None, map(frame.word, frame.rows(checked.get("command")))))
        targets = (part for part in command.split() if frame.service_for(hints, target=part))
        # In a downtime that was announced nobody is to be told that it is down.
        quiet = bool(event.get("downtime_depth"))
        return {
            "id": f"{self.name}:{event['type']}:{host}!{service or ''}:{at}",
            "probe": f"{host}!{service}" if service else host,
            "occurred_at": frame.instant(at),
            "location": frame.first(
                checked.get("check_source"), hints.location, self.name, limit=frame.PLACE_LIMIT
            ),
            "service": frame.service_for(hints, target=next(targets, host)),
            "outcome": "unknown" if quiet and outcome != "ok" else outcome,
            "error": None if outcome == "ok" else words,
            "latency_ms": _latency(checked),
        }


def _outcome(event: Mapping[str, Any], checked: Mapping[str, Any]) -> str | None:
    state = event.get("state", checked.get("state"))
    if isinstance(state, bool) or not isinstance(state, int | float):
        return None
    states = SERVICE_STATES if event.get("service") else HOST_STATES
    return states[int(state)] if 0 <= int(state) < len(states) else None


def _latency(checked: Mapping[str, Any]) -> float | None:
    begin, end = checked.get("execution_start"), checked.get("execution_end")
    if not isinstance(begin, int | float) or not isinstance(end, int | float):
        return None
    return frame.milliseconds((end - begin) * 1000)
