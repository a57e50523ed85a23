"""What one core sends: HTTP stacks side by side, then the whole durable path, in one run.

Method. The receiver is a process of its own (``bench.sink``). *Stacks*: the same 1 kB POST by
httpx, by httpx over httpx-aiohttp, by bare aiohttp, and by our sender, which signs, times and
judges; so many in flight, for as long; rates are per processor second of the sending process, so
that neighbours on the machine count little. *Durable*: events are planned for several subscriptions
in a file database (``synchronous=FULL``) and delivered by the loop as it serves: claimed by lease,
signed, posted, outcome and attempt committed; one event goes before. *Hanging*: an event to 250
receivers of which 200 never answer, beside a baseline in which all do.
"""

import asyncio
import gc
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import uvloop
from httpx_aiohttp import AiohttpTransport
from sqlalchemy import insert

from app.core.events import EventType
from app.core.ports import AttemptOutcome, Body
from app.core.retry import Standing
from app.core.route import Filter, PlannedEvent, Subscription
from app.core.types import TenantId
from app.flow.deliver import Deliver, Pace
from app.formats.native import NativeV1
from app.kit import signing
from app.kit.clock import SystemClock
from app.kit.egress import Egress
from app.kit.guarded import GuardedPoster
from app.kit.vault import Vault
from app.kit.wake import Bell
from app.sinks.webhook import WebhookSender
from app.store import deliveries, migrate, subscriptions
from app.store.engine import Database
from app.store.tables import EventRow
from bench.rig import quantile
from bench.sink import sinking

TENANT = TenantId("bench")
BODY = b'{"id":"evt_1","data":"' + b"x" * 1000 + b'"}'
EVENTS = EventRow.__table__
FLIGHTS = (1, 16, 64)
OTHERS, WELL = 200, 50  # receivers that may hang, and receivers that answer

Post = Callable[[], Awaitable[Any]]


async def _rate(post: Post, flight: int, seconds: float) -> float:
    """Posts per processor second with so many in flight."""
    done = 0

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await post()
            done += 1

    await asyncio.gather(*(post() for _ in range(flight)))  # connections are made by then
    begun, end = time.process_time(), time.perf_counter() + seconds
    await asyncio.gather(*(worker() for _ in range(flight)))
    return done / (time.process_time() - begun)


async def _stacks(url: str, seconds: float) -> dict[str, dict[int, float]]:
    secret = signing.new_secret()
    now = datetime.now(UTC)
    headers = {"content-type": "application/json"}
    found: dict[str, dict[int, float]] = {}
    limits = httpx.Limits(max_connections=None)
    body = Body(content=BODY, media_type="application/json")
    poster = GuardedPoster(Egress.of([{"cidr": "127.0.0.0/8"}]))
    sender = WebhookSender(poster)
    async with (
        httpx.AsyncClient(limits=limits, trust_env=False) as plain,
        httpx.AsyncClient(transport=AiohttpTransport(), trust_env=False) as bridged,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):

        async def bare() -> None:
            async with session.post(url, data=BODY, headers=headers) as answer:
                await answer.read()

        async def ours() -> None:
            outcome = await sender.send(
                url, body, webhook_id="evt_1", secrets=[secret], now=now, headers={}
            )
            assert outcome.status == 204

        posts: dict[str, Post] = {
            "httpx": lambda: plain.post(url, content=BODY, headers=headers),
            "httpx-aiohttp": lambda: bridged.post(url, content=BODY, headers=headers),
            "aiohttp": bare,
            "our sender": ours,
        }
        for name, post in posts.items():
            found[name] = {flight: await _rate(post, flight, seconds) for flight in FLIGHTS}
    await poster.aclose()
    return found


def prepare(database: Database, urls: Sequence[str], vault: Vault) -> None:
    """Make the tables and an active subscription for each address."""
    migrate.upgrade(database)
    now = datetime.now(UTC)
    secret = vault.seal(signing.new_secret())
    made = [
        Subscription(
            id=f"sub_{number:04d}", tenant=TENANT, revision=1, url=url, event_types=("*",),
            filter=Filter(), format="native", detail="full", signing="v1", description="",
            state=Standing.ACTIVE, secret=secret, created_by="bench", created_at=now,
            updated_at=now,
        )
        for number, url in enumerate(urls)
    ]  # fmt: skip
    database.write_now(lambda c: [subscriptions.add(c, one) for one in made])


def emit(
    database: Database, first: int, count: int, *, lanes: int = 0, now: datetime | None = None
) -> None:
    """Plan so many events, each of an incident of its own unless there are fewer ``lanes``."""
    now = now or datetime.now(UTC)
    planned = [
        PlannedEvent(
            id=f"evt_{number:08d}", type=EventType.NOTED, sequence=number,
            incident=f"inc_{number % lanes if lanes else number}",
        )
        for number in range(first, first + count)
    ]  # fmt: skip
    rows = [
        {"tenant": TENANT, "sequence": e.sequence, "id": e.id, "type": e.type.value,
         "incident": e.incident, "occurred_at": now, "body": BODY}
        for e in planned
    ]  # fmt: skip

    def unit(c: Any) -> None:
        c.execute(insert(EVENTS), rows)
        deliveries.plan(c, TENANT, planned, now)

    database.write_now(unit)


class Timed:
    """A sender that notes how long after its planning each first attempt began."""

    def __init__(self, inner: WebhookSender, begun: float) -> None:
        self.inner = inner
        self.begun = begun
        self.sent: list[tuple[str, float]] = []

    async def send(self, url: str, body: Body, **more: Any) -> AttemptOutcome:
        self.sent.append((url, time.perf_counter() - self.begun))
        return await self.inner.send(url, body, **more)


def _loop(database: Database, sender: Any, vault: Vault, bell: Bell) -> Deliver:
    return Deliver(
        database,
        SystemClock(),
        sender=sender,
        formats={"native": NativeV1()},
        vault=vault,
        draw=random.random,
        bell=bell,
        pace=Pace(deadline=timedelta(seconds=3)),
    )


async def _durable(url: str, receivers: int, events: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/bench.db")
        vault, bell, stop = Vault("bench"), Bell(), asyncio.Event()
        prepare(database, [f"{url}/{n}" for n in range(receivers)], vault)
        poster = GuardedPoster(Egress.of([{"cidr": "127.0.0.0/8"}]))
        sender = Timed(WebhookSender(poster), time.perf_counter())
        deliver = _loop(database, sender, vault, bell)
        emit(database, 1, 1)
        await deliver.step()  # connections are made by then, as those of the stacks are
        emit(database, 2, events)
        sender.sent.clear()
        begun, cpu = time.perf_counter(), time.process_time()
        task = asyncio.create_task(deliver.run(stop))
        total = receivers * events
        await _until(lambda: len(sender.sent) >= total)
        await _until(lambda: not database.read_now(_pending))
        spent, took = time.process_time() - cpu, time.perf_counter() - begun
        stop.set()
        bell.ring()
        await task
        await poster.aclose()
        database.close()
    return {"deliveries": total, "seconds": took, "per_second": total / took,
            "per_core": total / spent}  # fmt: skip


async def abandon(deliver: Deliver, task: asyncio.Task[None]) -> None:
    """End a loop as a crash does, with whatever it has in flight."""
    flying = set(deliver._tasks)  # noqa: SLF001 - a crash asks nobody
    for one in (task, *flying):
        one.cancel()
    await asyncio.gather(task, *flying, return_exceptions=True)


async def _until(met: Callable[[], bool]) -> None:
    while not met():  # noqa: ASYNC110 - what is awaited is a row, or another loop's work
        await asyncio.sleep(0.01)


def _pending(c: Any) -> bool:
    return bool(deliveries.page(c, TENANT, state="pending", limit=1))


async def _beside(url: str, other: str, rounds: int) -> dict[str, float]:
    """Milliseconds from before planning to sending for 50 receivers beside 200 of another kind."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/bench.db")
        vault, bell, stop = Vault("bench"), Bell(), asyncio.Event()
        urls = [f"{url}/{other}/{n}" for n in range(OTHERS)]
        urls += [f"{url}/well/{n}" for n in range(WELL)]
        prepare(database, urls, vault)
        emit(database, 1, 1)
        poster = GuardedPoster(Egress.of([{"cidr": "127.0.0.0/8"}]))
        sender = Timed(WebhookSender(poster, deadline_seconds=3), time.perf_counter())
        deliver = _loop(database, sender, vault, bell)
        task = asyncio.create_task(deliver.run(stop))
        await asyncio.sleep(1.5)
        before = _rss()
        waits: list[float] = []
        for number in range(rounds):
            sender.sent.clear()
            sender.begun = time.perf_counter()
            await asyncio.to_thread(emit, database, number + 2, 1)
            bell.ring()
            await _until(lambda: sum("/well/" in one for one, _ in sender.sent) >= WELL)
            waits += [at * 1000 for one, at in sender.sent if "/well/" in one]
            await asyncio.sleep(0.1)
        grown = _rss() - before
        await abandon(deliver, task)
        await poster.aclose()
        database.close()
    return {"p50": quantile(waits, 0.5), "p99": quantile(waits, 0.99), "grown_mib": grown}


def _rss() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def measure(*, seconds: float, events: int, rounds: int) -> dict[str, Any]:
    """Measure stacks, the durable path, and hanging receivers beside well ones."""
    gc.collect()
    gc.freeze()  # as ``serve`` does
    with sinking() as url:
        stacks = uvloop.run(_stacks(f"{url}/hook", seconds))
        durable = {n: uvloop.run(_durable(url, n, events * 16 // n)) for n in (16, 1)}
        return {
            "stacks": stacks,
            "durable": durable,
            "calm": uvloop.run(_beside(url, "calm", rounds)),
            "hanging": uvloop.run(_beside(url, "hang", rounds)),
        }
