"""The checker finds every kind of fault that is planted, and nothing in a run without one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.chaos.checker import Verdict, check
from tests.chaos.facts import Checkpoint, Delivery, Event, Facts, Known, Record, Replayed
from tests.chaos.history import Act, Asked, Door, Heard, History, Phase, Told

TENANT, CELL, MINUTE = "alpha", "exchange-online|browser|timeout||", 29_000_000
WHERE = (TENANT, CELL, MINUTE)
SUB, OTHER_SUB = "sub_1", "sub_2"
THRICE = {"claims": 3, "tries": 2, "answered": 2}  # refused, hung up on and cut off, taken


@dataclass(frozen=True)
class World:
    """Two logs and a database that fit together."""

    acts: tuple[Act, ...]
    heard: tuple[Heard, ...]
    facts: Facts
    told: tuple[Told, ...] = ()
    asked: tuple[Asked, ...] = ()

    def judged(self) -> Verdict:
        return check(self.acts, self.heard, self.facts, told=self.told, asked=self.asked)


def told(*marks: str, door: Door = Door.REPORTS, end: Phase = Phase.OK, **more: Any) -> list[Act]:
    """A request and what came of it."""
    history = History()
    fresh = {"accepted": len(marks)} if end is Phase.OK and door is not Door.COMMANDS else {}
    history.note("r", 0, Phase.INVOKE, door=door, tenant=TENANT, marks=marks)
    history.note("r", 0, end, door=door, tenant=TENANT, marks=marks, **{**fresh, **more})
    return history.acts


def a_report(mark: str, seq: int = 1, **more: Any) -> Record:
    facts = {
        "tenant": TENANT, "kind": "client_report", "id": f"id-{mark}", "mark": mark,
        "position": (0, seq), "cell": CELL, "minute": MINUTE, "actor": mark,
    }  # fmt: skip
    return Record(**{**facts, **more})


def a_command(mark: str) -> Record:
    return Record(tenant=TENANT, kind="command", id=f"id-{mark}", mark=mark, position=None)


def an_event(sequence: int, **more: Any) -> Event:
    facts = {
        "tenant": TENANT, "sequence": sequence, "id": f"evt_{sequence}", "type": "incident.updated",
        "incident": "inc_1", "revision": sequence, "digest": f"body-{sequence}",
        "content": f"said-{sequence}",
    }  # fmt: skip
    return Event(**{**facts, **more})


def an_attempt(sequence: int, status: int | None = 204, **more: Any) -> Heard:
    facts = {
        "subscription": SUB, "webhook_id": f"evt_{sequence}", "type": "incident.updated",
        "tenant": TENANT, "sequence": sequence, "incident": "inc_1", "revision": sequence,
        "digest": f"body-{sequence}", "status": status, "content": f"said-{sequence}",
        "delivery": f"dlv_{sequence}",
    }  # fmt: skip
    return Heard(**{**facts, **more})


def a_delivery(sequence: int, state: str = "delivered", **more: Any) -> Delivery:
    facts = {"id": f"dlv_{sequence}", "subscription": SUB, "event": f"evt_{sequence}"}
    facts |= {"claims": 1, "tries": 1, "answered": 1, "taken": int(state == "delivered")}
    return Delivery(**{**facts, "state": state, **more})


def a_line(sequence: int, **more: Any) -> Told:
    facts = {
        "reader": "the pages", "tenant": TENANT, "sequence": sequence, "id": f"evt_{sequence}",
        "content": f"said-{sequence}",
    }  # fmt: skip
    return Told(**{**facts, **more})


@pytest.fixture
def world() -> World:
    """Three reports, one of them sent twice; a command; three events, one refused at first."""
    return World(
        acts=(
            *told("a", "b", end=Phase.INFO),
            *told("a", "b", "c"),
            *told("a", "b", "c", accepted=0, duplicates=3),
            *told("open", door=Door.COMMANDS),
            *told("never", door=Door.COMMANDS, end=Phase.INFO),
        ),
        heard=(
            an_attempt(0, type="test.ping", incident=None, webhook_id="evt_ping", content=""),
            an_attempt(1),
            an_attempt(2, 503),
            an_attempt(2, None),
            an_attempt(2),
            an_attempt(3),
        ),
        facts=Facts(
            records=(a_report("a"), a_report("b"), a_report("c", 2), a_command("open")),
            checkpoints={TENANT: Checkpoint(position=(0, 2), sequence=3)},
            heads={TENANT: (0, 2)},
            events=(an_event(1), an_event(2), an_event(3)),
            deliveries=(a_delivery(1), a_delivery(2, **THRICE), a_delivery(3)),
            subscriptions={SUB: (TENANT, "native")},
            incidents=(
                Known(
                    tenant=TENANT, id="inc_1", revision=3, is_open=True, onset=MINUTE, reports=3,
                    services=("exchange-online",), series={WHERE: 3},
                ),
            ),
            tallies={WHERE: (3, 3)},
            fed={TENANT: 3},
        ),
        told=(a_line(1), a_line(2), a_line(3)),
    )  # fmt: skip


def test_a_run_without_a_fault_has_none(world: World) -> None:
    verdict = world.judged()
    assert verdict == Verdict()
    assert verdict.holds


Plant = Callable[[World], World]


def stored(**changes: Any) -> Plant:
    """Change what the database says."""
    return lambda world: replace(world, facts=replace(world.facts, **changes))


def heard(*more: Heard) -> Plant:
    """Let the receiver hear more."""
    return lambda world: replace(world, heard=(*world.heard, *more))


def without_record(world: World) -> World:
    facts = replace(world.facts, records=world.facts.records[:2] + world.facts.records[3:])
    return replace(world, facts=replace(facts, tallies={WHERE: (2, 2)}, incidents=()))


def without_command(world: World) -> World:
    return replace(world, facts=replace(world.facts, records=world.facts.records[:3]))


def more_records(*records: Record, **changes: Any) -> Plant:
    def plant(world: World) -> World:
        facts = replace(world.facts, records=(*world.facts.records, *records), **changes)
        return replace(world, facts=facts)

    return plant


def an_incident(**changes: Any) -> Plant:
    def plant(world: World) -> World:
        changed = replace(world.facts.incidents[0], **changes)
        return replace(world, facts=replace(world.facts, incidents=(changed,)))

    return plant


def planned(*more: Delivery, second: Delivery | None = None) -> Plant:
    """Change what is planned."""
    rows = (a_delivery(1), second or a_delivery(2, **THRICE), a_delivery(3), *more)
    return stored(deliveries=rows)


def both(first: Plant, second: Plant) -> Plant:
    """Plant two faults."""
    return lambda world: second(first(world))


def told_of(*lines: Told) -> Plant:
    """Change what the reader of the feed got."""
    return lambda world: replace(world, told=lines)


def a_replay(**changes: Any) -> Replayed:
    facts = {"id": "rpl_1", "subscription": SUB, "select": "all", "since_ms": 2, "until_ms": 3}
    return Replayed(**{**facts, "position": 3, "ended": True, **changes})


def replayed(*more: Delivery, there: tuple[Replayed, ...], also: tuple[Heard, ...] = ()) -> Plant:
    """Send the second event again by a replay, and change what the database says of it."""
    again = an_attempt(2, delivery="dlv_8", replay="rpl_1")
    rows = (a_delivery(2, id="dlv_8", replay="rpl_1"), *more)

    def plant(world: World) -> World:
        events = tuple(replace(one, at_ms=one.sequence) for one in world.facts.events)
        facts = replace(
            world.facts, events=events, replays=there, deliveries=(*world.facts.deliveries, *rows)
        )
        asked = (Asked(replay="rpl_1", subscription=SUB, select="all"),)
        return replace(world, facts=facts, heard=(*world.heard, again, *also), asked=asked)

    return plant


def test_a_replay_is_no_duplicate_and_no_inversion(world: World) -> None:
    assert replayed(there=(a_replay(),))(world).judged() == Verdict()


def never_sent(world: World) -> World:
    return replace(world, acts=tuple(act for act in world.acts if act.phase is not Phase.INVOKE))


def unordered(world: World) -> World:
    ping, first, *_, third = world.heard
    return replace(world, heard=(ping, first, third, an_attempt(2)))


PLANTED: list[tuple[str, str, Plant]] = [
    ("an acknowledged report is not stored", "lost drifted", without_record),
    ("an acknowledged command is not stored", "lost", without_command),
    (
        "an event is missing in the log",
        "lost phantom",
        stored(events=(an_event(1, revision=1), an_event(3, revision=3))),
    ),
    ("an event is planned for nobody", "lost", stored(deliveries=(a_delivery(1), a_delivery(3)))),
    (
        "an event is not planned for one of two",
        "lost",
        stored(subscriptions={SUB: (TENANT, "native"), OTHER_SUB: (TENANT, "cloudevents")}),
    ),
    (
        "an event counts as delivered and was not",
        "lost phantom",
        lambda world: replace(world, heard=world.heard[:-1]),
    ),
    ("a change was told by no event", "lost", an_incident(revision=4)),
    ("a stored report was never sent", "phantom", never_sent),
    (
        "an event was delivered and not committed",
        "phantom",
        heard(an_attempt(9, incident="inc_9")),
    ),
    (
        "another tenant's event was delivered",
        "phantom",
        stored(subscriptions={SUB: ("beta", "native")}),
    ),
    (
        "a delivery's signature does not fit",
        "phantom",
        heard(an_attempt(3, 503, genuine=False)),
    ),
    ("an event was accepted twice", "duplicate", heard(an_attempt(2))),
    ("what was written down as taken was sent again", "drifted duplicate",
     heard(an_attempt(3))),
    ("an acceptance was written down twice", "drifted duplicate",
     both(heard(an_attempt(2)), planned(second=a_delivery(2, **{**THRICE, "taken": 2})))),
    ("the log has an answer that was not given", "phantom drifted",
     planned(second=a_delivery(2, **{**THRICE, "taken": 2}))),
    ("a delivery stands nowhere", "lost", planned(second=a_delivery(2, "sleeping", **THRICE))),
    ("a delivery waits for what is done", "lost",
     planned(second=a_delivery(2, "superseded", superseded_by="dlv_3"))),
    ("what may not be left out was", "lost",
     planned(second=a_delivery(2, "parked", superseded_by="dlv_3", type="incident.resolved"))),
    ("a receiver was not told what was left out", "lost",
     planned(second=a_delivery(2, superseded_by="dlv_3"))),
    ("a delivery of an event that never was", "phantom", planned(a_delivery(9, "parked"))),
    ("an event is planned twice", "phantom", planned(a_delivery(3, "pending", id="dlv_4"))),
    ("an event says something else than the log", "drifted",
     heard(an_attempt(3, 503, content="else"))),
    ("the feed left an event out", "lost", told_of(a_line(1), a_line(3))),
    ("the feed left the last event out", "lost", told_of(a_line(1), a_line(2))),
    ("the feed told an event twice", "inverted",
     told_of(a_line(1), a_line(1), a_line(2), a_line(3))),
    ("the feed told events in another order", "inverted", told_of(a_line(2), a_line(1), a_line(3))),
    ("the feed told what never was", "phantom",
     told_of(a_line(1), a_line(2), a_line(3), a_line(4))),
    ("the feed told of other content", "drifted",
     told_of(a_line(1), a_line(2, content="else"), a_line(3))),
    ("a command took effect twice", "phantom", more_records(a_command("open"))),
    ("an event came after a later one", "inverted", unordered),
    ("an event came with other bytes", "drifted", heard(an_attempt(3, 503, digest="else"))),
    (
        "a native body is not the event's own",
        "drifted",
        stored(events=(an_event(1), an_event(2), an_event(3, digest="else"))),
    ),
    (
        "a report is stored twice under one id",
        "drifted",
        more_records(a_report("a", 2), tallies={WHERE: (3, 3)}),
    ),
    (
        "a report is stored twice under two ids and counted twice",
        "drifted",
        more_records(a_report("a", 2, id="id-else"), tallies={WHERE: (4, 3)}),
    ),
    (
        "a repetition was called new",
        "drifted",
        lambda world: replace(world, acts=(*world.acts, *told("a", "b", "c"))),
    ),
    ("the engine counted a report twice", "drifted", stored(tallies={WHERE: (4, 3)})),
    ("the engine forgot a minute", "drifted", stored(tallies={}, incidents=())),
    ("the engine counted what is in no log", "drifted",
     stored(tallies={WHERE: (3, 3), (TENANT, CELL, MINUTE + 1): (1, 1)})),
    ("the fold stands beyond its log", "drifted", stored(heads={TENANT: (0, 1)})),
    (
        "the fold stands behind its log",
        "drifted",
        stored(heads={TENANT: (0, 3)}),
    ),
    ("the fold never ran", "drifted", stored(heads={TENANT: (0, 2), "beta": (0, 1)})),
    (
        "the state counts fewer events than there are",
        "drifted",
        stored(checkpoints={TENANT: Checkpoint(position=(0, 2), sequence=2)}),
    ),
    ("an incident claims too many reports", "drifted", an_incident(reports=4)),
    ("an incident shows too many reports", "drifted", an_incident(series={WHERE: 4})),
    ("an open incident shows too few", "drifted", an_incident(series={WHERE: 2})),
    ("an incident's revision was told twice", "drifted lost",
     stored(events=(an_event(1), an_event(2), an_event(3, revision=2)))),
    ("the file is damaged", "drifted", stored(sound=False)),
    ("an acknowledged replay is not there", "lost", replayed(there=())),
    ("a replay never ended", "lost", replayed(there=(a_replay(ended=False),))),
    ("a replay left an event out", "lost", replayed(there=(a_replay(until_ms=9),))),
    ("a replay was made twice", "lost phantom", replayed(there=(a_replay(), a_replay(id="rpl_2")))),
    ("a replay sent what was not missing", "phantom",
     replayed(there=(a_replay(select="missing"),))),
    ("a replay sent an event twice", "phantom duplicate",
     replayed(a_delivery(2, id="dlv_9", replay="rpl_1"),
     there=(a_replay(),), also=(an_attempt(2, delivery="dlv_9", replay="rpl_1"),))),
    ("an attempt names another replay", "drifted",
     replayed(there=(a_replay(),), also=(an_attempt(2, 503, delivery="dlv_8"),))),
]  # fmt: skip


@pytest.mark.parametrize(("kinds", "plant"), [p[1:] for p in PLANTED], ids=[p[0] for p in PLANTED])
def test_a_planted_fault_is_found(world: World, kinds: str, plant: Plant) -> None:
    verdict = plant(world).judged()
    assert {name for name, count in verdict.counts().items() if count} == set(kinds.split())
    assert verdict.holds is (kinds == "duplicate")


@pytest.mark.parametrize("state", ["pending", "parked"])
def test_what_waits_or_is_parked_in_plain_sight_is_not_lost(world: World, state: str) -> None:
    facts = replace(world.facts, deliveries=(a_delivery(1), a_delivery(2), a_delivery(3, state)))
    assert replace(world, heard=world.heard[:-1], facts=facts).judged().holds


def test_what_was_superseded_counts_as_delivered_with_what_stands_for_it(world: World) -> None:
    rows = (a_delivery(1, superseded_by="dlv_2"), a_delivery(2, superseded_by="dlv_3"))
    facts = replace(world.facts, deliveries=(*rows, a_delivery(3)))
    rows = tuple(replace(row, claims=0, tries=0, answered=0, taken=0) for row in rows)
    facts = replace(world.facts, deliveries=(*rows, a_delivery(3)))
    last = an_attempt(3, superseded=("evt_1", "evt_2"))
    assert replace(world, heard=(world.heard[0], last), facts=facts).judged().holds
    assert not replace(world, heard=world.heard[:-1], facts=facts).judged().holds
    unnamed = replace(world, heard=(world.heard[0], world.heard[-1]), facts=facts)
    assert unnamed.judged().counts()["lost"] == 2
    full = an_attempt(3, superseded=tuple(f"evt_{n}" for n in range(50, 150)))
    assert replace(world, heard=(world.heard[0], full), facts=facts).judged().holds


def test_an_unanswered_request_may_be_stored_or_not(world: World) -> None:
    facts = replace(world.facts, records=(*world.facts.records, a_command("never")))
    assert replace(world, facts=facts).judged().holds


def test_a_repetition_that_comes_late_is_no_inversion(world: World) -> None:
    verdict = heard(an_attempt(1))(world).judged()
    assert verdict.counts()["inverted"] == 0
    assert verdict.counts()["duplicate"] == 1


def test_what_was_told_after_the_reader_went_is_not_missed_in_the_feed(world: World) -> None:
    facts = replace(world.facts, fed={TENANT: 2})
    assert replace(world, told=world.told[:2], facts=facts).judged().holds


def test_minutes_that_the_engine_may_forget_are_not_missed(world: World) -> None:
    point = Checkpoint(position=(0, 2), sequence=3, horizon=MINUTE + 1)
    facts = replace(world.facts, tallies={}, checkpoints={TENANT: point})
    assert replace(world, facts=facts).judged().holds


def test_what_follows_the_checkpoint_is_not_expected_in_the_counts(world: World) -> None:
    facts = replace(world.facts, records=(*world.facts.records, a_report("d", 3)))
    acts = (*world.acts, *told("d"))
    verdict = replace(world, acts=acts, facts=replace(facts, heads={TENANT: (0, 3)})).judged()
    assert [text for text in verdict.drifted if "behind" not in text] == []
