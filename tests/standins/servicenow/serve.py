"""The instance as an HTTP server: who may call, what goes wrong, and a log of what was sent."""

import asyncio
import base64
import binascii
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.standins import server as plain
from tests.standins.ca import Certificates
from tests.standins.servicenow import other_apis
from tests.standins.servicenow.faults import (
    CANCELLED_BODY,
    PAGE,
    RATE,
    UNAUTHENTICATED,
    UNSCOPED,
    Fault,
    Kind,
    Refused,
    failure,
)
from tests.standins.servicenow.instance import Instance, Sent, User
from tests.standins.servicenow.table_api import table

TYPED = ("POST", "PUT", "PATCH")  # pysnc deletes without a Content-Type, and is served
BODIES = ("POST", "PUT", "PATCH", "DELETE")
HOUR = timedelta(hours=1)
LOGIN_HOST = "http://login.invalid/sso"
TOO_MANY = 429


class Broken(Exception):  # noqa: N818 - what a caller over ASGI sees instead of a reset
    """Raised where the connection breaks without an answer."""


Nap = Callable[[float], Awaitable[None]]


def app_of(instance: Instance, *, nap: Nap = asyncio.sleep) -> ASGIApp:
    """Make the ASGI app; ``nap`` passes the time of slow answers."""
    made = _Served(instance, nap)
    paths = [
        ("/oauth_token.do", made.token),
        ("/api/now/table/{table}", made.table),
        ("/api/now/table/{table}/{sys_id}", made.table),
        ("/api/now/{version}/table/{table}", made.table),
        ("/api/now/{version}/table/{table}/{sys_id}", made.table),
        ("/api/global/em/jsonv2", made.events),
        ("/api/now/import/{staging}", made.import_set),
        ("/api/now/attachment/file", made.attachment),
        ("/api/now/attachment", made.attachments),
        ("/api/now/attachment/{sys_id}", made.attachments),
        ("/{rest:path}", made.nothing),
    ]
    methods = ["GET", *BODIES]
    routes = [Route(path, end, methods=methods) for path, end in paths]
    return _Breaking(Starlette(routes=routes))


class _Breaking:
    """Turns a broken answer into a reset of the connection, where there is one."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        state = scope.setdefault("state", {})

        async def quiet(message: Message) -> None:
            if not state.get("broken"):
                await send(message)

        try:
            await self._inner(scope, receive, quiet)
        except Broken:
            transport = state.get("transport")
            if transport is None:
                raise
            transport.abort()


class Protocol(H11Protocol):
    """Hands the transport to the app, so that it can reset the connection."""

    def connection_made(self, transport: Any) -> None:
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


@asynccontextmanager
async def serving(
    instance: Instance, files: Certificates | None = None, clients: Path | None = None
) -> AsyncIterator[str]:
    """Serve on a free port until the end of the block; gives the root of the address.

    With ``clients`` (mutual TLS) nobody is let in without a certificate of that authority.
    """
    async with plain.serving(app_of(instance), files, http=Protocol, clients=clients) as root:
        yield root


class _Served:
    """The endpoints."""

    def __init__(self, instance: Instance, nap: Nap) -> None:
        self._instance = instance
        self._nap = nap

    async def nothing(self, request: Request) -> Response:
        """Answer an address that there is not."""
        return JSONResponse(failure("Requested URI does not represent any resource", None), 400)

    async def token(self, request: Request) -> Response:
        """Answer the token endpoint; a sleeping instance sleeps here too."""
        fault = self._instance.fault_for(request.method, request.url.path)
        early = await self._before(fault, request)
        answer = early or await other_apis.token(self._instance, request)
        self._note(request, None, "", answer.status_code)
        return answer

    async def table(self, request: Request) -> Response:
        """Answer the Table API."""
        instance = self._instance
        return await self._guarded(request, lambda user, body: table(instance, user, request, body))

    async def events(self, request: Request) -> Response:
        """Answer Event Management."""
        instance = self._instance
        return await self._guarded(
            request, lambda user, body: other_apis.events(instance, user, body)
        )

    async def import_set(self, request: Request) -> Response:
        """Answer the Import Set API."""
        instance, staging = self._instance, request.path_params["staging"]
        return await self._guarded(
            request, lambda user, body: other_apis.import_set(instance, user, staging, body)
        )

    async def attachment(self, request: Request) -> Response:
        """Answer the Attachment API."""
        instance, size = self._instance, len(await request.body())
        return await self._guarded(
            request, lambda user, _: other_apis.attachment(instance, user, request, size)
        )

    async def attachments(self, request: Request) -> Response:
        """Answer lists of files, and their deletion."""
        instance = self._instance
        return await self._guarded(
            request, lambda user, _: other_apis.attachments(instance, user, request)
        )

    async def _guarded(self, request: Request, work: Callable[[User, Any], Response]) -> Response:
        instance = self._instance
        instance.settle()
        raw = await request.body()
        body = _json(raw)
        name = ""
        fault = instance.fault_for(request.method, request.url.path)
        try:
            answer = await self._before(fault, request)
            if answer is None:
                user = self._user(request)
                name = user.name
                self._refuse(request, user)
                answer = await self._done(fault, request, lambda: work(user, body))
        except Refused as refused:
            answer = JSONResponse(refused.body, refused.status)
        except Broken:
            self._note(request, body, name, 0)
            request.scope["state"]["broken"] = True  # so that no error page is sent
            raise
        self._note(request, body, name, answer.status_code)
        headers = self._rate_headers(name, answer.status_code)
        answer.headers.update({"x-transaction-id": "75a81c34c39a", **headers})
        answer.headers["set-cookie"] = f"glide_session_store={secrets.token_hex(8)}; Path=/"
        return answer

    def _note(self, request: Request, body: Any, user: str, status: int) -> None:
        instance = self._instance
        if "cookie" in request.headers:
            instance.cookies.append(request.headers["cookie"])
        instance.log.append(
            Sent(at=instance.now(), method=request.method, path=request.url.path,
                 query=dict(request.query_params), body=body, user=user, status=status)
        )  # fmt: skip

    async def _before(self, fault: Fault | None, request: Request) -> Response | None:
        """What goes wrong before anything is done."""
        if fault is None:
            return None
        match fault.kind:
            case Kind.SLOW:
                await self._nap(fault.seconds)
                return None
            case Kind.HIBERNATING:
                return HTMLResponse(PAGE)
            case Kind.REDIRECT:
                return RedirectResponse(f"{LOGIN_HOST}?back={request.url.path}", 302)
            case Kind.ERROR:
                return JSONResponse(CANCELLED_BODY, 500)
            case Kind.RESET:
                raise Broken
            case Kind.GATEWAY:
                return HTMLResponse("<html><body>502 Bad Gateway</body></html>", 502)
            case Kind.THROTTLED:
                headers = {"retry-after": str(int(fault.seconds)), "x-ratelimit-limit": "100"}
                return JSONResponse(RATE, 429, headers=headers)
            case _:
                return None

    async def _done(
        self, fault: Fault | None, request: Request, work: Callable[[], Response]
    ) -> Response:
        """Do it, and then let the answer go wrong."""
        kind = fault.kind if fault else None
        if fault is not None and kind is Kind.LATE_COMMIT:

            def commit() -> None:
                with contextlib.suppress(Refused):
                    work()

            self._instance.later(timedelta(seconds=fault.seconds), commit)
            await self._silence(request)
            raise Broken
        answer = work()
        match kind:
            case Kind.COMMIT_ERROR:
                return JSONResponse(CANCELLED_BODY, 500)
            case Kind.COMMIT_RESET:
                raise Broken
            case Kind.PARTIAL if request.method == "GET":
                made = json.loads(bytes(answer.body))
                rows = made["result"] if isinstance(made["result"], list) else []
                return JSONResponse({"result": rows[: len(rows) // 2], **CANCELLED_BODY})
            case Kind.MALFORMED:
                half = bytes(answer.body)[: len(answer.body) // 2]
                return Response(half, answer.status_code, media_type="application/json")
            case _:
                return answer

    async def _silence(self, request: Request) -> None:
        """Say nothing until the caller has gone."""
        if "transport" in request.scope["state"]:
            while (await request.receive())["type"] != "http.disconnect":
                pass

    def _refuse(self, request: Request, user: User) -> None:
        if not request.headers.get("accept"):
            raise Refused(400, failure("Accept header is missing", None))
        if request.method in TYPED and not request.headers.get("content-type"):
            raise Refused(400, failure("Content-Type header is missing", None))
        self._count(user)

    def _count(self, user: User) -> None:
        instance, now = self._instance, self._instance.now()
        if instance.rate_limit is None:
            return
        seen = instance.counted.setdefault(user.name, [])
        committed = [at for at in seen if now - HOUR < at <= now - instance.rate_lag]
        if len(committed) >= instance.rate_limit:
            raise Refused(429, RATE)
        seen.append(now)

    def _rate_headers(self, name: str, status: int) -> dict[str, str]:
        instance = self._instance
        if instance.rate_limit is None or not name:
            return {}
        ends = instance.counted.get(name, [instance.now()])[0] + HOUR
        left = max(int((ends - instance.now()).total_seconds()), 1)
        headers = {
            "x-ratelimit-limit": str(instance.rate_limit),
            "x-ratelimit-reset": str(int(ends.timestamp())),
            "x-ratelimit-rule": "c7f1e5b0db21c4106c8a3f1a7c961901",
        }
        return {**headers, "retry-after": str(left)} if status == TOO_MANY else headers

    def _user(self, request: Request) -> User:
        instance = self._instance
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            name, until, scoped = instance.tokens.get(given, ("", instance.now(), False))
            if name and until > instance.now():
                if scoped:
                    raise Refused(403, UNSCOPED)
                return instance.users[name]
        elif scheme.lower() == "basic":
            user = _basic(instance, given)
            if user is not None:
                return user
        elif (key := request.headers.get("x-sn-apikey", "")) in instance.api_keys:
            return instance.users[instance.api_keys[key]]
        elif (mapped := instance.certificates.get(_shown(request))) is not None:
            return instance.users[mapped]
        raise Refused(401, UNAUTHENTICATED)


def _shown(request: Request) -> str:
    """The common name of the certificate that the client showed; empty without one."""
    transport = request.scope.get("state", {}).get("transport")
    found = transport.get_extra_info("peercert") if transport is not None else None
    parts = [pair for part in (found or {}).get("subject", ()) for pair in part]
    return str(dict(parts).get("commonName", ""))


def _basic(instance: Instance, given: str) -> User | None:
    try:
        name, _, password = base64.b64decode(given).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    user = instance.users.get(name)
    return user if user is not None and user.password == password else None


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None
