"""Commands: what a person may do to an incident; each is one event."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Body
from pydantic import BaseModel, Field
from starlette.responses import Response

from app.api.asked import Asked
from app.api.context import App
from app.api.deps import Context, IfMatch, Principal, Writer, expected_revision, problems, resource
from app.api.v1.incidents import IncidentId, shown
from app.api.v1.schemas import (
    ChosenSeverity,
    In,
    IncidentOut,
    LabelName,
    Labels,
    LabelValue,
    ServiceWord,
)
from app.core.catalogue import is_known
from app.core.errors import InvalidInput, PreconditionRequired
from app.core.incident import Incident
from app.core.signal import Command
from app.core.types import ActorKind, SignalId
from app.kit.ids import new_id

router = resource("incidents")

LONGEST_TEXT = 10_000  # characters of a note
LONGEST_REASON = 2_000  # characters
LONGEST_TITLE = 200  # characters

Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Reason = Annotated[str, Field(min_length=1, max_length=LONGEST_REASON)]
DONE: Mapping[int | str, dict[str, Any]] = {
    200: {"model": IncidentOut, "description": "The incident with its new revision."},
    **problems(404, 409, 412, 422),
}


class IncidentIn(In):
    """An incident that a person opens."""

    title: str = Field(min_length=1, max_length=LONGEST_TITLE)
    services: list[ServiceWord] = Field(
        min_length=1, max_length=20, description="Slugs of the catalogue."
    )
    severity: ChosenSeverity
    summary: str | None = Field(default=None, max_length=LONGEST_TEXT)
    labels: Labels | None = Field(default=None, description="Names and values of your own.")


class IncidentPatch(In):
    """What is yours to change: labels, by which subscriptions can filter."""

    labels: Annotated[dict[LabelName, LabelValue | None], Field(min_length=1, max_length=20)] = (
        Field(description="Sets these; null takes one off. Others stay as they are.")
    )


class AcknowledgeIn(In):
    """That someone took notice."""

    note: Reason | None = None


class AssignIn(In):
    """Who is to work on it; null takes it from everybody."""

    assignee: Annotated[str, Field(min_length=1, max_length=200)] | None


class NoteIn(In):
    """A note; ``public`` ones may be shown to users."""

    text: Text
    visibility: Literal["internal", "public"] = "internal"


class SeverityIn(In):
    """A severity that a person sets; null gives it back to the engine."""

    severity: ChosenSeverity | None
    reason: Reason | None = None


class ResolveIn(In):
    """How it ended."""

    resolution: Literal[
        "vendor_fix",
        "rollback",
        "self_restored",
        "customer_fix",
        "false_positive",
        "duplicate",
        "unknown",
    ]
    text: Text | None = None


class ReopenIn(In):
    """Why it goes on."""

    reason: Reason


class DismissIn(In):
    """Why it was none."""

    resolution: Literal["false_positive", "duplicate", "not_ours"]
    reason: Reason


class MergeIn(In):
    """The incident that goes on; the one that is merged ends."""

    into: str = Field(min_length=1, max_length=64)


class UndoIn(In):
    """What is to be taken back."""

    event: str = Field(
        min_length=1, max_length=64, description="Id of an event of the incident's timeline."
    )


@router.post(
    "/incidents",
    status_code=201,
    response_model=None,
    responses={201: {"model": IncidentOut}, **problems(422)},
    summary="Open an incident",
)
async def open_incident(body: IncidentIn, app: Context, caller: Writer) -> Response:
    """Open an incident by hand; evidence that fits may join it."""
    unknown = [
        {"pointer": f"/services/{index}", "detail": "No such service; see GET /v1/services."}
        for index, service in enumerate(body.services)
        if not is_known(service)
    ]
    if unknown:
        raise InvalidInput(unknown[0]["detail"], errors=unknown)
    facts = body.model_dump(mode="json")
    facts["services"] = list(dict.fromkeys(body.services))

    def opened(incident: Incident) -> Response:
        location = f"{app.public_url}/v1/incidents/{incident.id}"
        return shown(app, incident, status=201, extra={"location": location})

    act = Asked(app, caller, opened)
    command = command_of("open", caller, app, facts)
    return act.reply(await app.fold.command(caller.tenant, command, act=act))


@router.patch("/incidents/{incident_id}", response_model=None, responses={**DONE, **problems(428)})
async def change_incident(
    incident_id: IncidentId, body: IncidentPatch, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """Set labels or take them off; one event tells of it."""
    if if_match is None:
        raise PreconditionRequired
    return await obey("label", incident_id, body, app, caller, if_match)


@router.post("/incidents/{incident_id}/acknowledge", response_model=None, responses=dict(DONE))
async def acknowledge_incident(
    incident_id: IncidentId,
    app: Context,
    caller: Writer,
    if_match: IfMatch,
    body: Annotated[AcknowledgeIn | None, Body()] = None,
) -> Response:
    """Say that someone took notice; changes no status."""
    return await obey("acknowledge", incident_id, body or AcknowledgeIn(), app, caller, if_match)


@router.post("/incidents/{incident_id}/assign", response_model=None, responses=dict(DONE))
async def assign_incident(
    incident_id: IncidentId, body: AssignIn, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """Say who works on it, or with null that nobody does."""
    return await obey("assign", incident_id, body, app, caller, if_match)


@router.post("/incidents/{incident_id}/notes", response_model=None, responses=dict(DONE))
async def note_incident(
    incident_id: IncidentId, body: NoteIn, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """Add a note to the timeline."""
    return await obey("notes", incident_id, body, app, caller, if_match)


@router.post("/incidents/{incident_id}/severity", response_model=None, responses=dict(DONE))
async def set_incident_severity(
    incident_id: IncidentId, body: SeverityIn, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """Set the severity by hand, with the reason, or with null give it back to the engine."""
    if body.severity is not None and body.reason is None:
        detail = "Say why the severity is set by hand."
        raise InvalidInput(detail, errors=[{"pointer": "/reason", "detail": detail}])
    return await obey("severity", incident_id, body, app, caller, if_match)


@router.post("/incidents/{incident_id}/resolve", response_model=None, responses=dict(DONE))
async def resolve_incident(
    incident_id: IncidentId, body: ResolveIn, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """Resolve it by hand, against the evidence if need be."""
    return await obey("resolve", incident_id, body, app, caller, if_match)


@router.post("/incidents/{incident_id}/reopen", response_model=None, responses=dict(DONE))
async def reopen_incident(
    incident_id: IncidentId, body: ReopenIn, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """Take a resolved incident up again, until it is closed."""
    return await obey("reopen", incident_id, body, app, caller, if_match)


@router.post("/incidents/{incident_id}/dismiss", response_model=None, responses=dict(DONE))
async def dismiss_incident(
    incident_id: IncidentId, body: DismissIn, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """Say that it was no incident of ours."""
    return await obey("dismiss", incident_id, body, app, caller, if_match)


@router.post("/incidents/{incident_id}/merge", response_model=None, responses=dict(DONE))
async def merge_incident(
    incident_id: IncidentId, body: MergeIn, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """Merge it into another, which goes on; this one ends as merged and points there."""
    return await obey("merge", incident_id, body, app, caller, if_match)


@router.post("/incidents/{incident_id}/undo", response_model=None, responses=dict(DONE))
async def undo_on_incident(
    incident_id: IncidentId, body: UndoIn, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """Take back what one event tells of: a merger, a split, a pin or another command."""
    return await obey("undo", incident_id, body, app, caller, if_match)


async def obey(  # noqa: PLR0917 - the parts of one request, passed on as they came
    name: str,
    incident_id: str,
    body: BaseModel | dict[str, Any],
    app: App,
    caller: Principal,
    if_match: str | None,
) -> Response:
    """Have one command carried out; answers with the incident after it."""
    facts = body.model_dump(mode="json") if isinstance(body, BaseModel) else body
    command = command_of(name, caller, app, facts, incident=incident_id)
    act = Asked(app, caller, partial(shown, app))
    incident: Incident = await app.fold.command(
        caller.tenant, command, expected_revision=expected_revision(if_match), act=act
    )
    return act.reply(incident)


def command_of(
    name: str, caller: Principal, app: App, body: dict[str, Any], *, incident: str | None = None
) -> Command:
    """A person's command, as the fold takes it."""
    return Command(
        id=SignalId(new_id("cmd")),
        name=name,
        actor_kind=ActorKind.PERSON,
        actor=caller.name,
        received_at=app.clock.now(),
        body=body,
        incident=incident,
    )
