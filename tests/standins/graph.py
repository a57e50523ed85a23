"""Graph and Entra stand-in: service health of one tenant over HTTPS, as Microsoft serves it.

It serves recorded issues as history and, by the story's clock, the story's advisory. What it does
wrong is switched at ``/_standin/mode``.
"""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from app.demo.story import Story
from tests.standins.entra import SERVICE_HEALTH_ROLE, Entra
from tests.standins.faults import Fault, Faulty, Mode, Throttle, error_body

ROOT = "/v1.0/admin/serviceAnnouncement"
RECORDED = Path(__file__).parents[1] / "fixtures" / "graph"
DEFAULT_PAGE, LARGEST_PAGE = 100, 1000  # documented page sizes
DOCS = "https://docs.microsoft.com/en-us/graph/api/resources/service-communications-api-overview"

Issue = dict[str, Any]
Endpoint = Callable[[Request], Awaitable[Response]]

_CLAUSE = re.compile(
    r"^(?P<field>\w+) (?P<op>eq|ne|ge|gt|le|lt) (?P<value>true|false|null|'[^']*'|[\w:.+-]+)$"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: bool(left == right),
    "ne": lambda left, right: bool(left != right),
    "ge": lambda left, right: bool(left >= right),
    "gt": lambda left, right: bool(left > right),
    "le": lambda left, right: bool(left <= right),
    "lt": lambda left, right: bool(left < right),
}
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}


@dataclass(slots=True, kw_only=True)
class Graph:
    """The service: what it knows, how it stands, and what it was asked."""

    entra: Entra
    now: Callable[[], datetime]
    throttle: Throttle
    story: Story | None = None
    history: list[Issue] = field(default_factory=list)
    extra: dict[str, Issue] = field(default_factory=dict)
    services: list[dict[str, str]] = field(default_factory=list)
    graph_fault: Fault = field(default_factory=Fault)
    entra_fault: Fault = field(default_factory=Fault)
    refuses_filters: bool = False
    largest_page: int = LARGEST_PAGE
    between_pages: Callable[[], None] = lambda: None
    asked: list[str] = field(default_factory=list)

    def app(self) -> ASGIApp:
        """Make the ASGI app of both hosts."""
        served = [
            ("/issues", self._issues),
            ("/issues/{id}", self._issue),
            ("/issues/{id}/incidentReport", self._report),
            ("/healthOverviews", self._overviews),
            ("/healthOverviews/{id}", self._overview),
        ]
        routes: list[BaseRoute] = [Route(ROOT + path, self._guarded(end)) for path, end in served]
        routes += [
            Route("/_standin/mode", self._set_mode, methods=["POST"]),
            Route("/_standin/issues", self._put_issue, methods=["POST"]),
            Route("/_standin/state", self._state),
            Route("/_standin/revoke", self._revoke, methods=["POST"]),
            *self.entra.routes(),
            Route("/v1.0/{rest:path}", self._guarded(_nothing), methods=["GET", "POST"]),
        ]
        return Faulty(Starlette(routes=routes), graph=self.graph_fault, entra=self.entra_fault)

    def issues(self) -> list[Issue]:
        """List what it would show now, newest change first."""
        told = self.story.advisory_at(self.now()) if self.story else None
        known = {item["id"]: item for item in [*self.history, *([told] if told else [])]}
        known |= self.extra
        return sorted(
            known.values(),
            key=lambda item: (item["lastModifiedDateTime"], item["id"]),
            reverse=True,
        )

    def overviews(self) -> list[dict[str, str]]:
        """List the services, each with the status of its worst open issue."""
        status = {
            item["service"]: item["status"] for item in self.issues() if not item["isResolved"]
        }
        return [
            {**item, "status": status.get(item["service"], "serviceOperational")}
            for item in self.services
        ]

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            self.asked.append(f"{request.url.path}?{request.url.query}")
            response = self._refuse(request) or await endpoint(request)
            ours = str(uuid4())
            response.headers["request-id"] = ours
            response.headers["client-request-id"] = request.headers.get("client-request-id", ours)
            response.headers["x-ms-ags-diagnostic"] = json.dumps(
                {"ServerInfo": {"DataCenter": "Stand-in", "Slice": "E", "Ring": "5"}}
            )
            return response

        return answer

    def _refuse(self, request: Request) -> Response | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return _unauthorized("Access token is empty.")
        granted = self.entra.granted(token)
        if granted is None:
            return _unauthorized("IDX14100: JWT is not well formed.")
        if granted.expires_at <= self.entra.wall():
            return _unauthorized("Lifetime validation failed, the token is expired.")
        if SERVICE_HEALTH_ROLE not in granted.roles:
            body = error_body("Forbidden", "The caller lacks ServiceHealth.Read.All.", _inner())
            return JSONResponse(body, status_code=403)
        return self.throttle.refuse(f"{granted.tenant}/{granted.client}")

    async def _issues(self, request: Request) -> Response:
        found = self.issues()
        query = request.query_params
        if "$filter" in query:
            kept = None if self.refuses_filters else _filtered(found, query["$filter"])
            if kept is None:
                body = error_body("BadRequest", "Invalid filter clause", _inner())
                return JSONResponse(body, status_code=400)
            found = kept
        if query.get("$orderby", "").startswith("startDateTime"):
            found = sorted(found, key=lambda item: str(item["startDateTime"]))
        answer = JSONResponse(_page(request, found, "issues", largest=self.largest_page))
        self.between_pages()
        return answer

    async def _issue(self, request: Request) -> Response:
        found = self._find(request.path_params["id"])
        if found is None:
            return _does_not_exist()
        return JSONResponse({"@odata.context": _context(request, "issues/$entity"), **found})

    async def _report(self, request: Request) -> Response:
        found = self._find(request.path_params["id"])
        if found is None:
            return _does_not_exist()
        if found["status"] != "postIncidentReviewPublished":
            return JSONResponse(error_body("UnknownError", "", _inner()), status_code=404)
        return Response(b"PK\x05\x06" + bytes(18), media_type="application/octet-stream")

    async def _overviews(self, request: Request) -> Response:
        shown: list[dict[str, Any]] = [dict(item) for item in self.overviews()]
        if request.query_params.get("$expand") == "issues":
            every = self.issues()
            for item in shown:
                item["issues"] = [one for one in every if one["service"] == item["service"]]
        return JSONResponse(_page(request, shown, "healthOverviews"))

    async def _overview(self, request: Request) -> Response:
        wanted = request.path_params["id"]
        for item in self.overviews():
            if wanted in {item["id"], item["service"]}:
                return JSONResponse({"@odata.context": _context(request, "$entity"), **item})
        return JSONResponse(error_body("UnknownError", "", _inner()), status_code=404)

    def _find(self, vendor_id: str) -> Issue | None:
        return next((item for item in self.issues() if item["id"] == vendor_id), None)

    async def _set_mode(self, request: Request) -> Response:
        wanted = await request.json()
        for name, fault in (("graph", self.graph_fault), ("entra", self.entra_fault)):
            if name in wanted:
                fault.mode = Mode(wanted[name])
                fault.retry_after = wanted.get("retry_after")
                fault.times = wanted.get("times")
        self.refuses_filters = wanted.get("refuses_filters", self.refuses_filters)
        self.throttle.tells_when = wanted.get("tells_when", self.throttle.tells_when)
        return JSONResponse({"graph": self.graph_fault.mode, "entra": self.entra_fault.mode})

    async def _put_issue(self, request: Request) -> Response:
        issue = await request.json()
        self.extra[issue["id"]] = issue
        return JSONResponse({"issues": len(self.issues())})

    async def _revoke(self, request: Request) -> Response:
        self.entra.forget_tokens()
        return JSONResponse({"url": str(request.url)})

    async def _state(self, request: Request) -> Response:
        return JSONResponse(
            {
                "host": request.url.netloc,
                "now": self.now().isoformat(),
                "tokens_asked": self.entra.asked,
                "asked": self.asked,
                "issues": [item["id"] for item in self.issues()],
            }
        )


def recorded_issues() -> list[Issue]:
    """Read the recorded issues that serve as history."""
    found: list[Issue] = json.loads((RECORDED / "issues_in_v1_shape.json").read_text("utf-8"))
    return found


def recorded_services() -> list[dict[str, str]]:
    """Read the recorded services: id and the name that the vendor shows today."""
    name = "healthoverviews_live_names_2024-06_and_2026.json"
    found = json.loads((RECORDED / name).read_text("utf-8"))["value"]
    return [{"id": item["id"], "service": item["service"]} for item in found]


async def _nothing(request: Request) -> Response:
    del request
    return JSONResponse(error_body("UnknownError", "", _inner()), status_code=404)


def _page(
    request: Request, found: list[dict[str, Any]], noun: str, *, largest: int = LARGEST_PAGE
) -> dict[str, Any]:
    query = dict(request.query_params)
    skip = int(query.get("$skip", "0"))
    top = query.get("$top")
    asked = re.search(r"odata\.maxpagesize=(\d+)", request.headers.get("prefer", ""))
    size = min(int(asked[1]) if asked else DEFAULT_PAGE, largest)
    shown = found[skip : skip + (int(top) if top else size)]
    page: dict[str, Any] = {"@odata.context": _context(request, noun)}
    if query.get("$count") == "true":
        page["@odata.count"] = len(found)
    if top is None and skip + size < len(found):  # $top silences the link: msgraph-docs #16424
        following = urlencode({**query, "$skip": skip + size}, safe="$'")
        page["@odata.nextLink"] = f"{_origin(request)}{request.url.path}?{following}"
    return {**page, "value": shown}


def _filtered(found: list[Issue], text: str) -> list[Issue] | None:
    clauses = [_CLAUSE.match(part.strip()) for part in text.split(" and ")]
    for clause in clauses:
        if clause is None or any(clause["field"] not in item for item in found):
            return None
        name, value = clause["field"], clause["value"]
        wanted = _WORDS.get(value, value.strip("'").casefold())
        compare = _COMPARE[clause["op"]]
        found = [item for item in found if compare(_comparable(item[name]), wanted)]
    return found


def _comparable(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _context(request: Request, noun: str) -> str:
    return f"{_origin(request)}/v1.0/$metadata#admin/serviceAnnouncement/{noun}"


def _unauthorized(message: str) -> Response:
    body = error_body("InvalidAuthenticationToken", message, _inner())
    challenge = 'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common"'
    return JSONResponse(body, status_code=401, headers={"www-authenticate": challenge})


def _does_not_exist() -> Response:
    """Answer as Graph does for an id that is not the tenant's: JSON in JSON in JSON."""
    inner = _inner()
    text = (
        f"Resource doesn't exist for the tenant. ActivityId: {inner['request-id']}. "
        f"Learn more: {DOCS}?view=graph-rest-beta&preserve-view=true."
    )
    message = json.dumps({"code": "forbidden", "message": json.dumps({"error": text})})
    return JSONResponse(error_body("UnknownError", message, inner), status_code=403)


def _inner() -> dict[str, str]:
    ours = str(uuid4())
    return {"date": "2026-03-16T06:00:00", "request-id": ours, "client-request-id": ours}
