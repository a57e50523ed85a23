"""The survey: sealed minutes, memos and sketches change nothing of what is found."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.core.aggregate import add_reports, mark_of
from app.core.decide import decide
from app.core.lines import Domain, Lines
from app.core.policy import DEFAULT_POLICY
from app.core.rates import hour_of_week, prior_rate, publish, pupil_of, rate_of
from app.core.signal import ClientReport, Signal
from app.core.state import ACTOR_CAP, CELL_CAP, EPOCH, EngineState, Learned, Snapshot, minute_of
from app.core.types import Client, Origin, SignalId, Status, Symptom
from app.core.voices import distinct, scale_of
from app.store import states
from tests.core.play import PROFILE, START, World, at, outage, probes, reports

ALL = ("exchange-online", "microsoft-teams", "sharepoint-online")
REFUSED = ((Client.BROWSER, Symptom.AUTH_REJECTED),)


class Forgetful(World):
    """A player that loses its memo, and every so often goes through the store."""

    def fold(self, now: datetime, signals: Iterable[Signal] = ()) -> None:
        self.memo = None
        if minute_of(now) % 7 == 0:
            self.state = states.decode(states.encode(self.state))
        super().fold(now, signals)


def told(world: World) -> list[tuple[object, ...]]:
    return [
        (e.type, e.occurred_at, e.reason, None if e.incident is None else e.incident.title)
        for e in world.events
    ]


def test_what_is_kept_between_steps_has_no_say() -> None:
    with_memo, without = World(), Forgetful()
    with_memo.play(outage(), until=at("08:50"))
    without.play(outage(), until=at("08:50"))
    assert told(with_memo) == told(without)
    assert [replace(i) for i in with_memo.alive] == [replace(i) for i in without.alive]


def test_the_state_stays_small_while_a_storm_blows() -> None:
    world = World()
    storm = reports(at("06:00"), at("06:20"), per_minute=1500, seed=3, pool=30_000)
    world.play(storm, until=at("06:20"))
    before = len(states.encode(world.state))
    more = reports(at("06:20"), at("06:40"), per_minute=3000, seed=4, pool=30_000)
    world.play(more, until=at("06:40"))
    assert len(states.encode(world.state)) < 2.2 * before < 600_000


def test_a_sketch_estimates_what_it_does_not_keep() -> None:
    crowd = reports(at("06:00"), at("06:05"), per_minute=1200, seed=5, pool=1_000_000)
    state, _ = add_reports(EngineState(), crowd)
    actors = len({r.actor for r in crowd})
    (epochs,) = state.epochs.values()
    (kept,) = epochs.values()
    assert len(kept) == ACTOR_CAP
    assert scale_of(kept) * ACTOR_CAP == pytest.approx(actors, rel=0.15)
    assert sum(sum(c.firsts.values()) for c in state.cells.values()) == ACTOR_CAP
    lines = Lines(replace(state, sealed_to=minute_of(at("05:00"))), PROFILE, DEFAULT_POLICY)
    domain = Domain("service:exchange-online", lines, ("exchange-online",))
    first = minute_of(at("06:00"))
    fresh = sum(domain.counts(m)[0] for m in range(first, first + EPOCH))
    assert fresh == pytest.approx(actors, rel=0.15)


def test_distinct_marks_are_exact_below_the_cap() -> None:
    marks = [mark_of(f"user-{n}") for n in range(5000)]
    assert distinct(marks[:100], 2048) == 100
    assert distinct(sorted(marks)[:2048], 2048) == pytest.approx(5000, rel=0.08)


def test_order_within_an_epoch_does_not_matter() -> None:
    crowd = reports(at("06:00"), at("06:30"), per_minute=300, seed=6, pool=3000)
    forward, _ = add_reports(EngineState(), crowd)
    backward = EngineState()
    for start in range(0, len(crowd), 97):
        backward, _ = add_reports(backward, crowd[::-1][start : start + 97])
    assert forward.epochs == backward.epochs
    assert {k: (c.counts, c.firsts) for k, c in forward.cells.items()} == {
        k: (c.counts, c.firsts) for k, c in backward.cells.items()
    }


def test_a_service_has_a_bounded_number_of_cells() -> None:
    many = [
        replace(r, network=f"net-{n}")
        for n, r in enumerate(reports(at("06:00"), at("06:10"), per_minute=100, seed=7))
    ]
    state, _ = add_reports(EngineState(), many)
    assert len(state.cells) <= CELL_CAP + len(Symptom)
    assert sum(sum(c.counts.values()) for c in state.cells.values()) == len(many)


def test_several_networks_that_fail_alone_are_a_path() -> None:
    quiet = reports(at("04:30"), at("08:00"), per_minute=0.08, seed=8, services=ALL)
    lost = reports(
        at("06:00"), at("06:40"), per_minute=12, seed=9, services=ALL,
        networks=("berlin-office", "london-office"),
        mix=((Client.OUTLOOK_DESKTOP, Symptom.CONNECTION_FAILED),),
    )  # fmt: skip
    world = World()
    world.play([*probes(at("04:30"), at("08:00"), failing={}), *quiet, *lost], until=at("06:30"))
    (incident,) = [i for i in world.alive if i.status is not Status.RESOLVED]
    assert incident.origin is Origin.THIRD_PARTY
    assert incident.networks == ("berlin-office", "london-office")
    assert "the path" in " ".join(r.text for r in incident.explanation)


def weak(signals: list[ClientReport]) -> list[ClientReport]:
    return [replace(r, weight=0.1) for r in signals]


def test_refused_sign_ins_of_many_are_an_attack_and_not_the_vendors() -> None:
    spray = weak(reports(at("06:00"), at("07:00"), per_minute=8, seed=10, mix=REFUSED,
                         services=("entra-id",), networks=("abroad",)))  # fmt: skip
    world = World()
    world.play([*probes(at("05:00"), at("07:00"), failing={}), *spray], until=at("06:20"))
    (incident,) = world.alive
    assert (incident.origin, incident.services) == (Origin.IDENTITY, ("entra-id",))
    assert incident.status is Status.CONFIRMED


def test_refused_sign_ins_of_those_who_meet_the_outage_are_the_outage() -> None:
    hit = reports(at("06:00"), at("07:00"), per_minute=8, seed=11, pool=150)
    asked = [
        replace(r, id=SignalId(f"{r.id}-again"), symptom=Symptom.AUTH_REJECTED, service="entra-id",
                occurred_at=r.occurred_at + timedelta(seconds=40),
                received_at=r.received_at + timedelta(seconds=40))
        for r in hit
    ]  # fmt: skip
    everywhere = dict.fromkeys(("berlin", "london", "new-york"), ("06:00", "07:00"))
    world = World()
    world.play(
        [*probes(at("05:00"), at("07:00"), failing=everywhere), *hit, *weak(asked)],
        until=at("06:40"),
    )
    assert [i.origin for i in world.alive] == [Origin.VENDOR]


def test_one_user_who_forgot_the_password_is_nothing() -> None:
    slips = weak(reports(at("06:00"), at("07:00"), per_minute=0.1, seed=12, mix=REFUSED))
    world = World()
    world.play(slips, until=at("07:00"))
    assert not world.incidents


def test_an_hour_of_the_week_is_the_tenants_own() -> None:
    hour = int(at("05:00").timestamp()) // 3600  # a Monday
    assert hour_of_week(hour, "UTC", frozenset()) == 5
    assert hour_of_week(hour, "Europe/Berlin", frozenset()) == 6
    assert hour_of_week(hour, "Europe/Berlin", frozenset({"2026-03-16"})) == 6 * 24 + 6


def test_what_was_learned_is_expected_and_the_rest_is_the_prior() -> None:
    profile = replace(PROFILE, users=5000)
    hour = int(START.timestamp()) // 3600 + 168
    unknown = rate_of(None, ("exchange-online",), None, hour=hour, profile=profile,
                      policy=DEFAULT_POLICY)  # fmt: skip
    assert unknown.null == unknown.mean * DEFAULT_POLICY.first_days_inflation
    pupil = pupil_of(Learned(), profile, DEFAULT_POLICY)
    begin = int(START.timestamp()) // 60
    for minute in range(begin, begin + 3 * 10080):
        pupil.hear(minute, "exchange-online", seen=1, networks={"a": 1}, rate=unknown, calm=True)
        pupil.forget()
    rates = publish(pupil.learned, hour, ["exchange-online"], profile, DEFAULT_POLICY)
    night = prior_rate(profile, DEFAULT_POLICY) / 4  # the prior calls this hour a quiet one
    assert 10 * night < rates.expected["exchange-online"] < 1.0
    assert rates.inflation == DEFAULT_POLICY.null_inflation
    assert rates.shares["exchange-online|a"] > 0.9


def test_minutes_of_an_incident_teach_nothing() -> None:
    profile = replace(PROFILE, users=5000)
    pupil = pupil_of(Learned(), profile, DEFAULT_POLICY)
    rate = rate_of(None, ("x",), None, hour=1, profile=profile, policy=DEFAULT_POLICY)
    pupil.hear(60, "x", seen=100, networks={}, rate=rate, calm=False)
    assert "x" not in pupil.learned.bins


def test_after_days_of_absence_the_engine_starts_anew() -> None:
    world = World()
    world.play(outage(), until=at("07:00"))
    later = at("07:00") + timedelta(days=9)
    world.fold(later)
    world.fold(later + timedelta(minutes=1))
    assert world.state.sealed_to > minute_of(later) - 140
    assert not world.state.scans


def test_a_snapshot_is_never_changed() -> None:
    world = World()
    world.play(outage(), until=at("06:20"))
    before = states.encode(world.state)
    snapshot = Snapshot(profile=PROFILE, state=world.state, incidents=(), sequence=0, number=0)
    decide(snapshot, outage()[:500], now=at("06:21"), policy=DEFAULT_POLICY)
    assert states.encode(world.state) == before
