"""Settings of callers: programs that prove by a certificate or a signature who they are."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    SecretStr,
    model_validator,
)

from app.flow.issuer_settings import TokenScope
from app.kit import signing

SIGNALS = frozenset({"reports:write", "probes:write", "intake:write"})
_HEX_DIGITS = 64  # of a SHA-256
_ALPHABET = frozenset("0123456789abcdef")


def _fingerprint(value: str) -> str:
    plain = value.replace(":", "").lower()
    if len(plain) != _HEX_DIGITS or set(plain) - _ALPHABET:
        msg = "the SHA-256 of the certificate, 64 hexadecimal digits"
        raise ValueError(msg)
    return plain


class CertificateSettings(BaseModel):
    """``[callers.certificate]``: which client certificates are this caller's; exactly one key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: Annotated[str, AfterValidator(_fingerprint)] | None = None
    name: str | None = Field(default=None, min_length=1)
    subject: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if sum(part is not None for part in (self.fingerprint, self.name, self.subject)) != 1:
            msg = "a certificate is known by one of fingerprint, name and subject"
            raise ValueError(msg)
        return self


class CallerSettings(BaseModel):
    """``[[callers]]``: one program, what it may do, and how it proves itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    tenant: str
    scopes: tuple[TokenScope, ...] = Field(min_length=1)
    certificate: CertificateSettings | None = None
    secret: SecretStr | None = None
    public_key: str | None = None
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    locations: tuple[str, ...] = ()
    voices: NonNegativeInt | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """What its signatures are held against."""
        given = self.secret.get_secret_value() if self.secret else None
        return tuple(key for key in (given, self.public_key) if key)

    @model_validator(mode="after")
    def _proves_itself(self) -> Self:
        if self.certificate is None and not self.keys:
            msg = f'the caller "{self.name}" needs certificate, secret or public_key'
            raise ValueError(msg)
        if self.keys and set(self.scopes) - SIGNALS:
            msg = (
                f'the caller "{self.name}" signs bodies, so it may bring signals alone: '
                f"scopes among {', '.join(sorted(SIGNALS))}"
            )
            raise ValueError(msg)
        try:
            signing.check_keys(self.keys)
        except ValueError as error:
            raise ValueError(f'the caller "{self.name}": {error}') from error
        return self


Callers = tuple[CallerSettings, ...]
