"""Webhook: a notice as signed JSON to an address of your own, such as a gateway to pagers."""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from app.clients.calls import Calls
from app.clients.errors import VendorError
from app.core.document import rfc3339
from app.core.ports import ChannelAnswer, MirrorWord, Telling
from app.kit import http, signing
from app.kit.clock import SystemClock
from app.kit.egress import LOOPBACK
from app.sinks.answering import answered

REMEDIES: Mapping[str, str] = {
    "unauthorized": "Give both sides the same secret.",
    "forbidden": "Let the receiver take what this secret signs.",
    "not_found": "See that the address is the receiver's.",
    "moved": "Give the address that it is moved to; redirects are not followed.",
}


class WebhookSettings(BaseModel):
    """``webhook = {…}`` of a channel: an address, and the secret that signs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr
    secret: SecretStr
    ca_file: str | None = None
    timeout_seconds: float = Field(default=15, ge=1)

    @field_validator("url")
    @classmethod
    def _sealed(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise ValueError("give an https address")
        return value

    @field_validator("secret")
    @classmethod
    def _strong(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith("whsec_"):
            raise ValueError("a secret is whsec_ and 24 to 64 bytes in base64")
        return value


class WebhookChannel:
    """Implements ``core.ports.Channel``; a repetition carries the same ``webhook-id``."""

    kind = "webhook"
    pictures = False  # it has no place for a file

    def __init__(
        self, name: str, calls: Calls, settings: WebhookSettings, wall: Callable[[], datetime]
    ) -> None:
        self.name = name
        self._calls = calls
        self._settings = settings
        self._wall = wall

    async def aclose(self) -> None:
        """Close the connections."""
        await self._calls.aclose()

    async def tell(self, telling: Telling) -> ChannelAnswer:
        """Post the notice, signed by Standard Webhooks 1.0."""
        body = body_of(telling)
        identity = f"ntc_{hashlib.sha256(telling.key.encode()).hexdigest()[:32]}"
        secret = self._settings.secret.get_secret_value()
        headers = {
            "content-type": "application/json",
            **signing.headers([secret], message_id=identity, at=self._wall(), body=body),
        }
        url = self._settings.url.get_secret_value()
        try:
            await self._calls.call("POST", url, body=body, headers=headers)
        except VendorError as error:
            return answered(error, REMEDIES)
        return ChannelAnswer(
            word=MirrorWord.DONE, record=telling.record or identity, number=identity
        )

    async def heard(self, telling: Telling) -> ChannelAnswer:
        """The receiver knows a repetition by its id."""
        del telling
        return ChannelAnswer(word=MirrorWord.ABSENT)

    async def try_out(self, telling: Telling) -> ChannelAnswer:
        """Post one notice whose ``test`` is true."""
        return await self.tell(telling)


def body_of(telling: Telling) -> bytes:
    """The notice as JSON; the same telling gives the same bytes."""
    notice, said = telling.notice, telling.message
    incident = notice.incident
    made = {
        "type": "notice",
        "key": telling.key,
        "thread": telling.thread,
        "phase": notice.phase.value,
        "test": notice.is_test,
        "at": rfc3339(notice.at),
        "subject": said.subject,
        "text": said.text,
        "html": said.html or None,
        "mark": notice.mark or None,
        "lines": list(notice.lines),
        "url": notice.url,
        "incident": {
            "id": incident.id,
            "number": incident.number,
            "tenant": incident.tenant,
            "title": incident.title,
            "status": incident.status.value,
            "severity": incident.severity.word,
            "services": list(incident.services),
        },
    }
    return json.dumps(made, ensure_ascii=False).encode()


def open_webhook(name: str, settings: WebhookSettings) -> WebhookChannel:
    """Make the channel; nothing is sent.

    Raises:
        OSError: the file of authorities cannot be read.
    """
    client = http.client(ca_file=settings.ca_file, timeout_seconds=settings.timeout_seconds)
    return WebhookChannel(name, Calls(client, who="The receiver"), settings, wall=SystemClock().now)
