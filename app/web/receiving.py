"""The forms of receivers: made, changed, paused, given a new secret, deleted; without scripts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.core.catalogue import SERVICES
from app.core.errors import InvalidInput
from app.core.events import EventType
from app.core.route import ALL, FAMILIES, Filter, Subscription
from app.core.types import Severity, TenantId
from app.flow.subscriptions import Wish
from app.web.acting import act_of
from app.web.door import PageRoute, context_of, fields_of, frame_of, html, see_other
from app.web.operator_routes import at_receivers
from app.web.pages.operator import secret_page
from app.web.session import Viewer

ADDRESS, WORDS = 2048, 200  # characters, as the API takes them
FORMS = {"format": ("native", "cloudevents"), "detail": ("full", "thin"), "signing": ("v1", "v1a")}

AtReceivers = Annotated[Viewer, Depends(at_receivers)]
Fields = Mapping[str, list[str]]

receiver_forms = APIRouter(route_class=PageRoute, include_in_schema=False)


def _one(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[-1].strip()


def _wishes(fields: Fields, known: Filter) -> dict[str, Any]:
    """What both forms ask for; parts of the filter that have no field stay as they are."""
    url, description = _one(fields, "url"), _one(fields, "description")
    if not url or len(url) > ADDRESS or len(description) > WORDS:
        raise InvalidInput(f"Give an address, and at most {WORDS} characters about it.")
    types = tuple(dict.fromkeys(one for one in fields.get("event_types", []) if one)) or (ALL,)
    if not {*types} <= {ALL, *FAMILIES, *(kind.value for kind in EventType)}:
        raise InvalidInput("There is no such type of events.")
    services = tuple(dict.fromkeys(one for one in fields.get("services", []) if one))
    if not {*services} <= {service.slug for service in SERVICES}:
        raise InvalidInput("There is no such service.")
    word = _one(fields, "min_severity")
    if word and word not in {one.word for one in Severity}:
        raise InvalidInput("Choose a severity.")
    least = next((one for one in Severity if one.word == word), None)
    return {
        "url": url,
        "description": description,
        "event_types": (ALL,) if ALL in types else types,
        "filter": replace(known, services=services, min_severity=least),
        **{name: _form(fields, name) for name in ("format", "detail")},
    }


def _form(fields: Fields, name: str) -> str:
    word = _one(fields, name) or FORMS[name][0]
    if word not in FORMS[name]:
        raise InvalidInput(f"There is no such {name}.")
    return word


def _revision(fields: Fields) -> int:
    word = _one(fields, "revision")
    if not word.isdecimal() or len(word) > 9:  # noqa: PLR2004 - no receiver changes so often
        raise InvalidInput("The form cannot be read.")
    return int(word)


@receiver_forms.post("/receivers")
async def make_receiver(request: Request, viewer: AtReceivers) -> Response:
    """Make a receiver and show its secret, once."""
    fields = await fields_of(request)
    wish = Wish(**_wishes(fields, Filter()), signing=_form(fields, "signing"))
    made, secret = await context_of(request).subscriptions.create(
        TenantId(viewer.tenant),
        wish,
        by=viewer.name,
        act=act_of(request, viewer, "create_subscription"),
    )
    return _told_once(request, viewer, made, secret, "Receiver made")


@receiver_forms.post("/receivers/{subscription_id}/change")
async def change_receiver(request: Request, viewer: AtReceivers, subscription_id: str) -> Response:
    """Change a receiver as it was read."""
    fields = await fields_of(request)
    use, owner = context_of(request).subscriptions, TenantId(viewer.tenant)
    current = await use.get(owner, subscription_id)
    await use.change(
        owner,
        subscription_id,
        _wishes(fields, current.filter),
        revision=_revision(fields),
        by=viewer.name,
        act=act_of(request, viewer, "change_subscription"),
    )
    return see_other(f"/receivers/{subscription_id}")


@receiver_forms.post("/receivers/{subscription_id}/rotate")
async def rotate_receiver(request: Request, viewer: AtReceivers, subscription_id: str) -> Response:
    """Give a receiver a new secret and show it, once."""
    await fields_of(request)
    made, secret = await context_of(request).subscriptions.rotate(
        TenantId(viewer.tenant),
        subscription_id,
        act=act_of(request, viewer, "rotate_secret"),
    )
    return _told_once(request, viewer, made, secret, "New secret")


@receiver_forms.post("/receivers/{subscription_id}/pause")
async def pause_receiver(request: Request, viewer: AtReceivers, subscription_id: str) -> Response:
    """Send a receiver nothing more until it has answered a ping."""
    await fields_of(request)
    act = act_of(request, viewer, "pause_subscription")
    await context_of(request).subscriptions.pause(TenantId(viewer.tenant), subscription_id, act=act)
    return see_other(f"/receivers/{subscription_id}")


@receiver_forms.post("/receivers/{subscription_id}/delete")
async def delete_receiver(request: Request, viewer: AtReceivers, subscription_id: str) -> Response:
    """Delete a receiver as it was read."""
    fields = await fields_of(request)
    await context_of(request).subscriptions.delete(
        TenantId(viewer.tenant),
        subscription_id,
        revision=_revision(fields),
        act=act_of(request, viewer, "delete_subscription"),
    )
    return see_other("/receivers")


def _told_once(
    request: Request, viewer: Viewer, made: Subscription, secret: str, heading: str
) -> Response:
    page = secret_page(
        frame_of(request, viewer),
        heading=heading,
        receiver={"id": made.id, "url": made.url, "signing": made.signing},
        secret=secret,
    )
    return html(request, page)
