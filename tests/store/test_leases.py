"""Leases in the store: one replica holds a piece of work, and a former one writes nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.core.errors import LeaseLost
from app.store import leases
from app.store.engine import Database, Fenced
from tests.builders import NOW

LASTS = timedelta(seconds=6)
WORK = ["fold:a", "fold:b", "graph:a"]


def take(db: Database, me: str, names: list[str]) -> dict[str, int]:
    def unit(c: leases.Connection) -> dict[str, int]:
        former = leases.standings(c, leases.replicas(c, NOW))
        return leases.take(c, me, names, former=former, now=NOW)

    return db.write_now(unit)


async def test_what_is_taken_is_held_and_the_token_grows_with_each_change(
    database: Database,
) -> None:
    assert take(database, "one", WORK) == dict.fromkeys(WORK, 1)
    assert take(database, "two", WORK) == dict.fromkeys(WORK, 2)
    database.write_now(lambda c: leases.give(c, "two", ["fold:b"]))
    database.write_now(lambda c: leases.give(c, "one", ["fold:a"]))  # not its own any more
    found = database.read_now(lambda c: leases.standings(c, {"two"}))
    assert {n: (s.owner, s.token, s.alive) for n, s in found.items()} == {
        "fold:a": ("two", 2, True), "fold:b": ("", 2, False), "graph:a": ("two", 2, True),
    }  # fmt: skip


async def test_a_replica_is_there_while_it_beats(database: Database) -> None:
    for me in ("one", "two", "one"):
        database.write_now(lambda c, me=me: leases.beat(c, me, now=NOW, until=NOW + LASTS))  # type: ignore[misc]
    there = database.read_now(lambda c: leases.replicas(c, NOW + LASTS / 2))
    assert there == {"one", "two"}
    assert database.read_now(lambda c: leases.replicas(c, NOW + LASTS)) == frozenset()
    assert database.read_now(lambda c: leases.standings(c, there)) == {}  # a beat is no work
    database.write_now(lambda c: leases.leave(c, "two"))
    assert database.read_now(lambda c: leases.replicas(c, NOW)) == {"one"}
    later = NOW + LASTS + leases.FORGOTTEN * 2
    database.write_now(lambda c: leases.beat(c, "three", now=later, until=later + LASTS))
    assert database.read_now(lambda c: leases.replicas(c, NOW)) == {"three"}


async def test_a_former_holder_writes_nothing(database: Database) -> None:
    take(database, "one", WORK)
    mine = Fenced(database, lambda c: leases.check(c, "fold:a", 1))

    def beat(me: str) -> None:
        mine.write_now(lambda c: leases.beat(c, me, now=NOW, until=NOW + LASTS))

    beat("first")
    take(database, "two", ["fold:a"])
    with pytest.raises(LeaseLost):
        beat("second")
    with pytest.raises(LeaseLost):
        await mine.write(lambda c: leases.beat(c, "third", now=NOW, until=NOW + LASTS))
    assert await mine.read(lambda c: leases.replicas(c, NOW)) == {"first"}


async def test_work_does_not_change_hands_under_a_write(postgresql_database: Database) -> None:
    db = postgresql_database
    take(db, "one", WORK)

    def slow(c: leases.Connection) -> dict[str, int]:
        leases.check(c, "fold:a", 1)
        return take(db, "two", WORK)  # another connection, while this transaction is open

    assert db.write_now(slow) == {"fold:b": 2, "graph:a": 2}
    assert take(db, "two", ["fold:a"]) == {"fold:a": 2}


async def test_of_many_that_take_at_once_each_piece_has_one(database: Database) -> None:
    names = [f"graph:{number}" for number in range(600)]
    for _ in range(2):  # what nobody ever held, then what somebody held
        with ThreadPoolExecutor(4) as pool:
            got = list(pool.map(lambda me: take(database, me, names), ("one", "two", "three")))
        holders = database.read_now(lambda c: leases.standings(c, ()))
        for me, tokens in zip(("one", "two", "three"), got, strict=True):
            last = {n: t for n, t in tokens.items() if holders[n].owner == me}
            assert {n: holders[n].token for n in last} == last
        assert sorted(holders) == sorted(names)
        tokens_given = [(n, t) for tokens in got for n, t in tokens.items()]
        assert len(set(tokens_given)) == len(tokens_given)  # no token twice
