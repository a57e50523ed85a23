"""Settings of a check: what it asks, from where, how often and what it takes for healthy."""

from enum import StrEnum
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from app.clients.dial import Limits
from app.core.types import Client


class CheckKind(StrEnum):
    """What a check asks and which answer it takes for healthy."""

    HTTP = "http"
    OWA = "owa"
    ACTIVESYNC = "activesync"
    MAPI = "mapi"
    OPENID = "openid"
    TCP = "tcp"
    TLS = "tls"
    DNS = "dns"
    CONTROL = "control"


# Checks whose target is not a URL.
_ADDRESSED = frozenset({CheckKind.TCP, CheckKind.TLS, CheckKind.DNS, CheckKind.CONTROL})


class ProbeSettings(BaseModel):
    """``[[tenants.probes]]``: one check at one location."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="Name of the check.")
    check: CheckKind = Field(description="What is asked.")
    target: str = Field(
        default="", description="URL for HTTP checks, host:port for tcp and tls, a name for dns."
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


def _check_target(check: CheckKind, target: str) -> None:
    if not target.isascii() or any(letter.isspace() for letter in target):
        msg = f'"{target}" is not an address; write international names in their xn-- form'
        raise ValueError(msg)
    is_url = target.startswith(("http://", "https://"))
    if check is CheckKind.DNS:
        fits, form = not is_url and "/" not in target, "a host name"
    elif check not in _ADDRESSED:
        fits, form = is_url and bool(urlsplit(target).hostname), "a URL (https://…)"
    elif is_url and check is CheckKind.CONTROL:
        fits, form = bool(urlsplit(target).hostname), "a URL or host:port"
    else:
        parts = urlsplit(f"//{target}")
        fits, form = bool(parts.hostname and parts.port), "host:port"
    if not fits:
        msg = f'the target "{target}" of a {check} check must be {form}'
        raise ValueError(msg)
