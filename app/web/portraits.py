"""The picture of an incident as a file: the console gives it, messages and tickets carry it."""

import asyncio
from typing import Any

from app.core.types import IncidentId, TenantId
from app.kit.clock import Clock
from app.kit.raster import png_of
from app.store.engine import Database
from app.web.charts import draw
from app.web.incidentreading import drawn
from app.web.picture import picture_of
from app.web.plainsvg import plain


class Portraits:
    """Draws incidents as they are known now; see ``app.core.ports.IncidentPictures``."""

    def __init__(self, db: Database, clock: Clock, *, public_url: str) -> None:
        self._db = db
        self._clock = clock
        self._public_url = public_url

    async def draw(
        self, tenant: TenantId, incident: IncidentId, form: str, *, outside: bool = False
    ) -> bytes | None:
        """Draw an incident as a file that needs nothing else; ``form`` is svg or png."""
        made = await self._made(tenant, incident, outside=outside)
        if made is None:
            return None
        return made.encode() if form == "svg" else await asyncio.to_thread(png_of, made)

    async def _made(self, tenant: str, incident: str, *, outside: bool) -> str | None:
        found: dict[str, Any] | None = await self._db.read(
            lambda c: drawn(c, tenant, incident, self._public_url, outside=outside)
        )
        if found is None:
            return None
        of = found["incident"]
        picture = picture_of(**found, now=self._clock.now())
        return plain(draw(picture), heading=f"{of['number']} {of['title']}")
