"""PagerDuty's Events API v2: alerts by key, 120 events a minute, changes without a key.

Rules and shapes: the vendor's OpenAPI of Events v2 and its developer documentation.
"""

from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.standins.channels.trouble import Answer, Door, json_of

SEVERITIES = ("critical", "error", "warning", "info")
ACTIONS = ("trigger", "acknowledge", "resolve")
BYTES = 512 * 1024
SUMMARY = 1024
KEY = 255


@dataclass(slots=True, kw_only=True)
class PagerDuty(Door):
    """One service with one integration."""

    routing_key: str = "e93facc04764012d7bfb002500d5d1a6"
    alerts: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    pages: int = 0
    is_off: bool = False

    def routes(self) -> list[tuple[str, Answer]]:
        return [("/v2/enqueue", self._enqueue), ("/v2/change/enqueue", self._change)]

    def throttled(self) -> Response:
        body = {"status": "throttle exceeded", "message": "Requests for this service are arriving "
                "too quickly.", "errors": ["Rate limited"]}  # fmt: skip
        return JSONResponse(body, 429, headers={"retry-after": self.retry_after})

    def broken(self) -> Response:
        return JSONResponse({"status": "error", "message": "Internal error"}, 500)

    def open(self, key: str) -> dict[str, Any] | None:
        """The open alert of a key, if there is one."""
        found = (a for a in self.alerts if a["dedup_key"] == key and a["status"] != "resolved")
        return next(found, None)

    async def _enqueue(self, request: Request, raw: bytes) -> Response:
        del request
        body = json_of(raw)
        wrong = self._wrong(body, raw)
        action = (body or {}).get("event_action")
        if action not in ACTIONS:
            wrong.append("'event_action' is invalid")
        key = str((body or {}).get("dedup_key") or "")
        if (action != "trigger" and not key) or len(key) > KEY:
            wrong.append("'dedup_key' is invalid")
        if action == "trigger":
            wrong += _payload((body or {}).get("payload"))
        if wrong:
            return _no(wrong)
        self._do(body, str(action), key)
        answer = {"status": "success", "message": "Event processed", "dedup_key": key}
        return JSONResponse(answer, 202)

    def _do(self, body: dict[str, Any], action: str, key: str) -> None:
        found = self.open(key)
        match action, found:
            case "trigger", None:
                self.pages += 1
                alert = {"dedup_key": key, "status": "triggered", "log": [body]}
                self.alerts.append(alert)
            case "trigger", dict():
                found["log"].append(body)
            case "acknowledge", dict():
                found["status"] = "acknowledged"
            case "resolve", dict():
                found["status"] = "resolved"
            case _:
                pass  # acknowledging or resolving what is not open is dropped

    async def _change(self, request: Request, raw: bytes) -> Response:
        del request
        body = json_of(raw)
        wrong = self._wrong(body, raw)
        if not ((body or {}).get("payload") or {}).get("summary"):
            wrong.append("'payload.summary' is missing or blank")
        if wrong:
            return _no(wrong)
        self.changes.append(body)
        return JSONResponse({"status": "success", "message": "Change event processed"}, 202)

    def _wrong(self, body: Any, raw: bytes) -> list[str]:
        if not isinstance(body, dict):
            return ["JSON parse error"]
        wrong = []
        if body.get("routing_key") != self.routing_key or self.is_off:
            wrong.append("'routing_key' is invalid")
        if len(raw) > BYTES:
            wrong.append("Event is too large")
        return wrong


def _payload(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    wrong = [f"'payload.{n}' is missing or blank" for n in ("summary", "source", "severity")
             if not payload.get(n)]  # fmt: skip
    if payload.get("severity") not in SEVERITIES:
        wrong.append("'payload.severity' is invalid")
    if len(payload.get("summary") or "") > SUMMARY:
        wrong.append("'payload.summary' is too long")
    return wrong


def _no(errors: list[str]) -> Response:
    body = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
    return JSONResponse(body, 400)
