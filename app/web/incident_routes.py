"""The pages of incidents: the list, one of them, what it rests on, and its picture as a file."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response

from app.core.announce import Audience
from app.core.errors import NotFound
from app.core.types import IncidentId, TenantId
from app.flow.messages import Wanted
from app.store import incidents
from app.web import incidentreading, reading
from app.web.actview import done_words
from app.web.announcing import words_of
from app.web.door import HEADERS, PageRoute, context_of, frame_of, html, viewer_of
from app.web.filters import filters_of
from app.web.pages.evidence import evidence_page
from app.web.pages.incident import incident_page
from app.web.pages.incidents import incidents_page
from app.web.session import Viewer

PICTURES = {"svg": "image/svg+xml", "png": "image/png"}

Looking = Annotated[Viewer, Depends(viewer_of)]

incident_pages = APIRouter(route_class=PageRoute, include_in_schema=False)


@incident_pages.get("/incidents")
async def show_incidents(request: Request, viewer: Looking) -> Response:
    """Show the list of incidents."""
    context = context_of(request)
    query = dict(request.query_params)
    filters = filters_of(query)
    documents, after = await context.db.read(
        lambda c: reading.list_incidents(
            c, viewer.tenant, filters, query.get("after"), context.public_url
        )
    )
    frame = frame_of(request, viewer)
    return html(request, incidents_page(frame, incidents=documents, filters=filters, after=after))


@incident_pages.get("/incidents/{incident_id}")
async def show_incident(
    request: Request,
    viewer: Looking,
    incident_id: str,
    *,
    done: str = "",
    language: str = "",
    notes: str = "",
) -> Response:
    """Show one incident; ``done`` names the command that led here, ``notes`` may be ``all``."""
    shown = await _read(request, viewer, incident_id)
    frame = frame_of(request, viewer, flash=done_words(done, viewer.name))
    messages = await _messages(request, viewer, incident_id, language)
    page = incident_page(
        frame,
        **shown,
        messages=messages,
        languages=context_of(request).messages.writer.languages,
        every_note=notes == "all",
    )
    return html(request, page)


@incident_pages.get("/incidents/{incident_id}/evidence")
async def show_evidence(
    request: Request, viewer: Looking, incident_id: str, source: str = ""
) -> Response:
    """Show all that an incident rests on, down to the exemplars."""
    shown = await _read(request, viewer, incident_id)
    page = evidence_page(
        frame_of(request, viewer),
        incident=shown["incident"],
        evidence=shown["evidence"],
        source=source,
    )
    return html(request, page)


@incident_pages.get("/incidents/{incident_id}/picture.{form}")
async def give_picture(
    request: Request, viewer: Looking, incident_id: str, form: Literal["svg", "png"]
) -> Response:
    """Give the picture as a file that stands alone."""
    context = context_of(request)
    owner, wanted = TenantId(viewer.tenant), IncidentId(incident_id)
    content = await context.portraits.draw(owner, wanted, form, outside=viewer.outside)
    found = await context.db.read(lambda c: incidents.get(c, owner, incident_id))
    if content is None or found is None:
        raise NotFound("There is no incident of that id for this tenant.")
    headers = {**HEADERS, "content-disposition": f'inline; filename="{found.number}.{form}"'}
    return Response(content, headers=headers, media_type=PICTURES[form])


async def _messages(
    request: Request, viewer: Viewer, incident_id: str, language: str
) -> list[dict[str, Any]]:
    """What each audience would be told now, ready to copy."""
    context = context_of(request)
    found = await context.db.read(lambda c: incidents.get(c, TenantId(viewer.tenant), incident_id))
    if found is None:
        return []
    spoken = language if language in context.messages.writer.languages else None
    made = [
        await context.messages.preview(
            found, Wanted(audience=one, language=spoken), outside=viewer.outside
        )
        for one in Audience
    ]
    return [
        {
            "audience": one.audience.value,
            "language": one.language,
            "phase": one.phase.value,
            "title": one.title,
            "text": one.text,
            "holds": one.holds,
            "fallback": one.fallback,
            "words": words_of(one),
        }
        for one in made
    ]


async def _read(request: Request, viewer: Viewer, incident_id: str) -> dict[str, Any]:
    context = context_of(request)
    shown = await context.db.read(
        lambda c: incidentreading.one_incident(
            c, viewer.tenant, incident_id, context.public_url, outside=viewer.outside
        )
    )
    if shown is None:
        raise NotFound("There is no incident of that id for this tenant.")
    return shown
