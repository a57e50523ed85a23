"""The commands of the incident page: plain forms, carried out by the fold as those of the API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.core.errors import Forbidden, InvalidInput, NotFound
from app.core.signal import Command
from app.core.types import ActorKind, SignalId, TenantId
from app.flow.acts import Act, Actor, ActorIs
from app.kit.ids import new_id
from app.web.door import PageRoute, context_of, fields_of, see_other, viewer_of
from app.web.session import Viewer
from app.web.words import BY_HAND, DISMISSALS, SEVERITIES

TEXT_LIMIT = 4000  # characters of a note
REASON_LIMIT = 2000  # characters, as the API takes them
NAME_LIMIT = 200  # characters of a name or a title
PARTS_LIMIT = 200  # pieces of evidence of one split, as the API takes them
ENGINE = "engine"  # gives the severity back

Looking = Annotated[Viewer, Depends(viewer_of)]
Fields = Mapping[str, list[str]]
Body = dict[str, Any]

command_pages = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Wish:
    """A command as a form asks for it: its word for the fold and for the audit log, its body."""

    name: str
    action: str
    body: Callable[[Fields, Viewer], Body]


def _one(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[-1].strip()


def _text(fields: Fields, name: str, limit: int, refusal: str) -> str:
    text = _one(fields, name)
    if not text or len(text) > limit:
        raise InvalidInput(refusal)
    return text


def _perhaps(fields: Fields, name: str, limit: int) -> Body:
    text = _one(fields, name)
    if len(text) > limit:
        raise InvalidInput(f"That is longer than {limit:,} characters.")
    return {name: text} if text else {}


def _choice(fields: Fields, name: str, allowed: tuple[str, ...], refusal: str) -> str:
    word = _one(fields, name)
    if word not in allowed:
        raise InvalidInput(refusal)
    return word


def _reason(fields: Fields, refusal: str) -> str:
    return _text(fields, "reason", REASON_LIMIT, refusal)


def _acknowledge(fields: Fields, viewer: Viewer) -> Body:
    del viewer
    return _perhaps(fields, "note", REASON_LIMIT)


def _assign(fields: Fields, viewer: Viewer) -> Body:
    match _one(fields, "to"):
        case "me":
            return {"assignee": viewer.name}
        case "nobody":
            return {"assignee": None}
        case _:
            refusal = f"A name has 1 to {NAME_LIMIT} characters."
            return {"assignee": _text(fields, "assignee", NAME_LIMIT, refusal)}


def _note(fields: Fields, viewer: Viewer) -> Body:
    del viewer
    text = _text(fields, "text", TEXT_LIMIT, f"A note has 1 to {TEXT_LIMIT:,} characters.")
    public = _one(fields, "visibility") == "public"
    return {"text": text, "visibility": "public" if public else "internal"}


def _severity(fields: Fields, viewer: Viewer) -> Body:
    del viewer
    word = _choice(fields, "severity", (*SEVERITIES, ENGINE), "Choose a severity.")
    if word == ENGINE:
        return {"severity": None, **_perhaps(fields, "reason", REASON_LIMIT)}
    return {"severity": word, "reason": _reason(fields, "Say why the severity is set by hand.")}


def _resolve(fields: Fields, viewer: Viewer) -> Body:
    del viewer
    resolution = _choice(fields, "resolution", BY_HAND, "Choose how it ended.")
    return {"resolution": resolution, **_perhaps(fields, "text", TEXT_LIMIT)}


def _reopen(fields: Fields, viewer: Viewer) -> Body:
    del viewer
    return {"reason": _reason(fields, "Say why it goes on.")}


def _dismiss(fields: Fields, viewer: Viewer) -> Body:
    del viewer
    resolution = _choice(fields, "resolution", DISMISSALS, "Choose what it was instead.")
    return {"resolution": resolution, "reason": _reason(fields, "Say why it was none.")}


def _merge(fields: Fields, viewer: Viewer) -> Body:
    del viewer
    return {"into": _text(fields, "into", 64, "Choose the incident that goes on.")}


def _split(fields: Fields, viewer: Viewer) -> Body:
    del viewer
    chosen = list(dict.fromkeys(one for one in fields.get("evidence", []) if one))
    if not 1 <= len(chosen) <= PARTS_LIMIT:
        raise InvalidInput(f"Tick 1 to {PARTS_LIMIT} pieces of evidence.")
    return {
        "evidence": chosen,
        **_perhaps(fields, "title", NAME_LIMIT),
        **_perhaps(fields, "reason", REASON_LIMIT),
    }


def _item(fields: Fields) -> str:
    return _text(fields, "item", 64, "Name an advisory.")


def _pin(fields: Fields, viewer: Viewer) -> Body:
    del viewer
    linked = _choice(fields, "linked", ("yes", "no"), "Say whether it belongs to the incident.")
    return {"item": _item(fields), "linked": linked == "yes"}


def _unpin(fields: Fields, viewer: Viewer) -> Body:
    del viewer
    return {"item": _item(fields)}


def _undo(fields: Fields, viewer: Viewer) -> Body:
    del viewer
    return {"event": _text(fields, "event", 64, "Name the event that is to be undone.")}


# What a form is posted to → what is done; the words of the audit log are those of the API.
WISHES = {
    "acknowledge": Wish("acknowledge", "acknowledge_incident", _acknowledge),
    "assign": Wish("assign", "assign_incident", _assign),
    "notes": Wish("notes", "note_incident", _note),
    "severity": Wish("severity", "set_incident_severity", _severity),
    "resolve": Wish("resolve", "resolve_incident", _resolve),
    "reopen": Wish("reopen", "reopen_incident", _reopen),
    "dismiss": Wish("dismiss", "dismiss_incident", _dismiss),
    "merge": Wish("merge", "merge_incident", _merge),
    "split": Wish("split", "split_incident", _split),
    "pin": Wish("pin", "pin_advisory", _pin),
    "undo": Wish("undo", "undo_on_incident", _undo),
    "unpin": Wish("unpin", "unpin_advisory", _unpin),
}


@command_pages.post("/incidents/{incident_id}/{word}")
async def act_on_incident(
    request: Request, viewer: Looking, incident_id: str, word: str
) -> Response:
    """Carry out one command and show the incident after it."""
    fields = await writing(request, viewer)
    wish = WISHES.get(word)
    if wish is None:
        raise NotFound("There is no such command.")
    context = context_of(request)
    command = Command(
        id=SignalId(new_id("cmd")),
        name=wish.name,
        actor_kind=ActorKind.PERSON,
        actor=viewer.name,
        received_at=context.clock.now(),
        body=wish.body(fields, viewer),
        incident=incident_id,
    )
    act = act_of(request, viewer, wish.action)
    await context.fold.command(TenantId(viewer.tenant), command, act=act)
    return see_other(f"/incidents/{incident_id}?done={word}")


async def writing(request: Request, viewer: Viewer) -> dict[str, list[str]]:
    """The fields of a form from somebody who may act.

    Raises:
        Forbidden: who looks may only look.
    """
    if not viewer.may_write:
        raise Forbidden("Acting needs a key with the scope incidents:write.")
    return await fields_of(request)


def act_of(request: Request, viewer: Viewer, action: str) -> Act:
    """What the audit log tells of a form."""
    return Act(
        tenant=viewer.tenant,
        actor=Actor(kind=ActorIs.CONSOLE, id=viewer.key_id or "console", name=viewer.name),
        action=action,
        now=context_of(request).clock.now(),
        request_id=getattr(request.state, "request_id", None),
    )
