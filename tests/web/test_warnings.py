"""The console warns before the outage of channels that one service would silence."""

import httpx
from sqlalchemy import Connection

from app.bootstrap import build
from app.core.types import TenantId
from app.settings import Settings
from app.store import links
from app.store.engine import Database
from tests.builders import NOW
from tests.web.test_routes import serve

CHANNEL = {
    "name": "desk", "kind": "slack", "slack": {"token": "x", "channel": "C0123456789"},
    "depends_on": ["microsoft-teams"],
}  # fmt: skip
TENANT = {"id": "contoso", "accept_dependent": True}


async def test_the_sources_page_says_which_channel_fails_and_why(
    sqlite_database: Database,
) -> None:
    def fail(c: Connection) -> None:
        links.standing(c, "desk", TenantId("contoso"), now=NOW, position=0)
        links.fails(c, "desk", since=NOW, why="Slack refused: <is_archived>")

    sqlite_database.write_now(fail)
    settings = Settings.model_validate({"tenants": [{**TENANT, "channels": [CHANNEL]}]})
    transport = httpx.ASGITransport(serve(build(settings, sqlite_database)))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as b:
        page = (await b.get("/sources")).text
    assert "desk fails" in page
    assert "Slack refused: &lt;is_archived&gt;" in page


async def test_the_sources_page_warns_of_channels_that_depend_on_one_service(
    sqlite_database: Database,
) -> None:
    for channels, warned in (([CHANNEL], True), ([], False)):
        settings = Settings.model_validate({"tenants": [{**TENANT, "channels": channels}]})
        transport = httpx.ASGITransport(serve(build(settings, sqlite_database)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as b:
            page = (await b.get("/sources")).text
        assert ("All your channels for help desk (desk) depend on Microsoft 365" in page) is warned
