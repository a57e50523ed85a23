"""The routes of the form *Report a problem*: by a public key in the address, or signed in."""

import json
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request, Response

from app.core.errors import Forbidden, NotFound, RateLimited
from app.core.foreign import Hints
from app.core.types import TenantId
from app.flow.keys import PUBLIC_KIND, PUBLIC_SCOPE
from app.flow.vouch import voucher
from app.kit.keys import digest, is_wellformed
from app.store import keys
from app.store.keys import ApiKey
from app.store.walls import stand_within
from app.web.door import PageRoute, context_of, form_of, frame_of, html, see_other, viewer_of
from app.web.pages.report import TEXT_LIMIT, WHO_LIMIT, Answers, report_page
from app.web.session import Viewer
from app.web.status.settings import TenantLike, public_path

MISSING = "Please say what does not work, and what happens."
BUSY = "Too many reports come from here just now. What you see is known already, most likely."

Looking = Annotated[Viewer, Depends(viewer_of)]

report_pages = APIRouter(route_class=PageRoute, include_in_schema=False)


@report_pages.get("/report")
async def ask_desk(request: Request, viewer: Looking, sent: str = "") -> Response:
    """Show the form to somebody who is signed in, such as the help desk."""
    frame = frame_of(request, viewer)
    page = report_page(frame, action="/report", answers=Answers(), desk=True, sent=sent == "1")
    return html(request, page)


@report_pages.post("/report")
async def take_desk(request: Request, viewer: Looking) -> Response:
    """Take a report that the help desk writes for somebody."""
    form = await form_of(request)
    if not viewer.may_write:
        raise Forbidden("Reporting for others needs a key with the scope incidents:write.")
    answers = _answers(form)
    document = answers.document()
    if document is None:
        frame = frame_of(request, viewer, flash=MISSING)
        page = report_page(frame, action="/report", answers=answers, desk=True)
        return html(request, page, status=422)
    context = context_of(request)
    # Without a name all that one desk writes is one voice.
    document.setdefault("reporter", f"desk {viewer.key_id or viewer.name}")
    await context.doors.foreign.take(
        TenantId(viewer.tenant),
        context.doors.foreign.formats["browser"],
        _body(document),
        hints=Hints(),
    )
    return see_other("/report?sent=1")


@report_pages.get("/report/{key}")
async def ask_user(request: Request, key: str, sent: str = "") -> Response:
    """Show the form to anybody who was given its address."""
    found = await _public_key(request, key)
    tenants = cast("tuple[TenantLike, ...]", context_of(request).settings.tenants)
    page = report_page(
        frame_of(request, None),
        action=f"/report/{key}",
        answers=Answers(),
        desk=False,
        sent=sent == "1",
        status_page=public_path(tenants, found.tenant),
    )
    return html(request, page)


@report_pages.post("/report/{key}")
async def take_user(request: Request, key: str) -> Response:
    """Take a report of a user; it counts as what comes by a public key."""
    found = await _public_key(request, key)
    form = await form_of(request)
    context = context_of(request)
    doors = context.doors
    answers = _answers({**form, "who": "", "site": ""})
    document = answers.document()
    status, flash = 422, MISSING
    if document is not None:
        address = request.client.host if request.client else ""
        try:
            doors.quota.admit(address)
            doors.quota.count(found.id, 1, context.clock.now())
        except RateLimited:
            status, flash = 429, BUSY
        else:
            await doors.foreign.take(
                TenantId(found.tenant),
                doors.foreign.formats["browser"],
                _body(document),
                hints=Hints(),
                vouch=voucher(found.id, address, secret=context.secret, policy=doors.policy),
            )
            return see_other(f"/report/{key}?sent=1")
    frame = frame_of(request, None, flash=flash)
    page = report_page(frame, action=f"/report/{key}", answers=answers, desk=False)
    return html(request, page, status=status)


async def _public_key(request: Request, secret: str) -> ApiKey:
    context = context_of(request)
    found = None
    if is_wellformed(secret, PUBLIC_KIND):
        found = await context.db.read(lambda c: keys.find(c, digest(secret)))
    if found is None or PUBLIC_SCOPE not in found.scopes or not found.is_valid(context.clock.now()):
        raise NotFound("This address is not in use (any more).")
    stand_within([found.tenant])
    return found


def _answers(form: dict[str, str]) -> Answers:
    return Answers(
        product=form.get("product", ""),
        trouble=form.get("trouble", ""),
        message=form.get("message", "").strip()[:TEXT_LIMIT],
        code=" ".join(form.get("code", "").split())[:120],
        who=form.get("who", "").strip()[:WHO_LIMIT],
        site=" ".join(form.get("site", "").split())[:WHO_LIMIT],
    )


def _body(document: dict[str, object]) -> bytes:
    return json.dumps(document).encode()
