"""Mailbox stand-in: sign-in and the parts of Graph that a probe mailbox answers, with faults.

Tokens come from the Entra stand-in and are checked; mail is delivered after a delay; the mailbox
tier can refuse while sign-in goes on, which is the case the probes are there to tell.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.standins.entra import Entra

DIAGNOSTIC = '{"ServerInfo":{"DataCenter":"West Europe","Slice":"E","Ring":"5"}}'


@dataclass(slots=True, kw_only=True)
class Mailboxes:
    """The mailboxes of one tenant. ``refusal`` is (status, code) while the mailbox tier refuses."""

    entra: Entra
    now: Callable[[], datetime]
    boxes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    refusal: tuple[int, str] | None = None
    front: tuple[int, str] = (401, "InvalidAuthenticationToken")
    delay: timedelta = timedelta(0)
    loses_mail: bool = False
    busy_fails: bool = False
    asked: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        """The server: the sign-in host and Graph in one."""
        user = "/v1.0/users/{user}"
        inbox = f"{user}/mailFolders/inbox"
        return Starlette(
            routes=[
                *self.entra.routes(),
                Route("/v1.0/me", self._me),
                Route(inbox, self._inbox),
                Route(f"{inbox}/messages", self._messages),
                Route(f"{user}/messages/{{id}}", self._delete, methods=["DELETE"]),
                Route(f"{user}/sendMail", self._send, methods=["POST"]),
                Route(f"{user}/calendar/getSchedule", self._schedule, methods=["POST"]),
            ]
        )

    def _refuse(self, status: int, code: str) -> JSONResponse:
        error = {"code": code, "message": "Made up.", "innerError": {"request-id": str(uuid4())}}
        headers = {"request-id": str(uuid4()), "x-ms-ags-diagnostic": DIAGNOSTIC}
        return JSONResponse({"error": error}, status_code=status, headers=headers)

    def _admit(self, request: Request) -> tuple[list[dict[str, Any]] | None, Response | None]:
        self.asked.append(f"{request.method} {request.url.path}")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        granted = self.entra.granted(token) if scheme == "Bearer" else None
        if granted is None:
            return None, self._refuse(401, "InvalidAuthenticationToken")
        if self.refusal is not None:
            return None, self._refuse(*self.refusal)
        box = self.boxes.get(request.path_params["user"])
        if box is None:
            return None, self._refuse(404, "ErrorInvalidUser")
        return box, None

    async def _me(self, _: Request) -> Response:
        return self._refuse(*self.front)

    async def _inbox(self, request: Request) -> Response:
        box, refusal = self._admit(request)
        if box is None:
            return refusal or self._refuse(500, "generalException")
        return self._give({"id": "AAMkInbox", "unreadItemCount": len(box)})

    async def _messages(self, request: Request) -> Response:
        box, refusal = self._admit(request)
        if box is None:
            return refusal or self._refuse(500, "generalException")
        wanted = request.query_params.get("$filter", "")
        start = wanted.removeprefix("startswith(subject,'").removesuffix("')")
        found = [m for m in box if m["subject"].startswith(start) and m["at"] <= self.now()]
        top = int(request.query_params.get("$top", "10"))
        return self._give(
            {"value": [{"id": m["id"], "subject": m["subject"]} for m in found[:top]]}
        )

    async def _delete(self, request: Request) -> Response:
        box, refusal = self._admit(request)
        if box is None:
            return refusal or self._refuse(500, "generalException")
        left = [m for m in box if m["id"] != request.path_params["id"]]
        if len(left) == len(box):
            return self._refuse(404, "ErrorItemNotFound")
        box[:] = left
        return Response(status_code=204)

    async def _send(self, request: Request) -> Response:
        box, refusal = self._admit(request)
        if box is None:
            return refusal or self._refuse(500, "generalException")
        mail = (await request.json())["message"]
        if not self.loses_mail:
            for recipient in mail["toRecipients"]:
                there = self.boxes.get(recipient["emailAddress"]["address"])
                if there is not None:
                    at = self.now() + self.delay
                    there.append({"id": uuid4().hex, "subject": mail["subject"], "at": at})
        return Response(status_code=202, headers={"request-id": str(uuid4())})

    async def _schedule(self, request: Request) -> Response:
        box, refusal = self._admit(request)
        if box is None:
            return refusal or self._refuse(500, "generalException")
        wanted = (await request.json())["schedules"]
        error = {"message": "Unable to resolve.", "responseCode": "ErrorFreeBusyGenerationFailed"}
        fact = {"error": error} if self.busy_fails else {"availabilityView": "0"}
        return self._give({"value": [{"scheduleId": name, **fact} for name in wanted]})

    def _give(self, body: Mapping[str, Any]) -> JSONResponse:
        return JSONResponse(dict(body), headers={"request-id": str(uuid4())})
