"""Ways to people: which channels and mirrors fail, as the pages show it."""

from sqlalchemy import Connection

from app.core.types import TenantId
from app.store import links
from app.web.views import Document


def failing_ways(c: Connection, tenant: TenantId) -> list[Document]:
    """Channels and mirrors that fail, by name: since when, and why."""
    found = sorted(links.standings(c, tenant).values(), key=lambda one: one.name)
    return [
        {"name": one.name, "since": one.failing_since, "why": one.trouble}
        for one in found
        if one.failing_since is not None
    ]
