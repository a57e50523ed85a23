"""Once: what is kept of a request with an Idempotency-Key, in the transaction of its effect."""

import hashlib
import json
from datetime import timedelta
from typing import cast

from fastapi import Request
from sqlalchemy import Connection
from starlette.responses import Response

from app.api.auth import authenticate
from app.api.context import App
from app.core.errors import IdempotencyConflict, InvalidInput
from app.kit.vault import Vault
from app.store import idempotency
from app.store.idempotency import Claim, Kept

KEY_HEADER = "idempotency-key"
REPLAYED = "idempotency-replayed"
LONGEST_KEY = 255  # characters
KEPT_FOR = timedelta(hours=24)
REPLAYED_HEADERS = ("content-type", "location", "etag", "cache-control")


class Once:
    """One request under one key. ``kept``: its answer was stored with its effect."""

    def __init__(self, app: App, wanted: Claim, vault: Vault) -> None:
        self._app = app
        self._wanted = wanted
        self._vault = vault
        self.kept = False

    async def find(self) -> Response | None:
        """The answer that was given to an equal request before.

        Raises:
            IdempotencyConflict: the key was used with another body.
        """
        since = self._app.clock.now() - KEPT_FOR
        kept = await self._app.db.read(lambda c: idempotency.find(c, self._wanted, since=since))
        return None if kept is None else self._replay(kept)

    def keep(self, c: Connection, response: Response) -> None:
        """Keep an answer, sealed with the key that asked for it: it may hold a secret shown once.

        Raises:
            Taken: an equal request was answered meanwhile; the transaction comes to nothing.
        """
        now = self._app.clock.now()
        headers = {
            name: response.headers[name] for name in REPLAYED_HEADERS if name in response.headers
        }
        body = bytes(response.body).decode()
        sealed = self._vault.seal(json.dumps({"headers": headers, "body": body})).encode()
        idempotency.keep(
            c,
            self._wanted,
            status=response.status_code,
            body=sealed,
            now=now,
            since=now - KEPT_FOR,
        )

    def _replay(self, kept: Kept) -> Response:
        if kept.fingerprint != self._wanted.fingerprint:
            raise IdempotencyConflict
        known = json.loads(self._vault.open(kept.body.decode()))
        headers = {**known["headers"], REPLAYED: "true"}
        return Response(known["body"] or None, kept.status, headers=headers)


async def once_of(request: Request) -> Once:
    """What a request with an Idempotency-Key asks to be done once.

    Raises:
        InvalidInput: the key is empty or too long.
    """
    app = cast("App", request.app.state.context)
    caller = await authenticate(request)
    key = request.headers[KEY_HEADER].strip()
    if not key or len(key) > LONGEST_KEY:
        detail = f"Use 1 to {LONGEST_KEY} characters."
        raise InvalidInput(errors=[{"pointer": f"/{KEY_HEADER}", "in": "header", "detail": detail}])
    body = await request.body()
    # Whatever the request says belongs to it: the query of an intake, for one.
    said = request.scope.get("query_string", b"") + b"\n" + body
    wanted = Claim(
        tenant=request.headers.get("sextant-tenant", caller.tenant)[:100],
        principal=caller.id,
        route=f"POST {request.url.path}",
        key=_sha256(key.encode()),
        fingerprint=_sha256(said),
    )
    return Once(app, wanted, Vault(_sha256(app.secret + b"\x00" + key.encode())))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
