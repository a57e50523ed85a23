"""An application around a fresh SQLite database, with the real fold."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.app import create_api
from app.core.incident import Incident
from app.core.policy import DEFAULT_POLICY
from app.core.state import TenantProfile
from app.core.types import TenantId
from app.flow import keys
from app.flow.fold import Fold
from app.flow.links import Links
from app.flow.returns import Returns
from app.formats.native_v1 import Renderer
from app.kit.clock import FixedClock
from app.kit.metrics import Registry
from app.kit.wake import Bell
from app.settings.model import ServerSettings
from app.store import incidents
from app.store.engine import Database
from tests.builders import NOW, TENANT

URL = "https://sextant.example"
OTHER = TenantId("fabrikam")


@dataclass
class Context:
    """The application context of tests."""

    db: Database
    clock: FixedClock
    fold: Any
    settings: Any
    bells: Any
    intake: Any = None
    maintenance: Any = None
    subscriptions: Any = None
    refolds: Any = None
    report_reader: Any = None
    result_reader: Any = None
    doors: Any = None
    tokens: Any = None
    callers: Any = None
    links: Any = None
    messages: Any = None
    returns: Any = None
    public_url: str = URL
    secret: bytes = b"a secret of this installation"
    metrics: Registry = field(default_factory=Registry)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def world(sqlite_database: Database, clock: FixedClock) -> Context:
    limits = SimpleNamespace(
        key_voices=0,
        body_bytes=64 * 1024,
        intake_body_bytes=1024 * 1024,
        api_requests_per_second=0.0,
        intake_requests_per_second=0.0,
    )
    tenants = [
        SimpleNamespace(id=name, name=shown, channels=(), mirrors=(), accept_dependent=False)
        for name, shown in ((TENANT, "Contoso"), (OTHER, "F"))
    ]
    bells = SimpleNamespace(feed=Bell())
    fold = Fold(
        sqlite_database,
        clock,
        render=Renderer(public_url=URL),
        plan=lambda *_: 0,
        policy=DEFAULT_POLICY,
        profiles={t: TenantProfile(id=t, users=500) for t in (TENANT, OTHER)},
        committed=bells.feed.ring,
    )
    return Context(
        links=Links(sqlite_database, clock, wall=clock, secrets=dict),
        returns=Returns(sqlite_database, clock, obey=fold.command, readers=dict),
        db=sqlite_database,
        clock=clock,
        fold=fold,
        settings=SimpleNamespace(
            limits=limits,
            tenants=tenants,
            server=ServerSettings(),
        ),
        bells=bells,
    )


@pytest.fixture
def api(world: Context) -> FastAPI:
    return create_api(world)


@pytest.fixture
async def client(api: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield client


async def make_key(
    world: Context, *scopes: str, tenant: str = TENANT, name: str = "anna"
) -> dict[str, str]:
    """Make a key and give the header that carries it."""
    made = await keys.create(
        world.db, tenant=tenant, name=name, scopes=scopes, now=world.clock.now()
    )
    return {"authorization": f"Bearer {made.secret}"}


@pytest.fixture
async def admin(world: Context) -> dict[str, str]:
    return await make_key(world, "admin")


def put(world: Context, *stored: Incident) -> None:
    """Store incidents as they are."""
    world.db.write_now(lambda c: incidents.put(c, stored))
