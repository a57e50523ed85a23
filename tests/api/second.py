"""An application with a ``/v2`` beside ``/v1``: how the second major version will come.

It reads the same store and is reached by the same keys. What it shows otherwise is a schema and a
route of its own; ``/v1`` stays as it was frozen, says on each answer that it ends and where to go,
and each major version has a document of its own.
"""

from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from app.api.app import add_routes, create_api
from app.api.asked import json_answer
from app.api.deps import Context, Reader, etag, problems, resource
from app.api.retiring import Retirement
from app.api.v1.incidents import IncidentId, find
from app.api.v1.schemas import Out

RETIRED = {
    "read_incident": Retirement(
        deprecated_at=datetime(2027, 1, 1, tzinfo=UTC),
        sunset_at=datetime(2028, 1, 1, tzinfo=UTC),
        successor="/v2/incidents/{incident_id}",
        page="https://sextant.example/docs/moving-to-v2",
    )
}
router = resource("incidents", major="v2")


class TimesOut(Out):
    """The times of an incident, which ``/v1`` spreads over a dozen fields."""

    opened: datetime
    detected: datetime | None
    resolved: datetime | None


class SecondIncidentOut(Out):
    """An incident as the second version shows it."""

    id: str
    title: str
    status: str
    times: TimesOut


@router.get(
    "/incidents/{incident_id}",
    response_model=SecondIncidentOut,
    responses=problems(404),
    name="read_incident_v2",
)
async def read_second(incident_id: IncidentId, app: Context, caller: Reader) -> Response:
    """Read one incident."""
    incident = await find(app, caller, incident_id)
    shown = SecondIncidentOut(
        id=incident.id,
        title=incident.title,
        status=incident.status,
        times=TimesOut(
            opened=incident.opened_at,
            detected=incident.detected_at,
            resolved=incident.resolved_at,
        ),
    )
    return json_answer(shown, headers={"etag": etag(incident.revision)})


def with_second(context: Any) -> FastAPI:
    """Serve both versions."""
    api = create_api(context, retirements=RETIRED)
    add_routes(api, router.routes)
    return api
