"""``[tenants.graph]``: where service health is read, who we are there, and how often."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from app.kit.egress import Refused, check_own

# Authority and Graph root of each national cloud (reference of the Graph API, national clouds).
CLOUDS: Mapping[str, tuple[str, str]] = {
    "global": ("https://login.microsoftonline.com", "https://graph.microsoft.com"),
    "gcc_high": ("https://login.microsoftonline.us", "https://graph.microsoft.us"),
    "dod": ("https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
    "china": (
        "https://login.partner.microsoftonline.cn",
        "https://microsoftgraph.chinacloudapi.cn",
    ),
}
_SHARED_TENANTS = frozenset({"common", "organizations", "consumers"})
_Seconds = Annotated[float, Field(ge=1)]


class CertificateSettings(BaseModel):
    """A certificate with its private key, as PEM or PFX; the password is the key's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(min_length=1)
    password: SecretStr | None = None


class ManagedIdentitySettings(BaseModel):
    """The identity of the Azure machine: the system's own, or the one with this client id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str | None = None


class GraphCredential(BaseModel):
    """What proves to Entra that we are the application; exactly one of the four."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: SecretStr | None = None
    certificate: CertificateSettings | None = None
    managed_identity: ManagedIdentitySettings | None = None
    federated_token_file: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "give exactly one of secret, certificate, managed_identity and federated_token_file"
            )
        return self

    @property
    def kind(self) -> str:
        """Which of the four it is."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)


class GraphSettings(BaseModel):
    """``[tenants.graph]``: how the vendor's word is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str = Field(pattern=r"^[A-Za-z0-9.-]{1,128}$")
    client_id: str = ""
    credential: GraphCredential
    cloud: Literal["global", "gcc_high", "dod", "china"] = "global"
    authority: str | None = None
    base_url: str | None = None
    ca_file: str | None = None
    poll_hot_seconds: _Seconds = 60
    poll_calm_seconds: _Seconds = 300
    reconcile_seconds: _Seconds = 900
    requests_per_hour: int = Field(default=700, ge=1)
    timeout_seconds: _Seconds = 30

    @field_validator("tenant_id")
    @classmethod
    def _one_tenant(cls, value: str) -> str:
        if value.lower() in _SHARED_TENANTS:
            raise ValueError("name your own tenant by its id; common and organizations do not work")
        return value

    @field_validator("authority", "base_url")
    @classmethod
    def _root(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            check_own(value)
        except Refused as error:
            raise ValueError(f"give an https address: {error.text}") from error
        parts = urlsplit(value)
        if parts.query or parts.fragment or re.search(r"/(v1\.0|beta)/?$", parts.path):
            raise ValueError("give the root alone, without version, query or fragment")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.authority is None) != (self.base_url is None):
            raise ValueError("authority and base_url come together, or leave both to cloud")
        if self.authority and not self.authority.startswith("https://"):
            raise ValueError("authority must be an https address, because msal takes no other")
        if not self.client_id and self.credential.managed_identity is None:
            raise ValueError("client_id is missing; only a managed identity goes without")
        if self.poll_hot_seconds > self.poll_calm_seconds:
            raise ValueError("poll_hot_seconds must not exceed poll_calm_seconds")
        return self

    @property
    def authority_url(self) -> str:
        """The authority with the tenant id appended."""
        return f"{self.authority or CLOUDS[self.cloud][0]}/{self.tenant_id}"

    @property
    def graph_url(self) -> str:
        """The root of Graph without version; also the base of the token's scope."""
        return self.base_url or CLOUDS[self.cloud][1]
