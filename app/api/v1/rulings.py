"""Rulings: what a person says belongs together or apart; it holds while the incident lives."""

from typing import Annotated

from fastapi import Path
from pydantic import Field, StrictBool
from starlette.responses import Response

from app.api.deps import Context, IfMatch, Writer, problems, resource
from app.api.v1.commands import DONE, Reason, obey
from app.api.v1.incidents import IncidentId
from app.api.v1.schemas import In
from app.core.errors import PreconditionRequired

router = resource("incidents")

MOST_PARTS = 200  # pieces of evidence of one split
AdvisoryId = Annotated[str, Path(max_length=64, description="The vendor's id of an advisory.")]


class SplitIn(In):
    """What of the evidence is another fault."""

    evidence: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        min_length=1, max_length=MOST_PARTS, description="Ids of cells or advisories of /evidence."
    )
    title: str | None = Field(default=None, min_length=1, max_length=200)
    reason: Reason | None = None


class PinIn(In):
    """Whether the advisory belongs to the incident, or does not."""

    linked: StrictBool
    reason: Reason | None = None


@router.post("/incidents/{incident_id}/split", response_model=None, responses=dict(DONE))
async def split_incident(
    incident_id: IncidentId, body: SplitIn, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """Take evidence out into an incident of its own; the two never join again by themselves."""
    return await obey("split", incident_id, body, app, caller, if_match)


@router.put(
    "/incidents/{incident_id}/pins/{advisory_id}",
    response_model=None,
    responses={**DONE, **problems(428)},
)
async def pin_advisory(  # noqa: PLR0917 - the parts of one request
    incident_id: IncidentId,
    advisory_id: AdvisoryId,
    body: PinIn,
    app: Context,
    caller: Writer,
    if_match: IfMatch,
) -> Response:
    """Say that an advisory belongs to an incident, or that it does not; the engine obeys."""
    if if_match is None:
        raise PreconditionRequired
    facts = {"item": advisory_id, **body.model_dump(mode="json")}
    return await obey("pin", incident_id, facts, app, caller, if_match)


@router.delete(
    "/incidents/{incident_id}/pins/{advisory_id}",
    response_model=None,
    responses={**DONE, **problems(428)},
)
async def unpin_advisory(
    incident_id: IncidentId,
    advisory_id: AdvisoryId,
    app: Context,
    caller: Writer,
    if_match: IfMatch,
) -> Response:
    """Take a pin back: the engine decides again what the advisory belongs to."""
    if if_match is None:
        raise PreconditionRequired
    return await obey("unpin", incident_id, {"item": advisory_id}, app, caller, if_match)
