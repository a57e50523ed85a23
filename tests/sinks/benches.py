"""Each kind of channel before its stand-in, in words that the exam of all channels uses."""

import html
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from app.core.ports import Channel
from app.sinks.jira import JiraAlerts, JiraIssues, JiraSettings, open_jira
from app.sinks.pagerduty import PagerDutySettings, open_pagerduty
from app.sinks.slack import SlackSettings, open_slack
from app.sinks.smtp import SmtpSettings, open_smtp
from app.sinks.teams import TeamsSettings, open_teams
from app.sinks.webhook_channel import WebhookSettings, open_webhook
from tests.standins.ca import Certificates, create
from tests.standins.channels.jira import Jira, Operations
from tests.standins.channels.mail import Relay, relaying
from tests.standins.channels.pagerduty import PagerDuty
from tests.standins.channels.slack import Slack
from tests.standins.channels.teams import Workflow
from tests.standins.channels.trouble import Answer, Door, Trouble, serving
from tests.standins.receiver import verify


class Bench(Protocol):
    """A channel and what people see at its other end."""

    channel: Channel
    secret: str
    has_key: bool  # the other side tells repetitions by a key, or lets us look

    def firsts(self) -> int:
        """How many first notices people see."""
        ...

    def shown(self) -> list[str]:
        """Every text that people see, oldest first."""
        ...

    def calls(self) -> int:
        """How many attempts arrived at the other side."""
        ...

    def trouble(self, kind: Trouble) -> None:
        """Let the next attempt go wrong."""
        ...

    def refuse(self, *, refuses: bool) -> None:
        """Refuse everything for good, or no more."""
        ...


@dataclass
class SlackBench:
    channel: Channel
    door: Slack
    secret: str
    has_key: bool = True

    def firsts(self) -> int:
        return len(self.door.of_channel())

    def shown(self) -> list[str]:
        return [m.text + "".join(map(_read, m.blocks)) for m in self.door.messages]

    def calls(self) -> int:
        return len(self.door.log)

    def trouble(self, kind: Trouble) -> None:
        self.door.troubles.append(kind)

    def refuse(self, *, refuses: bool) -> None:
        self.door.refuses = "is_archived" if refuses else ""


def _read(block: dict[str, Any]) -> str:
    """What a block means to Slack; a header is plain text, in which nothing has a meaning."""
    if block["type"] == "header":
        return html.escape(block["text"]["text"])
    return str(block.get("text", block.get("elements")))


@asynccontextmanager
async def slack() -> AsyncIterator[SlackBench]:
    door = Slack()
    async with serving(door) as root:
        settings = SlackSettings(
            token=SecretStr(door.token), channel=door.channel, base_url=f"{root}/api",
            timeout_seconds=1,
        )  # fmt: skip
        channel = open_slack("desk", settings)
        yield SlackBench(channel, door, door.token)
        await channel.aclose()


@dataclass
class SmtpBench:
    channel: Channel
    relay: Relay
    secret: str
    has_key: bool = True

    def firsts(self) -> int:
        return sum("In-Reply-To" not in mail for mail in self.relay.mailbox)

    def shown(self) -> list[str]:
        return [html.escape(str(m["Subject"])) + _html_of(m) for m in self.relay.mailbox]

    def calls(self) -> int:
        return self.relay.attempts

    def trouble(self, kind: Trouble) -> None:
        self.relay.troubles.append(kind)

    def refuse(self, *, refuses: bool) -> None:
        self.relay.refuses = refuses


def _html_of(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


@cache
def certificates() -> Certificates:
    """One authority for all tests of this process."""
    return create(Path(tempfile.mkdtemp(prefix="relay-")))


@asynccontextmanager
async def smtp() -> AsyncIterator[SmtpBench]:
    async with relaying(Relay(), certificates().server_context()) as relay:
        settings = SmtpSettings(
            host="localhost", port=relay.port, username=relay.username,
            password=SecretStr(relay.password), sender="Sextant <sextant@contoso.example>",
            recipients=("desk@contoso.example",), ca_file=str(certificates().ca_file),
            timeout_seconds=5,
        )  # fmt: skip
        yield SmtpBench(open_smtp("mail", settings), relay, relay.password)


@dataclass
class HttpBench:
    """A bench before an HTTP stand-in; its kind says what people see."""

    channel: Channel
    door: Door
    secret: str
    has_key: bool
    of_firsts: Callable[[], int]
    of_shown: Callable[[], list[str]]
    turn_off: Callable[[bool], None]

    def firsts(self) -> int:
        return self.of_firsts()

    def shown(self) -> list[str]:
        return self.of_shown()

    def calls(self) -> int:
        return len(self.door.log)

    def trouble(self, kind: Trouble) -> None:
        self.door.troubles.append(kind)

    def refuse(self, *, refuses: bool) -> None:
        self.turn_off(refuses)


def _card(card: dict[str, Any]) -> str:
    """What a card means: a text block reads Markdown, a run of a rich text block does not."""
    parts = [
        html.escape("".join(run["text"] for run in block["inlines"]))
        if block["type"] == "RichTextBlock"
        else str(block)
        for block in card["body"]
    ]
    return "\n".join([*parts, str(card["actions"])])


@asynccontextmanager
async def teams() -> AsyncIterator[HttpBench]:
    door = Workflow()

    def turned(off: bool) -> None:  # noqa: FBT001 - a switch
        door.is_gone = off

    async with serving(door) as root:
        settings = TeamsSettings(url=SecretStr(door.address(root)), timeout_seconds=1)
        channel = open_teams("war-room", settings)
        yield HttpBench(
            channel, door, door.sig, has_key=False,
            of_firsts=lambda: sum("Disruption" in _card(c) for c in door.cards),
            of_shown=lambda: [_card(c) for c in door.cards], turn_off=turned,
        )  # fmt: skip
        await channel.aclose()


@asynccontextmanager
async def pagerduty() -> AsyncIterator[HttpBench]:
    door = PagerDuty()

    def turned(off: bool) -> None:  # noqa: FBT001 - a switch
        door.is_off = off

    async with serving(door) as root:
        settings = PagerDutySettings(
            routing_key=SecretStr(door.routing_key), base_url=f"{root}/v2", timeout_seconds=1
        )
        channel = open_pagerduty("on-call", settings)
        yield HttpBench(
            channel, door, door.routing_key, has_key=True, of_firsts=lambda: len(door.alerts),
            of_shown=lambda: [html.escape(str(a["log"][0]["payload"])) for a in door.alerts],
            turn_off=turned,
        )  # fmt: skip
        await channel.aclose()


@asynccontextmanager
async def jira_alerts() -> AsyncIterator[HttpBench]:
    door = Operations()

    def turned(off: bool) -> None:  # noqa: FBT001 - a switch
        door.is_off = off

    async with serving(door) as root:
        alerts = JiraAlerts(api_key=SecretStr(door.api_key), base_url=root)
        channel = open_jira("ops", JiraSettings(alerts=alerts, timeout_seconds=1))
        yield HttpBench(
            channel, door, door.api_key, has_key=True, of_firsts=lambda: len(door.alerts),
            of_shown=lambda: [html.escape(a["message"] + a["description"]) for a in door.alerts],
            turn_off=turned,
        )  # fmt: skip
        await channel.aclose()


@asynccontextmanager
async def jira_issues() -> AsyncIterator[HttpBench]:
    door = Jira()

    def turned(off: bool) -> None:  # noqa: FBT001 - a switch
        door.is_closed = off

    async with serving(door) as root:
        issues = JiraIssues(
            base_url=root, email=door.email, api_token=SecretStr(door.api_token), project="OPS",
            reopen_transition="Reopen",
        )  # fmt: skip
        channel = open_jira("issues", JiraSettings(issues=issues, timeout_seconds=1))
        yield HttpBench(
            channel, door, door.api_token, has_key=True, of_firsts=lambda: len(door.issues),
            of_shown=lambda: [html.escape(str(i.fields)) for i in door.issues], turn_off=turned,
        )  # fmt: skip
        await channel.aclose()


@dataclass(slots=True, kw_only=True)
class Gateway(Door):
    """A receiver of our own: checks the signature, takes each id once."""

    secret: str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_off: bool = False

    def routes(self) -> list[tuple[str, Answer]]:
        return [("/notices", self._take)]

    async def _take(self, request: Request, raw: bytes) -> Response:
        verify(self.secret, request.headers, raw, now=datetime.now(UTC))
        if self.is_off:
            return Response(status_code=403)
        self.taken.setdefault(request.headers["webhook-id"], json.loads(raw))
        return Response(status_code=204)


@asynccontextmanager
async def webhook() -> AsyncIterator[HttpBench]:
    door = Gateway()

    def turned(off: bool) -> None:  # noqa: FBT001 - a switch
        door.is_off = off

    def firsts() -> int:
        return sum(n["phase"] == "first" for n in door.taken.values())

    async with serving(door) as root:
        settings = WebhookSettings(
            url=SecretStr(f"{root}/notices"), secret=SecretStr(door.secret), timeout_seconds=1
        )
        channel = open_webhook("pager", settings)
        yield HttpBench(
            channel, door, door.secret, has_key=True, of_firsts=firsts,
            of_shown=lambda: [html.escape(str(n)) for n in door.taken.values()], turn_off=turned,
        )  # fmt: skip
        await channel.aclose()


Open = Callable[[], AbstractAsyncContextManager[Any]]
BENCHES: dict[str, Open] = {
    "slack": slack,
    "smtp": smtp,
    "teams": teams,
    "pagerduty": pagerduty,
    "jira_alerts": jira_alerts,
    "jira_issues": jira_issues,
    "webhook": webhook,
}
