"""The settings of ``sextant probe agent``: its checks, and where their results go."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, SecretStr, model_validator

from app.settings.model import each_probe_once
from app.sources.probe import ProbeAccount, ProbeSettings, needs_account


class AgentSettings(BaseModel):
    """The whole file of an agent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^https?://[^/]+", description="Root of the Sextant to post to.")
    key: SecretStr = Field(description="An API key with the scope probes:write, by reference.")
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
        missing = needs_account(self.probes, self.probe_account)
        if missing:
            raise ValueError(missing)
        return self
