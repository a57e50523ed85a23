"""Intake of client reports."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Protocol, cast

import msgspec
from fastapi import Depends, Request, Response

from app.api.deps import App, Principal, context, require, resource
from app.api.v1.intake_schemas import ClientReportIn, IntakeReceipt, request_body
from app.core.batch import Batch
from app.core.errors import InvalidInput
from app.core.types import TenantId
from app.kit.wire import Fault

OWN_THREAD_BYTES = 256 * 1024  # a larger body is parsed outside the event loop: about 2 ms of it
ERRORS_SHOWN = 100  # of a body whose every record is bad

router = resource("Intake")
_encode = msgspec.json.Encoder().encode


class Parsed(Protocol):
    """What a reader made of a body."""

    @property
    def batch(self) -> Batch:
        """The good records."""

    @property
    def rejected(self) -> list[Fault]:
        """The refused ones, by index."""


class Reader(Protocol):
    """Reads bodies of one kind; bootstrap puts them on the application context."""

    def parse(
        self, tenant: TenantId, body: bytes, content_type: str | None, *, now: datetime
    ) -> Parsed:
        """Read a body that arrived now.

        Raises:
            UnsupportedMediaType: the content type is neither JSON nor NDJSON.
            InvalidInput: the body cannot be read as a whole.
        """
        ...


class Readers(App, Protocol):
    """The application context with its readers."""

    @property
    def report_reader(self) -> Reader:
        """Reads client reports."""

    @property
    def result_reader(self) -> Reader:
        """Reads probe results."""


async def take_in(
    request: Request, tenant: TenantId, *, source: str, pick: Callable[[Readers], Reader]
) -> Response:
    """Read a body, store what is good in it, and answer after the commit."""
    app = cast("Readers", context(request))
    body = await request.body()
    media = request.headers.get("content-type")
    now = app.clock.now()
    parse = pick(app).parse
    if len(body) > OWN_THREAD_BYTES:
        parsed = await asyncio.to_thread(parse, tenant, body, media, now=now)
    else:
        parsed = parse(tenant, body, media, now=now)
    rejected = parsed.rejected
    if not parsed.batch.ids:
        shown = [_entry(fault) for fault in rejected[:ERRORS_SHOWN]]
        raise InvalidInput("No record of the body can be taken.", errors=shown)
    receipt = await app.intake.append_batch(tenant, parsed.batch, source=source, now=now)
    answer = {
        "intake_id": receipt.intake_id,
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": [_entry(fault) for fault in rejected],
    }
    return Response(_encode(answer), 202, media_type="application/json")


def _entry(fault: Fault) -> dict[str, Any]:
    return {"index": fault.index, "detail": fault.detail, "pointer": fault.pointer}


@router.post(
    "/client-reports",
    status_code=202,
    response_model=IntakeReceipt,
    openapi_extra=request_body(ClientReportIn),
    summary="Take in client reports",
)
async def post_client_reports(
    request: Request, caller: Annotated[Principal, Depends(require("reports:write"))]
) -> Response:
    """Take in one report, an array of at most 1,000, or NDJSON of at most 10,000 lines.

    The answer comes after the commit. Bad records are named in `rejected` and the good ones are
    kept; a body without any good record is refused as a whole.
    """
    return await take_in(
        request, caller.tenant, source="client-reports", pick=lambda app: app.report_reader
    )
