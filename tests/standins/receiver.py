"""Webhook receiver stand-in: verifies by the Standard Webhooks spec, refuses first attempts.

It implements the specification itself (https://www.standardwebhooks.com, 1.0.0) and imports nothing
of the application, so that both sides agree by the text alone.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

TOLERANCE_SECONDS = 300.0  # what the specification's reference libraries allow
PATH = "/webhooks/sextant"


class BadSignature(Exception):  # noqa: N818 - a word of the field, like StopIteration
    """Raised when a delivery cannot be trusted; its text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One attempt that came in, and what it was answered."""

    at: str
    id: str
    type: str
    sequence: int | None
    incident: str | None
    attempt: int
    valid: bool
    status: int
    problem: str = ""
    superseded: tuple[str, ...] = ()


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, now: datetime) -> str:
    """Check a delivery by its headers, and give its id.

    Raises:
        BadSignature: a header is missing, the time is off, or no signature fits.
    """
    try:
        webhook_id, stamp = headers["webhook-id"], headers["webhook-timestamp"]
        given = headers["webhook-signature"].split()
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        age = now.timestamp() - int(stamp)
    except KeyError as error:
        raise BadSignature(f"the header {error.args[0]} is missing") from error
    except (ValueError, binascii.Error) as error:
        raise BadSignature("the timestamp is not a number") from error
    if abs(age) > TOLERANCE_SECONDS:
        raise BadSignature(f"the timestamp is {age:.0f} s off")
    signed = f"{webhook_id}.{stamp}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    for part in given:
        version, _, signature = part.partition(",")
        if version == "v1" and hmac.compare_digest(signature.encode(), expected.encode()):
            return webhook_id
    raise BadSignature("no signature fits")


@dataclass(slots=True, kw_only=True)
class Receiver:
    """The receiver: its secret, what it got, and how many attempts of each event it refuses.

    It notes what it got in story time (``now``), but holds the stamp of a signature against the
    real time of day (``wall``), as any receiver would.
    """

    now: Callable[[], datetime]
    wall: Callable[[], datetime]
    secret: str | None = None
    refuses: int = 1
    say: Callable[[str], None] | None = None
    received: list[Received] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)

    def app(self, more: list[BaseRoute] | None = None) -> Starlette:
        """Make the ASGI app; ``more`` are further routes of the same server."""
        return Starlette(
            routes=[
                Route(PATH, self._take, methods=["POST"]),
                Route("/_standin/secret", self._set_secret, methods=["POST"]),
                Route("/_standin/received", self._list),
                *(more or []),
            ]
        )

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        webhook_id = request.headers.get("webhook-id", "")
        problem = ""
        try:
            verify(self.secret or "", request.headers, body, now=self.wall())
        except BadSignature as error:
            problem = str(error)
        if self.secret is None:  # it learns its secret from the answer that the ping overtakes
            problem = "no secret yet"
            return self._note(webhook_id, {}, status=503, problem=problem)
        event = _event(body)
        superseded = tuple(request.headers.get("sextant-superseded", "").replace(",", " ").split())
        if problem:
            return self._note(webhook_id, event, status=401, problem=problem)
        self.attempts[webhook_id] = self.attempts.get(webhook_id, 0) + 1
        status = 503 if self.attempts[webhook_id] <= self.refuses else 204
        return self._note(webhook_id, event, status=status, superseded=superseded)

    def _note(
        self,
        webhook_id: str,
        event: dict[str, Any],
        *,
        status: int,
        problem: str = "",
        superseded: tuple[str, ...] = (),
    ) -> Response:
        incident = (event.get("data") or {}).get("incident") or {}
        entry = Received(
            at=self.now().isoformat(),
            id=webhook_id,
            type=event.get("type", ""),
            sequence=event.get("sequence"),
            incident=incident.get("id"),
            attempt=self.attempts.get(webhook_id, 0),
            valid=not problem,
            status=status,
            problem=problem,
            superseded=superseded,
        )
        self.received.append(entry)
        if self.say is not None:
            verdict = "signature valid" if entry.valid else problem
            self.say(f"{status} attempt {entry.attempt} {entry.type} {webhook_id}: {verdict}")
        return Response(status_code=status)

    async def _set_secret(self, request: Request) -> Response:
        wanted = await request.json()
        self.secret = wanted.get("secret", self.secret)
        self.refuses = wanted.get("refuses", self.refuses)
        return JSONResponse({"refuses": self.refuses})

    async def _list(self, request: Request) -> Response:
        after = int(request.query_params.get("after", "0"))
        items = [asdict(entry) for entry in self.received[after:]]
        return JSONResponse({"items": items, "next": len(self.received)})


def _event(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
