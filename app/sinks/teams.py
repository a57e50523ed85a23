"""Teams: an Adaptive Card through a Workflows webhook; posted, never changed."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from app.clients.calls import WORDS, Calls, Reply
from app.clients.errors import VendorError
from app.core.announce import NoticePhase
from app.core.ports import ChannelAnswer, MirrorWord, Telling
from app.kit import http
from app.kit.cutting import cut
from app.kit.egress import LOOPBACK
from app.sinks.answering import answered
from app.sinks.picturing import page_of

BYTES = 28 * 1024  # of one message, documented as "approximately 28 KB"
SPARE = 1024  # below that, because it is approximate
TITLE = 300
CARD = "application/vnd.microsoft.card.adaptive"
SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
HOSTS = (
    ".logic.azure.com", ".environment.api.powerplatform.com", ".api.powerplatform.com",
    ".api.powerautomate.com",
)  # fmt: skip
COLORS: Mapping[NoticePhase, str] = {
    NoticePhase.FIRST: "Attention", NoticePhase.UPDATE: "Warning",
    NoticePhase.MITIGATED: "Accent", NoticePhase.RESOLVED: "Good",
}  # fmt: skip
JSON = {"content-type": "application/json"}
_FAILURE = re.compile(r"(?i)\bfailed with error\b|\bdelivery failed\b|returned HTTP error")
_RUN = re.compile(r"^[A-Za-z0-9-]{1,64}$")
_FLOW = "Open the workflow in Teams or Power Automate: "
REMEDIES: Mapping[str, str] = {
    "unauthorized": f"{_FLOW}its address has changed or ran out: copy it anew, and let anyone "
    "who has it trigger the workflow.",
    "forbidden": f"{_FLOW}its address has changed or ran out, or a policy of data loss prevention "
    "stops it: copy it anew.",
    "not_posted": f"{_FLOW}its run history says at which step it failed.",
    "not_found": f"{_FLOW}it was deleted, or its owner has left; make it anew with a co-owner.",
    "bad_request": f"{_FLOW}it may be turned off, or not begin with a Teams webhook request.",
    "too_large": "The message is larger than Teams takes.",
    "moved": "The address is not that of a workflow.",
}


class TeamsSettings(BaseModel):
    """``teams = {…}`` of a channel: the workflow's address, which is a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr
    ca_file: str | None = None
    timeout_seconds: float = Field(default=20, ge=1)

    @field_validator("url")
    @classmethod
    def _of_a_workflow(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        host = parts.hostname or ""
        if host.endswith("webhook.office.com"):
            raise ValueError("connectors (webhook.office.com) are retired; make a workflow")
        known = parts.scheme == "https" and host.endswith(HOSTS)
        if not known and host not in LOOPBACK:
            raise ValueError("give the address that the workflow shows")
        return value


class TeamsChannel:
    """Implements ``core.ports.Channel``."""

    kind = "teams"
    pictures = False  # it has no place for a file

    def __init__(self, name: str, calls: Calls, url: str) -> None:
        self.name = name
        self._calls = calls
        self._url = url

    async def aclose(self) -> None:
        """Close the connections."""
        await self._calls.aclose()

    async def tell(self, telling: Telling) -> ChannelAnswer:
        """Post a card; every telling is one of its own."""
        try:
            reply = await self._calls.call("POST", self._url, body=body_of(telling), headers=JSON)
            said = taken(reply)
        except VendorError as error:
            return answered(error, REMEDIES)
        return ChannelAnswer(word=MirrorWord.DONE, record=telling.record or telling.key, why=said)

    async def heard(self, telling: Telling) -> ChannelAnswer:
        """Nobody can look."""
        del telling
        return ChannelAnswer(word=MirrorWord.UNKNOWN, why="Nobody can look what was posted.")

    async def try_out(self, telling: Telling) -> ChannelAnswer:
        """Post one card that says what it is."""
        return await self.tell(telling)


def open_teams(name: str, settings: TeamsSettings) -> TeamsChannel:
    """Make the channel; nothing is sent.

    Raises:
        OSError: the file of authorities cannot be read.
    """
    client = http.client(ca_file=settings.ca_file, timeout_seconds=settings.timeout_seconds)
    return TeamsChannel(name, Calls(client, who="The workflow"), settings.url.get_secret_value())


def taken(reply: Reply) -> str:
    """What a success says: which run of the workflow it became, and that this is all we know.

    A workflow with a *Response* action, or one behind a gateway, may answer 2xx with the words of
    a failure; these are none.

    Raises:
        VendorError: they are, and the card was not posted.
    """
    words = " ".join(reply.text.split())[:WORDS]
    failed = isinstance(reply.made, dict) and "error" in reply.made
    if failed or _FAILURE.search(words):
        text = f"The workflow answered {reply.status}, yet it says: {words}"
        raise VendorError("throttled" if "429" in words else "not_posted", text)
    run = str(reply.headers.get("x-ms-workflow-run-id") or "")
    which = f" as run {run}" if _RUN.match(run) else ""
    return f"The workflow took it{which}; whether the card was posted, its run history says."


def body_of(telling: Telling) -> bytes:
    """The message, its text cut so that all of it fits into what Teams takes."""
    text, room = telling.message.text, BYTES - SPARE

    def made(characters: int) -> bytes:
        return json.dumps(_message(telling, text[:characters]), ensure_ascii=False).encode()

    whole = json.dumps(_message(telling, text), ensure_ascii=False).encode()
    if len(whole) <= room:
        return whole
    fits, beyond = 0, min(len(text), room) + 1
    while beyond - fits > 1:  # a character is one byte or many, and each paragraph a block
        middle = (fits + beyond) // 2
        if len(made(middle)) <= room:
            fits = middle
        else:
            beyond = middle
    cut_off = _message(telling, cut(text, fits))
    return json.dumps(cut_off, ensure_ascii=False).encode()


def _message(telling: Telling, text: str) -> dict[str, Any]:
    notice = telling.notice
    card = {
        "$schema": SCHEMA,
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "full"},
        "body": [
            _said(
                cut(telling.message.subject, TITLE), size="Medium", weight="Bolder",
                color=COLORS[notice.phase],
            ),
            *(_said(part) for part in text.split("\n\n") if part.strip()),
        ],
        "actions": [
            {"type": "Action.OpenUrl", "title": title, "url": url}
            for title, url in (("Open incident", notice.url), ("Picture", page_of(notice.url)))
            if url
        ],
    }  # fmt: skip
    attachment = {"contentType": CARD, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _said(text: str, **look: str) -> dict[str, Any]:
    """Text as it stands: a run of a rich text block knows no Markdown, a text block would."""
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **look}]}
