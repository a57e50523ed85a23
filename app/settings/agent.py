"""The settings of ``sextant probe agent``: its checks, and where their results go."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, SecretStr, model_validator

from app.kit import signing
from app.settings.model import each_probe_once
from app.sources.probe import ProbeAccount, ProbeSettings, needs_account


class AgentSettings(BaseModel):
    """The whole file of an agent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^https?://[^/]+", description="Root of the Sextant to post to.")
    key: SecretStr | None = Field(
        default=None, description="An API key with the scope probes:write, by reference."
    )
    caller: str | None = Field(
        default=None, description="Instead of a key: its name among the callers there."
    )
    secret: SecretStr | None = Field(
        default=None, description="What that caller signs with: whsec_… or whsk_…, by reference."
    )
    certificate_file: Path | None = Field(
        default=None, description="PEM of a certificate and its key, to show to a proxy there."
    )
    ca_file: Path | None = Field(default=None, description="PEM of authorities to trust as well.")
    spool_file: Path = Field(
        default=Path("sextant-agent.db"), description="Where results wait while nobody takes them."
    )
    spool_results: PositiveInt = Field(
        default=1_000_000, description="Most results that wait; beyond it the oldest are given up."
    )
    probe_account: ProbeAccount | None = Field(
        default=None, description="As tenants.probe_account."
    )
    probes: tuple[ProbeSettings, ...] = Field(min_length=1, description="As tenants.probes.")
    allow_inline_secrets: bool = Field(
        default=False, description="Whether secrets may stand in the file."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        each_probe_once(self.probes)
        if (self.caller is None) != (self.secret is None):
            raise ValueError("caller and secret come together: the name, and what it signs with")
        if (self.key is None) == (self.caller is None) and self.certificate_file is None:
            raise ValueError("an agent needs a key, or a caller with its secret")
        try:
            if self.secret is not None:
                signing.check_own(self.secret.get_secret_value())
        except ValueError as error:
            raise ValueError(f"secret: {error}") from error
        missing = needs_account(self.probes, self.probe_account)
        if missing:
            raise ValueError(missing)
        return self
