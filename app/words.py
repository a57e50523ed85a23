"""Words: what writes messages to people, wired from the settings."""

from zoneinfo import ZoneInfo

from app.core.message import Reader
from app.core.types import TenantId
from app.formats.messages import SHIPPED, Writer
from app.settings import Settings


def writer_of(settings: Settings) -> Writer:
    """What words messages to people; an operator's own templates are tried at once.

    Raises:
        SettingsError: a language is not complete, or a template cannot be used.
    """
    told = settings.messages
    writer = Writer(told.languages, told.folder)
    if told.folder is not None or set(told.languages) - set(SHIPPED):
        writer.try_out()
    return writer


def reader_of(settings: Settings, tenant: TenantId) -> Reader:
    """Who is told of a tenant's incidents."""
    found = next((one for one in settings.tenants if one.id == tenant), None)
    zone = "UTC" if found is None else found.timezone
    return Reader(
        tenant=tenant if found is None else found.label,
        zone=ZoneInfo(zone),
        contact="" if found is None else found.contact,
        public_url=settings.server.public_url,
        users=None if found is None else found.users,
        hears_vendor=found is not None and found.graph is not None,
    )
