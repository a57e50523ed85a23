"""The exam of all channels: whatever the way, each thing is told once, and trouble is visible."""

import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.core.link import LinkState
from app.core.ports import ChannelAnswer, Telling
from app.store.engine import Database
from tests.flow.telling import TellingWorld
from tests.sinks.benches import BENCHES, Bench
from tests.standins.channels.trouble import Trouble


@pytest.fixture(params=sorted(BENCHES))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with BENCHES[request.param]() as made:
        yield made


@pytest.fixture
def world(sqlite_database: Database, bench: Bench) -> TellingWorld:
    return TellingWorld(sqlite_database, bench.channel)


async def test_each_thing_is_told_once_from_the_first_notice_to_the_end_and_after(
    bench: Bench, world: TellingWorld
) -> None:
    incident = await world.open(title="Mailboxes cannot be opened")
    await world.run()
    assert bench.firsts() == 1
    assert "Mailboxes cannot be opened" in bench.shown()[0]
    link = world.link(incident)
    assert (link.state, link.remote_state) == (LinkState.IN_STEP, "first")
    await world.do("severity", incident, severity="critical", reason="all sites")
    await world.run()
    assert world.link(incident).remote_state == "update"
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run()
    link = world.link(incident)
    assert (link.state, link.remote_state) == (LinkState.IN_STEP, "resolved")
    assert {"first_at", "update_at", "resolved_at"} <= link.memory.sent.keys()
    assert bench.firsts() == 1
    shown, calls = bench.shown(), bench.calls()
    await world.run(3600 * 7, loop=world.replica())  # the same events once more
    assert (bench.shown(), bench.calls()) == (shown, calls)
    await world.do("reopen", incident, reason="still broken")
    await world.run()
    assert world.link(incident).remote_state == "update"
    assert bench.calls() > calls


async def test_a_request_to_wait_is_obeyed(bench: Bench, world: TellingWorld) -> None:
    bench.trouble(Trouble.THROTTLED)
    incident = await world.open()
    await world.run()
    calls = bench.calls()
    link = world.link(incident)
    assert (bench.firsts(), link.state) == (0, LinkState.PENDING)
    wait = link.due_at - world.clock.at
    assert wait >= timedelta(seconds=5)
    await world.open(title="Another")  # the whole channel rests, not one incident alone
    await world.run(wait.total_seconds() - 1)
    assert bench.calls() == calls
    await world.run(30)
    assert bench.firsts() == 2


async def test_a_refusal_is_visible_and_tried_again(bench: Bench, world: TellingWorld) -> None:
    bench.refuse(refuses=True)
    incident = await world.open()
    await world.run()
    link = world.link(incident)
    assert link.state is LinkState.FAILED
    assert len(link.explanation) > 20
    calls = bench.calls()
    await world.run(600)
    assert bench.calls() == calls  # not hammered
    bench.refuse(refuses=False)
    await world.run(600)
    assert (bench.firsts(), world.link(incident).state) == (1, LinkState.IN_STEP)


async def test_an_answer_that_is_lost_doubles_nothing_that_can_be_told_apart(
    bench: Bench, world: TellingWorld
) -> None:
    bench.trouble(Trouble.CUT)
    incident = await world.open()
    await world.run(120)
    assert world.link(incident).state is LinkState.IN_STEP
    assert 1 <= bench.firsts() <= (1 if bench.has_key else 2)


class Killed(BaseException):
    """The process ends here."""


async def test_a_crash_between_send_and_record_doubles_nothing_that_can_be_told_apart(
    bench: Bench, world: TellingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = await world.open()
    tell = bench.channel.tell

    async def dying(telling: Telling) -> ChannelAnswer:
        await tell(telling)
        raise Killed

    monkeypatch.setattr(bench.channel, "tell", dying)
    with pytest.raises(Killed):
        await world.run()
    monkeypatch.undo()
    await world.run(600, loop=world.replica())  # after the lease of the dead process
    assert world.link(incident).state is LinkState.IN_STEP
    assert 1 <= bench.firsts() <= (1 if bench.has_key else 2)


async def test_text_of_strangers_means_nothing_and_fits_however_long(
    bench: Bench, world: TellingWorld
) -> None:
    incident = await world.open(title="<!channel> <b>hi</b> &amp; " + "x" * 5000)
    await world.do("notes", incident, text="y\n" * 9000, visibility="internal")
    await world.run()
    await world.do("notes", incident, text="z" * 60_000, visibility="internal")
    await world.run()
    assert (bench.firsts(), world.link(incident).state) == (1, LinkState.IN_STEP)
    for told in bench.shown():
        assert "<!channel>" not in told
        assert "<b>" not in told


async def test_no_secret_is_logged_or_stored(
    bench: Bench, world: TellingWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for kind in (Trouble.THROTTLED, Trouble.ERROR, Trouble.ELSEWHERE, Trouble.CUT):
        bench.trouble(kind)
    incident = await world.open()
    for _ in range(4):
        await world.run(900)
        assert bench.secret not in world.link(incident).explanation
    told = [r.getMessage() + str(vars(r)) for r in caplog.records if r.name.startswith("app.")]
    assert told
    assert not [line for line in told if bench.secret in line]
    assert bench.secret not in repr(world.link(incident))
