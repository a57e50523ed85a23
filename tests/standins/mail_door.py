"""Mail front door stand-in: IMAP, POP and SMTP servers on loopback, with STARTTLS and in moods.

Banners and capabilities are those recorded of Exchange Online (probe catalogue). Nothing is stored:
a door answers what a client says before it would sign in, and the IMAP door lets users in whom
``admits`` knows by the token of their SASL XOAUTH2 proof (RFC 7628's forerunner; the framing is in
Microsoft's "Authenticate an IMAP, POP or SMTP connection using OAuth").
"""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

HOST = "127.0.0.1"
IMAP_BANNER = (
    "* OK The Microsoft Exchange IMAP4 service is ready. [RgBSADAAUAAyADcAOABDAEEAMAAwADEA]"
)
POP_BANNER = "+OK The Microsoft Exchange POP3 service is ready. [RgBSADIAUAAyADgAMQ==]"
SMTP_BANNER = (
    "220 AM0PR01CA0001.outlook.office365.com Microsoft ESMTP MAIL Service ready at "
    "Mon, 16 Mar 2026 06:00:00 +0000 [08DE8211F00DCAFE]"
)
IMAP_OFFERS = "IMAP4 IMAP4rev1 AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT IDLE NAMESPACE"
EHLO_OFFERS = (
    "SIZE 49283072", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "8BITMIME", "BINARYMIME",
    "CHUNKING",
)  # fmt: skip


class Mood(StrEnum):
    """How a door behaves."""

    WELL = "well"
    SILENT = "silent"  # takes the connection and says nothing
    MUTE_AFTER_BANNER = "mute_after_banner"
    SHUT = "shut"  # says no, in its protocol
    BROKEN = "broken"  # hangs up before a word
    NO_STARTTLS = "no_starttls"
    CHANGED = "changed"  # another product's banner
    REFUSING = "refusing"  # nobody may sign in
    NOT_CONNECTED = "not_connected"  # signed in, and the mailbox cannot be reached


@dataclass(slots=True)
class MailDoor:
    """One server; ``said`` collects what clients sent, ``mood`` may be changed at any time."""

    kind: str
    port: int = 0
    mood: Mood = Mood.WELL
    said: list[str] = field(default_factory=list)
    context: ssl.SSLContext | None = None
    open: set[asyncio.StreamWriter] = field(default_factory=set)
    admits: Callable[[str, str], bool] = field(default=lambda _user, _token: False)
    proving: str = ""  # the tag of an AUTHENTICATE that waits for its proof

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk with one client until it leaves."""
        self.open.add(writer)
        try:
            await self._greet(reader, writer)
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        banners = {"imap": IMAP_BANNER, "pop": POP_BANNER, "smtp": SMTP_BANNER}
        refusals = {
            "imap": "* BYE Connection is closed. 15",
            "pop": "-ERR Server Unavailable. 21",
            "smtp": "421 4.3.2 Service not available",
        }
        others = {
            "imap": "* OK Dovecot ready.", "pop": "+OK Dovecot ready.",
            "smtp": "220 mx ESMTP Postfix",
        }  # fmt: skip
        match self.mood:
            case Mood.BROKEN:
                writer.transport.abort()
                return
            case Mood.SILENT:
                await reader.read()
                return
            case Mood.SHUT:
                writer.write(f"{refusals[self.kind]}\r\n".encode())
                await writer.drain()
                return
            case Mood.CHANGED:
                banner = others[self.kind]
            case _:
                banner = banners[self.kind]
        writer.write(f"{banner}\r\n".encode())
        await writer.drain()
        await self._talk(reader, writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secured = writer.get_extra_info("ssl_object") is not None
        answer = {"imap": self._imap, "pop": self._pop, "smtp": self._smtp}[self.kind]
        while line := (await reader.readline()).decode("latin-1").strip():
            self.said.append(line)
            if self.mood is Mood.MUTE_AFTER_BANNER:
                await reader.read()
                return
            reply, then = answer(line, secured=secured)
            writer.write("".join(f"{part}\r\n" for part in reply).encode())
            await writer.drain()
            if then == "tls" and self.context is not None:
                await writer.start_tls(self.context)
                secured = True
            elif then == "end":
                return

    @property
    def _upgrades(self) -> bool:
        return self.context is not None and self.mood is not Mood.NO_STARTTLS

    def _imap(self, line: str, *, secured: bool) -> tuple[list[str], str]:
        if self.proving:
            return self._let_in(line), ""
        tag, _, command = line.partition(" ")
        match command.upper():
            case "AUTHENTICATE XOAUTH2" if secured:
                self.proving = tag
                return ["+ "], ""
            case "EXAMINE INBOX" if self.mood is Mood.NOT_CONNECTED:
                return [f"{tag} BAD User is authenticated but not connected."], ""
            case "EXAMINE INBOX":
                return ["* 3 EXISTS", "* 0 RECENT", f"{tag} OK [READ-ONLY] EXAMINE completed."], ""
            case "CAPABILITY":
                more = " STARTTLS LOGINDISABLED" if self._upgrades and not secured else ""
                offers = f"* CAPABILITY {IMAP_OFFERS}{more}"
                return [offers, f"{tag} OK CAPABILITY completed."], ""
            case "STARTTLS" if self._upgrades and not secured:
                return [f"{tag} OK Begin TLS negotiation now."], "tls"
            case "LOGOUT":
                bye = "* BYE Microsoft Exchange Server IMAP4 server signing off."
                return [bye, f"{tag} OK LOGOUT completed."], "end"
            case _:
                return [f"{tag} BAD Command received in Invalid state."], ""

    def _let_in(self, proof: str) -> list[str]:
        tag, self.proving = self.proving, ""
        named = base64.b64decode(proof).decode().split("\x01")
        user, token = named[0].removeprefix("user="), named[1].removeprefix("auth=Bearer ")
        if self.mood is Mood.REFUSING or not self.admits(user, token):
            return [f"{tag} NO AUTHENTICATE failed."]
        return [f"{tag} OK AUTHENTICATE completed."]

    def _pop(self, line: str, *, secured: bool) -> tuple[list[str], str]:
        match line.upper():
            case "CAPA":
                stls = ["STLS"] if self._upgrades and not secured else []
                return ["+OK", "TOP", "UIDL", "SASL XOAUTH2", *stls, "."], ""
            case "STLS" if self._upgrades and not secured:
                return ["+OK Begin TLS negotiation."], "tls"
            case "QUIT":
                return ["+OK Microsoft Exchange Server POP3 server signing off."], "end"
            case _:
                return ["-ERR Command is not valid in this state."], ""

    def _smtp(self, line: str, *, secured: bool) -> tuple[list[str], str]:
        verb = line.upper().partition(" ")[0]
        if verb == "EHLO":
            offers = ["AM0PR01CA0001.outlook.office365.com Hello [127.0.0.1]", *EHLO_OFFERS]
            if self._upgrades and not secured:
                offers.append("STARTTLS")
            last = len(offers) - 1
            return [f"250{' ' if n == last else '-'}{o}" for n, o in enumerate(offers)], ""
        if verb == "STARTTLS" and self._upgrades and not secured:
            return ["220 2.0.0 SMTP server ready"], "tls"
        if verb == "QUIT":
            return ["221 2.0.0 Service closing transmission channel"], "end"
        return ["500 5.3.3 Unrecognized command"], ""


Open = Callable[..., Awaitable[MailDoor]]


@asynccontextmanager
async def mail_doors(context: ssl.SSLContext) -> AsyncIterator[Open]:
    """Open doors on free ports: ``await open(kind)`` for STARTTLS, ``secure=True`` for TLS."""
    servers: list[tuple[asyncio.Server, MailDoor]] = []

    async def open_door(kind: str, *, secure: bool = False, port: int = 0) -> MailDoor:
        door = MailDoor(kind, context=None if secure else context)
        server = await asyncio.start_server(door.serve, HOST, port, ssl=context if secure else None)
        door.port = server.sockets[0].getsockname()[1]
        servers.append((server, door))
        return door

    try:
        yield open_door
    finally:
        for server, door in servers:
            server.close()
            for writer in door.open:
                writer.transport.abort()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await server.wait_closed()
