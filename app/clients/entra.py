"""Entra tokens for an application of ours: built lazily, one request at a time, kept by msal."""

import asyncio
import base64
import binascii
import re
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import httpx
import msgspec

from app.clients.credentials import Acquire, Application, ManagedIdentity, Stamp, build_acquire
from app.clients.errors import VendorError

__all__ = ["EntraTokens", "roles_in"]

_TRY_LATER = frozenset({"temporarily_unavailable", "server_error", "unknown_error", "timeout"})
EARLY = 300.0  # seconds before its end from which msal calls a token expired
AGAIN = 30.0  # seconds between two looks at a token that is due for its early refresh
NO_TENANT = 90002  # Entra's number
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")  # says nothing to people
_STATUS = re.compile(r"HTTP status: (\d{3})")  # msal's words
LONGEST_HOLD = 3600.0  # seconds that a token is used without asking msal


class EntraTokens:
    """Gives bearer tokens of one application for one scope.

    Nothing happens before the first ``get``: msal's constructor already calls Entra, and an Entra
    that is down must not keep us from starting. A token in hand survives an outage of Entra. After
    a refusal everything is built anew, because msal repeats a refusal from memory for a minute.
    """

    def __init__(
        self,
        http: Callable[[], httpx.Client],
        who: Application,
        *,
        threads: Executor | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            http: gives the client that msal is to use; called once, in a thread.
            who: the application; its authority names the tenant and is never ``common``.
            threads: where sign-ins wait; None takes those of the event loop.
            monotonic: seconds that only grow.
        """
        self._http = http
        self._who = who
        self._threads = threads
        self._monotonic = monotonic
        self._lock = asyncio.Lock()  # msal has no single flight of its own
        self._acquire: Acquire | None = None
        self._stamp: Stamp = None
        self._claims: str | None = None
        self._held: tuple[str, float] | None = None  # a token, and until when nobody is asked

    async def get(self) -> str:
        """Give a valid token, from memory where possible.

        Raises:
            VendorError: ``token_refused`` when our credential is at fault, ``token_unavailable``
                when Entra cannot be reached or cannot answer now, ``credential_unreadable`` when
                the credential's file cannot be used.
        """
        held = self._in_hand()
        if held is not None:
            return held
        async with self._lock:
            held = self._in_hand()  # whoever had the lock before may have brought one
            if held is not None:
                return held
            loop = asyncio.get_running_loop()
            token, seconds = await loop.run_in_executor(self._threads, self._obtain)
            self._held = (token, self._monotonic() + seconds)
            return token

    async def drop(self, claims: str | None = None) -> None:
        """Forget the token in hand, because the API no longer takes it.

        Args:
            claims: what the API's challenge asks a new token to fulfil, as JSON.
        """
        async with self._lock:
            self._held, self._acquire, self._claims = None, None, claims

    def _in_hand(self) -> str | None:
        held = self._held
        return held[0] if held is not None and self._monotonic() < held[1] else None

    def _obtain(self) -> tuple[str, float]:
        # A slow import that a start without Graph does not need; msal ships no types.
        import msal  # type: ignore[import-untyped]  # noqa: PLC0415
        from requests import RequestException  # noqa: PLC0415 - comes with msal

        out_of_reach = (httpx.HTTPError, RequestException, msal.exceptions.MsalServiceError)
        try:
            # With these exceptions named, an early refresh that fails leaves the old token. A
            # page of HTML with status 200 is a ValueError of the JSON reader.
            acquire = self._application((*out_of_reach, VendorError, ValueError))
            answer = acquire(self._claims)
            self._claims = None
            return _token_in(answer)
        except VendorError as error:
            if error.code == "token_refused":
                self._acquire = None
            raise
        except out_of_reach as error:
            text = f"{self._far} cannot be reached: {_ERRNO.sub('', str(error))}"
            raise VendorError("token_unavailable", text) from error
        except ValueError as error:  # discovery answered, but not with an authority
            raise _undiscovered(error, self._far) from error

    def _application(self, soft: tuple[type[Exception], ...]) -> Acquire:
        """The application, built anew when its certificate's file changed and can be used."""
        stamp = self._who.credential.stamp()
        if self._acquire is not None and (stamp is None or stamp == self._stamp):
            return self._acquire
        try:
            made = build_acquire(self._who, self._http(), soft)
        except Exception:  # whatever it is, what we have may still work
            if self._acquire is None:
                raise
            return self._acquire
        self._acquire, self._stamp = made, stamp
        return made

    @property
    def _far(self) -> str:
        machine = isinstance(self._who.credential, ManagedIdentity)
        return "The endpoint of the managed identity" if machine else "Entra"


def _token_in(answer: Any) -> tuple[str, float]:
    """The token, and for how many seconds it is used without asking again."""
    if not isinstance(answer, dict):
        raise VendorError("token_unavailable", "Entra gave no answer.")
    token = answer.get("access_token")
    if isinstance(token, str) and token:
        total = float(answer.get("expires_in") or 0)
        left = total - EARLY
        refresh = answer.get("refresh_on")
        if refresh is not None:
            left = min(left, float(refresh) - time.time())  # noqa: TID251 - msal's own clock
        # A token under its early refresh is still good, and Entra is not asked at every request.
        return token, min(max(left, min(AGAIN, total / 2)), LONGEST_HOLD)
    error = str(answer.get("error") or "unknown")
    told = str(answer.get("error_description") or error).splitlines()[0]
    told = told.partition(" Trace ID: ")[0]
    code = "token_unavailable" if error in _TRY_LATER else "token_refused"
    numbers = answer.get("error_codes")
    number = numbers[0] if isinstance(numbers, list) and numbers else None
    number = number if isinstance(number, int) else None
    raise VendorError(code, f"Entra refused a token: {told[:300]}", number=number)


def _undiscovered(error: ValueError, far: str) -> VendorError:
    """Say why no authority was found; what was answered stands in the exception behind."""
    told = f"{error} {error.__context__ or ''}"
    if "AADSTS90002" in told or "invalid_tenant" in told:
        return VendorError("token_refused", f"{far} knows no such tenant.", number=NO_TENANT)
    status = _STATUS.search(told)
    what = f"answered {status[1]}" if status else "answered what is no JSON, as a proxy does"
    return VendorError("token_unavailable", f"{far} {what}, and not with a token.")


def roles_in(token: str) -> tuple[str, ...] | None:
    """Read the application permissions that a token carries; None where it cannot be looked into.

    The token is ours to send and not ours to trust: this is for telling people, never for access.
    """
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        return None
    try:
        text = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = msgspec.json.decode(text)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
    if not isinstance(claims, dict):
        return None
    roles = claims.get("roles")
    return tuple(sorted(map(str, roles))) if isinstance(roles, list) else ()
