"""The settings as classes: every key with its type, default and bounds."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)

from app.core.independence import warnings_of
from app.core.policy import Policy
from app.flow.caller_settings import Callers, CallerSettings
from app.flow.issuer_settings import Issuers, IssuerSettings
from app.settings.channels import ChannelSettings
from app.settings.telemetry import TelemetrySettings
from app.sinks.servicenow import MirrorSettings
from app.sources.graph import GraphSettings
from app.sources.intake.mapper import MapperSettings
from app.sources.probe import ProbeAccount, ProbeSettings, needs_account
from app.sources.status_feed import StatusFeedSettings
from app.web.status.settings import StatusSettings
from app.web.status.words import read_words

ROLES = ("api", "work")  # what a process may do
_Port = Annotated[int, Field(ge=1, le=65535)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(_Table):
    """``[database]``: where everything is kept."""

    url: str = Field(
        default="sqlite:///sextant.db",
        pattern=r"^(sqlite|postgres|postgresql(\+psycopg)?)://",
        repr=False,
    )


class ServerSettings(_Table):
    """``[server]``: where we listen and how we are reached."""

    host: str = "127.0.0.1"
    port: _Port = 8000
    public_url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://[^/]+")
    secret_key: SecretStr | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    client_certificate_header: str = Field(default="client-cert", pattern=r"^[A-Za-z0-9-]+$")

    @field_validator("public_url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")


class EgressRule(_Table):
    """One entry of ``[egress] allow``: a private network or host; no ports means every port."""

    cidr: IPv4Network | IPv6Network | None = None
    host: str | None = None
    ports: tuple[_Port, ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.cidr is None) == (self.host is None):
            msg = "an entry names either a cidr or a host"
            raise ValueError(msg)
        return self


class EgressSettings(_Table):
    """``[egress]``: private receivers that API callers may name."""

    allow: tuple[EgressRule, ...] = ()


def each_probe_once(probes: tuple[ProbeSettings, ...]) -> tuple[ProbeSettings, ...]:
    """Refuse two checks of one name at one location.

    Raises:
        ValueError: there are two; the text names them.
    """
    twice = _repeated((probe.name, probe.location) for probe in probes)
    if twice:
        name, location = twice
        raise ValueError(
            f'two probes are named "{name}" at location "{location}"; rename one of them'
        )
    return probes


class TenantSettings(_Table):
    """``[[tenants]]``: one whose services are watched."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    name: str = ""
    users: PositiveInt | None = None
    timezone: str = "UTC"
    holidays: tuple[date, ...] = ()
    contact: str = Field(default="", max_length=200)
    graph: GraphSettings | None = None
    probe_account: ProbeAccount | None = None
    status_feed: StatusFeedSettings = StatusFeedSettings()
    probes: tuple[ProbeSettings, ...] = ()
    mirrors: tuple[MirrorSettings, ...] = ()
    channels: tuple[ChannelSettings, ...] = ()
    accept_dependent: bool = False
    status: StatusSettings = StatusSettings()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            msg = "not the name of a time zone; use one like Europe/Berlin"
            raise ValueError(msg) from error
        return value

    @field_validator("probes")
    @classmethod
    def _each_name_once(cls, value: tuple[ProbeSettings, ...]) -> tuple[ProbeSettings, ...]:
        return each_probe_once(value)

    @model_validator(mode="after")
    def _probes_can_sign_in(self) -> Self:
        missing = needs_account(self.probes, self.probe_account)
        if missing:
            raise ValueError(missing)
        return self

    @property
    def outlets(self) -> tuple[str, ...]:
        """The names of its mirrors and channels."""
        return (*(m.name for m in self.mirrors), *(c.name for c in self.channels))

    @model_validator(mode="after")
    def _some_way_is_left(self) -> Self:
        said = warnings_of(tuple(channel.facts for channel in self.channels))
        if said and not self.accept_dependent:
            msg = (
                f"{said[0].rstrip('.')}; add a channel that does not depend on Microsoft 365, "
                "or write accept_dependent = true into the tenant's table"
            )
            raise ValueError(msg)
        return self

    @property
    def label(self) -> str:
        """The name to show."""
        return self.name or self.id


class MessagesSettings(_Table):
    """``[messages]``: the words for people, and where the operator's own stand."""

    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")], ...] = ("en", "de")
    folder: Path | None = None

    @field_validator("languages")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            msg = "name at least one language"
            raise ValueError(msg)
        return tuple(dict.fromkeys(value))


class DeliverySettings(_Table):
    """``[delivery]``: how often and how long a webhook is tried."""

    schedule_seconds: tuple[Annotated[float, Field(ge=0)], ...] = (
        0, 5, 30, 120, 600, 1800, 7200, 18000, 36000, 50400, 72000, 86400,
    )  # fmt: skip
    deadline_seconds: PositiveFloat = 15.0
    concurrency: PositiveInt = 16
    replay_per_second: PositiveFloat = 50.0


class RetentionSettings(_Table):
    """``[retention]``: how long things are kept, in days."""

    intake_days: PositiveInt = 30
    probe_days: PositiveInt = 30
    events_days: PositiveInt = 400
    incidents_days: PositiveInt = 1095
    audit_days: PositiveInt = 400


class PrivacySettings(_Table):
    """``[privacy]``: how people are kept out of what is stored."""

    identity_key: SecretStr | None = None


class LimitsSettings(_Table):
    """``[limits]``: what one caller may ask of us; 0 is no limit."""

    body_bytes: NonNegativeInt = 1024 * 1024
    intake_body_bytes: NonNegativeInt = 16 * 1024 * 1024
    api_requests_per_second: Annotated[float, Field(ge=0)] = 50.0
    intake_requests_per_second: Annotated[float, Field(ge=0)] = 0.0
    public_requests_per_second: Annotated[float, Field(ge=0)] = 5.0
    public_reports_per_hour: NonNegativeInt = 5_000
    public_body_bytes: NonNegativeInt = 64 * 1024
    key_voices: NonNegativeInt = 2


class ClockSettings(_Table):
    """``[clock]``: virtual time, for the demo only; without ``start`` the clock is the wall's."""

    start: AwareDatetime | None = None
    speed: PositiveFloat = 1.0
    mark: float | None = None

    @model_validator(mode="after")
    def _speed_needs_a_start(self) -> Self:
        if self.start is None and (self.speed != 1.0 or self.mark is not None):
            msg = "speed and mark mean nothing without start"
            raise ValueError(msg)
        return self


class Settings(_Table):
    """Everything the operator decides."""

    database: DatabaseSettings = DatabaseSettings()
    server: ServerSettings = ServerSettings()
    egress: EgressSettings = EgressSettings()
    tenants: tuple[TenantSettings, ...] = ()
    mappers: tuple[MapperSettings, ...] = ()
    issuers: Issuers = ()
    callers: Callers = ()
    messages: MessagesSettings = MessagesSettings()
    delivery: DeliverySettings = DeliverySettings()
    policy: Policy = Policy()
    retention: RetentionSettings = RetentionSettings()
    privacy: PrivacySettings = PrivacySettings()
    limits: LimitsSettings = LimitsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    clock: ClockSettings = ClockSettings()
    allow_inline_secrets: bool = False

    @field_validator("tenants")
    @classmethod
    def _each_id_once(cls, value: tuple[TenantSettings, ...]) -> tuple[TenantSettings, ...]:
        twice = _repeated(tenant.id for tenant in value)
        if twice:
            msg = f'two tenants have the id "{twice}"; an id names one tenant'
            raise ValueError(msg)
        twice = _repeated(name for tenant in value for name in tenant.outlets)
        if twice:
            msg = f'two mirrors or channels are named "{twice}"; a name is unique over all tenants'
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _channels_speak_known_languages(self) -> Self:
        spoken = self.messages.languages
        for channel in (c for tenant in self.tenants for c in tenant.channels):
            if channel.language not in spoken:
                msg = (
                    f'the channel "{channel.name}" speaks "{channel.language}", which is not '
                    f"among messages.languages ({', '.join(spoken)})"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _status_pages_have_words(self) -> Self:
        for language in {one for tenant in self.tenants for one in tenant.status.languages}:
            read_words(language, self.messages.folder)
        return self

    @field_validator("mappers")
    @classmethod
    def _each_mapper_once(cls, value: tuple[MapperSettings, ...]) -> tuple[MapperSettings, ...]:
        twice = _repeated(mapper.name for mapper in value)
        if twice:
            msg = f'two mappers are named "{twice}"; the name stands in their address'
            raise ValueError(msg)
        return value

    @field_validator("issuers")
    @classmethod
    def _each_issuer_once(cls, value: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
        for what in ("name", "issuer"):
            twice = _repeated(getattr(issuer, what) for issuer in value)
            if twice:
                msg = f'two issuers have the {what} "{twice}"'
                raise ValueError(msg)
        return value

    @field_validator("callers")
    @classmethod
    def _each_caller_once(cls, value: tuple[CallerSettings, ...]) -> tuple[CallerSettings, ...]:
        twice = _repeated(caller.name for caller in value)
        if twice:
            msg = f'two callers are named "{twice}"; the name stands in the audit log'
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _callers_can_be_met(self) -> Self:
        known = {tenant.id for tenant in self.tenants}
        for caller in self.callers:
            if caller.tenant not in known:
                named = f'the caller "{caller.name}" names the tenant "{caller.tenant}"'
                raise ValueError(f"{named}, which is not there")
            if caller.certificate is not None and not self.server.trusted_proxies:
                msg = (
                    f'the caller "{caller.name}" shows a certificate to a proxy: name the '
                    "networks of your proxies in server.trusted_proxies"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _grants_name_tenants(self) -> Self:
        known = {tenant.id for tenant in self.tenants} | {"*"}
        named = {t for issuer in self.issuers for grant in issuer.grants for t in grant.tenants}
        if named - known:
            msg = f'a grant names the tenant "{min(named - known)}", which is not there'
            raise ValueError(msg)
        return self

    @field_validator("policy")
    @classmethod
    def _positive(cls, value: Policy) -> Policy:
        for part in fields(value):
            if getattr(value, part.name) < 0:
                msg = f"{part.name} must not be negative"
                raise ValueError(msg)
        return value


def _repeated(values: Iterator[Any]) -> Any:
    return next((value for value, number in Counter(values).items() if number > 1), None)
