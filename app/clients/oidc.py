"""An OpenID provider: its metadata and its signing keys, read seldom and kept when it is down."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx

from app.clients.answers import fetch
from app.clients.errors import VendorError
from app.kit import http
from app.kit.tokens import Metadata, ProviderSilent, SigningKey, signing_keys

log = logging.getLogger(__name__)

KEPT_SECONDS = 24 * 3600.0  # keys are read anew after this time
PAUSE_SECONDS = 300.0  # least time between two readings, whoever asks for unknown keys
LARGEST = 256 * 1024  # bytes of metadata or of a JWK set
TIMEOUT_SECONDS = 5.0


class Provider:
    """One provider, at the address of its metadata."""

    def __init__(
        self,
        *,
        issuer: str,
        metadata_url: str | None = None,
        ca_file: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._url = metadata_url or f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        self._ca_file = ca_file
        self._monotonic = monotonic
        self._keys: dict[str, SigningKey] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._lock = asyncio.Lock()

    async def key(self, key_id: str) -> SigningKey | None:
        """The key of that id; None when the provider has none.

        Raises:
            ProviderSilent: its keys were never read, and cannot be now.
        """
        if key_id not in self._keys or self._is_old():
            await self._refresh(key_id)
        return self._keys.get(key_id)

    async def metadata(self) -> Metadata:
        """What the provider says of itself now.

        Raises:
            ProviderSilent: it does not answer, or not as one of that issuer.
        """
        found = json.loads(await self._fetch(self._url))
        if not isinstance(found, dict) or found.get("issuer") != self._issuer:
            raise ProviderSilent("The metadata is of another issuer.")
        made = Metadata(
            jwks_uri=str(found.get("jwks_uri", "")),
            authorization_endpoint=str(found.get("authorization_endpoint", "")),
            token_endpoint=str(found.get("token_endpoint", "")),
        )
        home = urlsplit(self._url)
        for address in (made.jwks_uri, made.token_endpoint):
            there = urlsplit(address)
            if address and (there.scheme, there.netloc) != (home.scheme, home.netloc):
                raise ProviderSilent("The metadata points to another host.")
        return made

    async def redeem(
        self,
        *,
        code: str,
        verifier: str,
        redirect_uri: str,
        client_id: str,
        client_secret: str | None,
    ) -> dict[str, object]:
        """Give an authorization code back for tokens (RFC 6749, section 4.1.3, with PKCE).

        Raises:
            ProviderSilent: the provider does not answer, or refuses.
        """
        told = await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": client_id,
            "code_verifier": verifier,
        }
        if client_secret is not None:
            form["client_secret"] = client_secret
        headers = {"content-type": "application/x-www-form-urlencoded"}
        try:
            async with self._client() as client:
                answer = await client.post(
                    told.token_endpoint, content=urlencode(form), headers=headers
                )
        except httpx.HTTPError as error:
            raise ProviderSilent("The provider does not answer.") from error
        if answer.status_code != http.OK or len(answer.content) > LARGEST:
            raise ProviderSilent("The code was not taken.")
        found = answer.json()
        return found if isinstance(found, dict) else {}

    def _is_old(self) -> bool:
        return self._read_at is None or self._monotonic() - self._read_at > KEPT_SECONDS

    def _may_try(self) -> bool:
        return self._tried_at is None or self._monotonic() - self._tried_at > PAUSE_SECONDS

    async def _refresh(self, key_id: str) -> None:
        async with self._lock:
            if key_id in self._keys and not self._is_old():
                return  # somebody else has read them meanwhile
            if not self._may_try():
                if self._read_at is None:
                    raise ProviderSilent("The issuer's keys were not read yet.")
                return
            self._tried_at = self._monotonic()
            try:
                self._keys = await self._read()
            except (ProviderSilent, ValueError) as error:
                log.warning("issuer_unread", extra={"error": str(error)[:200]})
                if self._read_at is None:
                    raise ProviderSilent("The issuer's keys cannot be read.") from error
                return  # the last good ones go on
            self._read_at = self._monotonic()

    async def _read(self) -> dict[str, SigningKey]:
        told = await self.metadata()
        return signing_keys(await self._fetch(told.jwks_uri))

    def _client(self) -> httpx.AsyncClient:
        return http.client(ca_file=self._ca_file, timeout_seconds=TIMEOUT_SECONDS)

    async def _fetch(self, url: str) -> bytes:
        try:
            async with self._client() as client:
                return await fetch(client, url, limit=LARGEST, accept="application/json")
        except VendorError as error:
            raise ProviderSilent(str(error)) from error
