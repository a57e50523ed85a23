"""Order: the same signals in other orders, doubled, delayed and with restarts, must group alike.

What is permuted are the 45 busiest minutes of a scenario, thinned to some hundred reporters, under
a lateness window of half an hour: a fold of it costs a tenth of a second, that of a whole scenario
ten, and a thousand are asked for. Everything that order could disturb is in it: late signals that
fold minutes again, minutes that are sealed meanwhile, doubles, restarts, delays longer than a look.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from app.core.policy import Policy
from app.core.signal import Advisory, ClientReport, Command, Signal
from app.core.state import EngineState, TenantProfile
from app.flow.offline import Offline
from app.sources.recorded import Line
from app.store import states
from bench.evaluate.partition import groups

LATENESS_MINUTES = 30  # the window of what is permuted
SLACK_MINUTES = 10  # kept free of it
SPAN = timedelta(minutes=45)
QUARTER = 900  # seconds; the two with the most reports are in it
BEFORE = timedelta(minutes=15)  # of the busiest, so that there is calm before it
REPORTS = 400  # kept of that time, by the people who reported
LOOK = timedelta(minutes=10)  # between looks: what is asked here does not depend on it
TWICE = 0.02  # share of the signals that come twice
RESTART = 0.1  # chance of a restart after a look
SPREADS = (30.0, 300.0, 600.0, 1200.0)  # longest delays in seconds; the last: the whole window


def examine(
    profile: TenantProfile,
    lines: Sequence[Line],
    policy: Policy,
    *,
    seed: int,
    permutations: int,
) -> dict[str, Any]:
    """Say how many of the permutations give the partition that the told order gives."""
    policy = replace(policy, lateness_minutes=LATENESS_MINUTES)
    some = busiest(lines)
    begin = some[0].received_at - LOOK  # the first look says from when signals count
    refs = [line.ref for line in some]
    expected = groups(dict(_fold(profile, policy, some, begin)))
    unequal = []
    for number in range(permutations):
        chance = random.Random(f"order/{seed}/{number}")
        moved = shuffled(some, chance, number)
        found = dict(_fold(profile, policy, moved, begin, _restarts(chance)))
        if groups({ref: found[ref] for ref in refs}) != expected:
            unequal.append(number)
    return {
        "asked": permutations,
        "equal": permutations - len(unequal),
        "unequal": unequal[:20],
        "signals": len(some),
    }


def busiest(lines: Sequence[Line]) -> list[Line]:
    """The time with the most reports, of some of the people; and all that was not a report."""
    said = Counter(int(line.received_at.timestamp()) // QUARTER for line in lines
                   if isinstance(line.signal, ClientReport))  # fmt: skip
    top = max(said, key=lambda q: (said[q] + said[q + 1], -q), default=0)
    begun = datetime.fromtimestamp(top * QUARTER, lines[0].received_at.tzinfo) - BEFORE
    inside = [line for line in lines if begun <= line.received_at < begun + SPAN and _room(line)]
    reports = sum(isinstance(line.signal, ClientReport) for line in inside)
    share = max(1, round(reports / REPORTS))
    return [line for line in inside if _is_kept(line.signal, share)]


def _room(line: Line) -> float:
    """Seconds by which a line may still be delayed; what is too late already is left out."""
    longest = (LATENESS_MINUTES - SLACK_MINUTES) * 60.0
    at = getattr(line.signal, "occurred_at", line.received_at)
    return max(0.0, longest - (line.received_at - at).total_seconds())


def _is_kept(signal: Signal, share: int) -> bool:
    if not isinstance(signal, ClientReport):
        return True
    return random.Random(signal.actor).randrange(share) == 0


def _fold(
    profile: TenantProfile,
    policy: Policy,
    lines: Sequence[Line],
    begin: datetime,
    between: Callable[[EngineState, datetime], EngineState] | None = None,
) -> tuple[tuple[str, str | None], ...]:
    """Fold lines with a look every few minutes, until no minute of theirs can change any more."""
    engine = Offline(profile=profile, policy=policy, between=between)
    known: set[str] = set()
    waiting = list(reversed(lines))
    now = begin
    end = lines[-1].received_at + timedelta(minutes=policy.lateness_minutes) + 2 * LOOK
    while now < end:
        now += LOOK
        batch = []
        while waiting and waiting[-1].received_at <= now:
            line = waiting.pop()
            if line.signal.id not in known:
                known.add(line.signal.id)
                batch.append(line.signal)
        engine.fold(now, batch)
    return engine.told(lines).assignments


def shuffled(lines: Sequence[Line], chance: random.Random, number: int) -> list[Line]:
    """The lines with other delays within the lateness window, some of them twice."""
    spread = SPREADS[number % len(SPREADS)]
    moved = []
    for line in lines:
        if isinstance(line.signal, Advisory | Command):
            moved.append(line)  # read one after the other; their order is theirs
            continue
        longest = min(spread, _room(line))
        moved.append(_later(line, chance.uniform(0, longest)))
        if chance.random() < TWICE:
            again = _later(line, chance.uniform(0, longest))
            moved.append(replace(again, ref=f"{line.ref}#{number}"))
    return sorted(moved, key=lambda line: line.received_at)


def _later(line: Line, seconds: float) -> Line:
    return replace(line, received_at=line.received_at + timedelta(seconds=seconds))


def _restarts(chance: random.Random) -> Callable[[EngineState, datetime], EngineState]:
    def between(state: EngineState, _: datetime) -> EngineState:
        """A restart now and then: the state is written and read again."""
        return states.decode(states.encode(state)) if chance.random() < RESTART else state

    return between
