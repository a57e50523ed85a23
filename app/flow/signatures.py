"""Signatures: what a check takes for healthy, forgotten at a person's word."""

from sqlalchemy import Connection

from app.core.errors import NotFound
from app.core.types import TenantId
from app.flow.acts import Act, noted
from app.store import probes
from app.store.engine import Database


async def relearn(
    db: Database, tenant: TenantId, probe: str, *, location: str | None, act: Act | None = None
) -> int:
    """Forget what a check learned, at one location or at all; gives at how many.

    Raises:
        NotFound: there is no such check.
    """

    def unit(c: Connection) -> int:
        number = probes.relearn(c, tenant, probe, location)
        if not number:
            raise NotFound
        noted(act, c, probe, after={"forgotten": number, "location": location}, made=number)
        return number

    return await db.write(unit)
