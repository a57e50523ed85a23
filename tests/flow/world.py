"""A world to deliver in: a database, receivers that answer as told, and a clock that stands."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from app.core.events import EventType
from app.core.ports import AttemptOutcome, Body
from app.core.route import Subscription
from app.core.types import TenantId
from app.flow.deliver import Deliver
from app.flow.subscriptions import Subscriptions, Wish
from app.flow.upkeep import Upkeep
from app.formats.native import NativeV1
from app.kit.clock import FixedClock
from app.kit.egress import Egress
from app.kit.vault import Vault
from app.kit.wake import Bell
from app.store import deliveries
from app.store.deliveries import Delivery
from app.store.engine import Database
from tests.builders import NOW, TENANT

Answer = Callable[[str, str], AttemptOutcome]


def ok(url: str, webhook_id: str) -> AttemptOutcome:
    return AttemptOutcome(outcome="delivered", status=204, excerpt="fine")


def failing(status: int) -> Answer:
    def answer(url: str, webhook_id: str) -> AttemptOutcome:
        return AttemptOutcome(outcome="gone" if status == 410 else "refused", status=status)

    return answer


async def nowhere(host: str, port: int) -> Sequence[str]:
    return []


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 - what is awaited is a row in the database
            await asyncio.sleep(0.01)


class Receiver:
    """Stands in for the sender: keeps what it was handed and answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, str]]] = []
        self.secrets: list[tuple[str, ...]] = []
        self.bodies: list[bytes] = []
        self.answer: Answer = ok
        self.hanging: dict[str, asyncio.Event] = {}
        self.most: dict[str, int] = {}
        self.now: dict[str, int] = {}

    async def send(
        self, url: str, body: Body, *, webhook_id: str, secrets: Sequence[str], now: datetime,
        headers: dict[str, str],
    ) -> AttemptOutcome:  # fmt: skip
        self.now[url] = self.now.get(url, 0) + 1
        self.most[url] = max(self.most.get(url, 0), self.now[url])
        if url in self.hanging:
            await self.hanging[url].wait()
        self.now[url] -= 1
        self.got.append((url, webhook_id, headers))
        self.secrets.append(tuple(secrets))
        self.bodies.append(body.content)
        sent = {"webhook-id": webhook_id}
        return replace(self.answer(url, webhook_id), sent=sent, phases={"first_byte_ms": 3.0})


class World:
    """Everything around the loop."""

    def __init__(self, database: Database) -> None:
        self.db = database
        self.clock = FixedClock(NOW)
        self.receiver = Receiver()
        self.bell = Bell()
        self.vault = Vault("key")
        self.told: list[tuple[EventType, dict[str, Any], str]] = []
        egress = Egress.of([{"cidr": "127.0.0.0/8"}], resolve=nowhere)
        self.subscriptions = Subscriptions(
            database, self.clock, egress=egress, vault=self.vault, bell=self.bell
        )
        self.deliver = Deliver(
            database,
            self.clock,
            sender=self.receiver,
            formats={"native": NativeV1()},
            vault=self.vault,
            draw=lambda: 0.5,
            bell=self.bell,
        )
        self.upkeep = Upkeep(database, self.clock, news=self.news, bell=self.bell)

    async def news(
        self,
        tenant: TenantId,
        kind: EventType,
        facts: dict[str, Any],
        *,
        actor: str,
        reason: str,
        also: Callable[[Connection], Any] | None = None,
    ) -> None:
        if also is not None:
            await self.db.write(also)
        self.told.append((kind, facts, reason))

    async def drain(self) -> None:
        """Deliver what is due now until nothing is."""
        while await self.deliver.step():
            pass

    async def subscribed(self, port: int = 9000, **wish: Any) -> Subscription:
        made, _ = await self.subscriptions.create(
            TENANT, Wish(url=f"http://127.0.0.1:{port}/", **wish), by="anna"
        )
        return made

    async def active(self, port: int = 9000, **wish: Any) -> Subscription:
        made = await self.subscribed(port, **wish)
        await self.deliver.step()
        self.receiver.got.clear()
        return await self.subscriptions.get(TENANT, made.id)

    def page(self, **more: Any) -> list[Delivery]:
        return self.db.read_now(lambda c: deliveries.page(c, TENANT, **more))

    def ids(self) -> list[str]:
        return [webhook_id for _, webhook_id, _ in self.receiver.got]


@pytest.fixture
def world(database: Database) -> World:
    return World(database)
