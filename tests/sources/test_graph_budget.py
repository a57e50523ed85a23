"""One share of requests for all tenants and replicas that use one application at one directory."""

import asyncio
from datetime import timedelta
from functools import partial

import httpx
import pytest

from app.clients.budget import Budget
from app.clients.errors import VendorError
from app.clients.graph import GraphClient
from app.core.errors import StorageUnavailable
from app.core.ports import SourceUnreadable
from app.kit.clock import FixedClock
from app.kit.windows import Limits
from app.sources.graph import GraphSettings, GraphSource, Shared
from app.store import spending
from app.store.engine import Database
from app.watch import counted
from tests.builders import NOW

SETTINGS = {
    "tenant_id": "Contoso.example", "client_id": "app", "credential": {"secret": "s"},
    "requests_per_hour": 12,
}  # fmt: skip


class Tokens:
    async def get(self) -> str:
        return "token"

    async def drop(self, claims: str | None = None) -> None:
        """Nothing is held."""


class Vendor:
    """Counts what arrives."""

    def __init__(self) -> None:
        self.asked = 0
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        await asyncio.sleep(0)  # another replica may come between
        return httpx.Response(200, json={"value": []})

    def source(self, db: Database, clock: FixedClock, **changes: object) -> GraphSource:
        """A tenant's source in a replica of its own."""
        settings = GraphSettings.model_validate(SETTINGS | changes)
        budget = Shared(clock, partial(counted, db)).budget(settings)
        client = GraphClient(
            lambda: self.http, Tokens(), base_url="https://g.test", allow=budget.take
        )
        return GraphSource(client, settings, budget=budget)


async def read_out(source: GraphSource) -> timedelta:
    """Read until the share is used up; how long to wait then."""
    with pytest.raises(SourceUnreadable) as caught:  # noqa: PT012 - it is some read that is refused
        for _ in range(20):
            await source.read(known_open=[], full=False, now=NOW)
    assert caught.value.code == "budget"
    return caught.value.retry_after or timedelta()


async def test_tenants_and_replicas_with_one_application_share_its_budget(
    database: Database,
) -> None:
    """Two replicas, each with a database handle and memory of its own, poll two tenants each."""
    vendor, clock, other = Vendor(), FixedClock(NOW), Database(database.url)
    sources = [
        vendor.source(db, clock, tenant_id=directory)
        for db in (database, other)
        for directory in ("contoso.example", "Contoso.Example")
    ]
    waits = await asyncio.gather(*map(read_out, sources))
    assert vendor.asked == 12
    assert all(waits)
    assert (sources[0].budget(NOW) or {})["used"] == 12
    # One that is started anew, after whatever end, goes on counting.
    assert await read_out(vendor.source(other, clock)) == waits[0]
    assert vendor.asked == 12
    # Another application, or another directory, has a share of its own.
    for changes in ({"client_id": "other"}, {"tenant_id": "fabrikam.example"}):
        await vendor.source(database, clock, **changes).read(known_open=[], full=False, now=NOW)
    assert vendor.asked == 14
    clock.at += waits[0]
    await sources[3].read(known_open=[], full=False, now=NOW)
    assert vendor.asked == 15
    other.close()


async def test_a_request_that_cannot_be_counted_is_not_sent(sqlite_database: Database) -> None:
    vendor = Vendor()
    source = vendor.source(sqlite_database, FixedClock(NOW))
    await sqlite_database.write(spending.T.drop)
    with pytest.raises(StorageUnavailable):
        await source.read(known_open=[], full=False, now=NOW)
    assert vendor.asked == 0


async def test_without_a_store_each_counts_alone() -> None:
    budget = Budget("share", Limits(1, 1), lambda: NOW)
    assert budget.used(NOW) is None
    await budget.take()
    with pytest.raises(VendorError):
        await budget.take()
    assert budget.used(NOW) == (1, 1)
