"""Problems: every error becomes RFC 9457 ``application/problem+json``, from one table."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.core import errors
from app.core.errors import AppError

MEDIA_TYPE = "application/problem+json"
LONGEST_POINTER = 200  # characters; a pointer repeats names that the caller chose
MOST_ERRORS = 100  # entries of ``errors`` in one answer

STATUS: Mapping[type[AppError], int] = {
    errors.NotFound: 404,
    errors.IllegalTransition: 409,
    errors.InvalidInput: 422,
    errors.UnknownParameter: 400,
    errors.CursorMismatch: 400,
    errors.CursorExpired: 410,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.TenantRequired: 400,
    errors.AlreadyRotated: 409,
    errors.PreconditionRequired: 428,
    errors.PreconditionFailed: 412,
    errors.IdempotencyConflict: 422,
    errors.PayloadTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.Overloaded: 503,
    errors.RateLimited: 429,
    errors.LeaseLost: 503,
    errors.StorageUnavailable: 503,
    errors.TargetRefused: 422,
    errors.UnreadablePayload: 400,
    errors.SettingsError: 500,
    errors.Unrestorable: 500,
}
# What the framework raises by number, in our words; other numbers keep the standard's phrase.
BY_NUMBER: Mapping[int, type[AppError]] = {
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    503: errors.Overloaded,
}
UNPARSED = (ValueError, RecursionError)  # why the framework could not parse a body
RETRY_SECONDS = 2  # asked of a caller when the error does not say
ACCEPTED_ENCODINGS = "gzip, zstd"


def kebab(name: str) -> str:
    """Write a class name as the last segment of a problem's URI."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def status_of(error: AppError) -> int:
    """The status of an error; a subclass that is not in the table takes its parent's."""
    return next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), 500)


def problem(
    *,
    kind: str,
    title: str,
    status: int,
    public_url: str,
    instance: str | None,
    detail: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> bytes:
    """Render the document; ``facts`` are extension members."""
    document: dict[str, Any] = {
        "type": f"{public_url}/problems/{kind}",
        "title": title,
        "status": status,
        "detail": detail or title,
        "instance": instance,
    }
    for key, value in (facts or {}).items():
        document.setdefault(key, value)
    return json.dumps(document, ensure_ascii=False, default=str).encode()


def answer(error: AppError, *, public_url: str, instance: str | None) -> Response:
    """Make the answer to an error of ours; also used before any route is reached."""
    status = status_of(error)
    body = problem(
        kind=kebab(type(error).__name__),
        title=error.title,
        status=status,
        public_url=public_url,
        instance=instance,
        detail=error.detail,
        facts=error.facts,
    )
    headers = {"cache-control": "no-store"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Bearer realm="sextant"'
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers["retry-after"] = str(error.facts.get("retry_after_seconds", RETRY_SECONDS))
    if status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        headers["accept-encoding"] = ACCEPTED_ENCODINGS
    return Response(body, status, headers=headers, media_type=MEDIA_TYPE)


def unexpected(*, public_url: str, instance: str | None) -> Response:
    """Make the answer to a bug: it says nothing of what happened."""
    body = problem(
        kind="internal-error",
        title="Something went wrong on our side.",
        status=500,
        public_url=public_url,
        instance=instance,
        detail="It was logged under the id in `instance`.",
    )
    return Response(body, 500, headers={"cache-control": "no-store"}, media_type=MEDIA_TYPE)


def pointer(path: Sequence[Any]) -> str:
    """Write a path as a JSON Pointer (RFC 6901), shortened where a caller's name is long."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "".join(f"/{step}" for step in steps)[:LONGEST_POINTER]


def validation_errors(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turn pydantic's errors into ``{pointer, detail}``; what was sent is never repeated."""
    entries: list[dict[str, Any]] = []
    for error in found[:MOST_ERRORS]:
        location = list(error["loc"])
        place = location.pop(0) if location else "body"
        if error["type"] == "json_invalid":
            location = []
        entry: dict[str, Any] = {"pointer": pointer(location), "detail": str(error["msg"])}
        if place != "body":
            entry["in"] = place
        entries.append(entry)
    return entries


def request_id(request: Request) -> str | None:
    """The id under which this request is logged."""
    found: str | None = getattr(request.state, "request_id", None)
    return found


def install(app: FastAPI, *, public_url: str) -> None:
    """Answer every error of the application with a problem."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, AppError)  # noqa: S101 - registered for this class
        return answer(error, public_url=public_url, instance=request_id(request))

    async def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
        refusal = errors.InvalidInput(errors=validation_errors(error.errors()))
        return answer(refusal, public_url=public_url, instance=request_id(request))

    async def by_number(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
        return _numbered(error, public_url=public_url, instance=request_id(request))

    app.add_exception_handler(AppError, ours)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, by_number)


def _numbered(error: HTTPException, *, public_url: str, instance: str | None) -> Response:
    known = BY_NUMBER.get(error.status_code)
    cause = error.__cause__
    if isinstance(cause, AppError):
        return answer(cause, public_url=public_url, instance=instance)
    if error.status_code == HTTPStatus.BAD_REQUEST and isinstance(cause, UNPARSED):
        refusal = errors.InvalidInput(errors=[{"pointer": "", "detail": "Not a JSON document."}])
        return answer(refusal, public_url=public_url, instance=instance)
    if known is not None:
        return answer(known(), public_url=public_url, instance=instance)
    phrase = HTTPStatus(error.status_code).phrase
    body = problem(
        kind=phrase.lower().replace(" ", "-"),
        title=f"{phrase}.",
        status=error.status_code,
        public_url=public_url,
        instance=instance,
    )
    headers = {"cache-control": "no-store", **(error.headers or {})}
    return Response(body, error.status_code, headers=headers, media_type=MEDIA_TYPE)
