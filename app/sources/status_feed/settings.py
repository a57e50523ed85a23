"""``[tenants.status_feed]``: whether the vendor's public status pages are read as well."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Url = Annotated[str, Field(pattern=r"^https?://[^/\s]+")]


class StatusFeedSettings(BaseModel):
    """Off unless ``enabled``; the pages are public, undocumented and the same for all tenants."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = False
    microsoft_url: _Url = "https://status.cloud.microsoft/api/posts/mac"
    azure_url: _Url = "https://rssfeed.azure.status.microsoft/en-us/status/feed/"
    ca_file: str | None = None
    poll_seconds: Annotated[float, Field(ge=1)] = 300
    timeout_seconds: Annotated[float, Field(ge=1)] = 15
