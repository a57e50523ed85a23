"""Very many deliveries of which a fifth fail: is any lost, or any incident's order turned round?

Method. Two delivery loops share one file database and one clock that runs fast. Events of many
incidents are planned for several subscriptions while the loops deliver; the sender answers 503, or
times out after the receiver took it, at random. Each loop is now and then abandoned in the middle,
so that its leases lapse, and another takes its place. Afterwards the checker of the chaos tests
looks for inversions, and the database for what is neither delivered nor pending nor parked.
``python -m bench.disorder 20000`` prints the figures.
"""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import uvloop
from sqlalchemy import func, select

from app.core.ports import AttemptOutcome, Body
from app.flow.deliver import Deliver, Pace
from app.formats.native import NativeV1
from app.kit.clock import Clock, ScaledClock
from app.kit.vault import Vault
from app.kit.wake import Bell
from app.store import deliveries
from app.store.engine import Database
from bench.deliver import emit, prepare
from tests.chaos.checker import inversions
from tests.chaos.history import Heard

RECEIVERS = 10
LANES = 400  # incidents that are told of at once
STEP = 50  # events of one transaction
SPEED = 600.0  # a retry of 30 s comes after 50 ms
REFUSED, TAKEN_UNHEARD = 0.12, 0.08  # shares of all attempts that fail
ABANDONED_SECONDS = 3.0  # how long a loop lives at most


class Receiver:
    """Takes what it is sent, in the order in which it took it; a fifth goes wrong."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.chance = random.Random(7)
        self.failed = 0

    async def send(self, url: str, _: Body, *, webhook_id: str, **__: Any) -> AttemptOutcome:
        """Make one attempt."""
        await asyncio.sleep(self.chance.uniform(0, 0.004))
        drawn = self.chance.random()
        refused, unheard = drawn < REFUSED, drawn < REFUSED + TAKEN_UNHEARD
        self.failed += unheard
        number = int(webhook_id.removeprefix("evt_"))
        self.heard.append(
            Heard(
                subscription=url, webhook_id=webhook_id, type="incident.noted", tenant="bench",
                sequence=number, incident=f"inc_{number % LANES}", revision=None, digest="",
                status=503 if refused else 204,
            )
        )  # fmt: skip
        if refused:
            return AttemptOutcome(outcome="refused", status=503)
        return AttemptOutcome(outcome="unknown" if unheard else "delivered",
                              status=None if unheard else 204)  # fmt: skip


async def _measure(count: int) -> dict[str, Any]:
    receiver = Receiver()
    bell = Bell()
    clock = ScaledClock(start=datetime.now(UTC), speed=SPEED, mark=None)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/bench.db")
        prepare(
            database, [f"https://receiver-{n}.example/" for n in range(RECEIVERS)], Vault("bench")
        )
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
        states = await database.read(_states)
        database.close()
    turned = list(inversions(receiver.heard))
    taken = Counter((h.subscription, h.webhook_id) for h in receiver.heard if h.accepted)
    planned = sum(states.values())
    return {
        "deliveries": planned, "attempts": len(receiver.heard), "failed": receiver.failed,
        "states": states,
        "lost": states.get("delivered", 0) - len(taken), "inversions": len(turned),
        "twice": sum(taken.values()) - len(taken), "seconds": time.perf_counter() - begun,
    }  # fmt: skip


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
            task.cancel()
            for one in set(deliver._tasks):  # noqa: SLF001 - a crash asks nobody
                one.cancel()
        bell.ring()
        await asyncio.gather(task, return_exceptions=True)


def _left(c: Any) -> bool:
    return bool(deliveries.page(c, None, state="pending", limit=1))


def _states(c: Any) -> dict[str, int]:
    table = deliveries.T
    query = select(table.c.state, func.count().label("number")).group_by(table.c.state)
    return {row.state: row.number for row in c.execute(query)}


def measure(count: int) -> dict[str, Any]:
    """Deliver so many, and judge."""
    return uvloop.run(_measure(count))


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000), indent=1))
