"""SMTP submission, one mail a connection: what was certainly not sent, and what may have been."""

import asyncio
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.clients.entra import EntraTokens
from app.clients.errors import VendorError

CONNECT_SECONDS = 15.0
TEMPORARY = range(400, 500)
_ENHANCED = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
WORDS = 300  # characters of a refusal that are told


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpAccess:
    """Where mail is handed in; ``security`` is ``starttls``, ``tls`` or ``none``."""

    host: str
    port: int
    security: str
    tls: ssl.SSLContext
    username: str = ""
    password: str = ""
    tokens: EntraTokens | None = None  # signs in with a token in place of a password
    timeout_seconds: float = 30.0


class SmtpClient:
    """Hands mail in at one relay."""

    def __init__(self, access: SmtpAccess) -> None:
        self._access = access

    async def send(self, mail: bytes, sender: str, recipients: Sequence[str]) -> dict[str, str]:
        """Hand one mail in.

        Args:
            mail: headers and body, lines ended by CRLF.
            sender: the envelope's.
            recipients: the envelope's.

        Returns:
            Recipients that were refused for good, each with the relay's words; the rest has it.

        Raises:
            VendorError: nobody has it; with code ``lost`` perhaps somebody has.
        """
        import aiosmtplib  # noqa: PLC0415 - most installations send no mail

        relay = await self._connect(aiosmtplib)
        try:
            refused = await self._envelope(aiosmtplib, relay, sender, recipients)
            await self._data(aiosmtplib, relay, mail)
        finally:
            relay.close()
        return refused

    async def _connect(self, library: Any) -> Any:
        access = self._access
        token = await access.tokens.get() if access.tokens is not None else None
        relay = library.SMTP(
            hostname=access.host, port=access.port, timeout=access.timeout_seconds,
            use_tls=access.security == "tls", start_tls=access.security == "starttls",
            tls_context=access.tls if access.security != "none" else None,
            local_hostname="localhost",
        )  # fmt: skip
        try:
            await relay.connect()
            if token is not None:
                await relay.auth_xoauth2(access.username, token)
            elif access.username:
                await relay.login(access.username, access.password)
        except library.SMTPAuthenticationError as error:
            relay.close()
            if access.tokens is not None:
                await access.tokens.drop()  # revoked, perhaps: the next mail asks for a new one
            code = "throttled" if error.code in TEMPORARY else "unauthorized"
            raise VendorError(code, f"The relay did not let us in: {_words(error)}") from error
        except library.SMTPNotSupported as error:
            relay.close()
            raise VendorError("not_supported", f"The relay cannot do that: {error}") from error
        except library.SMTPResponseException as error:
            relay.close()
            raise _refused(error, "greeting") from error
        except (library.SMTPException, OSError, ValueError) as error:
            relay.close()
            raise _unreached(error) from error
        return relay

    async def _envelope(
        self, library: Any, relay: Any, sender: str, recipients: Sequence[str]
    ) -> dict[str, str]:
        """Name sender and recipients; nothing is sent yet."""
        refused: dict[str, str] = {}
        waits: Exception | None = None
        taken = 0
        try:
            await relay.mail(sender)
            for recipient in recipients:
                try:
                    await relay.rcpt(recipient)
                    taken += 1
                except library.SMTPRecipientRefused as error:
                    if error.code in TEMPORARY:
                        waits = waits or error
                    else:
                        refused[recipient] = _words(error)
        except library.SMTPResponseException as error:
            raise _refused(error, "sender") from error
        except (library.SMTPException, OSError) as error:
            raise _unreached(error) from error
        if waits is not None:  # rather later to all than now to some and twice to others
            raise _refused(waits, "recipient") from waits
        if not taken:
            words = next(iter(refused.values()), "no recipient")
            raise VendorError("no_recipient", f"The relay takes none of the recipients: {words}")
        return refused

    async def _data(self, library: Any, relay: Any, mail: bytes) -> None:
        """Hand over the mail itself; from here on nobody may know."""
        try:
            await relay.data(mail)
        except library.SMTPDataError as error:
            raise _refused(error, "mail") from error
        except (library.SMTPException, OSError, asyncio.IncompleteReadError) as error:
            text = f"The relay did not say whether it took the mail ({type(error).__name__})."
            raise VendorError("lost", text) from error


def _refused(error: Any, what: str) -> VendorError:
    """A relay's no: for now where it begins with 4, else for good."""
    code = "throttled" if error.code in TEMPORARY else f"{what}_refused"
    return VendorError(code, f"The relay refused the {what}: {_words(error)}", status=error.code)


def _unreached(error: Exception) -> VendorError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return VendorError("tls_failed", f"The relay's certificate is not trusted: {cause}")
        cause = cause.__cause__ or cause.__context__
    return VendorError("unreachable", f"The relay cannot be reached ({type(error).__name__}).")


def _words(error: Any) -> str:
    """What the relay said, in one line."""
    return f"{error.code} {' '.join(str(error.message).split())}"[:WORDS]


def wait_of(error: VendorError) -> timedelta | None:
    """How long a temporary no holds, where its words say: relays say so in none but plain text."""
    found = re.search(r"(?i)try again in (\d{1,5}) seconds", error.text)
    return timedelta(seconds=int(found[1])) if found else None
