"""Settings of a check: what it asks, from where, how often and what it takes for healthy."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, SecretStr, model_validator

from app.clients.dial import Limits
from app.clients.mail import Security
from app.core.desync import PROBE as DESYNC
from app.core.types import Client


class CheckKind(StrEnum):
    """What a check asks and which answer it takes for healthy."""

    HTTP = "http"
    OWA = "owa"
    ACTIVESYNC = "activesync"
    MAPI = "mapi"
    AUTODISCOVER = "autodiscover"
    OPENID = "openid"
    GRAPH = "graph"
    TEAMS = "teams"
    SHAREPOINT = "sharepoint"
    IMAP = "imap"
    POP = "pop"
    SMTP = "smtp"
    MX = "mx"
    TCP = "tcp"
    TLS = "tls"
    DNS = "dns"
    CONTROL = "control"
    TOKEN = "token"  # noqa: S105 - the name of a check
    MAILBOX = "mailbox"
    IMAP_MAILBOX = "imap_mailbox"
    ROUND_TRIP = "round_trip"
    FREE_BUSY = "free_busy"


NAMED = frozenset({CheckKind.DNS, CheckKind.MX})  # the target is a host name
MAIL_PORTS = {CheckKind.IMAP: 993, CheckKind.POP: 995, CheckKind.SMTP: 587, CheckKind.MX: 25}
# Checks that sign in with the probe account; their target follows from it.
SIGNED_IN = frozenset(
    {
        CheckKind.TOKEN, CheckKind.MAILBOX, CheckKind.IMAP_MAILBOX, CheckKind.ROUND_TRIP,
        CheckKind.FREE_BUSY,
    }
)  # fmt: skip
# Checks whose target is host:port (a control check takes URLs as well).
_ADDRESSED = frozenset({CheckKind.TCP, CheckKind.TLS, CheckKind.CONTROL, *MAIL_PORTS})
_SECURED_FROM_THE_START = frozenset({993, 995, 465})


class AccountCertificate(BaseModel):
    """``[tenants.probe_account.certificate]``: PEM or PFX with the private key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(min_length=1, description="PEM (key and certificate) or PFX.")
    password: SecretStr | None = Field(default=None, description="Of its key, by reference.")


class ProbeAccount(BaseModel):
    """``[tenants.probe_account]``: the application and the mailboxes that probes sign in with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str = Field(pattern=r"^[A-Za-z0-9.-]{1,128}$", description="Directory id.")
    client_id: str = Field(min_length=1, description="Id of the application.")
    secret: SecretStr | None = Field(
        default=None, description="Its client secret, by reference; or one of the next two."
    )
    certificate: AccountCertificate | None = Field(
        default=None, description="A certificate instead of a secret."
    )
    federated_token_file: str | None = Field(
        default=None, min_length=1, description="A token that the platform renews in a file."
    )
    mailbox: str = Field(default="", description="The probe mailbox; checks of a mailbox need it.")
    partner: str = Field(
        default="", description="The mailbox that a round trip is sent to; absent: itself."
    )
    authority: str = Field(
        default="https://login.microsoftonline.com",
        pattern=r"^https?://[^/]+$",
        description="Sign-in host, without the directory.",
    )
    base_url: str = Field(
        default="https://graph.microsoft.com", pattern=r"^https?://[^/]+$",
        description="Graph, without version.",
    )  # fmt: skip
    imap_server: str = Field(
        default="outlook.office365.com:993", pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$",
        description="Where imap_mailbox signs in: host:port, TLS from the start.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _proves_itself_in_one_way(self) -> Self:
        given = [self.secret, self.certificate, self.federated_token_file]
        if sum(one is not None for one in given) != 1:
            msg = "give exactly one of secret, certificate and federated_token_file"
            raise ValueError(msg)
        return self


class ProbeSettings(BaseModel):
    """``[[tenants.probes]]``: one check at one location."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="Name of the check.")
    check: CheckKind = Field(description="What is asked.")
    target: str = Field(
        default="",
        description="URL for HTTP checks, host:port for tcp, tls and mail, a name for dns and mx.",
    )
    targets: tuple[str, ...] = Field(
        default=(), description="URLs or host:port of a control check; one that answers is enough."
    )
    location: str = Field(min_length=1, max_length=100, description="Where it measures from.")
    interval_seconds: float = Field(default=60.0, ge=1.0, description="Seconds between runs.")
    service: str = Field(default="other", description="Slug of the service that it stands for.")
    feature: str | None = Field(default=None, description="Feature that it stands for.")
    client: Client | None = Field(default=None, description="Client that it stands for.")
    region: str | None = Field(default=None, description="Region that it stands for.")
    method: Literal["GET", "HEAD", "OPTIONS"] | None = Field(
        default=None, description="HTTP method, instead of the check's own."
    )
    headers: dict[str, str] = Field(default={}, repr=False, description="Headers to send as well.")
    expect_status: tuple[int, ...] = Field(
        default=(), description="Healthy statuses, instead of the check's own."
    )
    expect_header: str | None = Field(
        default=None, description='A header that must come: "name", or "name: part of its value".'
    )
    expect_text: str | None = Field(
        default=None, description="Text that must come in the body, banner or address list."
    )
    security: Security | None = Field(
        default=None, description="How imap, pop, smtp and mx are secured: tls, starttls or none."
    )
    record: Literal["A", "AAAA", "CNAME", "MX", "NS", "SRV", "TXT"] | None = Field(
        default=None, description="Record that a dns check asks for; absent: as clients resolve."
    )
    nameservers: tuple[str, ...] = Field(
        default=(), description="Servers that dns and mx ask, instead of this machine's."
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of the servers that an mx check finds."
    )
    arrival_seconds: PositiveFloat = Field(
        default=120.0, description="Most seconds until the mail of a round trip has arrived."
    )
    ca_file: Path | None = Field(default=None, description="PEM of authorities to trust as well.")
    dns_seconds: PositiveFloat = Field(default=2.0, description="Most seconds to resolve.")
    connect_seconds: PositiveFloat = Field(default=3.0, description="Most seconds to connect.")
    tls_seconds: PositiveFloat = Field(default=5.0, description="Most seconds to secure.")
    first_byte_seconds: PositiveFloat = Field(
        default=10.0, description="Most seconds until the first byte of the answer."
    )
    total_seconds: PositiveFloat = Field(default=15.0, description="Most seconds of one try.")
    slow_seconds: PositiveFloat = Field(
        default=5.0, description="A healthy answer after more seconds is degraded."
    )
    confirm_seconds: float = Field(
        default=8.0, ge=0.0, description="Seconds until the one confirming try; 0 for none."
    )
    loop_repeats: int = Field(
        default=4, ge=2, le=20, description="Challenges or redirects in a row that make a loop."
    )
    external: bool = Field(default=False, description="The location is outside your own network.")
    control: bool = Field(default=False, description="It decides whether its location is sound.")

    @model_validator(mode="after")
    def _has_a_usable_target(self) -> Self:
        wanted = self.all_targets
        if self.check in SIGNED_IN:
            if wanted:
                msg = f"a {self.check} check takes no target: the probe account says where"
                raise ValueError(msg)
            return self
        if not wanted or (len(wanted) > 1 and self.check is not CheckKind.CONTROL):
            msg = f"a {self.check} check needs one target (a control check may have several)"
            raise ValueError(msg)
        for target in wanted:
            _check_target(self.check, target)
        return self

    @property
    def all_targets(self) -> tuple[str, ...]:
        """``target`` and ``targets`` together."""
        return ((self.target,) if self.target else ()) + self.targets

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the one target; port 0 where neither it nor the check has one."""
        parts = urlsplit(f"//{self.all_targets[0]}")
        return parts.hostname or "", parts.port or self.port or MAIL_PORTS.get(self.check, 0)

    @property
    def secured(self) -> Security:
        """How a connection of a mail check is secured: as told, else as its port implies."""
        if self.security is not None:
            return self.security
        implied = self.address[1] in _SECURED_FROM_THE_START
        return Security.TLS if implied else Security.STARTTLS

    @property
    def is_own_contract(self) -> bool:
        """Whether the operator alone says what is healthy, so that nothing is learned."""
        return bool(self.expect_status) or self.check in (
            CheckKind.HTTP, CheckKind.TCP, CheckKind.TLS, CheckKind.DNS, CheckKind.CONTROL
        )  # fmt: skip

    @property
    def is_control(self) -> bool:
        """Whether it decides on the soundness of its location."""
        return self.control or self.check is CheckKind.CONTROL

    @property
    def limits(self) -> Limits:
        """The limits of the phases."""
        return Limits(
            dns=self.dns_seconds, connect=self.connect_seconds, tls=self.tls_seconds,
            first_byte=self.first_byte_seconds, total=self.total_seconds,
        )  # fmt: skip

    @property
    def has_credential(self) -> bool:
        """Whether the operator lets it sign in."""
        given = next((v for k, v in self.headers.items() if k.lower() == "authorization"), "")
        return len(given.split()) > 1


def intervals_of(probes: Iterable[ProbeSettings]) -> dict[tuple[str, str], float]:
    """(probe, location) → seconds between two results, those of derived signals among them."""
    found = {}
    for probe in probes:
        found[(probe.name, probe.location)] = probe.interval_seconds
        if probe.check in SIGNED_IN - {CheckKind.TOKEN}:
            key = (DESYNC, probe.location)
            found[key] = min(probe.interval_seconds, found.get(key, probe.interval_seconds))
    return found


def needs_account(probes: Iterable[ProbeSettings], account: ProbeAccount | None) -> str | None:
    """Say what is missing for checks that sign in; None when nothing is."""
    for probe in probes:
        if probe.check in SIGNED_IN and account is None:
            return f'the probe "{probe.name}" signs in: write a probe_account table'
        if probe.check in SIGNED_IN - {CheckKind.TOKEN} and not (account and account.mailbox):
            return f'the probe "{probe.name}" needs probe_account.mailbox'
    return None


def _check_target(check: CheckKind, target: str) -> None:
    if not target.isascii() or any(letter.isspace() for letter in target):
        msg = f'"{target}" is not an address; write international names in their xn-- form'
        raise ValueError(msg)
    is_url = target.startswith(("http://", "https://"))
    if check in NAMED:
        fits, form = not is_url and "/" not in target, "a host name"
    elif check not in _ADDRESSED:
        fits, form = is_url and bool(urlsplit(target).hostname), "a URL (https://…)"
    elif is_url and check is CheckKind.CONTROL:
        fits, form = bool(urlsplit(target).hostname), "a URL or host:port"
    else:
        parts = urlsplit(f"//{target}")
        has_port = bool(parts.port) or check in MAIL_PORTS
        fits, form = bool(parts.hostname and has_port), "host:port"
    if not fits:
        msg = f'the target "{target}" of a {check} check must be {form}'
        raise ValueError(msg)
