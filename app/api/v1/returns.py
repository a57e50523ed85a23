"""Channels: what people do at the other end comes back here."""

from typing import Annotated

from fastapi import Path, Request, Response, status

from app.api.deps import context_of, problems, resource
from app.core.errors import PayloadTooLarge

router = resource("channels")

DELIVERY_BYTES = 1024 * 1024
Name = Annotated[str, Path(max_length=64)]


@router.post(
    "/channels/{name}/deliveries",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=None,
    responses={202: {"description": "Taken, whatever it says."}, **problems(401, 413)},
    openapi_extra={"security": [{"deliverySignature": []}]},
    summary="Take what comes back on a channel",
)
async def take_delivery(name: Name, request: Request) -> Response:
    """Take a webhook of PagerDuty (v3) or Jira, signed with one of the channel's `webhook_secrets`.

    An acknowledgement, or work that begins, acknowledges the incident; a reassignment assigns it;
    notes and other deeds of people become internal notes, what customers read of Jira's service
    projects public ones. Nothing there resolves an incident here. A repetition changes nothing. It
    needs no bearer. PagerDuty signs in `X-PagerDuty-Signature`, Jira in `X-Hub-Signature`.
    """
    body = await request.body()
    if len(body) > DELIVERY_BYTES:
        raise PayloadTooLarge(limit_bytes=DELIVERY_BYTES)
    await context_of(request).returns.take(name, dict(request.headers), body)
    return Response(status_code=status.HTTP_202_ACCEPTED)
