"""Leases: work is shared out evenly, moves little, and none stays undone."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.lease import Standing, turn_of

NAMES = [f"{kind}:{tenant}" for kind in ("fold", "graph") for tenant in "abcdefg"]


def held(owner: str, *, alive: bool = True) -> Standing:
    return Standing(owner=owner, token=1, alive=alive)


def test_one_alone_takes_everything_and_one_of_two_half_of_each_kind() -> None:
    assert turn_of(NAMES, {}, me="one", replicas=1).take == tuple(sorted(NAMES))
    taken = turn_of(NAMES, {}, me="one", replicas=2).take
    assert [sum(n.startswith(kind) for n in taken) for kind in ("fold", "graph")] == [4, 4]


def test_what_the_dead_held_is_free_and_what_is_unwanted_is_given_back() -> None:
    standing = {"fold:a": held("gone", alive=False), "fold:b": held("two"), "fold:z": held("one")}
    turn = turn_of(["fold:a", "fold:b"], standing, me="one", replicas=2)
    assert (turn.take, turn.give) == (("fold:a",), ("fold:z",))


@given(st.integers(1, 5), st.lists(st.integers(0, 5), max_size=12), st.data())
def test_whoever_comes_and_goes_everything_is_soon_done_and_evenly(
    last: int, sizes: list[int], data: st.DataObject
) -> None:
    standing: dict[str, Standing] = {}
    for replicas in [*sizes, last]:
        everyone = [f"r{number}" for number in range(replicas)]
        standing = {n: held(s.owner, alive=s.owner in everyone) for n, s in standing.items()}
        for _ in range(2):  # after the second turn of each nothing moves any more
            for me in data.draw(st.permutations(everyone)):
                turn = turn_of(NAMES, standing, me=me, replicas=replicas)
                standing |= {n: held("", alive=False) for n in turn.give}
                standing |= {n: held(me) for n in turn.take}
    for kind in ("fold", "graph"):
        counts = [
            sum(s.owner == f"r{number}" and n.startswith(kind) for n, s in standing.items())
            for number in range(last)
        ]
        assert sum(counts) == 7
        assert max(counts) <= -(-7 // last)
    calm = [turn_of(NAMES, standing, me=f"r{n}", replicas=last) for n in range(last)]
    assert all(not turn.take and not turn.give for turn in calm)
