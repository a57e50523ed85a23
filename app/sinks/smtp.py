"""SMTP: one thread of mails per incident, each mail with its own stable id."""

import hashlib
from dataclasses import replace
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from app.clients.credentials import (
    Application,
    Certificate,
    Credential,
    FederatedToken,
    ManagedIdentity,
    Secret,
)
from app.clients.entra import EntraTokens
from app.clients.errors import VendorError
from app.clients.smtp import SmtpAccess, SmtpClient, wait_of
from app.clients.wires import Wires
from app.core.announce import NoticePhase
from app.core.ports import ChannelAnswer, MirrorWord, Telling
from app.kit import html, http
from app.kit.cutting import cut
from app.kit.egress import Refused, check_own
from app.sinks.answering import answered
from app.sinks.picturing import file_of, words_of

SUBJECT = 200  # characters; longer ones are folded into ugliness by some clients
BODY = 200_000
PRIORITY = {NoticePhase.FIRST: "high"}
REMEDIES = {
    "unauthorized": "Set username and password of an account that may submit mail there.",
    "not_supported": 'Set security: "tls" for port 465, "starttls" for 587, "none" for a relay '
    "inside your own network.",
    "sender_refused": "Let the account send as this sender, or set another one.",
    "no_recipient": "Set recipients that this relay accepts.",
    "mail_refused": "Ask whoever runs the relay what its words mean.",
    "token_refused": "See that secret or certificate of the application are its own and valid.",
    "credential_unreadable": "See that the file is there and that Sextant may read it.",
    "tls_failed": "Give the authority of the relay's certificate as ca_file.",
}
WORDS = {"token_unavailable": MirrorWord.UNREACHED}


class SmtpCertificate(BaseModel):
    """A certificate with its private key, as PEM or PFX; the password is the key's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(min_length=1)
    password: SecretStr | None = None


class SmtpIdentity(BaseModel):
    """The identity of the Azure machine: the system's own, or the one with this client id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str | None = None


class SmtpOAuth(BaseModel):
    """``smtp = { oauth = {…} }``: the application that signs in at Exchange Online."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str = Field(pattern=r"^[A-Za-z0-9.-]{1,128}$")
    client_id: str = ""
    secret: SecretStr | None = None
    certificate: SmtpCertificate | None = None
    managed_identity: SmtpIdentity | None = None
    federated_token_file: str | None = Field(default=None, min_length=1)
    authority: str = Field(default="https://login.microsoftonline.com", pattern=r"^https?://[^/]+$")
    scope: str = "https://outlook.office365.com/.default"

    @field_validator("authority")
    @classmethod
    def _own(cls, value: str) -> str:
        try:
            check_own(value)
        except Refused as error:
            raise ValueError(error.text) from error
        return value

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        proofs = ("secret", "certificate", "managed_identity", "federated_token_file")
        given = [name for name in proofs if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(proofs)}")
        if not self.client_id and given != ["managed_identity"]:
            raise ValueError("give the client_id of the application")
        return self

    @property
    def credential(self) -> Credential:
        """What proves to Entra who we are."""
        if self.secret is not None:
            return Secret(self.secret.get_secret_value())
        if self.certificate is not None:
            password = self.certificate.password
            return Certificate(
                self.certificate.file, None if password is None else password.get_secret_value()
            )
        if self.federated_token_file is not None:
            return FederatedToken(self.federated_token_file)
        machine = self.managed_identity
        return ManagedIdentity(None if machine is None else machine.client_id)


class SmtpSettings(BaseModel):
    """``smtp = {…}`` of a channel: the relay, and who writes to whom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: SecretStr | None = None
    oauth: SmtpOAuth | None = None
    sender: str
    recipients: tuple[str, ...] = Field(min_length=1)
    ca_file: str | None = None
    timeout_seconds: float = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _signs_in_one_way(self) -> Self:
        if self.oauth is not None and (self.password is not None or not self.username):
            raise ValueError("with oauth give the mailbox as username, and no password")
        if self.oauth is not None and self.security == "none":
            raise ValueError("a token is not sent without TLS; set security")
        return self

    @field_validator("sender", "recipients")
    @classmethod
    def _address(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for one in (value,) if isinstance(value, str) else value:
            name, address = parseaddr(one)
            del name
            local, _, domain = address.rpartition("@")
            if not local or not domain or any(sign in one for sign in "\r\n"):
                raise ValueError(f'"{one}" is no address; write someone@example.com')
        return value


class SmtpChannel:
    """Implements ``core.ports.Channel``."""

    kind = "smtp"
    pictures = True

    def __init__(
        self, name: str, client: SmtpClient, settings: SmtpSettings, wires: Wires | None = None
    ) -> None:
        self._wires = wires
        self.name = name
        self._client = client
        self._settings = settings

    async def aclose(self) -> None:
        """Between two mails there is no connection but that to where tokens come from."""
        if self._wires is not None:
            await self._wires.aclose()

    async def tell(self, telling: Telling) -> ChannelAnswer:
        """Send one mail; a later one answers the first, so that they make a thread."""
        answer = await self._send(telling)
        if answer.word is not MirrorWord.REFUSED or not telling.picture:
            return answer
        # A gateway may not like the picture; what it refused was not delivered.
        plain = await self._send(replace(telling, picture=b""))
        if plain.word is not MirrorWord.DONE:
            return plain
        why = f"{plain.why} Without its picture: {answer.why}".strip()
        return replace(plain, why=why)

    async def _send(self, telling: Telling) -> ChannelAnswer:
        settings = self._settings
        mail = mail_of(telling, self.name, settings)
        envelope = [parseaddr(one)[1] for one in settings.recipients]
        try:
            refused = await self._client.send(
                mail.as_bytes(), parseaddr(settings.sender)[1], envelope
            )
        except VendorError as error:
            error.retry_after = wait_of(error)
            return answered(error, REMEDIES, WORDS)
        missed = "; ".join(f"{who}: {words}" for who, words in refused.items())
        why = f"Not to {missed}" if missed else ""
        ours = str(mail["Message-ID"])
        return ChannelAnswer(
            word=MirrorWord.DONE, record=telling.record or ours, number=ours.strip("<>"), why=why
        )

    async def heard(self, telling: Telling) -> ChannelAnswer:
        """Nobody can look into a mailbox; the stable id lets most of them drop a second mail."""
        del telling
        return ChannelAnswer(word=MirrorWord.UNKNOWN, why="No one can look whether mail arrived.")

    async def try_out(self, telling: Telling) -> ChannelAnswer:
        """Send one mail that says what it is."""
        return await self.tell(telling)


def open_smtp(name: str, settings: SmtpSettings) -> SmtpChannel:
    """Make the channel; nothing is sent.

    Raises:
        OSError: the file of authorities cannot be read.
    """
    wires = Wires() if settings.oauth is not None else None
    access = SmtpAccess(
        host=settings.host,
        port=settings.port,
        security=settings.security,
        tls=http.tls_context(settings.ca_file),
        username=settings.username,
        password=settings.password.get_secret_value() if settings.password else "",
        tokens=tokens_of(settings, wires) if wires is not None else None,
        timeout_seconds=settings.timeout_seconds,
    )
    return SmtpChannel(name, SmtpClient(access), settings, wires)


def tokens_of(settings: SmtpSettings, wires: Wires) -> EntraTokens | None:
    """Where tokens for the mailbox come from; None without OAuth."""
    given, seconds = settings.oauth, settings.timeout_seconds
    if given is None:
        return None
    who = Application(
        authority=f"{given.authority}/{given.tenant_id}",
        client_id=given.client_id,
        scope=given.scope,
        credential=given.credential,
        timeout_seconds=seconds,
    )
    return EntraTokens(
        lambda: wires.synchronous(settings.ca_file, seconds), who, threads=wires.threads
    )


def message_id(key: str, sender: str) -> str:
    """The id of the mail that a telling becomes: the same however often it is sent."""
    domain = parseaddr(sender)[1].rpartition("@")[2]
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}.sextant@{domain}>"


def mail_of(telling: Telling, channel: str, settings: SmtpSettings) -> EmailMessage:
    """The mail of a telling, plain and HTML; the subject of a thread stays that of its first."""
    said, notice = telling.message, telling.notice
    topic = " ".join((telling.topic if telling.record else said.subject).split())
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = cut(f"Re: {topic}" if telling.record else topic, SUBJECT)
    mail["From"] = settings.sender
    mail["To"] = ", ".join(settings.recipients)
    mail["Date"] = format_datetime(notice.at)
    mail["Message-ID"] = message_id(telling.key, settings.sender)
    if telling.record:
        mail["In-Reply-To"] = telling.record
        mail["References"] = telling.record
    mail["List-Id"] = f"<{channel}.sextant.{parseaddr(settings.sender)[1].rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["Importance"] = PRIORITY.get(notice.phase, "normal")
    text = said.text if said.subject == telling.topic else f"{said.subject}\n\n{said.text}"
    mail.set_content(cut(text, BODY))
    body = said.html or page_of(said.subject, said.text)
    body = cut(body, 2 * BODY) if not said.html else body
    if not telling.picture:
        mail.add_alternative(body, subtype="html")
        return mail
    cid = mail["Message-ID"].strip("<>")
    mail.add_alternative(with_image(body, f"cid:{cid}", words_of(telling)), subtype="html")
    page = mail.get_body(("html",))
    if isinstance(page, EmailMessage):
        page.add_related(
            telling.picture, "image", "png", cid=f"<{cid}>", disposition="inline",
            filename=file_of(telling),
        )  # fmt: skip
    return mail


def with_image(page: str, address: str, words: str) -> str:
    """The page with a picture at its end, and words for those who do not see it."""
    image = (
        f'<p><img src="{html.escaped(address)}" alt="{html.escaped(words)}" width="640" '
        'style="max-width:100%;height:auto"></p>'
    )
    head, end, rest = page.rpartition("</body>")
    return f"{head}{image}{end}{rest}" if end else f"{page}{image}"


def page_of(subject: str, text: str) -> str:
    """Plain text as a page of its own: nothing is loaded, everything is escaped."""
    paragraphs = "".join(f"<p>{html.escaped(part)}</p>" for part in text.split("\n\n") if part)
    return (
        '<!doctype html><html><head><meta charset="utf-8"></head><body style="font-family:'
        f'sans-serif;max-width:45em"><h2>{html.escaped(subject)}</h2>{paragraphs}</body></html>'
    )
