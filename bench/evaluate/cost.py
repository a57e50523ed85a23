"""Cost: signals folded per second of one core from decoded batches, and the state they leave.

A storm: reports of one service from 5,200 people on three networks, in batches of ten thousand, one
every ten seconds of virtual time, from calm through the opened incident. The clock of the process
runs over ``decide`` alone. The same storm at a tenth of the volume shows what the state depends on.
"""

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from app.core.policy import DEFAULT_POLICY
from app.core.signal import ClientReport
from app.core.state import TenantProfile
from app.core.types import Client, SignalId, Symptom, TenantId
from app.flow.offline import Offline
from app.store import states

BEGIN = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
STEP = timedelta(seconds=10)
BATCHES = 18  # three minutes
BATCH = 10_000
PEOPLE = 5_200
SYMPTOMS = (Symptom.HTTP_5XX, Symptom.TIMEOUT, Symptom.AUTH_LOOP)
CLIENTS = (Client.OUTLOOK_DESKTOP, Client.OUTLOOK_WEB, Client.ACTIVESYNC)


def _batch(number: int, size: int, chance: random.Random) -> list[ClientReport]:
    begin = BEGIN + number * STEP
    made = []
    for place in range(size):
        at = begin + STEP * (place / size)
        person = chance.randrange(PEOPLE)
        made.append(
            ClientReport(
                id=SignalId(f"{number:04x}{place:012x}"),
                service="exchange-online",
                client=CLIENTS[place % 3],
                symptom=SYMPTOMS[person % 3],
                actor=f"{person:032x}",
                occurred_at=at,
                received_at=at,
                http_status=503,
                region="de",
                network=f"office-{person % 3}",
            )
        )
    return made


def _storm(size: int) -> tuple[float, int]:
    """Seconds of the core for the whole storm, and the bytes of the state that it leaves."""
    engine = Offline(
        profile=TenantProfile(id=TenantId("storm"), users=PEOPLE), policy=DEFAULT_POLICY
    )
    engine.fold(BEGIN, ())
    chance, seconds = random.Random(7), 0.0
    for number in range(BATCHES):
        batch = _batch(number, size, chance)
        begun = time.process_time()
        engine.fold(BEGIN + (number + 1) * STEP, batch)
        seconds += time.process_time() - begun
    return seconds, len(states.encode(engine.state))


def measure() -> dict[str, Any]:
    """The figures of the storm; the better of two, because the machine does other things too."""
    whole, state = min(_storm(BATCH) for _ in range(2))
    _, less = _storm(BATCH // 10)
    return {
        "signals_per_second": BATCHES * BATCH / whole,
        "state_bytes": state,
        "state_growth": state / less,
    }
