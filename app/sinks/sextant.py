"""Another Sextant as a receiver of probe results: what an agent posts to."""

import gzip
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx

from app.core.ports import Posted, PostVerdict
from app.kit import http

PATH = "/v1/probe-results"
TIMEOUT_SECONDS = 30.0
DETAIL_KEPT = 200  # characters of an answer that are logged
_TOO_LARGE = 413
_UNREADABLE = frozenset({400, 415, 422})


class SextantUpstream:
    """Posts lines of probe results with an API key; implements ``core.ports.Upstream``."""

    def __init__(self, url: str, key: str, *, ca_file: str | None = None) -> None:
        """Prepare; ``url`` is the root of the installation."""
        self._client = http.client(ca_file=ca_file, timeout_seconds=TIMEOUT_SECONDS, base_url=url)
        self._headers = {
            "authorization": f"Bearer {key}",
            "content-type": "application/x-ndjson",
            "content-encoding": "gzip",
        }

    async def post(self, lines: Sequence[bytes]) -> Posted:
        """Hand over lines; a request that did not come through is a verdict, not an exception."""
        body = gzip.compress(b"\n".join(lines), compresslevel=1)
        try:
            answer = await self._client.post(PATH, content=body, headers=self._headers)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Posted(verdict=PostVerdict.LATER, detail=str(error) or type(error).__name__)
        return _verdict(answer)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _verdict(answer: httpx.Response) -> Posted:
    if answer.is_success:
        return Posted(verdict=PostVerdict.TAKEN, rejected=_rejected(answer))
    detail = f"HTTP {answer.status_code} {answer.text[:DETAIL_KEPT]}"
    if answer.status_code == _TOO_LARGE:
        return Posted(verdict=PostVerdict.TOO_LARGE, detail=detail)
    if answer.status_code in _UNREADABLE:
        return Posted(verdict=PostVerdict.UNREADABLE, detail=detail)
    wish = answer.headers.get("retry-after", "")
    wait = timedelta(seconds=int(wish)) if wish.isdigit() else None
    return Posted(verdict=PostVerdict.LATER, detail=detail, retry_after=wait)


def _rejected(answer: httpx.Response) -> tuple[tuple[int, str], ...]:
    try:
        found: Any = answer.json()
        return tuple((int(one["index"]), str(one["detail"])) for one in found["rejected"])
    except (ValueError, KeyError, TypeError):  # taken all the same
        return ()
