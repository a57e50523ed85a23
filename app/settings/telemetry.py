"""``[telemetry]``: where traces and logs go, by OpenTelemetry; off without an endpoint."""

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.core.errors import SettingsError

if TYPE_CHECKING:
    from app.kit.telemetry import Telemetry


class TelemetrySettings(BaseModel):
    """The table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str | None = Field(default=None, pattern=r"^https?://[^/]+")
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0


def telemetry_of(wanted: TelemetrySettings) -> "Telemetry | None":
    """Begin to export spans, and the lines of the root logger, if that is wanted.

    Raises:
        SettingsError: it is, and the extra is not installed.
    """
    if wanted.endpoint is None:
        return None
    from app.kit.telemetry import Missing, open_telemetry  # noqa: PLC0415 - off by default

    headers = {name: value.get_secret_value() for name, value in wanted.headers.items()}
    try:
        return open_telemetry(wanted.endpoint, headers=headers, ratio=wanted.trace_ratio)
    except Missing as error:
        raise SettingsError(
            "telemetry.endpoint needs the OpenTelemetry libraries: install them with "
            "`pip install 'sextant[telemetry]'`, or take the key out."
        ) from error
