"""Jira: an issue per incident, with comments; or an alert of Service Management by its alias."""

import base64
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from app.clients.calls import Calls
from app.clients.errors import VendorError
from app.core.announce import NoticePhase
from app.core.ports import ChannelAnswer, MirrorWord, Telling
from app.core.types import Severity
from app.kit import http
from app.kit.cutting import cut
from app.sinks.answering import answered
from app.sinks.picturing import file_of, with_picture

MESSAGE = 130  # of an alert
DESCRIPTION = 15_000  # of an alert
NOTE = 15_000
SUMMARY = 255  # of an issue
TEXT = 32_000  # of an issue's description or comment, below 32,767
SETTLED = timedelta(seconds=130)  # the search index lags by seconds to minutes
COMMENTS = "100"
PRIORITY: Mapping[Severity, str] = {
    Severity.CRITICAL: "P1", Severity.MAJOR: "P2", Severity.MINOR: "P3", Severity.WARNING: "P4",
    Severity.INFO: "P5", Severity.UNKNOWN: "P3",
}  # fmt: skip
ALERT_REMEDIES: Mapping[str, str] = {
    "unauthorized": "Copy the key of an API integration of the team's operations.",
    "forbidden": "Let the API integration create and update alerts, and turn it on.",
    "bad_request": "Copy the key of an API integration of the team's operations.",
    "not_found": "Set base_url to https://api.atlassian.com/jsm/ops/integration, or remove it.",
}
ISSUE_REMEDIES: Mapping[str, str] = {
    "unauthorized": "Set email and api_token of an account of this site; a token expires.",
    "forbidden": "Give the account Browse, Create, Add Comments and Transition in the project.",
    "not_found": "See that the project and the issue type exist, and that the account sees them.",
    "bad_request": "See which fields the project demands: make them optional for this issue type.",
    "no_transition": "Set resolve_transition to a name that the workflow offers here.",
    "moved": "Set base_url to https://SITE.atlassian.net.",
}

SHOWING: Mapping[str, str] = {
    "forbidden": "Give the account Create Attachments and Delete Own Attachments in the project, "
    "or set pictures = false.",
    "not_found": "See that attachments are turned on for the site, or set pictures = false.",
    "too_large": "The site takes smaller attachments only; set pictures = false.",
}


class JiraAlerts(BaseModel):
    """``jira = { alerts = {…} }``: the API integration of a team's operations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: SecretStr
    base_url: str = Field(
        default="https://api.atlassian.com/jsm/ops/integration", pattern=r"^https?://[^?#]+$"
    )
    tags: tuple[str, ...] = ()


class JiraIssues(BaseModel):
    """``jira = { issues = {…} }``: the project that gets an issue per incident."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(pattern=r"^https?://[^?#]+$")
    email: str
    api_token: SecretStr
    project: str = Field(pattern=r"^[A-Z][A-Z0-9_]{1,30}$")
    issue_type: str = "[System] Incident"
    priorities: dict[str, str] = Field(default_factory=dict)
    resolve_transition: str = "Resolve"
    reopen_transition: str = ""
    webhook_secrets: tuple[SecretStr, ...] = ()
    account_id: str = ""


class JiraSettings(BaseModel):
    """``jira = {…}`` of a channel: alerts or issues."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alerts: JiraAlerts | None = None
    issues: JiraIssues | None = None
    ca_file: str | None = None
    timeout_seconds: float = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.alerts is None) == (self.issues is None):
            raise ValueError("give either alerts or issues; for both, make two channels")
        return self


class JiraAlertChannel:
    """Implements ``core.ports.Channel``: an alert that its alias tells from others."""

    kind = "jira"
    pictures = False  # its alerts have no place for a file

    def __init__(self, name: str, calls: Calls, settings: JiraAlerts) -> None:
        self.name = name
        self._calls = calls
        self._tags = list(settings.tags)
        self._headers = {"authorization": f"GenieKey {settings.api_key.get_secret_value()}"}

    async def aclose(self) -> None:
        """Close the connections."""
        await self._calls.aclose()

    async def tell(self, telling: Telling) -> ChannelAnswer:
        """Create, note or close; a closed alert stays closed, so what goes on is created anew."""
        try:
            if telling.notice.phase is NoticePhase.RESOLVED:
                await self._act(telling, "close")
            elif _is_new(telling):
                await self._post("/v2/alerts", self._alert(telling))
            else:
                if telling.notice.incident.acknowledged_at is not None:
                    await self._act(telling, "acknowledge")
                await self._act(telling, "notes")
        except VendorError as error:
            return answered(error, ALERT_REMEDIES)
        why = "Jira took it; it works it off a moment later."
        return ChannelAnswer(
            word=MirrorWord.DONE, record=telling.thread, number=telling.thread, why=why
        )

    async def heard(self, telling: Telling) -> ChannelAnswer:
        """The alias makes a repetition harmless; a note has none."""
        keyed = telling.notice.phase is NoticePhase.RESOLVED or _is_new(telling)
        if keyed:
            return ChannelAnswer(word=MirrorWord.ABSENT)
        return ChannelAnswer(word=MirrorWord.UNKNOWN, why="Notes of alerts cannot be looked for.")

    async def try_out(self, telling: Telling) -> ChannelAnswer:
        """Create an alert of the lowest priority and close it."""
        answer = await self.tell(telling)
        if answer.word is not MirrorWord.DONE:
            return answer
        try:
            await self._act(telling, "close")
        except VendorError as error:
            return answered(error, ALERT_REMEDIES)
        return answer

    async def _act(self, telling: Telling, action: str) -> None:
        path = f"/v2/alerts/{quote(telling.thread, safe='')}/{action}"
        body = {"source": "Sextant", "note": cut(_note(telling), NOTE)}
        await self._post(path, body, {"identifierType": "alias"})

    async def _post(
        self, path: str, body: Mapping[str, Any], params: Mapping[str, str] | None = None
    ) -> None:
        await self._calls.call("POST", path, body=body, params=params, headers=self._headers)

    def _alert(self, telling: Telling) -> dict[str, Any]:
        incident = telling.notice.incident
        return {
            "message": cut(telling.message.subject, MESSAGE),
            "alias": telling.thread,
            "description": cut(telling.message.text, DESCRIPTION),
            "priority": PRIORITY[incident.severity],
            "source": "Sextant",
            "entity": ", ".join(incident.services)[:512],
            "tags": [*self._tags, *(a.id for a in incident.advisories)][:20],
            "details": {"number": incident.number, "url": telling.notice.url},
        }


class JiraIssueChannel:
    """Implements ``core.ports.Channel``: an issue found by its label, told by comments."""

    kind = "jira"
    pictures = True

    def __init__(self, name: str, calls: Calls, settings: JiraIssues) -> None:
        self.name = name
        self._calls = calls
        self._settings = settings
        pair = f"{settings.email}:{settings.api_token.get_secret_value()}".encode()
        self._headers = {"authorization": f"Basic {base64.b64encode(pair).decode()}"}

    async def aclose(self) -> None:
        """Close the connections."""
        await self._calls.aclose()

    async def tell(self, telling: Telling) -> ChannelAnswer:
        """Create the issue, or comment and move it along; a person's state is left alone."""
        try:
            if not telling.record:
                answer = await self._create(telling)
            else:
                await self._move(telling)  # first, because it can be repeated and a comment not
                await self._comment(telling)
                answer = self._there(telling.record)
        except VendorError as error:
            answer = answered(error, ISSUE_REMEDIES)
            if error.code == "not_found" and telling.record:
                return ChannelAnswer(word=MirrorWord.ABSENT, why=answer.why)
            return answer
        if not telling.picture:
            return answer
        return await with_picture(answer, self._show(telling, answer.record), SHOWING)

    async def _show(self, telling: Telling, key: str) -> None:
        """Attach the picture in place of the last one; where that stays, no other joins it."""
        root, name = f"/rest/api/3/issue/{key}", file_of(telling)
        made = await self._call("GET", root, params={"fields": "attachment"})
        held = ((made or {}).get("fields") or {}).get("attachment") or []
        for one in held:
            if one.get("filename") == name:
                path = f"/rest/api/3/attachment/{quote(str(one.get('id')), safe='')}"
                await self._call("DELETE", path)
        await self._calls.call(
            "POST", f"{root}/attachments", files={"file": (name, telling.picture, "image/png")},
            headers={**self._headers, "x-atlassian-token": "no-check"},
        )  # fmt: skip

    async def heard(self, telling: Telling) -> ChannelAnswer:
        """Look for the issue by its label, or for the comment by its mark."""
        try:
            if telling.record:
                return await self._heard_comment(telling)
            found = await self._search(telling)
        except VendorError as error:
            return answered(error, ISSUE_REMEDIES)
        if found:
            others = f" There are others of its label: {', '.join(found[1:])}." if found[1:] else ""
            there = self._there(found[0])
            return ChannelAnswer(
                word=there.word, record=there.record, number=there.number, url=there.url,
                why=others.strip(),
            )  # fmt: skip
        asked = telling.asked_at or telling.notice.at
        left = asked + SETTLED - telling.notice.at
        if left > timedelta(0):
            why = "Looked for by its label and not found yet; Jira's index lags."
            return ChannelAnswer(word=MirrorWord.UNREACHED, why=why, retry_after=left)
        return ChannelAnswer(word=MirrorWord.ABSENT)

    async def try_out(self, telling: Telling) -> ChannelAnswer:
        """Look whether the account may create issues there; none is made."""
        del telling
        project = self._settings.project
        params = {"projectKey": project, "permissions": "BROWSE_PROJECTS,CREATE_ISSUES,"
                  "ADD_COMMENTS,TRANSITION_ISSUES"}  # fmt: skip
        try:
            reply = await self._call("GET", "/rest/api/3/mypermissions", params=params)
        except VendorError as error:
            return answered(error, ISSUE_REMEDIES)
        given = (reply or {}).get("permissions") or {}
        missing = sorted(n for n, one in given.items() if not one.get("havePermission"))
        if missing or not given:
            why = f"In {project} the account lacks {', '.join(missing) or 'everything'}."
            return ChannelAnswer(
                word=MirrorWord.REFUSED, why=why, remedy=ISSUE_REMEDIES["forbidden"]
            )
        why = f"It may make issues in {project}."
        if self._settings.webhook_secrets and not self._settings.account_id:
            try:
                mine = await self._call("GET", "/rest/api/3/myself")
            except VendorError as error:
                return answered(error, ISSUE_REMEDIES)
            why += f' Set account_id = "{mine["accountId"]}", so that its own deeds do not return.'
        return ChannelAnswer(word=MirrorWord.DONE, why=why)

    async def _call(
        self, method: str, path: str, *, body: Any = None, params: Mapping[str, str] | None = None
    ) -> Any:
        reply = await self._calls.call(
            method, path, body=body, params=params, headers=self._headers
        )
        return reply.made

    async def _create(self, telling: Telling) -> ChannelAnswer:
        settings, incident = self._settings, telling.notice.incident
        priority = settings.priorities.get(incident.severity.word)
        fields = {
            "project": {"key": settings.project},
            "issuetype": {"name": settings.issue_type},
            "summary": cut(telling.message.subject, SUMMARY),
            "description": document_of(cut(telling.message.text, TEXT)),
            "labels": ["sextant", label_of(telling.thread)],
            **({"priority": {"name": priority}} if priority else {}),
        }
        made = await self._call("POST", "/rest/api/3/issue", body={"fields": fields})
        if not isinstance(made, dict) or "key" not in made:
            raise VendorError("lost", "Jira answered the creation with half a body.")
        return self._there(str(made["key"]))

    def _there(self, key: str) -> ChannelAnswer:
        url = f"{self._settings.base_url}/browse/{key}"
        return ChannelAnswer(word=MirrorWord.DONE, record=key, number=key, url=url)

    async def _search(self, telling: Telling) -> Sequence[str]:
        label = label_of(telling.thread)
        jql = f'project = "{self._settings.project}" AND labels = "{label}" ORDER BY created ASC'
        body = {"jql": jql, "maxResults": 3, "fields": ["labels"]}
        made = await self._call("POST", "/rest/api/3/search/jql", body=body)
        issues = (made or {}).get("issues") or []
        # A search may give more than was asked for; only what carries the label is ours.
        return [
            str(one["key"])
            for one in issues
            if label in ((one.get("fields") or {}).get("labels") or [])
        ]

    async def _heard_comment(self, telling: Telling) -> ChannelAnswer:
        params = {"orderBy": "-created", "maxResults": COMMENTS}
        path = f"/rest/api/3/issue/{telling.record}/comment"
        made = await self._call("GET", path, params=params)
        said = str((made or {}).get("comments") or "")
        if mark_of(telling) not in said:
            return ChannelAnswer(word=MirrorWord.ABSENT)
        return self._there(telling.record)

    async def _comment(self, telling: Telling) -> None:
        text = f"{cut(_note(telling), TEXT)}\n{mark_of(telling)}"
        path = f"/rest/api/3/issue/{telling.record}/comment"
        await self._call("POST", path, body={"body": document_of(text)})

    async def _move(self, telling: Telling) -> None:
        """Resolve or reopen by the name of a transition; who moved it before us was right."""
        ends = telling.notice.phase is NoticePhase.RESOLVED
        back = not ends and telling.last_phase == NoticePhase.RESOLVED
        wanted = self._settings.resolve_transition if ends else self._settings.reopen_transition
        if not (ends or back) or not wanted:
            return
        root = f"/rest/api/3/issue/{telling.record}"
        made = await self._call("GET", root, params={"fields": "status"})
        category = made["fields"]["status"]["statusCategory"]["key"]
        if (category == "done") is ends:
            return
        offered = (await self._call("GET", f"{root}/transitions"))["transitions"]
        found = next((t["id"] for t in offered if t["name"].lower() == wanted.lower()), None)
        if found is None:
            names = ", ".join(t["name"] for t in offered) or "none"
            raise VendorError("no_transition", f"The issue offers {names}, but not {wanted}.")
        await self._call("POST", f"{root}/transitions", body={"transition": {"id": found}})


def _is_new(telling: Telling) -> bool:
    return not telling.record or telling.last_phase == NoticePhase.RESOLVED


def _note(telling: Telling) -> str:
    notice = telling.notice
    lines = "\n".join(filter(None, (notice.mark, *notice.lines)))
    return f"{telling.message.subject}\n{lines}".strip()


def label_of(thread: str) -> str:
    """The label by which an issue is found again."""
    return thread.replace(":", "-")


def mark_of(telling: Telling) -> str:
    """What a comment carries, so that it can be found."""
    return f"[{telling.key}]"


def document_of(text: str) -> dict[str, Any]:
    """Text as an Atlassian document: text nodes, in which nothing has a meaning."""
    paragraphs = [
        {"type": "paragraph", "content": [{"type": "text", "text": line}]}
        for line in text.split("\n")
        if line.strip()
    ]
    return {"type": "doc", "version": 1, "content": paragraphs}


def open_jira(name: str, settings: JiraSettings) -> JiraAlertChannel | JiraIssueChannel:
    """Make the channel; nothing is sent.

    Raises:
        OSError: the file of authorities cannot be read.
    """
    table = settings.alerts or settings.issues
    client = http.client(
        ca_file=settings.ca_file,
        timeout_seconds=settings.timeout_seconds,
        base_url=table.base_url if table else "",
    )
    calls = Calls(client, who="Jira")
    if settings.alerts is not None:
        return JiraAlertChannel(name, calls, settings.alerts)
    if settings.issues is None:
        raise ValueError(name)
    return JiraIssueChannel(name, calls, settings.issues)
