"""Jira: issues with a search index that lags, workflows, ADF; and alerts of its operations."""

import base64
import email
import email.policy
import re
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.standins.channels.trouble import Answer, Door, json_of

SUMMARY = 255
TEXT = 32_767
MESSAGE = 130
DESCRIPTION = 15_000
CATEGORY = {"Open": "new", "In Progress": "indeterminate", "Resolved": "done"}
MOVES = {
    "Open": {"11": ("Start", "In Progress"), "31": ("Resolve", "Resolved")},
    "In Progress": {"31": ("Resolve", "Resolved")},
    "Resolved": {"41": ("Reopen", "Open")},
}


@dataclass(slots=True, kw_only=True)
class Issue:
    """One issue."""

    key: str
    fields: dict[str, Any]
    status: str = "Open"
    comments: list[dict[str, Any]] = field(default_factory=list)
    attachments: dict[str, tuple[str, bytes]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Jira(Door):
    """A site with one project; ``unseen`` is how many searches a new issue stays out of."""

    email: str = "sextant@contoso.example"
    api_token: str = "ATATT-right-token"
    project: str = "OPS"
    unseen: int = 0
    is_closed: bool = False
    attaches: bool = True  # whether the account may
    deletes: bool = True
    made: int = 0  # attachments ever
    issues: list[Issue] = field(default_factory=list)

    def routes(self) -> list[tuple[str, Answer]]:
        return [
            ("/rest/api/3/issue", self._create),
            ("/rest/api/3/search/jql", self._search),
            ("/rest/api/3/mypermissions", self._permissions),
            ("/rest/api/3/issue/{key}", self._read),
            ("/rest/api/3/issue/{key}/comment", self._comments),
            ("/rest/api/3/issue/{key}/transitions", self._transitions),
            ("/rest/api/3/issue/{key}/attachments", self._attach),
            ("/rest/api/3/attachment/{id}", self._detach),
        ]

    def _refusal(self, request: Request) -> Response | None:
        pair = base64.b64encode(f"{self.email}:{self.api_token}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {pair}":
            return Response("Client must be authenticated to access this resource.", 401)
        if self.is_closed and request.method != "GET":
            return _no(403, "You do not have permission to create issues in this project.")
        return None

    async def _create(self, request: Request, raw: bytes) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        fields = json_of(raw)["fields"]
        wrong = {}
        if fields["project"]["key"] != self.project:
            wrong["project"] = "valid project is required"
        if not fields.get("summary") or len(fields["summary"]) > SUMMARY:
            wrong["summary"] = "Summary must be less than 255 characters."
        if "\n" in fields.get("summary", ""):
            wrong["summary"] = "The summary is invalid because it contains newline characters."
        if not _is_document(fields.get("description")):
            wrong["description"] = "Operation value must be an Atlassian Document"
        if any(" " in label for label in fields.get("labels", [])):
            wrong["labels"] = "The label contains spaces which is invalid."
        if wrong:
            return JSONResponse({"errorMessages": [], "errors": wrong}, 400)
        made = Issue(key=f"{self.project}-{len(self.issues) + 1}", fields=fields)
        self.issues.append(made)
        return JSONResponse({"id": "10042", "key": made.key}, 201)

    async def _search(self, request: Request, raw: bytes) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        body = json_of(raw)
        label = re.search(r'labels = "([^"]+)"', body["jql"])
        if self.unseen > 0:
            self.unseen -= 1
            return JSONResponse({"issues": []})
        found = [i for i in self.issues if label and label[1] in i.fields["labels"]]
        shown = [{"id": "1", "key": i.key, "fields": {"labels": i.fields["labels"]}} for i in found]
        return JSONResponse({"issues": shown[: body["maxResults"]]})

    async def _permissions(self, request: Request, raw: bytes) -> Response:
        del raw
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        asked = request.query_params["permissions"].split(",")
        given = {n: {"key": n, "havePermission": not self.is_closed} for n in asked}
        return JSONResponse({"permissions": given})

    def _found(self, request: Request) -> Issue | None:
        return next((i for i in self.issues if i.key == request.path_params["key"]), None)

    async def _read(self, request: Request, raw: bytes) -> Response:
        del raw
        issue = self._found(request)
        refusal = self._refusal(request) or (_missing() if issue is None else None)
        if refusal is not None or issue is None:
            return refusal or _missing()
        status = {"name": issue.status, "statusCategory": {"key": CATEGORY[issue.status]}}
        held = [{"id": k, "filename": name} for k, (name, _) in issue.attachments.items()]
        fields = {"status": status, "attachment": held}
        return JSONResponse({"key": issue.key, "fields": fields})

    async def _attach(self, request: Request, raw: bytes) -> Response:
        issue = self._found(request)
        refusal = self._refusal(request)
        if refusal is not None or issue is None:
            return refusal or _missing()
        if request.headers.get("x-atlassian-token") != "no-check":
            return Response("XSRF check failed", 403)
        if not self.attaches:
            return _no(403, "You do not have permission to create attachments for this issue.")
        typed = request.headers.get("content-type", "")
        head = b"content-type: " + typed.encode() + b"\r\n\r\n"
        parts = email.message_from_bytes(head + raw, policy=email.policy.HTTP)
        for part in parts.iter_parts():
            self.made += 1
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            issue.attachments[str(self.made)] = (part.get_filename() or "", content)
        return JSONResponse([{"id": str(self.made)}], 200)

    async def _detach(self, request: Request, raw: bytes) -> Response:
        del raw
        refusal, found = self._refusal(request), request.path_params["id"]
        if refusal is not None or not self.deletes:
            return refusal or _no(403, "You do not have permission to delete attachments.")
        for issue in self.issues:
            if issue.attachments.pop(found, None):
                return Response(status_code=204)
        return _missing()

    async def _comments(self, request: Request, raw: bytes) -> Response:
        issue = self._found(request)
        refusal = self._refusal(request)
        if refusal is not None or issue is None:
            return refusal or _missing()
        if request.method == "GET":
            return JSONResponse({"comments": issue.comments[::-1]})
        body = json_of(raw)
        if not _is_document(body.get("body")):
            return _no(400, "Comment body is not valid!")
        issue.comments.append(body)
        return JSONResponse({"id": str(len(issue.comments))}, 201)

    async def _transitions(self, request: Request, raw: bytes) -> Response:
        issue = self._found(request)
        refusal = self._refusal(request)
        if refusal is not None or issue is None:
            return refusal or _missing()
        moves = MOVES[issue.status]
        if request.method == "GET":
            offered = [{"id": k, "name": v[0]} for k, v in moves.items()]
            return JSONResponse({"transitions": offered})
        chosen = json_of(raw)["transition"]["id"]
        if chosen not in moves:
            return _no(400, "The transition is not valid for the issue.")
        issue.status = moves[chosen][1]
        return Response(status_code=204)


@dataclass(slots=True, kw_only=True)
class Operations(Door):
    """Alerts of Jira Service Management: taken at once, told apart by alias while they are open."""

    api_key: str = "43a29c5c-right-genie-key"
    is_off: bool = False
    alerts: list[dict[str, Any]] = field(default_factory=list)

    def routes(self) -> list[tuple[str, Answer]]:
        return [("/v2/alerts", self._create), ("/v2/alerts/{alias}/{action}", self._act)]

    def open(self, alias: str) -> dict[str, Any] | None:
        """The open alert of an alias, if there is one."""
        found = (a for a in self.alerts if a["alias"] == alias and a["status"] == "open")
        return next(found, None)

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("authorization") != f"GenieKey {self.api_key}":
            return JSONResponse({"message": "Key format is not valid!", "took": 0.0}, 422)
        if self.is_off:
            return JSONResponse({"message": "You are not authorized.", "took": 0.0}, 403)
        return None

    async def _create(self, request: Request, raw: bytes) -> Response:
        body = json_of(raw)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        too_long = len(body["message"]) > MESSAGE or len(body.get("description", "")) > DESCRIPTION
        if not body.get("message") or too_long:
            return JSONResponse({"message": "Request body is not processable."}, 422)
        known = self.open(body["alias"])
        if known is not None:
            known["count"] += 1
        else:
            self.alerts.append({**body, "status": "open", "count": 1, "notes": []})
        return _taken()

    async def _act(self, request: Request, raw: bytes) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if request.query_params.get("identifierType") != "alias":
            return JSONResponse({"message": "No alert of that id."}, 422)
        found = self.open(request.path_params["alias"])
        if found is None:
            return _taken()  # the answer comes before the work, so it says nothing of that
        note = json_of(raw).get("note", "")
        match request.path_params["action"]:
            case "close":
                found["status"] = "closed"
            case "acknowledge":
                found["acknowledged"] = True
            case _:
                pass
        found["notes"].append(note)
        return _taken()


def _taken() -> Response:
    return JSONResponse({"result": "Request will be processed", "took": 0.3, "requestId": "43a2"},
                        202)  # fmt: skip


def _no(status: int, text: str) -> Response:
    return JSONResponse({"errorMessages": [text], "errors": {}}, status)


def _missing() -> Response:
    return _no(404, "Issue does not exist or you do not have permission to see it.")


def _is_document(made: Any) -> bool:
    if not isinstance(made, dict) or made.get("type") != "doc" or made.get("version") != 1:
        return False
    texts = [n.get("text") for p in made["content"] for n in p["content"]]
    return all(isinstance(t, str) and t for t in texts) and sum(map(len, texts)) <= TEXT
