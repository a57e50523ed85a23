"""Another Sextant as a receiver of probe results: what an agent posts to."""

import gzip
import ssl
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import httpx

from app.core.ports import Posted, PostVerdict
from app.kit import http, signing
from app.kit.clock import Clock
from app.kit.ids import new_id

PATH = "/v1/probe-results"
TIMEOUT_SECONDS = 30.0
DETAIL_KEPT = 200  # characters of an answer that are logged
_TOO_LARGE = 413
_UNREADABLE = frozenset({400, 415, 422})


Proof = Callable[[bytes], dict[str, str]]  # the headers that say whose body it is


def bearer(key: str | None) -> Proof:
    """Prove by an API key; None leaves it to the certificate of the connection."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return lambda _: headers


def signer(name: str, secret: str, *, clock: Clock) -> Proof:
    """Prove by a signature over the body before its compression, as a caller of the settings."""

    def headers(body: bytes) -> dict[str, str]:
        # A repetition is a message of its own: each id is taken once.
        signed = signing.headers([secret], message_id=new_id("msg"), at=clock.now(), body=body)
        return {"sextant-caller": name, **signed}

    return headers


class SextantUpstream:
    """Posts lines of probe results; implements ``core.ports.Upstream``."""

    def __init__(self, url: str, proof: Proof, *, verify: ssl.SSLContext | None = None) -> None:
        """Prepare; ``url`` is the root of the installation, ``proof`` says who we are."""
        self._client = http.client(verify=verify, timeout_seconds=TIMEOUT_SECONDS, base_url=url)
        self._proof = proof
        self._headers = {
            "content-type": "application/x-ndjson",
            "content-encoding": "gzip",
        }

    async def post(self, lines: Sequence[bytes]) -> Posted:
        """Hand over lines; a request that did not come through is a verdict, not an exception."""
        plain = b"\n".join(lines)
        body = gzip.compress(plain, compresslevel=1)
        headers = {**self._headers, **self._proof(plain)}
        try:
            answer = await self._client.post(PATH, content=body, headers=headers)
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
