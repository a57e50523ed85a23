"""The engine's state: compared and swapped, also when a tenant has none yet."""

from app.core.state import EngineState
from app.store import states
from app.store.engine import Database
from app.store.states import Checkpoint
from tests.builders import NOW, TENANT


def swap(database: Database, before: int, after: int) -> bool:
    return database.write_now(
        lambda c: states.swap(
            c, TENANT, Checkpoint(revision=before), Checkpoint(revision=after),
            body=states.encode(EngineState()), policy="p", now=NOW,
        )
    )  # fmt: skip


def test_of_two_first_steps_one_is_stored(database: Database) -> None:
    assert swap(database, 0, 1)
    assert not swap(database, 0, 1)  # another replica, which saw no state either
    assert swap(database, 1, 2)
    assert not swap(database, 1, 2)
