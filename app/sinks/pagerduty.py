"""PagerDuty: one alert per incident by its key, through the Events API v2."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from app.clients.calls import Calls
from app.clients.errors import VendorError
from app.core.announce import NoticePhase
from app.core.document import rfc3339
from app.core.ports import ChannelAnswer, MirrorWord, Telling
from app.core.types import Severity
from app.kit import http
from app.kit.cutting import cut
from app.sinks.answering import answered
from app.sinks.picturing import page_of

SUMMARY = 1024
DETAIL = 16_000  # characters of the text; a whole body may have 512 KB
KEY = 32  # characters of a routing key
SEVERITY: Mapping[Severity, str] = {
    Severity.CRITICAL: "critical", Severity.MAJOR: "error", Severity.MINOR: "warning",
    Severity.WARNING: "warning", Severity.INFO: "info", Severity.UNKNOWN: "warning",
}  # fmt: skip
REMEDIES: Mapping[str, str] = {
    "bad_request": "Copy the integration key of an Events API v2 integration of the service.",
    "forbidden": "Copy the integration key of an Events API v2 integration of the service.",
    "unauthorized": "Copy the integration key of an Events API v2 integration of the service.",
    "not_found": "Set base_url to https://events.pagerduty.com/v2, or that of your region.",
    "moved": "Set base_url to https://events.pagerduty.com/v2, or that of your region.",
}


class PagerDutySettings(BaseModel):
    """``pagerduty = {…}`` of a channel: the service's integration key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    routing_key: SecretStr
    base_url: str = Field(default="https://events.pagerduty.com/v2", pattern=r"^https?://[^?#]+$")
    webhook_secrets: tuple[SecretStr, ...] = ()
    ca_file: str | None = None
    timeout_seconds: float = Field(default=20, ge=1)

    @field_validator("routing_key")
    @classmethod
    def _whole(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) != KEY:
            raise ValueError(f"an integration key has {KEY} characters")
        return value


class PagerDutyChannel:
    """Implements ``core.ports.Channel``."""

    kind = "pagerduty"
    pictures = False  # it has no place for a file

    def __init__(self, name: str, calls: Calls, routing_key: str) -> None:
        self.name = name
        self._calls = calls
        self._key = routing_key

    async def aclose(self) -> None:
        """Close the connections."""
        await self._calls.aclose()

    async def tell(self, telling: Telling) -> ChannelAnswer:
        """Trigger, acknowledge or resolve; what pages nobody becomes a change event."""
        try:
            if telling.notice.phase is NoticePhase.RESOLVED:
                await self._enqueue(telling, "resolve")
            elif pages(telling):
                await self._enqueue(telling, "trigger", **trigger_of(telling))
            else:
                await self._in_between(telling)
        except VendorError as error:
            return answered(error, REMEDIES)
        return ChannelAnswer(
            word=MirrorWord.DONE, record=telling.record or telling.thread, number=telling.thread
        )

    async def heard(self, telling: Telling) -> ChannelAnswer:
        """The key makes a repetition harmless; a change event has none."""
        keyed = telling.notice.phase is NoticePhase.RESOLVED or pages(telling)
        word = MirrorWord.ABSENT if keyed else MirrorWord.UNKNOWN
        return ChannelAnswer(word=word, why="" if keyed else "Change events cannot be looked for.")

    async def try_out(self, telling: Telling) -> ChannelAnswer:
        """Send a change event, which pages nobody."""
        try:
            await self._change(telling)
        except VendorError as error:
            return answered(error, REMEDIES)
        why = "It stands among the service's recent changes; nobody was paged."
        return ChannelAnswer(word=MirrorWord.DONE, why=why)

    async def _in_between(self, telling: Telling) -> None:
        if telling.notice.incident.acknowledged_at is not None:
            await self._enqueue(telling, "acknowledge")
        await self._change(telling)

    async def _enqueue(self, telling: Telling, action: str, **more: Any) -> None:
        body = {
            "routing_key": self._key, "event_action": action, "dedup_key": telling.thread, **more,
        }  # fmt: skip
        await self._calls.call("POST", "/enqueue", body=body)

    async def _change(self, telling: Telling) -> None:
        notice = telling.notice
        payload = {
            "summary": cut(telling.message.subject, SUMMARY),
            "timestamp": rfc3339(notice.at),
            "source": "Sextant",
            "custom_details": {"text": cut("\n".join(notice.lines), DETAIL)},
        }
        links = [{"href": notice.url, "text": notice.incident.number}]
        body = {"routing_key": self._key, "payload": payload, "links": links}
        await self._calls.call("POST", "/change/enqueue", body=body)


def pages(telling: Telling) -> bool:
    """Whether somebody is to be paged: at the first, again after its end, and when it is worse.

    Everything else would page anew for an incident that a person has resolved over there.
    """
    worse = telling.notice.incident.severity > telling.last_severity
    return not telling.record or telling.last_phase == NoticePhase.RESOLVED or worse


def trigger_of(telling: Telling) -> dict[str, Any]:
    """What a trigger says of an incident."""
    notice = telling.notice
    incident = notice.incident
    details = {
        "number": incident.number,
        "status": incident.status.value,
        "origin": incident.origin.value,
        "services": ", ".join(incident.services),
        "advisories": ", ".join(a.id for a in incident.advisories),
        "users who reported it": str(incident.impact.reporters),
        "text": cut(telling.message.text, DETAIL),
    }
    payload = {
        "summary": cut(telling.message.subject, SUMMARY),
        "timestamp": rfc3339(notice.at),
        "severity": SEVERITY[incident.severity],
        "source": incident.services[0] if incident.services else "microsoft-365",
        "component": ", ".join(incident.services)[:SUMMARY],
        "group": incident.tenant,
        "class": ", ".join(s.value for s in incident.symptoms)[:SUMMARY],
        "custom_details": details,
    }
    return {
        "payload": payload,
        "client": "Sextant",
        "client_url": notice.url,
        "links": [
            {"href": url, "text": text}
            for url, text in ((notice.url, incident.number), (page_of(notice.url), "Picture"))
            if url
        ],
    }


def open_pagerduty(name: str, settings: PagerDutySettings) -> PagerDutyChannel:
    """Make the channel; nothing is sent.

    Raises:
        OSError: the file of authorities cannot be read.
    """
    client = http.client(
        ca_file=settings.ca_file,
        timeout_seconds=settings.timeout_seconds,
        base_url=settings.base_url,
    )
    calls = Calls(client, who="PagerDuty")
    return PagerDutyChannel(name, calls, settings.routing_key.get_secret_value())
