"""Settings of issuers of access tokens: whose tokens are taken, and what they open."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from app.kit.tokens import TENANT_PLACE, Rules

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384"]
TokenScope = Literal[
    "reports:write",
    "probes:write",
    "intake:write",
    "incidents:read",
    "incidents:write",
    "subscriptions:write",
    "admin",
]


class GrantSettings(BaseModel):
    """``[[issuers.grants]]``: what a role or a group of the issuer opens, and in which tenants."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str | None = None
    group: str | None = None
    tenants: tuple[str, ...] = Field(min_length=1)
    scopes: tuple[TokenScope, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.role is None) == (self.group is None):
            msg = "a grant names either a role or a group"
            raise ValueError(msg)
        return self


class SignInSettings(BaseModel):
    """``[issuers.sign_in]``: how people sign in at the console (code flow with PKCE)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str
    client_secret: SecretStr | None = None
    scope: str
    label: str = "Sign in"


class IssuerSettings(BaseModel):
    """``[[issuers]]``: an OpenID provider, such as Entra ID, whose access tokens open the API."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,30}$")
    issuer: str = Field(pattern=r"^https?://")
    audiences: tuple[str, ...] = Field(min_length=1)
    metadata_url: str | None = None
    ca_file: Path | None = None
    algorithms: tuple[Algorithm, ...] = ("RS256",)
    directories: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    version: str | None = None
    delegated_scope: str | None = None
    subject_claim: str = "oid"
    roles_claim: str = "roles"
    groups_claim: str = "groups"
    grants: tuple[GrantSettings, ...] = ()
    sign_in: SignInSettings | None = None

    @model_validator(mode="after")
    def _place_needs_directories(self) -> Self:
        if TENANT_PLACE in self.issuer and not (self.directories and self.metadata_url):
            msg = f"an issuer with {TENANT_PLACE} needs directories and a metadata_url"
            raise ValueError(msg)
        return self

    @property
    def rules(self) -> Rules:
        """What a token of it must say."""
        return Rules(
            issuer=self.issuer,
            audiences=frozenset(self.audiences),
            algorithms=self.algorithms,
            directories=frozenset(self.directories),
            clients=frozenset(self.clients),
            version=self.version,
        )


Issuers = Annotated[tuple[IssuerSettings, ...], Field(max_length=20)]
