"""One call of a JSON API: what was certainly not done, and what may have been; raw in, raw out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.clients.answers import read_body, retry_after, unreached
from app.clients.errors import VendorError

BODY_BYTES = 4 * 1024 * 1024  # inflated bytes of one answer
WORDS = 300  # characters of a refusal that are told
_BY_STATUS = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 410: "not_found",
    413: "too_large", 429: "throttled",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A success; ``made`` is its JSON, None where the body is none, ``text`` how it begins."""

    status: int
    made: Any
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Calls:
    """Calls one API.

    A ``VendorError`` of code ``lost`` means that a write may or may not have been done; every
    other one that it was not. No text of an error holds an address, which may be a secret.
    """

    def __init__(self, client: httpx.AsyncClient, *, who: str) -> None:
        """Prepare; ``who`` names the other side at the beginning of a sentence."""
        self._client = client
        self._who = who

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(
        self, method: str, path: str, *, body: Any = None, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
    ) -> Reply:  # fmt: skip
        """Call once; ``body`` is sent as JSON, or as it is where it is bytes.

        ``files`` maps form field to name, content and media type, and takes the body's place.

        Raises:
            VendorError: it was refused, not reached, or with code ``lost`` nobody knows.
        """
        sent = {"accept": "application/json", **(headers or {})}
        content = body if isinstance(body, bytes) else None
        try:
            request = self._client.stream(
                method, path, params=dict(params) if params else None, headers=sent,
                content=content, json=body if content is None else None, files=files,
            )  # fmt: skip
            async with request as response:
                raw = await read_body(response, BODY_BYTES, cut=not response.is_success)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise unreached(error, self._who) from error
        except httpx.HTTPError as error:
            raise self._lost(method, f"{self._who} did not answer ({type(error).__name__}).") from (
                error
            )
        except VendorError as error:
            raise self._lost(method, error.text) from error
        return self._read(method, response, raw)

    def _lost(self, method: str, text: str, status: int | None = None) -> VendorError:
        code = "unreachable" if method == "GET" else "lost"
        return VendorError(code, text, status=status)

    def _read(self, method: str, response: httpx.Response, raw: bytes) -> Reply:
        status, made = response.status_code, _json(raw)
        if response.is_success:
            text = raw[: 4 * WORDS].decode("utf-8", "replace")
            return Reply(status=status, made=made, text=text, headers=response.headers)
        text = f"{self._who} answered {status}: {_words(made, raw, response.headers)}"
        if response.is_redirect:
            text = f"{self._who} sends us elsewhere ({status}); the address is not its own."
            raise VendorError("moved", text, status=status)
        if response.is_server_error:
            error = self._lost(method, text, status)
            error.retry_after = retry_after(response.headers)
            raise error
        code = _BY_STATUS.get(status, "vendor_error")
        raise VendorError(code, text, status=status, retry_after=retry_after(response.headers))


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _words(made: Any, raw: bytes, headers: Mapping[str, str]) -> str:
    """What a refusal says, in one line; of a page only that it is one."""
    if made is not None:
        text = json.dumps(made, ensure_ascii=False)
    elif "html" in headers.get("content-type", ""):
        text = "a page"
    else:
        text = raw[: 4 * WORDS].decode("utf-8", "replace")
    return " ".join(text.split())[:WORDS] or "no reason given"
