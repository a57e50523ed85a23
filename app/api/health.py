"""Health and metrics: outside ``/v1``, without authentication and without detail."""

import asyncio
import logging
import time
from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from sqlalchemy.exc import DatabaseError
from starlette.responses import JSONResponse, Response

from app.api.context import App
from app.api.deps import Context, operation_id
from app.core.errors import StorageUnavailable
from app.kit.metrics import MEDIA_TYPE
from app.store.health import write_probe
from app.store.migrate import is_current

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.5  # a slower database is not ready
FRESH_SECONDS = 1.0  # how long an answer stands, so that many askers cost one write
NO_STORE = {"cache-control": "no-store"}

router = APIRouter(tags=["health"], generate_unique_id_function=operation_id)


class Readiness:
    """Finds out whether this replica can take work; the tables are looked at until they fit."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._current = False
        self._looked = float("-inf")
        self._fault: str | None = None
        self._lock = asyncio.Lock()

    async def fault(self) -> str | None:
        """What keeps this replica from work, as one word; None when it is ready."""
        if self._app.db.away:
            return "database"
        async with self._lock:
            if time.monotonic() - self._looked > FRESH_SECONDS:
                self._fault = await self._find()
                self._looked = time.monotonic()
            return self._fault

    async def _find(self) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if not self._current:
                    self._current = await asyncio.to_thread(is_current, self._app.db)
                if not self._current:
                    return "migration"
                probe = partial(write_probe, now=self._app.clock.now())
                # Shielded: a unit of work that was handed in is not taken back.
                await asyncio.shield(asyncio.ensure_future(self._app.db.write(probe)))
        except (TimeoutError, StorageUnavailable, DatabaseError):
            log.warning("not_ready", extra={"fault": "database"})
            return "database"
        return None


@router.get("/livez", summary="Whether the process runs")
async def livez() -> dict[str, str]:
    """Answer as long as the event loop turns; touches nothing else."""
    return {"status": "ok"}


@router.get("/readyz", summary="Whether this replica can take work", responses={503: {}})
async def readyz(request: Request) -> Response:
    """Write to the database and compare its tables with this version."""
    readiness: Readiness = request.app.state.readiness
    fault = await readiness.fault()
    if fault is None:
        return JSONResponse({"status": "ok"}, headers=NO_STORE)
    raise StorageUnavailable(f"Not ready: {fault}.", fault=fault)


@router.get(
    "/metrics",
    summary="Metrics in the Prometheus text format",
    response_class=PlainTextResponse,
)
async def metrics(app: Context) -> Response:
    """Every metric of this process."""
    return Response(app.metrics.render(), headers={"content-type": MEDIA_TYPE, **NO_STORE})
