"""Microsoft Graph over HTTP: bearer tokens, complete page loops, odd answers; raw in, raw out."""

import base64
import binascii
import contextlib
import json
import re
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import httpx
import msgspec

from app.clients.answers import read_body, retry_after, unreached
from app.clients.errors import VendorError
from app.kit.clock import SystemClock

__all__ = ["GraphClient", "VendorError"]

PAGE_SIZE = 1000  # documented maximum; asked for by Prefer, because $top suppresses the nextLink
PAGES_MAX = 200  # 200,000 records; a loop of links ends here
PAGE_BYTES = 32 * 1024 * 1024  # inflated bytes of one answer
TOTAL_BYTES = 128 * 1024 * 1024  # inflated bytes of one list
ERROR_BYTES = 64 * 1024  # kept of an answer that is no success

_CLAIMS = re.compile(r'\bclaims="([A-Za-z0-9+/=_-]+)"')
_BY_STATUS = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found",
    408: "timeout", 429: "throttled",
}  # fmt: skip
_BY_WORD = {
    "toomanyrequests": "throttled",
    "activitylimitreached": "throttled",
    "serviceunavailable": "unavailable",
    "servicenotavailable": "unavailable",
    "authorization_requestdenied": "forbidden",
    "accessdenied": "forbidden",
    "forbidden": "forbidden",
    "invalidauthenticationtoken": "unauthorized",
}


class Tokens(Protocol):
    """Where bearer tokens come from."""

    async def get(self) -> str:
        """Give a valid token."""
        ...

    async def drop(self, claims: str | None = None) -> None:
        """Forget the token in hand; the next one fulfils the claims of a challenge."""
        ...


class GraphClient:
    """Reads one version of one Graph; every list is read to its end or not at all.

    ``requests`` counts what was sent. ``ahead`` says how far the vendor's clock goes before ours,
    by the ``Date`` of its newest answer.
    """

    def __init__(
        self,
        client: Callable[[], httpx.AsyncClient],
        tokens: Tokens,
        *,
        base_url: str,
        version: str = "v1.0",
        page_bytes: int = PAGE_BYTES,
        wall: Callable[[], datetime] | None = None,
        allow: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            client: gives what carries the requests: follows no redirects, is not closed here.
            tokens: where bearer tokens come from.
            base_url: root of the API without version.
            version: path segment of the version.
            page_bytes: most inflated bytes of one answer.
            wall: the time of day, against which the vendor's clock is held.
            allow: asked before each request; raises ``VendorError`` when none may be sent now.
        """
        self._client = client
        self._tokens = tokens
        self._root = f"{base_url.rstrip('/')}/{version}"
        self._origin = _origin(httpx.URL(base_url))
        self._page_bytes = page_bytes
        self._allow = allow
        self._wall = wall or SystemClock().now
        self.requests = 0
        self.ahead: timedelta | None = None

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read one object.

        Raises:
            VendorError: anything else than that object came.
        """
        return (await self._answer(self._address(path, query)))[0]

    async def list(self, path: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Read all pages of a list; records come in the vendor's order and may repeat.

        Raises:
            VendorError: a page was missing, odd or too large; nothing of the list is given then.
        """
        records: list[dict[str, Any]] = []
        total = 0
        async for page, size in self._pages(self._address(path, query)):
            total += size
            if total > TOTAL_BYTES:
                raise VendorError("too_large", "The list is larger than is believable.")
            values = page.get("value")
            if not isinstance(values, list):
                raise VendorError("odd_body", "A page of the list has no value array.", status=200)
            # What is no object is handed on as an empty one, so that it is counted and not lost.
            records += [value if isinstance(value, dict) else {} for value in values]
        return records

    def _address(self, path: str, query: Mapping[str, str] | None) -> str:
        # Spaces as %20 and `$` as it stands: Graph's own links look so, and gateways differ on `+`.
        tail = urlencode(query, quote_via=quote, safe="$:,'()") if query else ""
        return f"{self._root}/{path}{'?' if tail else ''}{tail}"

    async def _pages(self, address: str) -> AsyncIterator[tuple[dict[str, Any], int]]:
        seen: set[str] = set()
        following: str | None = address
        while following is not None:
            if following in seen or len(seen) >= PAGES_MAX:
                raise VendorError("endless", "The pages of the list do not come to an end.")
            seen.add(following)
            page, size = await self._answer(following)
            yield page, size
            following = page.get("@odata.nextLink")
            if following is not None:
                self._check_link(following)

    def _check_link(self, link: object) -> None:
        """Refuse to carry our token anywhere else."""
        try:
            same = isinstance(link, str) and _origin(httpx.URL(link)) == self._origin
        except httpx.InvalidURL:
            same = False
        if not same:
            raise VendorError("foreign_link", "The next page lies at another origin.", status=200)

    async def _answer(self, address: str) -> tuple[dict[str, Any], int]:
        """Send, once more with a new token after a 401, and read the answer as an object."""
        try:
            return await self._once(address)
        except VendorError as error:
            if error.code != "unauthorized":
                raise
            claims = error.claims
        await self._tokens.drop(claims)
        return await self._once(address)

    async def _once(self, address: str) -> tuple[dict[str, Any], int]:
        headers = {
            "authorization": f"Bearer {await self._tokens.get()}",
            "accept": "application/json",
            "client-request-id": str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)),
            "prefer": f"odata.maxpagesize={PAGE_SIZE}, include-unknown-enum-members",
        }
        client = self._client()
        if self._allow is not None:
            await self._allow()
        self.requests += 1
        try:
            async with client.stream("GET", address, headers=headers) as response:
                success = response.is_success
                limit = self._page_bytes if success else ERROR_BYTES
                body = await read_body(response, limit, cut=not success)
                self._hear(response)
                if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    await _abandon(response)
        except httpx.TimeoutException as error:
            raise VendorError("timeout", f"Graph did not answer in time{_phase(error)}.") from error
        except httpx.HTTPError as error:
            raise unreached(error, "Graph") from error
        if not success:
            raise _refusal(response, body)
        return _object_in(body, response), len(body)

    def _hear(self, response: httpx.Response) -> None:
        """Note the vendor's time of day; to the second, which is all the header has."""
        with contextlib.suppress(ValueError, TypeError):
            told = parsedate_to_datetime(response.headers.get("date", ""))
            self.ahead = told - self._wall()


def _phase(error: httpx.TimeoutException) -> str:
    return ", the connection was never made" if isinstance(error, httpx.ConnectTimeout) else ""


async def _abandon(response: httpx.Response) -> None:
    """Close the connection behind an answer: Graph asks for a new one after a 503."""
    stream = response.extensions.get("network_stream")
    if stream is not None:
        await stream.aclose()


def _claims_in(challenge: str) -> str | None:
    """The claims that a challenge asks for (continuous access evaluation), as JSON."""
    found = _CLAIMS.search(challenge)
    if found is None:
        return None
    try:
        text = base64.b64decode(found[1] + "=" * (-len(found[1]) % 4), altchars=b"-_")
        return text.decode() if isinstance(_json(text), dict) else None
    except (binascii.Error, ValueError):
        return None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    port = url.port or {"https": 443, "http": 80}.get(url.scheme)
    return url.scheme, url.host.lower(), port


def _object_in(body: bytes, response: httpx.Response) -> dict[str, Any]:
    """Read a success: an object, a text that holds one, or else an odd body."""
    made = _json(body)
    if isinstance(made, str):  # seen behind gateways: JSON written into a JSON string
        made = _json(made.encode())
    if isinstance(made, dict):
        if "error" in made and "value" not in made and "id" not in made:
            raise _refusal(response, body)
        return made
    if not body.strip():
        what = "is empty"
    elif body.lstrip()[:1] == b"<":
        what = "is HTML, so a proxy or a sign-in page stands between"
    else:
        what = "is cut off or no JSON object"
    raise VendorError("odd_body", f"The answer of Graph {what}.", status=response.status_code)


def _json(body: bytes) -> Any:
    text = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:  # half a character in one post must not hide all the others, so its place is marked
        return _whole(json.loads(text.decode("utf-8", "replace")))
    except (ValueError, RecursionError):
        return None


def _whole(made: Any) -> Any:
    """Replace halves of surrogate pairs in every text."""
    match made:
        case str():
            return made.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_whole(item) for item in made]
        case dict():
            return {_whole(key): _whole(item) for key, item in made.items()}
        case _:
            return made


def _refusal(response: httpx.Response, body: bytes) -> VendorError:
    made = _json(body)
    error = made.get("error") if isinstance(made, dict) else None
    error = error if isinstance(error, dict) else {}
    status = response.status_code
    word, told = _unwrapped(error)
    code = _BY_STATUS.get(status) or _BY_WORD.get(word.casefold())
    if code is None:
        code = "unavailable" if status >= httpx.codes.INTERNAL_SERVER_ERROR else "vendor_error"
    if error and _is_absent(word, told):
        code = "not_found"  # an id that is not ours comes back as "forbidden"
    elif code == "not_found" and not error:
        code = "odd_body"  # some proxy's page, which says nothing of the record
    text = f"Graph answered {status} {word}: {told[:300]}".strip(" :")
    if not error:
        text += " without a reason, as a proxy does"
    claims = _claims_in(response.headers.get("www-authenticate", ""))
    wait = retry_after(response.headers)
    return VendorError(code, text, status=status, retry_after=wait, claims=claims)


def _unwrapped(error: Mapping[str, Any]) -> tuple[str, str]:
    """The code and message of an error; the message may be JSON in a string in a JSON string."""
    word, told = str(error.get("code") or ""), str(error.get("message") or "")
    for _ in range(3):
        inner = _json(told.encode()) if told.lstrip().startswith("{") else None
        if not isinstance(inner, dict):
            break
        word = str(inner.get("code") or word)
        told = str(inner.get("message") or inner.get("error") or "")
    return word, told


def _is_absent(word: str, told: str) -> bool:
    hidden = word.casefold() in {"forbidden", "unknownerror"}
    return hidden and "resource doesn't exist for the tenant" in told.casefold()
