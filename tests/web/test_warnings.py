"""The console warns before the outage of channels that one service would silence."""

import httpx

from app.bootstrap import build
from app.settings import Settings
from app.store.engine import Database
from tests.web.test_routes import serve

CHANNEL = {
    "name": "desk", "kind": "slack", "slack": {"token": "x", "channel": "C0123456789"},
    "depends_on": ["microsoft-teams"],
}  # fmt: skip
TENANT = {"id": "contoso", "accept_dependent": True}


async def test_the_sources_page_warns_of_channels_that_depend_on_one_service(
    sqlite_database: Database,
) -> None:
    for channels, warned in (([CHANNEL], True), ([], False)):
        settings = Settings.model_validate({"tenants": [{**TENANT, "channels": channels}]})
        transport = httpx.ASGITransport(serve(build(settings, sqlite_database)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as b:
            page = (await b.get("/sources")).text
        assert ("All your channels for help desk (desk) depend on Microsoft 365" in page) is warned
