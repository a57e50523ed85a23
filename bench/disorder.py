"""Very many deliveries of which a fifth fail: is any lost, or any incident's order turned round?

Method. Two delivery loops share one file database and one clock that runs fast. Events of many
incidents are planned for several subscriptions while the loops deliver; the sender answers 503, or
times out after the receiver took it, at random. Each loop is now and then abandoned in the middle,
so that its leases lapse, and another takes its place. Afterwards the checker of the chaos tests
compares what the receiver took with what the database says.
``python -m bench.disorder 20000`` prints the figures.
"""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import uvloop
from sqlalchemy import select

from app.core.events import EventType
from app.core.ports import AttemptOutcome, Body
from app.flow.deliver import Deliver, Pace
from app.formats.native import NativeV1
from app.kit.clock import Clock, ScaledClock
from app.kit.vault import Vault
from app.kit.wake import Bell
from app.store import deliveries
from app.store.engine import Database
from bench.deliver import EVENTS, TENANT, abandon, emit, prepare
from tests.chaos.checker import check
from tests.chaos.facts import Event, Facts, digest_of, planned
from tests.chaos.history import Heard
from tests.chaos.sent import unheard

RECEIVERS = 10
LANES = 400  # incidents that are told of at once
STEP = 50  # events of one transaction
SPEED = 600.0  # a retry of 30 s comes after 50 ms
REFUSED, TAKEN_UNHEARD = 0.12, 0.08  # shares of all attempts that fail
SHOWN = 5  # sentences kept of what was found
ABANDONED_SECONDS = 3.0  # how long a loop lives at most


class Receiver:
    """Takes what it is sent, in the order in which it took it; a fifth goes wrong."""

    def __init__(self, seed: int) -> None:
        self.heard: list[Heard] = []
        self.chance = random.Random(seed)
        self.failed = 0

    async def send(self, url: str, body: Body, *, webhook_id: str, **more: Any) -> AttemptOutcome:
        """Make one attempt."""
        await asyncio.sleep(self.chance.uniform(0, 0.004))
        drawn = self.chance.random()
        refused, fails = drawn < REFUSED, drawn < REFUSED + TAKEN_UNHEARD
        self.failed += fails
        number = int(webhook_id.removeprefix("evt_"))
        self.heard.append(
            Heard(
                subscription=url, webhook_id=webhook_id, type=EventType.NOTED.value, tenant=TENANT,
                sequence=number, incident=f"inc_{number % LANES}", revision=None,
                digest=digest_of(body.content), status=503 if refused else 204,
                delivery=more["headers"]["sextant-delivery"],
            )
        )  # fmt: skip
        if refused:
            return AttemptOutcome(outcome="refused", status=503)
        return AttemptOutcome(outcome="unknown" if fails else "delivered",
                              status=None if fails else 204)  # fmt: skip


async def _measure(count: int, seed: int) -> dict[str, Any]:
    receiver = Receiver(seed)
    bell = Bell()
    clock = ScaledClock(start=datetime.now(UTC), speed=SPEED, mark=None)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/bench.db")
        urls = [f"https://receiver-{n}.example/" for n in range(RECEIVERS)]
        names = {url: f"sub_{number:04d}" for number, url in enumerate(urls)}
        prepare(database, urls, Vault("bench"))
        done = asyncio.Event()
        loops = [
            asyncio.create_task(_lives(database, clock, receiver, bell=bell, done=done))
            for _ in range(2)
        ]
        for first in range(1, count // RECEIVERS + 1, STEP):
            await asyncio.to_thread(emit, database, first, STEP, lanes=LANES, now=clock.now())
            bell.ring()
        while await database.read(_left):  # noqa: ASYNC110 - what is awaited is a row
            await asyncio.sleep(0.2)
        done.set()
        await asyncio.gather(*loops)
        facts = await database.read(_facts)
        database.close()
    heard = [replace(one, subscription=names[one.subscription]) for one in receiver.heard]
    verdict = check((), heard, facts)
    return {
        "holds": verdict.holds, **verdict.counts(), "deliveries": len(facts.deliveries),
        "attempts": len(heard), "failed": receiver.failed,
        "unheard": unheard(facts),
        "states": dict(Counter(one.state for one in facts.deliveries)),
        "found": [*verdict.lost, *verdict.phantom, *verdict.inverted, *verdict.drifted][:SHOWN],
        "seconds": round(time.perf_counter() - begun, 1),
    }  # fmt: skip


def _facts(c: Any) -> Facts:
    rows = c.execute(select(EVENTS.c.sequence, EVENTS.c.id, EVENTS.c.incident, EVENTS.c.body))
    told = tuple(
        Event(tenant=TENANT, sequence=row.sequence, id=row.id, type=EventType.NOTED.value,
              incident=row.incident, revision=None, digest=digest_of(row.body))
        for row in rows
    )  # fmt: skip
    subscribed = {f"sub_{number:04d}": (str(TENANT), "native") for number in range(RECEIVERS)}
    return Facts(events=told, deliveries=tuple(planned(c)), subscriptions=subscribed)


async def _lives(
    database: Database, clock: Clock, receiver: Receiver, *, bell: Bell, done: asyncio.Event,
) -> None:  # fmt: skip
    """Deliver with one loop after the other, each abandoned with what it has in flight."""
    while not done.is_set():
        deliver = Deliver(
            database, clock, sender=receiver, formats={"native": NativeV1()},
            vault=Vault("bench"), draw=random.random, bell=bell,
            pace=Pace(schedule=[timedelta(0), *[timedelta(seconds=30)] * 40],
                      deadline=timedelta(seconds=0.5), speed=SPEED),
        )  # fmt: skip
        task = asyncio.create_task(deliver.run(done))
        try:
            await asyncio.wait_for(done.wait(), receiver.chance.uniform(1, ABANDONED_SECONDS))
        except TimeoutError:
            await abandon(deliver, task)
        bell.ring()
        await asyncio.gather(task, return_exceptions=True)


def _left(c: Any) -> bool:
    return bool(deliveries.page(c, None, state="pending", limit=1))


def measure(count: int, *, seed: int = 7) -> dict[str, Any]:
    """Deliver so many, and judge."""
    return uvloop.run(_measure(count, seed))


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000), indent=1))
