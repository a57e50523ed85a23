"""ServiceNow over HTTP: sign-in, the Table API, and what its odd answers mean; raw in, raw out."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias

import httpx

from app.clients.answers import read_body, retry_after, unreached
from app.clients.errors import VendorError

BODY_BYTES = 16 * 1024 * 1024  # inflated bytes of one answer
TOKEN_BYTES = 64 * 1024
TOKEN_PATH = "/oauth_token.do"  # noqa: S105 - an address
SPARE = timedelta(seconds=60)  # a token that ends so soon is not used any more
# Above the 60 s after which an instance cancels a transaction, so that its answer is heard.
READ_SECONDS = 75.0
CONNECT_SECONDS = 10.0
READS = ("GET",)
_ASLEEP = ("instance-hibernating-page", "Hibernating Instance", "Your instance is hibernating")
_BY_STATUS = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 429: "throttled",
}  # fmt: skip


class SignIn(Protocol):
    """Adds to each request what proves who we are."""

    async def headers(self, client: httpx.AsyncClient) -> dict[str, str]:
        """The headers of one request.

        Raises:
            VendorError: we cannot sign in now, or not at all.
        """
        ...

    def drop(self) -> bool:
        """Forget what is in hand after a refusal; whether a second try makes sense."""
        ...


class Basic:
    """A user name and a password."""

    def __init__(self, username: str, password: str) -> None:
        given = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._header = {"authorization": f"Basic {given}"}

    async def headers(self, client: httpx.AsyncClient) -> dict[str, str]:
        """The same at each request."""
        del client
        return dict(self._header)

    def drop(self) -> bool:
        """There is nothing else to try."""
        return False


class ApiKey(Basic):
    """A key in ``x-sn-apikey``."""

    def __init__(self, key: str) -> None:
        self._header = {"x-sn-apikey": key}


class ClientCredentials:
    """OAuth 2.0 client credentials; a token is used until shortly before its end."""

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        *,
        now: Callable[[], datetime],
        scope: str = "",
    ) -> None:
        self._form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            **({"scope": scope} if scope else {}),
        }
        self._now = now
        self._held: tuple[str, datetime] | None = None
        self._lock = asyncio.Lock()

    async def headers(self, client: httpx.AsyncClient) -> dict[str, str]:
        """A bearer token, a new one where the last has ended."""
        async with self._lock:
            if self._held is None or self._held[1] <= self._now():
                self._held = await self._obtain(client)
            return {"authorization": f"Bearer {self._held[0]}"}

    def drop(self) -> bool:
        """Forget the token."""
        had = self._held is not None
        self._held = None
        return had

    async def _obtain(self, client: httpx.AsyncClient) -> tuple[str, datetime]:
        begun = self._now()
        headers = {"accept": "application/json"}
        try:
            # A form, because a JSON body fails with an error that says nothing.
            request = client.stream("POST", TOKEN_PATH, data=self._form, headers=headers)
            async with request as response:
                body = await read_body(response, TOKEN_BYTES, cut=True)
        except httpx.HTTPError as error:
            raise unreached(error, "The token endpoint") from error
        _check_odd(response, body)
        made = _json(body)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise _refusal(response, made)
        if response.is_server_error:
            text = f"The token endpoint answered {response.status_code}."
            raise VendorError("token_unavailable", text, status=response.status_code)
        token = made.get("access_token") if isinstance(made, dict) else None
        if not isinstance(token, str) or not token:
            text = f"The token endpoint answered {response.status_code} without a token."
            raise VendorError("token_refused", text, status=response.status_code)
        try:
            seconds = float(made["expires_in"])
        except (KeyError, TypeError, ValueError):
            seconds = SPARE.total_seconds()
        return token, begun + max(timedelta(seconds=seconds) - SPARE, timedelta(seconds=5))


Body: TypeAlias = Mapping[str, Any] | bytes | None  # sent as JSON, as it is, or not at all
NO_CONTENT = 204


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A success: status, what ``result`` holds, and the headers."""

    status: int
    result: Any
    headers: Mapping[str, str]


class ServiceNowClient:
    """Calls one instance.

    A ``VendorError`` of code ``lost`` means that a write may or may not have been done; every
    other one that it was not.
    """

    def __init__(self, client: httpx.AsyncClient, sign_in: SignIn) -> None:
        """Prepare; nothing is sent.

        Args:
            client: its base address is the instance's; follows no redirects, keeps no cookies.
            sign_in: proves who we are.
        """
        self._client = client
        self._sign_in = sign_in
        self.requests = 0

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(self, path: str, params: Mapping[str, str]) -> Reply:
        """Read; ``result`` is a list or an object.

        Raises:
            VendorError: it could not be read whole.
        """
        return await self._call("GET", path, params, None)

    async def post(self, path: str, params: Mapping[str, str], body: Mapping[str, Any]) -> Reply:
        """Create.

        Raises:
            VendorError: it was not done, or with code ``lost`` nobody knows.
        """
        return await self._call("POST", path, params, body)

    async def patch(self, path: str, params: Mapping[str, str], body: Mapping[str, Any]) -> Reply:
        """Change.

        Raises:
            VendorError: it was not done, or with code ``lost`` nobody knows.
        """
        return await self._call("PATCH", path, params, body)

    async def upload(self, path: str, params: Mapping[str, str], content: bytes) -> Reply:
        """Create from a PNG.

        Raises:
            VendorError: it was not done, or with code ``lost`` nobody knows.
        """
        return await self._call("POST", path, params, content)

    async def delete(self, path: str) -> None:
        """Delete.

        Raises:
            VendorError: it was not done, or with code ``lost`` nobody knows.
        """
        await self._call("DELETE", path, {}, None)

    async def _call(self, method: str, path: str, params: Mapping[str, str], body: Body) -> Reply:
        try:
            return await self._once(method, path, params, body)
        except VendorError as error:
            if error.code != "unauthorized" or not self._sign_in.drop():
                raise
        return await self._once(method, path, params, body)

    async def _once(self, method: str, path: str, params: Mapping[str, str], body: Body) -> Reply:
        headers = {"accept": "application/json", **await self._sign_in.headers(self._client)}
        is_file = isinstance(body, bytes)
        headers |= {"content-type": "image/png"} if is_file else {}
        self.requests += 1
        try:
            request = self._client.stream(
                method, path, params=dict(params), json=None if is_file else body,
                content=body if isinstance(body, bytes) else None, headers=headers,
            )  # fmt: skip
            async with request as response:
                content = await read_body(response, BODY_BYTES, cut=not response.is_success)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise unreached(error, "The instance") from error
        except httpx.HTTPError as error:
            raise _lost(method, f"No answer came: {error!r}") from error
        except VendorError as error:
            raise _lost(method, error.text) from error
        return _read(method, response, content)


def _lost(method: str, text: str, status: int | None = None) -> VendorError:
    return VendorError("unreachable" if method in READS else "lost", text, status=status)


def _read(method: str, response: httpx.Response, content: bytes) -> Reply:
    """Tell a success from everything that looks like one."""
    _check_odd(response, content)
    made = _json(content)
    status = response.status_code
    if status == NO_CONTENT:
        return Reply(status=status, result=None, headers=response.headers)
    if response.is_success:
        if not isinstance(made, dict) or "result" not in made:
            raise _lost(method, f"The instance answered {status} with half a body.", status)
        if "error" in made:
            text = f"The answer was cut off: {_words(made)}"
            raise _lost(method, text, status)
        return Reply(status=status, result=made["result"], headers=response.headers)
    if response.is_server_error:
        text = f"The instance answered {status}: {_words(made)}"
        raise _lost(method, text, status)
    raise _refusal(response, made)


def _check_odd(response: httpx.Response, content: bytes) -> None:
    """Refuse redirects, and the page of an instance that sleeps: both did nothing."""
    status = response.status_code
    if response.is_redirect:
        host = httpx.URL(response.headers.get("location", "")).host
        text = f"The instance sends us to {host or 'another address'}; base_url is not its own."
        raise VendorError("moved", text, status=status)
    if any(word.encode() in content for word in _ASLEEP):
        raise VendorError("asleep", "The instance hibernates; wake it by its portal.", status=200)


def _refusal(response: httpx.Response, made: Any) -> VendorError:
    status = response.status_code
    code = _BY_STATUS.get(status, "vendor_error")
    wait = retry_after(response.headers)
    text = f"The instance answered {status}: {_words(made)}"
    return VendorError(code, text, status=status, retry_after=wait)


def _words(made: Any) -> str:
    """What an error says, in one line."""
    error = made.get("error") if isinstance(made, dict) else None
    if not isinstance(error, dict):
        return "no reason given"
    parts = [str(error.get(name) or "") for name in ("message", "detail")]
    return " ".join(": ".join(part for part in parts if part).split())[:500]


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
