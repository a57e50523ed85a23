"""One operation of ``/v1``: the caller comes first, and a POST under one key has one effect."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from email.message import Message
from functools import partial
from typing import Any, cast

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from sqlalchemy import Connection
from starlette.responses import Response

from app.api.auth import authenticate
from app.api.context import App
from app.api.middleware import INTAKE
from app.api.rates import Rates
from app.core.errors import (
    IdempotencyConflict,
    InvalidInput,
    Overloaded,
    StorageUnavailable,
    UnknownParameter,
    UnsupportedMediaType,
)
from app.kit.vault import Vault
from app.store import idempotency
from app.store.idempotency import Claim, Kept

log = logging.getLogger(__name__)

Serve = Callable[[Request], Coroutine[Any, Any, Response]]

KEY_HEADER = "idempotency-key"
REPLAYED = "idempotency-replayed"
LONGEST_KEY = 255  # characters
KEPT_FOR = timedelta(hours=24)
RUNNING_FOR = timedelta(minutes=5)  # longer than any request runs
LOOKS = 20  # how often we look whether the other request was answered
LOOK_SECONDS = 0.1
REPLAYED_HEADERS = ("content-type", "location", "etag", "cache-control")
SERVER_ERROR = 500


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
                    rates.take(key.id, intake=request.url.path.startswith(INTAKE))
            _refuse_unknown(request, known)
            if takes_json:
                _refuse_other_media(request)
            if request.method == "POST" and KEY_HEADER in request.headers and guarded:
                return await _once(request, inner)
            return await inner(request)

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

    Raises:
        IdempotencyConflict: the key was used with another body.
        Overloaded: the first request with this key is still running.
    """
    app = cast("App", request.app.state.context)
    caller = await authenticate(request)
    key = request.headers[KEY_HEADER].strip()
    if not key or len(key) > LONGEST_KEY:
        detail = f"Use 1 to {LONGEST_KEY} characters."
        raise InvalidInput(errors=[{"pointer": f"/{KEY_HEADER}", "in": "header", "detail": detail}])
    body = await request.body()
    wanted = Claim(
        tenant=request.headers.get("sextant-tenant", caller.tenant)[:100],
        principal=caller.id,
        route=f"POST {request.url.path}",
        key=_sha256(key.encode()),
        fingerprint=_sha256(body),
    )
    vault = Vault(_sha256(app.secret + b"\x00" + key.encode()))
    kept = await _claim(app, wanted)
    if kept is not None:
        return _replay(vault.open(kept.body.decode()), kept.status)
    try:
        response = await inner(request)
    except BaseException:
        await asyncio.shield(_let_go(app, wanted))
        raise
    await _keep(app, wanted, vault, response)
    return response


async def _claim(app: App, wanted: Claim) -> Kept | None:
    for _ in range(LOOKS):
        now = app.clock.now()
        kept = await app.db.write(partial(_claim_at, wanted=wanted, now=now))
        if kept is None:
            return None
        if kept.fingerprint != wanted.fingerprint:
            raise IdempotencyConflict
        if kept.status != idempotency.RUNNING:
            return kept
        await asyncio.sleep(LOOK_SECONDS)
    raise Overloaded(
        "A request with the same Idempotency-Key is still running.", retry_after_seconds=1
    )


def _claim_at(c: Connection, *, wanted: Claim, now: datetime) -> Kept | None:
    return idempotency.claim(
        c, wanted, now=now, kept_since=now - KEPT_FOR, running_since=now - RUNNING_FOR
    )


async def _keep(app: App, wanted: Claim, vault: Vault, response: Response) -> None:
    """Keep an answer, sealed with the key that asked for it: it may hold a secret shown once."""
    body = getattr(response, "body", None)
    if response.status_code >= SERVER_ERROR or not isinstance(body, bytes):
        await _let_go(app, wanted)
        return
    headers = {
        name: response.headers[name] for name in REPLAYED_HEADERS if name in response.headers
    }
    sealed = vault.seal(json.dumps({"headers": headers, "body": body.decode()})).encode()
    try:
        await app.db.write(
            lambda c: idempotency.keep(c, wanted, status=response.status_code, body=sealed)
        )
    except StorageUnavailable:
        # The effect is durable, so the caller gets its answer; a repetition waits, then repeats.
        log.warning("answer_not_kept", extra={"route": wanted.route})


async def _let_go(app: App, wanted: Claim) -> None:
    try:
        await app.db.write(lambda c: idempotency.release(c, wanted))
    except StorageUnavailable:
        log.warning("claim_not_released", extra={"route": wanted.route})


def _replay(text: str, status: int) -> Response:
    kept = json.loads(text)
    return Response(kept["body"], status, headers={**kept["headers"], REPLAYED: "true"})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
