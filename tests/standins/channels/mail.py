"""A mail relay and the mailboxes behind it: SMTP by aiosmtpd, sign-in, refusals, one mail per id.

Mailboxes drop a mail whose Message-ID they have had, as Exchange does, unless told not to.
"""

import asyncio
import base64
import email
import email.policy
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.standins.channels.trouble import Trouble
from tests.standins.server import HOST

LONGEST = 36 * 1024 * 1024
WAIT = "451 4.7.500 Server busy. Please try again in 9 seconds"


@dataclass(slots=True, kw_only=True)
class Relay:
    """What it holds and what it does wrong next."""

    username: str = "sextant@contoso.example"
    password: str = "app-password-right"
    accepts: str = "@contoso.example"
    admits: Callable[[str, str], bool] | None = None  # user and token; then nothing else signs in
    drops_repetitions: bool = True
    refuses: bool = False
    largest: int = LONGEST  # bytes of a mail that a gateway behind it lets pass
    troubles: list[Trouble] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    attempts: int = 0
    port: int = 0

    @property
    def mailbox(self) -> list[EmailMessage]:
        """What a person sees in the end."""
        if not self.drops_repetitions:
            return list(self.mails)
        return list({str(mail["Message-ID"]): mail for mail in self.mails}.values())

    def signs_in(self, _server: Any, _session: Any, _envelope: Any, how: str, data: Any) -> Any:
        """Check user and password."""
        del how
        right = LoginPassword(self.username.encode(), self.password.encode())
        # Not handled: the server itself then says 535, as it must.
        return AuthResult(success=data == right, handled=False)

    async def auth_XOAUTH2(  # noqa: N802 - the library's name
        self, _server: Any, args: list[str]
    ) -> AuthResult:
        """Check user and token, as Exchange Online does: a no is a plain 535."""
        fields = dict(
            part.split("=", 1)
            for part in base64.b64decode(args[1]).decode().split("\x01")
            if "=" in part
        )
        token = fields.get("auth", "").removeprefix("Bearer ")
        right = self.admits is not None and self.admits(fields.get("user", ""), token)
        return AuthResult(success=right, handled=False)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """Take recipients of this organization alone."""
        if not address.endswith(self.accepts):
            return "550 5.7.1 Unable to relay"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the library's name
        self, server: Any, _session: Session, envelope: Envelope
    ) -> str:
        """Take a mail, or do what is wrong next."""
        self.attempts += 1
        trouble = self.troubles.pop(0) if self.troubles else None
        if self.refuses:
            return "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"
        if trouble is Trouble.THROTTLED:
            return WAIT
        if trouble in {Trouble.ERROR, Trouble.ELSEWHERE}:
            return "451 4.3.2 Temporary server error"
        content = envelope.content
        assert isinstance(content, bytes)
        if len(content) > self.largest:
            return "552 5.3.4 Message size exceeds fixed maximum message size"
        made = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(made, EmailMessage)
        self.mails.append(made)
        if trouble in {Trouble.COMMITTED, Trouble.CUT, Trouble.HANGS}:
            server.transport.abort()
        return "250 2.0.0 OK"


@asynccontextmanager
async def relaying(relay: Relay, tls: ssl.SSLContext) -> AsyncIterator[Relay]:
    """Serve on a free port, with STARTTLS required before anybody signs in."""

    def made() -> SMTP:
        return SMTP(
            relay, hostname="relay.contoso.example", tls_context=tls, require_starttls=True,
            authenticator=relay.signs_in, auth_required=True, data_size_limit=LONGEST,
            enable_SMTPUTF8=False,
            auth_exclude_mechanism=["LOGIN", "PLAIN"] if relay.admits else ["XOAUTH2"],
        )  # fmt: skip

    loop = asyncio.get_running_loop()
    server = await loop.create_server(made, HOST, 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await server.wait_closed()
