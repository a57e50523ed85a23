"""Intake of client reports."""

from typing import Annotated

from fastapi import Depends, Request, Response

from app.api.deps import Principal, require
from app.api.v1.intake_schemas import IntakeReceipt, request_body
from app.api.v1.take_in import REPORTS, intake_resource, take_in

router = intake_resource()


@router.post(
    "/client-reports",
    status_code=202,
    response_model=IntakeReceipt,
    openapi_extra=request_body("ClientReportIn"),
    summary="Take in client reports",
)
async def post_client_reports(
    request: Request, caller: Annotated[Principal, Depends(require("reports:write"))]
) -> Response:
    """Take in one report, an array of at most 1,000, or NDJSON of at most 10,000 lines.

    The answer comes after the commit. Bad records are named in `rejected` and the good ones are
    kept; a body without any good record is refused as a whole.
    """
    return await take_in(request, caller.tenant, source=REPORTS, pick=lambda app: app.report_reader)
