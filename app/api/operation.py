"""One operation of ``/v1``: the caller comes first, and a POST under one key has one effect."""

import logging
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, cast

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from starlette.responses import Response

from app.api.auth import authenticate
from app.api.context import App
from app.api.middleware import INTAKE
from app.api.once import KEY_HEADER, Once, once_of
from app.api.paging import FOLLOWING
from app.api.problems import answer, request_id, status_of
from app.api.rates import Rates
from app.core.errors import (
    AppError,
    InvalidInput,
    Overloaded,
    StorageUnavailable,
    UnknownParameter,
    UnsupportedMediaType,
)
from app.store.idempotency import Taken

log = logging.getLogger(__name__)

Serve = Callable[[Request], Coroutine[Any, Any, Response]]

SERVER_ERROR = 500
# Refusals of a request that was carried out as far as it could be: a repetition gets the same.
# One that was malformed, or not permitted, may be put right and sent again under its key.
SETTLED = frozenset({404, 409, 410, 412})


class Operation(APIRoute):
    """The route class of every router in ``/v1``."""

    def get_route_handler(self) -> Serve:
        """Wrap the framework's handler; it reads the body before it runs any dependency."""
        inner = super().get_route_handler()
        guarded = _is_guarded(self.dependant)
        known = _query_names(self.dependant)
        takes_json = self.body_field is not None

        async def serve(request: Request) -> Response:
            if guarded:
                key = await authenticate(request)
                rates: Rates | None = getattr(request.app.state, "rates", None)
                if rates is not None:  # an application of a single resource has none
                    rates.take(key.id, request, intake=request.url.path.startswith(INTAKE))
            _refuse_unknown(request, known)
            if takes_json:
                _refuse_other_media(request)
            if request.method == "POST" and KEY_HEADER in request.headers and guarded:
                return await _once(request, inner)
            if request.method != "GET":
                return await inner(request)
            FOLLOWING.set(None)
            response = await inner(request)
            cursor = FOLLOWING.get()
            if cursor is not None:
                following = request.url.include_query_params(cursor=cursor)
                response.headers.append("link", f'<{following.path}?{following.query}>; rel="next"')
            return response

        return serve


def _is_guarded(dependant: Dependant) -> bool:
    call: object = dependant.call
    return isinstance(call, SecurityBase) or any(map(_is_guarded, dependant.dependencies))


def _query_names(dependant: Dependant) -> frozenset[str]:
    return frozenset(
        field.alias for field in get_flat_params(dependant) if isinstance(field.field_info, Query)
    )


def _refuse_unknown(request: Request, known: frozenset[str]) -> None:
    if "\0" in request.url.path or any("\0" in v for _, v in request.query_params.multi_items()):
        raise InvalidInput("The address holds the character U+0000.")
    allowed = known if request.method in {"GET", "HEAD"} else known - {"tenant"}
    unknown = sorted(set(request.query_params) - allowed)
    if unknown:
        names = ", ".join(sorted(allowed)) or "none"
        raise UnknownParameter(
            f"This operation knows these query parameters: {names}.",
            errors=[
                {"pointer": f"/{name[:100]}", "in": "query", "detail": "Unknown parameter."}
                for name in unknown[:20]
            ],
        )


def _refuse_other_media(request: Request) -> None:
    headers = request.headers
    length = headers.get("content-length")
    unsized = length is None and "transfer-encoding" not in headers
    if length == "0" or (unsized and "content-type" not in headers):
        return
    message = Message()
    message["content-type"] = headers.get("content-type", "")
    kind = message.get_content_type()
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType("Send the body as application/json.")


async def _once(request: Request, inner: Serve) -> Response:
    """Answer a POST once per key; a repetition gets the kept answer.

    An operation that changes something keeps its answer in the transaction of the change. What
    is left to keep here had no effect, or one that a repetition does not repeat (intake).
    """
    once = await once_of(request)
    kept = await once.find()
    if kept is not None:
        return kept
    request.state.once = once
    response: Response | None = None
    try:
        response = await inner(request)
    except Taken:
        pass  # an equal request was first, and nothing of this one is stored
    except AppError as error:
        if status_of(error) not in SETTLED:
            raise
        app = cast("App", request.app.state.context)
        response = answer(error, public_url=app.public_url, instance=request_id(request))
    if response is not None and (once.kept or not await _keep(request, once, response)):
        return response
    kept = await once.find()
    if kept is None:
        raise Overloaded(retry_after_seconds=1)
    return kept


async def _keep(request: Request, once: Once, response: Response) -> bool:
    """Keep an answer that was not stored with an effect; True when another one is kept."""
    body = getattr(response, "body", None)
    if response.status_code >= SERVER_ERROR or not isinstance(body, bytes):
        return False
    app = cast("App", request.app.state.context)
    try:
        await app.db.write(lambda c: once.keep(c, response))
    except Taken:
        return True
    except StorageUnavailable:
        log.warning("answer_not_kept", extra={"request_id": request_id(request)})
    return False
