"""Messages: what people would be told of an incident, and letting one of them out."""

from functools import partial
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from app.api.asked import Asked
from app.api.context import App
from app.api.deps import (
    Context,
    IfMatch,
    Principal,
    Reader,
    Writer,
    expected_revision,
    problems,
    resource,
)
from app.api.v1.commands import DONE, command_of
from app.api.v1.incidents import REVALIDATE, IncidentId, answer, find, shown
from app.api.v1.schemas import In, Out
from app.core.announce import Audience, NoticePhase
from app.core.errors import PreconditionFailed
from app.core.incident import Incident
from app.core.message import Written
from app.flow.messages import Wanted

router = resource("incidents")

TRIES = 3  # the incident may move on while its message is written

Language = Annotated[str, Field(min_length=2, max_length=5, pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]


class MessageOut(Out):
    """A message as people would read it: plain text, paragraphs parted by empty lines.

    `holds` is false for a preview of a phase that the incident is not in: no statement about the
    present, and never sent. `fallback` says why the shipped template stands in for your own.
    """

    audience: Literal["users", "help_desk", "executives", "soc"]
    language: str
    phase: Literal["first", "update", "mitigated", "resolved"]
    title: str
    text: str
    revision: int
    holds: bool
    fallback: str | None


class MessagesOut(Out):
    """Messages about one incident; there is no further page."""

    items: list[MessageOut]
    next: None


class AnnouncementIn(In):
    """Whom to tell; without `phase` what is due now, without `language` the first of yours."""

    audience: Audience
    language: Language | None = None
    phase: NoticePhase | None = None


@router.get(
    "/incidents/{incident_id}/messages",
    response_model=None,
    responses={200: {"model": MessagesOut}, **problems(404, 422)},
    summary="Preview the messages to people",
)
async def preview_messages(  # noqa: PLR0917 - the framework calls it, by name
    incident_id: IncidentId,
    app: Context,
    caller: Reader,
    audience: Annotated[Audience | None, Query(description="Absent: all four.")] = None,
    language: Annotated[
        Language | None, Query(description="One of `messages.languages`; absent: the first.")
    ] = None,
    phase: Annotated[NoticePhase | None, Query(description="Absent: what is due now.")] = None,
) -> Response:
    """Write what people would be told now; nothing is sent, and asking again gives the same."""
    incident = await find(app, caller, incident_id)
    wanted = [audience] if audience is not None else list(Audience)
    made = [
        await app.messages.preview(
            incident,
            Wanted(audience=one, language=language, phase=phase),
            outside=caller.operator,
        )
        for one in wanted
    ]
    headers = {"cache-control": REVALIDATE}
    return answer({"items": [_out(message) for message in made], "next": None}, headers=headers)


@router.post(
    "/incidents/{incident_id}/messages",
    response_model=None,
    responses=dict(DONE),
    summary="Let one message to people out",
)
async def approve_message(
    incident_id: IncidentId, body: AnnouncementIn, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """Approve the message that is due now; it must be true of the incident as it stands.

    Channels that wait for a person then send it. The event `incident.noted` holds its words under
    `announcement`. With `If-Match` it is exactly the message of that revision.
    """
    wanted = Wanted(audience=body.audience, language=body.language, phase=body.phase)
    given = expected_revision(if_match)
    for _ in range(TRIES - 1):
        try:
            return await _approve(incident_id, wanted, app, caller, given)
        except PreconditionFailed:
            if given is not None:
                raise
    return await _approve(incident_id, wanted, app, caller, given)


async def _approve(
    incident_id: str, wanted: Wanted, app: App, caller: Principal, given: int | None
) -> Response:
    incident = await find(app, caller, incident_id)
    message = await app.messages.preview(incident, wanted, outside=caller.operator)
    facts = {
        "audience": message.audience.value,
        "language": message.language,
        "phase": message.phase.value,
        "title": message.title,
        "text": message.text,
    }
    act = Asked(app, caller, partial(shown, app))
    after: Incident = await app.fold.command(
        caller.tenant,
        command_of("announce", caller, app, facts, incident=incident_id),
        expected_revision=message.revision if given is None else given,
        act=act,
    )
    return act.reply(after)


def _out(message: Written) -> dict[str, object]:
    return {
        "audience": message.audience.value,
        "language": message.language,
        "phase": message.phase.value,
        "title": message.title,
        "text": message.text,
        "revision": message.revision,
        "holds": message.holds,
        "fallback": message.fallback or None,
    }
