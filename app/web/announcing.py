"""Letting a message to people out: the very words that the person has read, or none."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.core.announce import Audience, NoticePhase
from app.core.errors import IllegalTransition, InvalidInput, NotFound, PreconditionFailed
from app.core.message import Written
from app.core.signal import Command
from app.core.types import ActorKind, SignalId, TenantId
from app.flow.messages import Wanted
from app.kit.ids import new_id
from app.store import incidents
from app.web.acting import act_of, writing
from app.web.door import PageRoute, context_of, see_other, viewer_of
from app.web.session import Viewer

TRIES = 3  # figures of the incident may move on while its message is written

Looking = Annotated[Viewer, Depends(viewer_of)]

announcing_pages = APIRouter(route_class=PageRoute, include_in_schema=False)


def words_of(message: Written) -> str:
    """A digest of the words that a person reads."""
    whole = f"{message.language}\n{message.phase.value}\n{message.title}\n{message.text}"
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


@announcing_pages.post("/incidents/{incident_id}/announce")
async def let_out(request: Request, viewer: Looking, incident_id: str) -> Response:
    """Approve a message; channels that wait for a person then send it."""
    fields = {name: values[-1] for name, values in (await writing(request, viewer)).items()}
    if fields.get("audience") not in {one.value for one in Audience}:
        raise InvalidInput("Choose whom to tell.")
    if fields.get("phase") not in {one.value for one in NoticePhase}:
        raise InvalidInput("There is no such message.")
    wanted = Wanted(
        audience=Audience(fields["audience"]),
        language=fields.get("language") or None,
        phase=NoticePhase(fields["phase"]),
    )
    for _ in range(TRIES - 1):
        try:
            return await _let_out(request, viewer, incident_id, wanted, fields.get("words", ""))
        except PreconditionFailed:
            continue
    return await _let_out(request, viewer, incident_id, wanted, fields.get("words", ""))


async def _let_out(
    request: Request, viewer: Viewer, incident_id: str, wanted: Wanted, words: str
) -> Response:
    context, owner = context_of(request), TenantId(viewer.tenant)
    found = await context.db.read(lambda c: incidents.get(c, owner, incident_id))
    if found is None:
        raise NotFound("There is no incident of that id for this tenant.")
    message = await context.messages.preview(found, wanted, outside=viewer.outside)
    if words_of(message) != words:
        raise IllegalTransition(
            "The words have changed since you read them. Read them again, then let them out."
        )
    command = Command(
        id=SignalId(new_id("cmd")),
        name="announce",
        actor_kind=ActorKind.PERSON,
        actor=viewer.name,
        received_at=context.clock.now(),
        body={
            "audience": message.audience.value,
            "language": message.language,
            "phase": message.phase.value,
            "title": message.title,
            "text": message.text,
        },
        incident=incident_id,
    )
    act = act_of(request, viewer, "approve_message")
    await context.fold.command(owner, command, expected_revision=message.revision, act=act)
    return see_other(f"/incidents/{incident_id}?done=announce")
