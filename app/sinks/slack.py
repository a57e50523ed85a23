"""Slack: one message per incident, updated in place, with the timeline in its thread."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.clients.calls import Calls
from app.clients.errors import VendorError
from app.clients.slack import SlackClient
from app.core.announce import Message, NoticePhase
from app.core.ports import ChannelAnswer, MirrorWord, Telling
from app.kit import http
from app.kit.cutting import cut
from app.sinks.answering import answered
from app.sinks.picturing import file_of, with_picture, words_of

# Limits of blocks, by the validators of Slack's own SDK and its documentation.
HEADER = 150
SECTION = 3000
FALLBACK = 3500  # of ``text``, below the 4,000 characters that Slack advises
SECTIONS = 3  # 50 blocks are allowed, but about 13,200 characters in all
PAGE = "200"
PAGES = 5  # of a channel's newest messages that are looked through
EVENT = "sextant_notice"
LEEWAY = 60.0  # seconds by which the clocks may differ

WORDS: Mapping[str, MirrorWord] = {
    "ratelimited": MirrorWord.UNREACHED,
    "rate_limited": MirrorWord.UNREACHED,
    "service_unavailable": MirrorWord.UNREACHED,
    "team_added_to_org": MirrorWord.UNREACHED,
    "internal_error": MirrorWord.UNKNOWN,
    "fatal_error": MirrorWord.UNKNOWN,
    "request_timeout": MirrorWord.UNKNOWN,
    "message_not_found": MirrorWord.ABSENT,
    "thread_not_found": MirrorWord.ABSENT,
    "cant_update_message": MirrorWord.ABSENT,
    "edit_window_closed": MirrorWord.ABSENT,
}
REMEDIES: Mapping[str, str] = {
    "channel_not_found": "Give the channel's id (C…), not its name, and invite the app to it.",
    "not_in_channel": "Invite the app to the channel: /invite @Sextant.",
    "is_archived": "The channel is archived; name another one.",
    "invalid_auth": "The token is not a bot token (xoxb-…) of this workspace.",
    "not_authed": "The token is empty.",
    "token_revoked": "Install the app again and store its new token.",
    "token_expired": "Turn token rotation off for the app, or store its new token.",
    "account_inactive": "The app was removed from the workspace; install it again.",
    "missing_scope": "Add the scope to the app and install it again.",
    "restricted_action": "A rule of the workspace forbids apps to post to this channel.",
    "moved": "Set base_url to https://slack.com/api, or remove it.",
    "not_found": "Set base_url to https://slack.com/api, or remove it.",
}

SHOWING: Mapping[str, str] = {
    "missing_scope": "Add the scope files:write and install the app again, or set pictures = "
    "false.",
    "not_allowed_token_type": "The token is not a bot token (xoxb-…); or set pictures = false.",
    "file_uploads_disabled": "The workspace takes no files; set pictures = false.",
}


class SlackSettings(BaseModel):
    """``slack = {…}`` of a channel: the app's token and the channel it posts to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: SecretStr
    channel: str = Field(pattern=r"^[CG][A-Z0-9]{6,}$")
    base_url: str = Field(default="https://slack.com/api", pattern=r"^https?://[^?#]+$")
    ca_file: str | None = None
    timeout_seconds: float = Field(default=20, ge=1)


class SlackChannel:
    """Implements ``core.ports.Channel``."""

    kind = "slack"
    pictures = True

    def __init__(self, name: str, client: SlackClient, channel: str) -> None:
        self.name = name
        self._client = client
        self._channel = channel

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def tell(self, telling: Telling) -> ChannelAnswer:
        """Post the message, or update it and say in its thread what happened."""
        try:
            answer = await self._said_there(telling)
        except VendorError as error:
            return answered(error, REMEDIES, WORDS)
        if not (telling.picture and self.pictures):
            return answer
        return await with_picture(answer, self._show(telling, answer.record), SHOWING)

    async def _said_there(self, telling: Telling) -> ChannelAnswer:
        if not telling.record:
            return await self._post(telling)
        await self._client.write("chat.update", {"ts": telling.record, **self._said(telling)})
        await self._client.write("chat.postMessage", self._reply(telling))
        return self._told(telling.record)

    async def _show(self, telling: Telling, ts: str) -> None:
        """Put the picture into the thread; without the scope it is not tried again."""
        try:
            await self._client.upload(
                file_of(telling), telling.picture, words=words_of(telling),
                channel=self._channel, thread=ts,
            )  # fmt: skip
        except VendorError as error:
            self.pictures = error.code not in SHOWING
            raise

    async def heard(self, telling: Telling) -> ChannelAnswer:
        """Look for the telling's key in what Slack keeps beside each message."""
        method = "conversations.replies" if telling.record else "conversations.history"
        asked = telling.asked_at.timestamp() - LEEWAY if telling.asked_at else 0.0
        params = {
            "channel": self._channel, "include_all_metadata": "true", "limit": PAGE,
            "oldest": f"{max(asked, 0.0):.6f}",
            **({"ts": telling.record} if telling.record else {}),
        }  # fmt: skip
        try:
            for _ in range(PAGES):
                page = await self._client.read(method, params)
                for one in page.get("messages") or []:
                    if _key_of(one) == telling.key:
                        return self._told(telling.record or str(one["ts"]))
                following = (page.get("response_metadata") or {}).get("next_cursor")
                if not following:
                    return ChannelAnswer(word=MirrorWord.ABSENT)
                params = {**params, "cursor": str(following)}
        except VendorError as error:
            found = answered(error, REMEDIES, WORDS)
            if found.word is not MirrorWord.REFUSED:
                return found
        return ChannelAnswer(word=MirrorWord.UNKNOWN, why="The channel's history may not be read.")

    async def try_out(self, telling: Telling) -> ChannelAnswer:
        """Post one message that says what it is."""
        return await self.tell(telling)

    async def _post(self, telling: Telling) -> ChannelAnswer:
        made = await self._client.write("chat.postMessage", self._said(telling))
        return self._told(str(made["ts"]))

    def _told(self, ts: str) -> ChannelAnswer:
        url = f"https://slack.com/app_redirect?channel={self._channel}&message_ts={ts}"
        return ChannelAnswer(word=MirrorWord.DONE, record=ts, number=ts, url=url)

    def _said(self, telling: Telling) -> dict[str, Any]:
        return {
            "channel": self._channel,
            "text": fallback_of(telling.message),
            "blocks": blocks_of(telling.message, telling.notice.url),
            "unfurl_links": False,
            "unfurl_media": False,
            "metadata": _metadata(telling.key),
        }

    def _reply(self, telling: Telling) -> dict[str, Any]:
        notice = telling.notice
        lines = "\n".join(filter(None, (notice.mark, *notice.lines))) or telling.message.subject
        return {
            "channel": self._channel,
            "thread_ts": telling.record,
            "reply_broadcast": notice.phase is NoticePhase.RESOLVED,
            "text": cut(escaped(lines), FALLBACK),
            "unfurl_links": False,
            "unfurl_media": False,
            "metadata": _metadata(telling.key),
        }


def open_slack(name: str, settings: SlackSettings) -> SlackChannel:
    """Make the channel; nothing is sent.

    Raises:
        OSError: the file of authorities cannot be read.
    """
    client = http.client(
        ca_file=settings.ca_file,
        timeout_seconds=settings.timeout_seconds,
        base_url=settings.base_url,
    )
    calls = Calls(client, who="Slack")
    slack = SlackClient(calls, settings.token.get_secret_value(), settings.base_url)
    return SlackChannel(name, slack, settings.channel)


def escaped(text: str) -> str:
    """Take the meaning from what Slack would read as a mention, a link or an entity."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fallback_of(message: Message) -> str:
    """What devices show that cannot show blocks, screen readers among them."""
    return cut(escaped(f"{message.subject}\n{message.text}"), FALLBACK)


def blocks_of(message: Message, url: str) -> list[dict[str, Any]]:
    """The message as blocks: a header, the text in sections, and the link, if there is one."""
    header = {"type": "plain_text", "text": cut(message.subject, HEADER), "emoji": False}
    blocks: list[dict[str, Any]] = [{"type": "header", "text": header}]
    blocks += [
        {"type": "section", "text": {"type": "mrkdwn", "text": part, "verbatim": True}}
        for part in _sections(escaped(message.text))
    ]
    if not url:
        return blocks
    link = {"type": "mrkdwn", "text": f"<{escaped(url).replace('|', '%7C')}|Open in Sextant>"}
    return [*blocks, {"type": "context", "elements": [link]}]


def _sections(text: str) -> list[str]:
    """Split at line ends into a few sections; what does not fit into them is cut off."""
    parts: list[str] = []
    for line in text.split("\n"):
        if parts and len(parts[-1]) + 1 + len(line) <= SECTION:
            parts[-1] += f"\n{line}"
        elif len(parts) == SECTIONS:
            parts[-1] = cut(parts[-1], SECTION - 2, tail="\n…")
            break
        else:
            parts.append(cut(line, SECTION))
    return [part for part in parts if part.strip()]


def _metadata(key: str) -> dict[str, Any]:
    return {"event_type": EVENT, "event_payload": {"key": key}}


def _key_of(message: Mapping[str, Any]) -> str:
    metadata = message.get("metadata") or {}
    return str((metadata.get("event_payload") or {}).get("key", ""))
