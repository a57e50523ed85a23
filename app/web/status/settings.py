"""The settings of a tenant's status page."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.core.catalogue import SERVICES

Access = Literal["off", "sign_in", "public"]
LOGOS = {".svg": "image/svg+xml", ".png": "image/png"}
LOGO_BYTES = 200_000
ACTIVE = re.compile(rb"<script|<foreignobject|javascript:|\son\w+\s*=|<!entity", re.IGNORECASE)


class StatusLink(BaseModel):
    """A link in the head of the page, such as to the help desk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1, max_length=60)
    url: str = Field(pattern=r"^(https://|http://|mailto:|tel:)\S+$", max_length=500)


class StatusSettings(BaseModel):
    """``[tenants.status]``: who may see the status page, what is on it, and how it looks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access: Access | None = None
    release: Literal["confirmed", "noted"] = "confirmed"
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")], ...] = ("en",)
    name: str = Field(default="", max_length=80)
    logo_file: str | None = None
    colour: str = Field(default="#15324c", pattern=r"^#[0-9a-fA-F]{6}$")
    links: tuple[StatusLink, ...] = Field(default=(), max_length=6)
    services: tuple[str, ...] = ()
    history_days: Annotated[int, Field(ge=1, le=365)] = 30
    url: str | None = Field(default=None, pattern=r"^https?://\S+$")

    @field_validator("languages")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one language")
        return tuple(dict.fromkeys(value))

    @field_validator("services")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        strange = sorted(set(value) - {service.slug for service in SERVICES})
        if strange:
            raise ValueError(f'there is no service "{strange[0]}" in the catalogue')
        return tuple(dict.fromkeys(value))

    @field_validator("url")
    @classmethod
    def _without_slash(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value else value

    @field_validator("logo_file")
    @classmethod
    def _a_quiet_picture(cls, value: str | None) -> str | None:
        if value is None:
            return None
        path = Path(value)
        if path.suffix.lower() not in LOGOS:
            raise ValueError("a logo is an .svg or a .png file")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ValueError(f"the logo cannot be read ({error.strerror})") from error
        if len(content) > LOGO_BYTES:
            raise ValueError(f"the logo is larger than {LOGO_BYTES // 1000} kB")
        if path.suffix.lower() == ".svg" and ACTIVE.search(content):
            raise ValueError("the logo holds a script or another active part; use a plain picture")
        return value

    @cached_property
    def logo(self) -> tuple[str, str, bytes] | None:
        """The logo: file name on the page, media type, content; None without one."""
        if self.logo_file is None:
            return None
        path = Path(self.logo_file)
        suffix = path.suffix.lower()
        return f"logo{suffix}", LOGOS[suffix], path.read_bytes()

    @property
    def ink(self) -> str:
        """Black or white, whichever is read better upon the colour (WCAG 2.2, relative luminance).

        Source: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
        """
        parts = [int(self.colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004
            for part in parts
        )
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        upon_white, upon_black = 1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05
        return "#ffffff" if upon_white >= upon_black else "#000000"


def access_of(status: StatusSettings, tenants: int) -> Access:
    """Who may see the page; unless it is said, nobody where there are several tenants."""
    return status.access or ("sign_in" if tenants == 1 else "off")


class TenantLike(Protocol):
    """One tenant of the settings, as far as its status page goes."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def label(self) -> str:
        """The name to show."""

    @property
    def status(self) -> StatusSettings:
        """Its status page."""


def pages_of(tenants: Sequence[TenantLike]) -> dict[str, Access]:
    """The tenants that have a status page, and who may see it."""
    found = {one.id: access_of(one.status, len(tenants)) for one in tenants}
    return {tenant: access for tenant, access in found.items() if access != "off"}


def public_path(tenants: Sequence[TenantLike], tenant: str) -> str:
    """Where anybody may read a tenant's status page here; empty for nowhere."""
    found = pages_of(tenants)
    if found.get(tenant) != "public":
        return ""
    return "/status" if len(found) == 1 else f"/status/tenants/{tenant}"
