"""Order: the same signals in other orders, doubled, delayed and with restarts, must group alike."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from app.core.policy import Policy
from app.core.signal import Advisory, Command
from app.core.state import EngineState, TenantProfile
from app.flow.offline import Offline
from app.sources.recorded import Line
from app.store import states
from bench.evaluate.partition import groups

TICK = 60  # seconds: what is asked here does not depend on it
SLACK_MINUTES = 10  # kept free of the lateness window
TWICE = 0.02  # share of the signals that come twice
RESTART = 0.02  # chance of a restart after a step
SPREADS = (30.0, 300.0, 3600.0, None)  # longest delays in seconds; None: the whole window


def examine(
    profile: TenantProfile,
    lines: Sequence[Line],
    policy: Policy,
    *,
    seed: int,
    permutations: int,
) -> dict[str, Any]:
    """Say how many of the permutations give the partition that the told order gives."""
    refs = [line.ref for line in lines]
    told = Offline(profile=profile, policy=policy, tick=TICK).run(lines)
    expected = groups(dict(told.assignments))
    unequal = []
    for number in range(permutations):
        chance = random.Random(f"order/{seed}/{number}")
        engine = Offline(profile=profile, policy=policy, tick=TICK, between=_restarts(chance))
        found = dict(engine.run(shuffled(lines, chance, policy, number)).assignments)
        if groups({ref: found[ref] for ref in refs}) != expected:
            unequal.append(number)
    return {"asked": permutations, "equal": permutations - len(unequal), "unequal": unequal[:20]}


def shuffled(
    lines: Sequence[Line], chance: random.Random, policy: Policy, number: int
) -> list[Line]:
    """The lines with other delays within the lateness window, some of them twice."""
    longest = (policy.lateness_minutes - SLACK_MINUTES) * 60.0
    spread = SPREADS[number % len(SPREADS)] or longest
    moved = []
    for line in lines:
        if isinstance(line.signal, Advisory | Command):
            moved.append(line)  # read one after the other; their order is theirs
            continue
        moved.append(_later(line, chance.uniform(0, spread)))
        if chance.random() < TWICE:
            again = _later(line, chance.uniform(0, spread))
            moved.append(replace(again, ref=f"{line.ref}#{number}"))
    return sorted(moved, key=lambda line: line.received_at)


def _later(line: Line, seconds: float) -> Line:
    return replace(line, received_at=line.received_at + timedelta(seconds=seconds))


def _restarts(chance: random.Random) -> Callable[[EngineState, datetime], EngineState]:
    def between(state: EngineState, _: datetime) -> EngineState:
        """A restart now and then: the state is written and read again."""
        return states.decode(states.encode(state)) if chance.random() < RESTART else state

    return between
