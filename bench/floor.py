"""The floor: bare FastAPI applications that store nothing.

They show what the stack costs before any work is done. ``application`` is the least that listens:
its start and its memory are compared with ours. ``reading`` gives a page of incidents and one
incident out of memory with the documented response models, as a FastAPI route usually does. The
floor of intake stands in ``bench.intake``.
"""

import json
import os
from pathlib import Path
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

PAGE = "BENCH_PAGE"  # variable that names the file with the page to serve


class Ready(BaseModel):
    """That it listens."""

    status: Literal["ok"]


def application() -> FastAPI:
    """Make the least application that listens."""
    served = FastAPI()

    @served.get("/livez")
    @served.get("/readyz")
    async def ready() -> Ready:
        return Ready(status="ok")

    return served


def reading() -> FastAPI:
    """Make one that gives the documents of a file, read once."""
    from app.api.v1.schemas import IncidentOut, IncidentPage  # noqa: PLC0415 - see application

    page = json.loads(Path(os.environ[PAGE]).read_text())
    served = application()

    @served.get("/v1/incidents")
    async def listed() -> IncidentPage:
        return IncidentPage(**page)

    @served.get("/v1/incidents/{identity}")
    async def read(identity: str) -> IncidentOut:
        return IncidentOut(**{**page["items"][0], "id": identity})

    return served
