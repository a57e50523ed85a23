"""PagerDuty's webhooks v3: what people do over there, as commands; automation is not listened to.

Shapes: the vendor's developer documentation of webhooks v3.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from app.core.errors import Unauthenticated
from app.core.returned import Returned

SIGNATURE = "x-pagerduty-signature"
SIGNATURES = 16  # more in one header is not an honest sender
LONGEST = 10_000  # characters of a note

_Data = Mapping[str, Any]
_Said = tuple[str, dict[str, Any]]  # a command and its body


def _acknowledged(who: str, data: _Data) -> _Said:
    del data
    return "acknowledge", {"note": f"Acknowledged in PagerDuty by {who}."}


def _assigned(who: str, data: _Data) -> _Said:
    names = [str(one.get("summary") or "") for one in data.get("assignees") or []]
    name = next((n for n in names if n), None)
    return ("assign", {"assignee": name}) if name else _told("assigned to nobody")(who, data)


def _annotated(who: str, data: _Data) -> _Said:
    text = f"{who} in PagerDuty: {str(data.get('content') or '')[:LONGEST]}"
    return "notes", {"text": text, "visibility": "internal"}


def _told(what: str) -> Callable[[str, _Data], _Said]:
    def say(who: str, data: _Data) -> _Said:
        del data
        text = f"In PagerDuty {what} by {who}."
        return "notes", {"text": text, "visibility": "internal"}

    return say


_COMMANDS: Mapping[str, Callable[[str, _Data], _Said]] = {
    "incident.acknowledged": _acknowledged,
    "incident.unacknowledged": _told("the acknowledgement was taken back"),
    "incident.reassigned": _assigned,
    "incident.delegated": _assigned,
    "incident.annotated": _annotated,
    "incident.resolved": _told("it was resolved, which resolves nothing here,"),
    "incident.reopened": _told("it was reopened"),
}


class PagerDutyWebhooks:
    """Implements ``core.returned.Returns``; ``secrets``: old and new while one is renewed."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def read(self, headers: Mapping[str, str], body: bytes) -> Sequence[Returned]:
        """Check a delivery and say what it asks of us.

        Raises:
            Unauthenticated: no signature of ours fits.
        """
        given = headers.get(SIGNATURE, "").split(",")[:SIGNATURES]
        if not any(self._fits(part.strip(), body) for part in given):
            raise Unauthenticated("The delivery is not signed as it must be.")
        try:
            event = json.loads(body)["event"]
            return (_returned(event),)
        except (ValueError, KeyError, TypeError, AttributeError):
            return ()  # signed and strange: a 4xx would make PagerDuty turn us off

    def _fits(self, signature: str, body: bytes) -> bool:
        version, _, given = signature.partition("=")
        made = (
            hmac.digest(secret, body, hashlib.sha256).hex().encode() for secret in self._secrets
        )
        return version == "v1" and sum(map(partial(hmac.compare_digest, given.encode()), made)) > 0


def _returned(event: _Data) -> Returned:
    data = event.get("data") or {}
    about = data if data.get("type") == "incident" else data.get("incident") or {}
    name: str = ""
    body: dict[str, Any] = {}
    agent = event.get("agent") or {}
    say = _COMMANDS.get(str(event["event_type"]))
    if say is not None and agent.get("type") == "user_reference":
        name, body = say(str(agent.get("summary") or "somebody"), data)
    return Returned(
        id=str(event["id"]),
        thread=str(data.get("incident_key") or ""),
        remote_id=str(about.get("id") or ""),
        url=str(about.get("html_url") or ""),
        name=name,
        body=body,
    )
