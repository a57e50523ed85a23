"""Cost: signals folded per second of one core from decoded batches, and the state they leave.

A storm: reports of one service from 5,200 people on three networks, in batches of ten thousand, one
every ten seconds of virtual time, from calm through the opened incident. The clock of the process
runs over ``decide`` alone. The same storm at a tenth of the volume shows what the state depends on.

The look at a sealed minute: twenty services, each with all the cells that it may have, once on a
day as any other, when some hundred of the cells heard of an error in the last ten seconds, and once
at its worst, when each cell has an error each minute and everything fails at once. The time grows
with the cells; it is told for a hundred thousand, which are twenty tenants of this kind.
"""

import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.core.policy import DEFAULT_POLICY
from app.core.signal import ClientReport
from app.core.state import CELL_CAP, TenantProfile
from app.core.types import Client, SignalId, Symptom, TenantId
from app.flow.offline import Offline
from app.store import states

BEGIN = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
STEP, MINUTE = timedelta(seconds=10), timedelta(minutes=1)
BATCHES = 18  # three minutes
BATCH = 10_000
PEOPLE = 5_200
SERVICES = 20
CELLS = SERVICES * CELL_CAP
MANY = 100_000
CALM_USERS = 2_000_000  # so many that an error in each cell within the hour is as expected
CALM_MINUTES = 60
TOUCHED = 20  # cells of a tenant in the last ten seconds, some hundred of a hundred thousand
LOOKS = 3  # of sealed minutes, after the one that opens the incident
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


def _everything(minute: int, chance: random.Random) -> list[ClientReport]:
    """An error in each cell that there can be."""
    clients, symptoms = list(Client)[:8], list(Symptom)[:4]
    made = []
    for place in range(CELLS):
        kind = place // SERVICES
        at = BEGIN + minute * MINUTE + timedelta(seconds=chance.random() * 50)
        made.append(
            ClientReport(
                id=SignalId(f"{minute:04x}{place:012x}"),
                service=f"service-{place % SERVICES}",
                client=clients[kind % 8],
                symptom=symptoms[kind // 8 % 4],
                actor=f"{chance.randrange(PEOPLE):032x}",
                occurred_at=at,
                received_at=at,
                network=f"office-{kind // 32}",
            )
        )
    return made


def _look() -> float:
    """Milliseconds of one look at a sealed minute of a hundred thousand cells."""
    engine = Offline(
        profile=TenantProfile(id=TenantId("look"), users=PEOPLE), policy=DEFAULT_POLICY
    )
    engine.fold(BEGIN, ())
    chance, taken = random.Random(7), []
    for minute in range(LOOKS + 1):
        sealed = BEGIN + (minute + 1) * MINUTE
        engine.fold(sealed - timedelta(seconds=5), _everything(minute, chance))
        begun = time.process_time()
        engine.fold(sealed, ())
        taken.append(time.process_time() - begun)
    return min(taken[1:]) * 1000 * MANY / len(engine.state.cells)


def _calm_look() -> float:
    """The same on a day as any other: errors as they are expected, none of them a fault."""
    engine = Offline(
        profile=TenantProfile(id=TenantId("calm"), users=CALM_USERS), policy=DEFAULT_POLICY
    )
    engine.fold(BEGIN, ())
    chance, taken = random.Random(7), []
    all_cells = _everything(0, chance)
    for minute in range(CALM_MINUTES):
        some = all_cells[minute::CALM_MINUTES]
        moved = [_at(report, minute, chance) for report in some]
        begun = BEGIN + (minute + 1) * MINUTE
        engine.fold(begun - STEP, moved[TOUCHED:])
        start = time.process_time()
        engine.fold(begun, moved[:TOUCHED])
        taken.append(time.process_time() - start)
    return min(taken[-LOOKS:]) * 1000 * MANY / len(engine.state.cells)


def _at(report: ClientReport, minute: int, chance: random.Random) -> ClientReport:
    at = BEGIN + minute * MINUTE + timedelta(seconds=chance.random() * 50)
    name = SignalId(f"calm{minute:04x}{report.id}")
    return replace(report, id=name, occurred_at=at, received_at=at)


def measure() -> dict[str, Any]:
    """The figures of the storm; the better of two, because the machine does other things too."""
    whole, state = min(_storm(BATCH) for _ in range(2))
    _, less = _storm(BATCH // 10)
    return {
        "signals_per_second": BATCHES * BATCH / whole,
        "state_bytes": state,
        "state_growth": state / less,
        "look_ms": _calm_look(),
        "worst_look_ms": _look(),
    }
