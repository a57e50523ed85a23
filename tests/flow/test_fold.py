"""The fold over a real database: exactly once, serial per tenant, the same after a restart."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlmodel import SQLModel

from app.core.errors import IllegalTransition, NotFound, PreconditionFailed
from app.core.events import EventType
from app.core.incident import Incident
from app.core.types import Status, TenantId
from app.flow.fold import Overtaken
from app.store import advisories, intake, journal, states
from app.store.engine import Database, Fenced
from tests.core.play import at
from tests.flow.tale import BEGIN, END, TENANT, Tale, a_note, signals

STORY = signals()


@pytest.fixture
def tale(database: Database) -> Tale:
    return Tale(database)


def position(c: Connection) -> tuple[int, int]:
    checkpoint = states.checkpoint(c, TENANT)
    return checkpoint.tx, checkpoint.seq


async def until_confirmed(tale: Tale) -> None:
    await tale.tell(STORY, until=at("06:08"))
    assert [i.status for i in tale.incidents()] == [Status.CONFIRMED]


async def test_the_outage_is_one_incident_with_its_advisory(tale: Tale) -> None:
    await tale.tell(STORY)
    (incident,) = tale.incidents()
    assert incident.services == ("exchange-online",)
    assert [a.id for a in incident.advisories] == ["EX931445"]
    assert incident.status is Status.RESOLVED
    stored = tale.db.read_now(lambda c: advisories.get(c, TENANT, "EX931445"))
    assert stored is not None
    assert list(stored.incidents) == [incident.id]
    told = tale.events()
    assert [e.sequence for e in told] == list(range(1, len(told) + 1))
    assert tale.planned == [e.id for e in told]  # deliveries are planned for each event, once
    assert tale.committed > 0


async def test_a_restart_equals_no_restart_on_the_same_database(tale: Tale, tmp_path: Any) -> None:
    calm = Database(f"sqlite:///{tmp_path}/calm.db")
    SQLModel.metadata.create_all(calm.engine)
    try:
        quiet = Tale(calm)
        await quiet.tell(STORY, until=at("06:12"))
        await tale.tell(STORY, until=at("06:06"))
        tale.restart()
        await tale.tell(STORY, until=at("06:12"))
        assert [e.body for e in tale.events()] == [e.body for e in quiet.events()]
        assert tale.incidents() == quiet.incidents()
    finally:
        calm.close()


async def test_a_batch_that_comes_again_changes_nothing(tale: Tale) -> None:
    await until_confirmed(tale)
    before, told = tale.incidents(), [e.id for e in tale.events()]
    pushed = [s for s in STORY if s.received_at <= tale.clock.at and not s.id.startswith("EX")]
    assert await tale.take(pushed) == len(pushed)
    await tale.settle()
    assert tale.incidents() == before
    assert [e.id for e in tale.events()] == told


async def test_small_steps_tell_the_same_as_one(
    tale: Tale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.flow.fold.GULP", 3)
    pushed = [s for s in STORY if s.received_at <= at("06:04")]
    for signal in pushed:
        await tale.take([signal])
    tale.clock.at = at("06:04")
    steps = 1
    while await tale.fold.step(TENANT):
        steps += 1
    assert steps >= len(pushed) // 3
    assert tale.db.read_now(lambda c: intake.after(c, TENANT, *position(c), limit=9)) == []


async def test_an_advisory_that_comes_again_is_no_event(tale: Tale) -> None:
    await tale.tell(STORY, until=at("06:12"))
    told = len(tale.events())
    await tale.take([s for s in STORY if s.id == "EX931445-1"])
    tale.clock.at += timedelta(seconds=1)
    await tale.settle()
    fresh = tale.events()[told:]
    assert [e for e in fresh if e.type is EventType.ADVISORY_UPDATED] == []


async def test_two_replicas_that_fold_at_once_tell_each_event_once(tale: Tale) -> None:
    other = tale.another()

    async def together(_: Any) -> None:
        await asyncio.gather(other.step(TENANT), tale.fold.step(TENANT))

    await tale.tell(STORY, until=at("06:10"), at_each=together)
    told = tale.events()
    assert len({e.id for e in told}) == len(told)
    assert [e.sequence for e in told] == list(range(1, len(told) + 1))
    assert len(tale.incidents()) == 1


async def test_a_step_that_was_overtaken_stores_nothing_and_comes_again(tale: Tale) -> None:
    await tale.tell(STORY, until=at("06:05"))
    late = tale.another()
    await tale.take([s for s in STORY if at("06:05") < s.received_at <= at("06:07")])
    tale.clock.at = at("06:07")
    loaded = tale.db.read_now(lambda c: late._load(c, TENANT))
    decision = late._decide_records(loaded, tale.clock.at).decision
    await tale.settle()  # the other one was faster
    before = (tale.incidents(), [e.id for e in tale.events()])
    revision = tale.db.read_now(lambda c: states.checkpoint(c, TENANT).revision)
    after = states.Checkpoint(revision=loaded.checkpoint.revision + 1)
    with pytest.raises(Overtaken):
        await late._store(TENANT, loaded, after, decision, tale.clock.at, raw={})
    assert (tale.incidents(), [e.id for e in tale.events()]) == before
    assert tale.db.read_now(lambda c: states.checkpoint(c, TENANT).revision) == revision


class Crowded(Fenced):
    """A database on which another replica takes a command while a step has much in hand."""

    def __init__(self, tale: Tale, incident: Incident) -> None:
        super().__init__(tale.db, lambda _: None)
        self._other, self._incident = tale.another(), incident
        self.between = 0

    async def read(self, work: Any) -> Any:
        """Read; who took more than two rows is overtaken before it can store."""
        found = await super().read(work)
        if len(getattr(found, "records", ())) > 2:
            self.between += 1
            note = a_note(self._incident.id, self.between)
            await self._other.command(TENANT, note)
        return found


async def test_commands_elsewhere_cannot_keep_a_fold_from_going_on(tale: Tale) -> None:
    await until_confirmed(tale)
    (incident,) = tale.incidents()
    behind = [s for s in STORY if at("06:08") < s.received_at <= at("06:20")]
    for one in behind:
        await tale.take([one])
    tale.clock.at = at("06:20")
    tale.fold._db = crowded = Crowded(tale, incident)
    before = tale.db.read_now(position)
    for _ in range(8):
        await tale.fold.step(TENANT)
    assert crowded.between >= 3
    assert tale.db.read_now(position) > before
    tale.fold._db = tale.db
    await tale.settle()
    assert tale.fold._overtaken[TENANT] == 0


async def test_a_step_that_fails_halfway_leaves_nothing_behind(tale: Tale) -> None:
    await tale.tell(STORY, until=at("06:05"))
    checkpoint = tale.db.read_now(lambda c: states.checkpoint(c, TENANT))
    told = len(tale.events())

    def broken(*_: Any) -> int:
        raise ValueError("the plan of deliveries met a bug")

    tale.fold = tale.another(plan=broken)
    tale.clock.at = at("06:07")
    await tale.take([s for s in STORY if at("06:05") < s.received_at <= at("06:07")])
    with pytest.raises(ValueError, match="met a bug"):
        await tale.settle()
    assert tale.db.read_now(lambda c: states.checkpoint(c, TENANT)) == checkpoint
    assert len(tale.events()) == told
    tale.fold = tale.another()
    await tale.settle()
    assert tale.incidents()  # what waited was folded when the bug was gone


async def test_a_command_is_folded_in_the_transaction_that_stores_it(tale: Tale) -> None:
    await until_confirmed(tale)
    (incident,) = tale.incidents()
    after = await tale.fold.command(TENANT, a_note(incident.id))
    assert after.notes[-1].text == "Looking into it."
    assert tale.incidents() == [after]
    assert tale.events()[-1].type is EventType.NOTED
    told = len(tale.events())
    tale.clock.at += timedelta(seconds=1)
    await tale.settle()  # its row is in the intake log, and is not folded again
    assert [e.type for e in tale.events()[told:]].count(EventType.NOTED) == 0


async def test_a_command_waits_for_a_step_that_came_between(tale: Tale) -> None:
    await until_confirmed(tale)
    (incident,) = tale.incidents()
    other = tale.another()
    notes = (other.command(TENANT, a_note(incident.id, n)) for n in range(4))
    more = (tale.fold.command(TENANT, a_note(incident.id, n)) for n in range(4, 8))
    await asyncio.gather(*notes, *more, tale.fold.step(TENANT), other.step(TENANT))
    (after,) = tale.incidents()
    assert len(after.notes) == 8
    assert [e.type for e in tale.events()].count(EventType.NOTED) == 8


async def test_a_command_that_may_not_follow_stores_nothing(tale: Tale) -> None:
    await until_confirmed(tale)
    (incident,) = tale.incidents()
    told = len(tale.events())
    with pytest.raises(NotFound):
        await tale.fold.command(TENANT, a_note("inc_nowhere"))
    with pytest.raises(PreconditionFailed):
        await tale.fold.command(TENANT, a_note(incident.id), expected_revision=999)
    reopen = a_note(incident.id)
    with pytest.raises(IllegalTransition):
        await tale.fold.command(
            TENANT, type(reopen)(**{**fields(reopen), "name": "reopen", "body": {"reason": "x"}})
        )
    assert len(tale.events()) == told
    assert tale.incidents() == [incident]


def fields(command: Any) -> dict[str, Any]:
    return {name: getattr(command, name) for name in type(command).__dataclass_fields__}


async def test_news_is_an_event_about_no_incident(tale: Tale) -> None:
    await tale.settle()
    facts = {"source": "graph", "kind": "advisory"}
    await tale.fold.news(TENANT, EventType.SOURCE_STALE, facts, actor="graph", reason="no_answer")
    last = tale.events()[-1]
    assert (last.type, last.incident) == (EventType.SOURCE_STALE, None)


async def test_news_and_what_is_written_with_it_are_one(tale: Tale) -> None:
    def refuse(_: Any) -> None:
        raise ValueError("not this time")

    facts = {"source": "graph", "kind": "advisory"}
    with pytest.raises(ValueError, match="not this time"):
        await tale.fold.news(TENANT, EventType.SOURCE_STALE, facts, actor="graph",
                             reason="no_answer", also=refuse)  # fmt: skip
    assert tale.events() == []


async def test_time_alone_is_stored_only_when_it_changed_something(tale: Tale) -> None:
    await tale.settle()
    first = tale.db.read_now(lambda c: states.checkpoint(c, TENANT).revision)
    for _ in range(9):
        tale.clock.at += timedelta(seconds=60)
        await tale.settle()
    assert tale.db.read_now(lambda c: states.checkpoint(c, TENANT).revision) == first
    tale.clock.at += timedelta(seconds=60)  # the next ten minutes are final now
    await tale.settle()
    assert tale.db.read_now(lambda c: states.checkpoint(c, TENANT).revision) == first + 1


async def test_what_a_long_transaction_holds_back_is_counted_when_it_ends(
    postgresql_database: Database,
) -> None:
    tale = Tale(postgresql_database)
    await tale.tell(STORY, until=at("06:02"))
    with postgresql_database.engine.connect() as somebody:
        somebody.execute(text("SELECT pg_current_xact_id()"))  # from now on others wait for it
        await tale.tell(STORY, until=at("06:10"))
        assert not tale.incidents()
        for _ in range(30):  # long enough that the minutes would be final
            tale.clock.at += timedelta(minutes=10)
            await tale.settle()
        somebody.rollback()
    await tale.settle()
    (incident,) = tale.incidents()
    assert incident.onset_at < at("06:10")


async def test_a_tenant_does_not_fold_what_another_was_sent(tale: Tale) -> None:
    await tale.tell(STORY, until=at("06:08"))
    other = TenantId("idle")
    while await tale.fold.step(other):
        pass
    assert tale.db.read_now(lambda c: states.load(c, other)[1].cells) == {}
    assert tale.fold.tenants == (TENANT, other)


async def test_each_stored_step_is_in_the_journal(tale: Tale) -> None:
    await until_confirmed(tale)
    (incident,) = tale.incidents()
    await tale.fold.command(TENANT, a_note(incident.id))
    found, place = tale.db.read_now(lambda c: journal.steps(c, TENANT, (0, 0, 0), END, 1000))
    last = tale.db.read_now(lambda c: states.checkpoint(c, TENANT))
    assert [step.revision for step in found] == list(range(1, last.revision + 1))
    assert place == (last.revision, last.tx, last.seq)
    held = [s.id for step in found for s in step.signals]
    assert len(held) == len(set(held))
    came = [s for s in STORY if BEGIN < s.received_at <= tale.clock.at]
    assert len(held) == len(came) + 1
    assert found[-1].signals[0].id == "note-1"
