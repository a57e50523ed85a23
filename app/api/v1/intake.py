"""Intake of foreign formats: what other people's monitors, collectors and programs send."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Protocol, cast

import msgspec
from fastapi import Depends, Path, Query, Request, Response

from app.api.auth import bound
from app.api.deps import App, Principal, context_of, problems, require, resource
from app.api.v1.intake_schemas import IntakeReceipt
from app.api.v1.schemas import ServiceWord
from app.core.errors import NotFound, UnsupportedMediaType
from app.core.foreign import ForeignFormat, Hints
from app.core.policy import Policy
from app.flow.foreign import ForeignIntake, Taken
from app.flow.vouch import PublicQuota

router = resource("Intake", responses=problems(404, 413, 415, 422, 429))

DURATION = re.compile(r"^(\d{1,9}(?:\.\d{1,9})?)(ns|us|ms|s|m)$")  # as Go writes one
UNITS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9}  # nanoseconds

_encode = msgspec.json.Encoder().encode

Sender = Annotated[Principal, Depends(require("intake:write"))]
Location = Annotated[
    str | None,
    Query(max_length=100, description="Where it was measured, where the body does not say."),
]
ServiceName = Annotated[
    ServiceWord | None,
    Query(max_length=100, description="The service it is about; a slug or name of /v1/services."),
]

OBJECT = {"type": "object"}


def foreign_body(*kinds: dict[str, Any]) -> dict[str, Any]:
    """Document a body that another program makes, of which only the JSON type is known."""
    told = {"description": "As the sending program makes it."}
    content = {
        "application/json": {"schema": {**told, **({"anyOf": kinds} if kinds[1:] else kinds[0])}},
        "application/x-ndjson": {"schema": told},
    }
    return {"requestBody": {"required": True, "content": content}}


ANY_BODY = foreign_body(OBJECT, {"type": "array", "items": {}})


class Doors(Protocol):
    """What takes in foreign bodies."""

    @property
    def foreign(self) -> ForeignIntake:
        """Takes in bodies of every foreign format."""

    @property
    def mappers(self) -> dict[str, ForeignFormat]:
        """The operator's own mappers, by name."""

    @property
    def exports(self) -> dict[str, ForeignFormat]:
        """What reads OTLP: ``logs`` and ``metrics``."""

    @property
    def partial_success(self) -> Callable[[str, int, str, str], bytes]:
        """Writes the answer to an OTLP export."""

    @property
    def quota(self) -> PublicQuota:
        """How much may come in by public keys."""

    @property
    def policy(self) -> Policy:
        """The policy of the engine."""


@router.post(
    "/intake/{format}",
    status_code=202,
    response_model=IntakeReceipt,
    openapi_extra=ANY_BODY,
    summary="Take in what another program sends",
)
async def post_foreign(
    request: Request,
    format: Annotated[str, Path(max_length=40)],  # noqa: A002 - the word in the address
    caller: Sender,
    location: Location = None,
    service: ServiceName = None,
) -> Response:
    """Take in a body as the named program makes it; docs/intake.md says how to set each up.

    Bad records are named in `rejected` and the good ones are kept. A body that says nothing that
    is kept, such as a test message, is answered with `accepted: 0`.
    """
    doors = doors_of(request)
    kind = doors.foreign.formats.get(format)
    if kind is None:
        known = ", ".join(sorted(doors.foreign.formats))
        raise NotFound(f"There is no format of that name; known are {known} and generic/….")
    return await take(request, caller, kind, location=location, service=service)


@router.post(
    "/intake/generic/{mapper}",
    status_code=202,
    response_model=IntakeReceipt,
    openapi_extra=ANY_BODY,
    summary="Take in a body by one of your mappers",
)
async def post_mapped(
    request: Request,
    mapper: Annotated[str, Path(max_length=40)],
    caller: Sender,
    location: Location = None,
    service: ServiceName = None,
) -> Response:
    """Take in JSON, a form or CloudEvents as a `[[mappers]]` entry of the settings says."""
    kind = doors_of(request).mappers.get(mapper)
    if kind is None:
        raise NotFound("There is no mapper of that name in the settings.")
    return await take(request, caller, kind, location=location, service=service)


class WithDoors(App, Protocol):
    """The application context with its doors."""

    @property
    def doors(self) -> Doors:
        """What takes in foreign bodies."""


@router.post(
    "/intake/gatus/api/v1/endpoints/{key}/external",
    status_code=202,
    response_model=IntakeReceipt,
    summary="Take in what is pushed the way Gatus is pushed to",
)
async def post_gatus_external(  # noqa: PLR0917 - called by name
    request: Request,
    key: Annotated[str, Path(max_length=200)],
    caller: Sender,
    success: bool,  # noqa: FBT001 - a word in the address
    error: Annotated[str, Query(max_length=2000)] = "",
    duration: Annotated[str, Query(max_length=20, pattern=DURATION.pattern)] = "0s",
    location: Location = None,
    service: ServiceName = None,
) -> Response:
    """Take in one result by the push API of Gatus, so that what pushes there can push here."""
    doors = doors_of(request)
    at = context_of(request).clock.now().isoformat()
    taken = DURATION.fullmatch(duration)
    result = {
        "success": success,
        "errors": [error] if error else [],
        "duration": float(taken[1]) * UNITS[taken[2]] if taken else 0,
        "timestamp": at,
    }
    body = _encode([{"name": key, "key": key, "results": [result]}])
    hints = Hints(location=location, service=service)
    kind = doors.foreign.formats["gatus"]
    limit = await bound(request)
    return receipt(await doors.foreign.take(caller.tenant, kind, body, hints=hints, bound=limit))


def doors_of(request: Request) -> Doors:
    """What takes in foreign bodies."""
    return cast("WithDoors", context_of(request)).doors


def media_of(request: Request, kind: ForeignFormat) -> str:
    """The media type of a body.

    Raises:
        UnsupportedMediaType: the format does not come in it.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in kind.media:
        raise UnsupportedMediaType(f"Send this format as {' or '.join(sorted(kind.media))}.")
    return given


async def take(
    request: Request,
    caller: Principal,
    kind: ForeignFormat,
    *,
    location: str | None,
    service: str | None,
) -> Response:
    """Read a body, store what is good in it, and answer after the commit."""
    media = media_of(request, kind)
    hints = Hints(location=location, service=service, received_as=media)
    taken = await doors_of(request).foreign.take(
        caller.tenant, kind, await request.body(), hints=hints, bound=await bound(request)
    )
    return receipt(taken)


def receipt(taken: Taken) -> Response:
    """Write the answer of intake."""
    answer = {
        "intake_id": taken.intake_id,
        "accepted": taken.accepted,
        "duplicates": taken.duplicates,
        "rejected": [
            {"index": one.index, "detail": one.detail, "pointer": one.pointer}
            for one in taken.refused
        ],
    }
    return Response(_encode(answer), 202, media_type="application/json")
