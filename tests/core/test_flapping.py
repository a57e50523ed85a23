"""A fault that goes and comes stays one, and ends only after a longer silence than it broke."""

from datetime import timedelta

from app.core.signal import ProbeResult
from app.core.types import Status
from tests.core.play import LOCATIONS, World, at, probes

EVERYWHERE = dict.fromkeys(LOCATIONS, ("06:00", "06:10"))
AGAIN = dict.fromkeys(LOCATIONS, ("06:30", "06:40"))


def flapping() -> list[ProbeResult]:
    first = probes(at("05:30"), at("06:20"), failing=EVERYWHERE)
    return first + probes(at("06:20"), at("07:30"), failing=AGAIN)


def test_a_fault_that_came_back_ends_only_after_a_longer_silence() -> None:
    world = World()
    world.play(flapping(), until=at("07:30"), tick_seconds=10)
    (incident,) = world.alive
    told = [(e.type.value, e.occurred_at) for e in world.events]
    ends = [when for what, when in told if what == "incident.resolved"]
    (back,) = [when for what, when in told if what == "incident.reopened"]
    assert at("06:20") <= ends[0] <= at("06:22")
    assert at("06:30") <= back <= at("06:32")
    # it broke a silence of 20 minutes: this one must last ten more
    assert at("07:09") <= ends[1] <= at("07:12")
    assert len(ends) == 2
    assert incident.status is Status.RESOLVED


def test_a_fault_that_never_came_back_ends_after_ten_minutes() -> None:
    world = World()
    once = probes(at("05:30"), at("07:00"), failing=EVERYWHERE)
    world.play(once, until=at("07:00"), tick_seconds=10)
    (ended,) = [e.occurred_at for e in world.events if e.type.value == "incident.resolved"]
    assert at("06:20") <= ended <= at("06:22")


def test_a_relapse_is_not_taken_back_within_its_first_minutes() -> None:
    world = World()
    world.play(flapping(), until=at("06:45"), tick_seconds=5)
    told = [(e.type.value, e.occurred_at) for e in world.events]
    (back,) = [when for what, when in told if what == "incident.reopened"]
    later = [what for what, when in told if back < when < back + timedelta(minutes=2)]
    assert "incident.resolved" not in later
