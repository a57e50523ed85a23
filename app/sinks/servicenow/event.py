"""Event Management: an incident as an ``em_event``, which the platform dedups by its key."""

import json
from datetime import UTC, datetime

from app.clients.errors import VendorError
from app.clients.servicenow import ServiceNowClient
from app.core.incident import Incident
from app.core.ports import MirrorAnswer, MirrorWord
from app.core.types import OPEN_STATUSES
from app.sinks.servicenow.draft import EM_SEVERITY, advisory_ids, description_of, title_of
from app.sinks.servicenow.remedies import remedy_of
from app.sinks.servicenow.settings import MirrorSettings

PATH = "/api/global/em/jsonv2"
LONGEST = 4000  # characters of a description
CLEAR = "0"  # closes the alert of the key, and makes none where there is none


def event_of(
    incident: Incident, key: str, settings: MirrorSettings, *, url: str, now: datetime
) -> dict[str, str]:
    """The event; every value is a text, those inside ``additional_info`` as well."""
    is_open = incident.status in OPEN_STATUSES
    more = {
        "incident": incident.number,
        "incident_url": url,
        "status": incident.status.value,
        "vendor_advisory_id": advisory_ids(incident),
        "affected_users": str(incident.impact.reporters),
        "regions": ", ".join(incident.regions),
    }
    return {
        "source": settings.correlation_display,
        "event_class": f"{settings.correlation_display} {incident.tenant}"[:100],
        "node": "Microsoft 365",
        "resource": ", ".join(incident.services)[:100],
        "metric_name": ", ".join(s.value for s in incident.symptoms)[:100],
        "type": "Service health",
        "message_key": key,
        "severity": EM_SEVERITY[incident.severity] if is_open else CLEAR,
        "resolution_state": "New" if is_open else "Closing",
        "time_of_event": now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "description": f"{title_of(incident, settings, 160)}\n"
        + description_of(incident, url, LONGEST - 200),
        "additional_info": json.dumps(more, ensure_ascii=False),
    }


class ServiceNowEvents:
    """Implements ``core.ports.AlarmDoor`` for Event Management."""

    system = "servicenow"

    def __init__(self, client: ServiceNowClient, settings: MirrorSettings) -> None:
        self.name = f"{settings.name}:event"
        self._client = client
        self._settings = settings

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def tell(self, incident: Incident, key: str, *, url: str, now: datetime) -> MirrorAnswer:
        """Send how an incident stands; repeating it changes nothing."""
        event = event_of(incident, key, self._settings, url=url, now=now)
        try:
            reply = await self._client.post(PATH, {}, {"records": [event]})
        except VendorError as error:
            word = MirrorWord.REFUSED
            if error.code in {"lost", "unreachable", "throttled", "asleep", "token_unavailable"}:
                word = MirrorWord.UNREACHED  # it may be sent again whatever became of it
            return MirrorAnswer(
                word=word, why=error.text, remedy=remedy_of(error), retry_after=error.retry_after
            )
        told = json.dumps(reply.result)
        if "1 events" not in told:
            why = f"The instance took no event: {told[:200]}"
            return MirrorAnswer(word=MirrorWord.REFUSED, why=why)
        return MirrorAnswer(word=MirrorWord.DONE)
