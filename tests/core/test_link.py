"""The state machine of links, as data: every move is there on purpose, and nothing is a trap."""

from datetime import timedelta
from itertools import product

import pytest

from app.core.link import (
    FLIPS,
    TABLE,
    ImpossibleMove,
    LinkState,
    Trigger,
    correlation_of,
    flipping,
    moved,
)
from tests.builders import NOW

S, T = LinkState, Trigger

# The whole table once more, by trigger instead of by state: from where it may come, and to where.
BEFORE_A_TICKET = {S.PENDING, S.HELD, S.FAILED}
WITH_A_TICKET = {S.IN_STEP, S.AWAITING_HUMAN, S.CONFLICT, S.FAILED}
MOVES: dict[Trigger, dict[LinkState, LinkState]] = {
    T.FOUND: dict.fromkeys(BEFORE_A_TICKET | {S.CREATE_UNKNOWN, S.GONE}, S.IN_STEP),
    T.SENT: dict.fromkeys(BEFORE_A_TICKET, S.CREATING),
    T.CREATED: {S.CREATING: S.IN_STEP},
    T.LOST: {S.CREATING: S.CREATE_UNKNOWN, S.CREATE_UNKNOWN: S.CREATE_UNKNOWN}
    | {s: s for s in WITH_A_TICKET},
    T.UNREACHED: {S.CREATING: S.PENDING}
    | {s: s for s in WITH_A_TICKET | {S.PENDING, S.HELD, S.CREATE_UNKNOWN, S.GONE}},
    T.ABSENT: {S.CREATE_UNKNOWN: S.PENDING},
    T.SPENT: dict.fromkeys(BEFORE_A_TICKET, S.HELD),
    T.REFUSED: dict.fromkeys(
        BEFORE_A_TICKET | WITH_A_TICKET | {S.CREATING, S.CREATE_UNKNOWN}, S.FAILED
    )
    | {S.GONE: S.GONE},
    T.WITHDRAWN: dict.fromkeys(BEFORE_A_TICKET, S.ENDED),
    T.SYNCED: dict.fromkeys(WITH_A_TICKET, S.IN_STEP),
    T.HUMAN_CLOSED: dict.fromkeys(WITH_A_TICKET, S.CONFLICT),
    T.HUMAN_WORKS: dict.fromkeys(WITH_A_TICKET, S.AWAITING_HUMAN),
    T.FLIPPING: dict.fromkeys(WITH_A_TICKET, S.CONFLICT),
    T.MISSING: dict.fromkeys(WITH_A_TICKET | {S.GONE}, S.GONE),
    T.FINISHED: dict.fromkeys(WITH_A_TICKET | {S.GONE}, S.ENDED),
    T.SUPERSEDED: dict.fromkeys(WITH_A_TICKET | {S.GONE}, S.ENDED),
    T.WANTED: {S.ENDED: S.PENDING},
    T.REOPENED: {S.ENDED: S.IN_STEP},
}


@pytest.mark.parametrize(("state", "trigger"), list(product(LinkState, Trigger)))
def test_every_pair_of_state_and_trigger_is_decided(state: LinkState, trigger: Trigger) -> None:
    expected = MOVES[trigger].get(state)
    if expected is None:
        with pytest.raises(ImpossibleMove, match=trigger.value):
            moved(state, trigger)
    else:
        assert moved(state, trigger) is expected


def test_every_state_is_reached_and_left() -> None:
    reached, waiting = {S.PENDING}, [S.PENDING]
    while waiting:
        for after in TABLE[waiting.pop()].values():
            if after not in reached:
                reached.add(after)
                waiting.append(after)
    assert reached == set(LinkState)
    assert all(set(TABLE[state].values()) - {state} for state in LinkState)


def test_no_create_is_sent_but_from_where_nothing_can_be_under_way() -> None:
    senders = {state for state, moves in TABLE.items() if T.SENT in moves}
    assert senders == {S.PENDING, S.HELD, S.FAILED}
    assert T.SENT not in TABLE[S.CREATE_UNKNOWN]


def test_the_correlation_names_the_generation_from_the_second_on() -> None:
    assert correlation_of("sextant", "inc_1", 1) == "sextant:inc_1"
    assert correlation_of("sextant", "inc_1", 3) == "sextant:inc_1#3"


def test_a_state_that_moves_to_and_fro_is_noticed_and_forgotten() -> None:
    flips = tuple(NOW + timedelta(seconds=n) for n in range(FLIPS + 1))
    assert flipping(flips, NOW + timedelta(seconds=10))
    assert not flipping(flips[1:], NOW + timedelta(seconds=10))
    assert not flipping(flips, NOW + timedelta(minutes=11))
