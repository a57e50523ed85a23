"""``[[tenants.mirrors]]``: which ITSM keeps a ticket per incident, and how."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from app.kit.egress import Refused, check_own

_Seconds = Annotated[float, Field(ge=0)]
SYS_ID = re.compile(r"^[0-9a-f]{32}$")
EVERY = "default"  # the key of a map by service that all other services fall to

ByService = str | dict[str, str]


class BasicSettings(BaseModel):
    """A user name and a password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    username: str
    password: SecretStr


class OAuthSettings(BaseModel):
    """OAuth 2.0 client credentials; some instances want a scope such as ``useraccount``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str
    client_secret: SecretStr
    scope: str = ""


class ClientCertificate(BaseModel):
    """Mutual TLS: a PEM file with certificate and key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(min_length=1)
    password: SecretStr | None = None


class MirrorCredential(BaseModel):
    """What proves to the instance who we are; one of the first three, or a certificate alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    basic: BasicSettings | None = None
    oauth: OAuthSettings | None = None
    api_key: SecretStr | None = None
    certificate: ClientCertificate | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [n for n in ("basic", "oauth", "api_key") if getattr(self, n) is not None]
        if len(given) > 1 or (not given and self.certificate is None):
            raise ValueError("give one of basic, oauth and api_key, or a certificate")
        return self


class MirrorSettings(BaseModel):
    """One mirror: where its tickets are kept, for which incidents, and with which fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    system: Literal["servicenow"] = "servicenow"
    mode: Literal["incident", "event", "both"] = "incident"
    base_url: str
    ca_file: str | None = None
    depends_on: tuple[str, ...] = ()
    credential: MirrorCredential
    min_severity: Literal["critical", "major", "minor", "warning", "info"] = "minor"
    min_status: Literal["suspected", "confirmed"] = "confirmed"
    debounce_seconds: _Seconds = 180
    poll_seconds: Annotated[float, Field(ge=1)] = 60
    hourly_create_budget: int = Field(default=30, ge=1)
    children: Literal["none", "services"] = "none"
    children_max: int = Field(default=5, ge=1, le=20)
    after_human_close: Literal["respect", "new_generation"] = "respect"
    correlation_prefix: str = Field(default="sextant", pattern=r"^[A-Za-z0-9_.-]{1,24}$")
    correlation_display: str = Field(default="Sextant", pattern=r"^[A-Za-z0-9 _.-]{1,60}$")
    title_prefix: str = ""
    close_code: str = ""
    caller: str = ""
    assignment_group: ByService = ""
    business_service: ByService = ""
    fields: dict[str, str] = Field(default_factory=dict)
    pictures: bool = True
    hint_secret: SecretStr | None = None
    timeout_seconds: Annotated[float, Field(ge=1)] = 75

    @field_validator("base_url")
    @classmethod
    def _root(cls, value: str) -> str:
        try:
            check_own(value)
        except Refused as error:
            raise ValueError(f"give the https address of the instance: {error.text}") from error
        parts = urlsplit(value)
        if parts.query or parts.fragment or "/api/now" in parts.path:
            raise ValueError("give the root of the instance alone, without path or query")
        return value.rstrip("/")

    @field_validator("fields")
    @classmethod
    def _harmless(cls, value: dict[str, str]) -> dict[str, str]:
        ours = {"priority", "state", "incident_state", "correlation_id", "correlation_display"}
        wrong = sorted(ours & value.keys())
        if wrong:
            raise ValueError(f"{wrong[0]} is not for you to set: Sextant or the instance does")
        return value

    @field_validator("hint_secret")
    @classmethod
    def _strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith("whsec_"):
            raise ValueError("a hint_secret is whsec_ and 24 to 64 bytes in base64")
        return value

    @property
    def keeps_tickets(self) -> bool:
        """Whether incidents become records of the Table API."""
        return self.mode in {"incident", "both"}

    @property
    def sends_events(self) -> bool:
        """Whether incidents become events of Event Management."""
        return self.mode in {"event", "both"}


def for_service(value: ByService, services: tuple[str, ...]) -> str:
    """The value of the first service that has one, else the default."""
    if isinstance(value, str):
        return value
    known: Mapping[str, str] = value
    found = next((known[s] for s in services if s in known), None)
    return found if found is not None else known.get(EVERY, "")
