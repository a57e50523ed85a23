"""``[[tenants.channels]]``: who is told of incidents, and by which way."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from app.core.announce import DEPENDS_ON, Audience, ChannelFacts, Updates
from app.core.catalogue import SERVICES
from app.sinks.jira import JiraSettings
from app.sinks.pagerduty import PagerDutySettings
from app.sinks.slack import SlackSettings
from app.sinks.smtp import SmtpSettings
from app.sinks.teams import TeamsSettings
from app.sinks.webhook_channel import WebhookSettings

Kind = Literal["slack", "teams", "smtp", "pagerduty", "jira", "webhook"]
_Seconds = Annotated[float, Field(ge=0)]
# Kinds that change what they told, or tell it where it disturbs nobody.
_EDITS = frozenset({"slack", "pagerduty", "jira", "webhook"})
_QUIET_SECONDS = 900.0  # between two updates of the others, where the operator names none
READ = ("slack", "teams", "smtp", "webhook")  # what messages to users may go out on


class ChannelSettings(BaseModel):
    """One channel: its kind has a table of the same name, which says how it is reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    kind: Kind
    depends_on: tuple[str, ...] | None = None
    audience: Literal["users", "help_desk", "executives", "soc"] = "help_desk"
    language: str = Field(default="en", pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    automatic: bool | None = None
    spare: bool = False
    services: tuple[str, ...] = ()
    min_severity: Literal["critical", "major", "minor", "warning", "info"] = "minor"
    min_status: Literal["suspected", "confirmed"] = "confirmed"
    debounce_seconds: _Seconds = 0
    updates: Literal["all", "milestones", "none"] | None = None
    update_seconds: _Seconds | None = None
    hourly_budget: int = Field(default=60, ge=1)
    pictures: bool = True
    slack: SlackSettings | None = None
    smtp: SmtpSettings | None = None
    teams: TeamsSettings | None = None
    pagerduty: PagerDutySettings | None = None
    jira: JiraSettings | None = None
    webhook: WebhookSettings | None = None

    @field_validator("depends_on", "services")
    @classmethod
    def _known(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        known = {service.slug for service in SERVICES}
        strange = sorted(set(value or ()) - known)
        if strange:
            raise ValueError(f'"{strange[0]}" is no service; use slugs such as exchange-online')
        return value

    @model_validator(mode="after")
    def _one_table(self) -> Self:
        if self.of_kind is None:
            raise ValueError(f"a channel of kind {self.kind} needs a table {self.kind} = {{ … }}")
        others = sorted(k for k in DEPENDS_ON if k != self.kind and getattr(self, k, None))
        if others:
            raise ValueError(f"{others[0]} does not belong to a channel of kind {self.kind}")
        return self

    @model_validator(mode="after")
    def _users_read_messages(self) -> Self:
        if self.audience == "users" and self.kind not in READ:
            raise ValueError(
                f"users do not read {self.kind}; a channel for them is one of {', '.join(READ)}"
            )
        return self

    @property
    def of_kind(self) -> Any:
        """The table of its kind."""
        return getattr(self, self.kind, None)

    @property
    def facts(self) -> ChannelFacts:
        """What choosing and wording know of it, defaults of its kind filled in."""
        given = self.depends_on
        audience = Audience(self.audience)
        automatic = self.automatic
        return ChannelFacts(
            name=self.name,
            kind=self.kind,
            depends_on=DEPENDS_ON[self.kind] if given is None else given,
            audience=audience,
            language=self.language,
            automatic=audience is not Audience.USERS if automatic is None else automatic,
            spare=self.spare,
        )

    @property
    def told_of(self) -> Updates:
        """What it hears between the first notice and the end; a way that cannot edit hears less."""
        if self.updates is not None:
            return Updates(self.updates)
        return Updates.ALL if self.kind in _EDITS else Updates.MILESTONES

    @property
    def gap_seconds(self) -> float:
        """The least time between two updates."""
        if self.update_seconds is not None:
            return self.update_seconds
        return 0.0 if self.kind in _EDITS else _QUIET_SECONDS
