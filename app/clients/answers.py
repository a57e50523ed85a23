"""Answers over HTTP: bounded bodies, silence by its cause, and when to come again."""

import os
import ssl
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime

import httpx

from app.clients.errors import VendorError

LONGEST_WAIT = timedelta(hours=1)  # a Retry-After beyond this is not believed


async def fetch(client: httpx.AsyncClient, url: str, *, limit: int, accept: str) -> bytes:
    """Read one public page.

    Raises:
        VendorError: it did not answer, or not with 200, or with more than ``limit`` bytes.
    """
    try:
        async with client.stream("GET", url, headers={"accept": accept}) as response:
            body = await read_body(response, limit, cut=not response.is_success)
    except httpx.TimeoutException as error:
        raise VendorError("timeout", f"The page did not answer in time: {error!r}") from error
    except httpx.HTTPError as error:
        raise unreached(error, "The page") from error
    status = response.status_code
    if status == httpx.codes.OK:
        return body
    code = "throttled" if status == httpx.codes.TOO_MANY_REQUESTS else "unavailable"
    wait = retry_after(response.headers)
    raise VendorError(code, f"The page answered {status}.", status=status, retry_after=wait)


async def read_body(response: httpx.Response, limit: int, *, cut: bool) -> bytes:
    """Read a body of at most ``limit`` inflated bytes; a longer one is cut, or else refused.

    Raises:
        VendorError: it is longer and not to be cut.
    """
    parts = bytearray()
    async for part in response.aiter_bytes():
        parts += part
        if len(parts) > limit:
            if cut:
                return bytes(parts[:limit])
            raise VendorError("too_large", "An answer is larger than is believable.")
    return bytes(parts)


def unreached(error: httpx.HTTPError, what: str) -> VendorError:
    """Say why nothing came; ``what`` names the other side at the beginning of a sentence."""
    why = str(error) or type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return VendorError("tls_failed", f"The certificate is not trusted: {cause}")
        if isinstance(cause, OSError) and cause.errno is not None:  # what the system itself said
            why = os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.DecodingError):
        return VendorError("odd_body", f"{what} sent what cannot be inflated.")
    if isinstance(error, httpx.ReadError | httpx.RemoteProtocolError):
        return VendorError("unreachable", f"{what} broke off: {why}")
    return VendorError("unreachable", f"{what} cannot be reached: {why}")


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Read ``Retry-After`` in seconds or as a date, the latter by the answer's own ``Date``."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        wait = timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        try:
            until = parsedate_to_datetime(text)
            wait = until - parsedate_to_datetime(headers.get("date", ""))
        except (ValueError, TypeError):
            return None
    return min(max(wait, timedelta()), LONGEST_WAIT)
