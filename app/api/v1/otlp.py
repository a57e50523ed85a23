"""OTLP over HTTP: the endpoints that exporters expect below ``/v1/otlp``."""

from typing import Annotated

from fastapi import Depends, Request, Response

from app.api.auth import bound
from app.api.deps import Principal, problems, require, resource
from app.api.v1.intake import OBJECT, doors_of, foreign_body, media_of
from app.core.errors import InvalidInput
from app.core.foreign import Hints

EXPORT = foreign_body(OBJECT)
router = resource("Intake", responses=problems(413, 415, 429))

Exporter = Annotated[Principal, Depends(require("intake:write"))]


@router.post("/otlp/v1/logs", openapi_extra=EXPORT, summary="Take in OTLP logs")
async def post_otlp_logs(request: Request, caller: Exporter) -> Response:
    """Take in log records from a warning on as client reports; protobuf or JSON, gzip or plain.

    Answers as OTLP wants it: 200, with `partialSuccess` where records were not taken.
    """
    return await _export(request, caller, "logs")


@router.post("/otlp/v1/metrics", openapi_extra=EXPORT, summary="Take in OTLP metrics")
async def post_otlp_metrics(request: Request, caller: Exporter) -> Response:
    """Take in what the httpcheck receiver or the blackbox exporter measured as probe results."""
    return await _export(request, caller, "metrics")


async def _export(request: Request, caller: Principal, name: str) -> Response:
    doors = doors_of(request)
    kind = doors.exports[name]
    media = media_of(request, kind)
    hints = Hints(received_as=media)
    body, limit = await request.body(), await bound(request)
    try:
        taken = await doors.foreign.take(caller.tenant, kind, body, hints=hints, bound=limit)
        refused = [(one.pointer, one.detail) for one in taken.refused]
    except InvalidInput as error:  # nothing could be taken: told, and not to be sent again
        refused = [(e["pointer"], e["detail"]) for e in error.facts.get("errors", [])]
    why = f"{refused[0][0]} {refused[0][1]}".strip() if refused else ""
    answer = doors.partial_success(name, len(refused), why, media)
    return Response(answer, 200, media_type=media)
