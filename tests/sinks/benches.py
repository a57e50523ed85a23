"""Each kind of channel before its stand-in, in words that the exam of all channels uses."""

import html
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from app.core.ports import Channel
from app.sinks.slack import SlackSettings, open_slack
from app.sinks.smtp import SmtpSettings, open_smtp
from tests.standins.ca import Certificates, create
from tests.standins.channels.mail import Relay, relaying
from tests.standins.channels.slack import Slack
from tests.standins.channels.trouble import Trouble, serving


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


Open = Callable[[], AbstractAsyncContextManager[Any]]
BENCHES: dict[str, Open] = {"slack": slack, "smtp": smtp}
