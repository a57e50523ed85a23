"""A browser and a served application with an outage in it, one of each per file of tests."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from sqlmodel import SQLModel

from app.api.app import add_routes, create_api
from app.bootstrap import Context, build
from app.core.incident import Incident
from app.core.link import Link, LinkState
from app.core.route import Subscription
from app.settings import Settings
from app.settings.model import ClockSettings, TenantSettings
from app.store import links
from app.store.deliveries import Delivery
from app.store.engine import Database
from app.web.routes import create_router
from tests.core.play import at
from tests.flow.tale import Tale, signals
from tests.flow.world import World, failing
from tests.standins.server import serving
from tests.web.chromium import launched

IN_THE_MIDST = at("06:13")  # the outage goes on, and the vendor has posted


@dataclass
class Site:
    """A served application; its receiver refuses what it is sent, its ticket is in conflict."""

    base: str
    context: Context
    outage: Incident
    receiver: Subscription
    delivery: Delivery


def a_ticket(incident: Incident) -> Link:
    """A ticket that a person closed while the incident goes on."""
    return Link(
        id="lnk_1",
        tenant=incident.tenant,
        mirror="snow",
        system="servicenow",
        subject=incident.id,
        incident=incident.id,
        generation=1,
        state=LinkState.CONFLICT,
        explanation="A person closed the ticket while the incident goes on.",
        correlation=f"sextant:{incident.id}",
        number="INC0010001",
        created_at=IN_THE_MIDST,
        due_at=IN_THE_MIDST,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """The installed Chromium."""
    async with launched() as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """An application in the midst of an outage, served on a port of its own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('site')}/site.db"
    db = Database(url)
    SQLModel.metadata.create_all(db.engine)
    tale = Tale(db)
    await tale.tell(signals(), until=IN_THE_MIDST, every=60)
    settings = Settings(
        tenants=(TenantSettings(id="contoso", name="Contoso"),),
        clock=ClockSettings(start=IN_THE_MIDST),
    )
    context = build(settings, db)
    api = create_api(context)
    add_routes(api, create_router().routes)
    outage = tale.incidents()[0]
    world = World(db)
    world.clock.at = IN_THE_MIDST
    world.receiver.answer = failing(503)
    receiver = await world.subscribed()
    await world.deliver.step()
    await context.db.write(lambda c: links.add(c, a_ticket(outage)))
    async with serving(api, None) as base:
        yield Site(base, context, outage, receiver, world.page()[0])
    db.close()
