"""Entra tokens for an application of ours: built lazily, one request at a time, kept by msal."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from app.clients.errors import VendorError

_TRY_LATER = frozenset({"temporarily_unavailable", "server_error"})


class _SyncHttp:
    """What msal calls: an ``httpx.Client`` whose form fields are text.

    msal hands over a certificate's assertion as bytes, which httpx would write as ``b'…'``.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def post(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> httpx.Response:
        form = {
            key: value.decode() if isinstance(value, bytes) else value
            for key, value in (data or {}).items()
            if value is not None
        }
        return self._client.post(url, params=params, data=form, headers=headers)

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> httpx.Response:
        return self._client.get(url, params=params, headers=headers)

    def close(self) -> None:
        self._client.close()


class EntraTokens:
    """Gives bearer tokens of one application for one scope.

    Nothing happens before the first ``get``: msal's constructor already calls Entra, and an Entra
    that is down must not keep us from starting. A token in hand survives an outage of Entra.
    """

    def __init__(
        self,
        http: Callable[[], httpx.Client],
        *,
        authority: str,
        client_id: str,
        secret: str,
        scope: str,
    ) -> None:
        """Prepare.

        Args:
            http: makes the client that msal is to use; called once, in a thread.
            authority: https address with the tenant id, which is never ``common``.
            client_id: id of the application.
            secret: its client secret.
            scope: root of the API and ``/.default``.
        """
        self._http = http
        self._authority = authority
        self._client_id = client_id
        self._secret = secret
        self._scope = scope
        self._lock = asyncio.Lock()  # msal has no single flight of its own
        self._application: Any = None
        self._wire: _SyncHttp | None = None

    async def get(self) -> str:
        """Give a valid token, from memory where possible.

        Raises:
            VendorError: ``token_refused`` when our credential is at fault, ``token_unavailable``
                when Entra cannot be reached or cannot answer now.
        """
        async with self._lock:
            return await asyncio.to_thread(self._acquire)

    async def drop(self) -> None:
        """Forget the tokens in hand, because the API no longer takes them."""
        async with self._lock:
            if self._application is not None:
                await asyncio.to_thread(self._application.remove_tokens_for_client)

    def close(self) -> None:
        """Let go of the connections."""
        if self._wire is not None:
            self._wire.close()

    def _acquire(self) -> str:
        # A slow import that a start without Graph does not need; msal ships no types.
        import msal  # type: ignore[import-untyped]  # noqa: PLC0415
        from requests import RequestException  # noqa: PLC0415 - comes with msal

        soft = (httpx.HTTPError, RequestException, msal.exceptions.MsalServiceError)
        try:
            if self._application is None:
                self._application = self._build(msal)
            # With these exceptions named, an early refresh that fails leaves the token in hand.
            answer = self._application.acquire_token_for_client([self._scope], http_exceptions=soft)
        except soft as error:
            raise VendorError("token_unavailable", f"Entra cannot be reached: {error}") from error
        except ValueError as error:  # discovery answered, but not with an authority
            raise VendorError("token_unavailable", f"Entra did not answer: {error}") from error
        return _token_in(answer)

    def _build(self, msal: Any) -> Any:
        if self._wire is None:
            self._wire = _SyncHttp(self._http())
        return msal.ConfidentialClientApplication(
            self._client_id,
            authority=self._authority,
            client_credential=self._secret,
            http_client=self._wire,
            instance_discovery=False,
        )


def _token_in(answer: Any) -> str:
    if not isinstance(answer, dict):
        raise VendorError("token_unavailable", "Entra gave no answer.")
    token = answer.get("access_token")
    if isinstance(token, str) and token:
        return token
    error = str(answer.get("error") or "unknown")
    told = str(answer.get("error_description") or error).splitlines()[0]
    code = "token_unavailable" if error in _TRY_LATER else "token_refused"
    raise VendorError(code, f"Entra refused a token: {told[:300]}")
