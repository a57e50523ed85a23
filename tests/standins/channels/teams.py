"""A Teams workflow: 202 means queued; 28 KB; a flow that was deleted or turned off says so."""

import json
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.standins.channels.trouble import Answer, Door

BYTES = 28_672
TOO_MANY = 429
CARD = "application/vnd.microsoft.card.adaptive"


@dataclass(slots=True, kw_only=True)
class Workflow(Door):
    """One workflow that posts cards to a Teams channel, or fails without saying so."""

    sig: str = "right-signature-of-the-workflow"
    fails_silently: bool = False
    is_gone: bool = False
    answers: list[tuple[int, str]] = field(default_factory=list)  # status and body, before all else
    runs: int = 0
    cards: list[dict[str, Any]] = field(default_factory=list)

    def routes(self) -> list[tuple[str, Answer]]:
        return [("/workflows/{id}/triggers/manual/paths/invoke", self._invoke)]

    def address(self, root: str) -> str:
        """The address that the workflow shows to its owner."""
        path = "/workflows/6f1c/triggers/manual/paths/invoke"
        return f"{root}{path}?api-version=2016-06-01&sp=%2Ftriggers&sv=1.0&sig={self.sig}"

    async def _invoke(self, request: Request, raw: bytes) -> Response:
        if self.answers:
            status, text = self.answers.pop(0)
            return Response(text, status, {"retry-after": "7"} if status == TOO_MANY else None)
        if self.is_gone:
            return _no(404, "WorkflowNotFound", "The workflow '6f1c' could not be found.")
        if request.query_params.get("sig") != self.sig:
            return _no(401, "DirectApiAuthorizationRequired", "The signature is not valid.")
        if len(raw) > BYTES:
            return _no(413, "RequestEntityTooLarge", "The message is too large.")
        made = json.loads(raw)
        attachments = made.get("attachments") or []
        if made.get("type") != "message" or [a["contentType"] for a in attachments] != [CARD]:
            return _no(400, "TriggerInputSchemaMismatch", "The input does not fit the schema.")
        if not self.fails_silently:
            self.cards.append(attachments[0]["content"])
        self.runs += 1
        run = f"08584{self.runs:027d}CU38"
        return Response(status_code=202, headers={"x-ms-workflow-run-id": run})


def _no(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
