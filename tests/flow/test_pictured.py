"""The picture in messages and tickets: there once, as outsiders see it, and never in the way."""

import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from email.message import EmailMessage

import pytest

from app.core.announce import Audience, ChannelFacts
from app.core.errors import StorageUnavailable
from app.core.incident import Incident
from app.core.link import LinkState
from app.core.ports import IncidentPictures
from app.flow.pictured import LARGEST
from app.store.engine import Database
from app.workers import Spared
from tests.chaos.inline import Inline
from tests.flow.mirroring import MirrorWorld, Painter
from tests.flow.telling import TellingWorld
from tests.sinks.benches import (
    HttpBench,
    SlackBench,
    SmtpBench,
    jira_issues,
    slack,
    smtp,
    teams,
)
from tests.standins.channels.jira import Jira
from tests.standins.channels.trouble import Trouble
from tests.standins.servicenow import Fault, Kind
from tests.standins.servicenow.instance import Record

TERMS = {"poll": timedelta(seconds=240)}


@pytest.fixture
async def desk() -> AsyncIterator[SlackBench]:
    async with slack() as made:
        yield made


@pytest.fixture
async def mail() -> AsyncIterator[SmtpBench]:
    async with smtp() as made:
        yield made


@pytest.fixture
async def issues() -> AsyncIterator[HttpBench]:
    async with jira_issues() as made:
        yield made


async def told(world: TellingWorld) -> Incident:
    """An incident with a beginning, an update that is no turn, and an end."""
    incident = await world.open()
    await world.run()
    await world.do("notes", incident, text="we look", visibility="internal")
    await world.run()
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run()
    return incident


async def test_slack_shows_it_in_the_thread_at_each_turn(
    sqlite_database: Database, desk: SlackBench
) -> None:
    painter = Painter()
    incident = await told(TellingWorld(sqlite_database, desk.channel, pictures=painter))
    (message,) = desk.door.of_channel()
    shown = desk.door.shown()
    assert [(f.thread_ts, f.content) for f in shown] == [(message.ts, painter.content)] * 2
    assert shown[0].words.startswith(f"{incident.number} Mail is down")
    assert painter.drawn == [(str(incident.id), "png", True)] * 2


async def test_slack_without_the_scope_tells_all_the_same_and_asks_once(
    sqlite_database: Database, desk: SlackBench
) -> None:
    desk.door.scopes.discard("files:write")
    world = TellingWorld(sqlite_database, desk.channel, pictures=Painter())
    incident = await world.open()
    await world.run()
    await world.do("severity", incident, severity="critical", reason="worse")
    await world.run()
    assert (len(desk.door.of_channel()), len(desk.door.replies(desk.door.messages[0].ts))) == (1, 1)
    assert sum("getUploadURL" in one.path for one in desk.door.log) == 1


async def test_slack_says_which_scope_is_missing(
    sqlite_database: Database, desk: SlackBench
) -> None:
    desk.door.scopes.discard("files:write")
    answers = []
    tell = desk.channel.tell

    async def listened(telling: object) -> object:
        answers.append(await tell(telling))  # type: ignore[arg-type]
        return answers[-1]

    desk.channel.tell = listened  # type: ignore[assignment,method-assign]
    world = TellingWorld(sqlite_database, desk.channel, pictures=Painter())
    await world.open()
    await world.run()
    assert "files:write" in answers[0].why


async def test_nobody_else_makes_us_dial_for_an_upload(
    sqlite_database: Database, desk: SlackBench
) -> None:
    desk.door.uploads_at = "http://files.invalid"
    await told(TellingWorld(sqlite_database, desk.channel, pictures=Painter()))
    assert len(desk.door.of_channel()) == 1
    assert desk.door.shown() == []


@pytest.mark.parametrize("call", [1, 2, 3])
async def test_a_lost_answer_of_an_upload_doubles_no_message(
    call: int, sqlite_database: Database, desk: SlackBench
) -> None:
    world = TellingWorld(sqlite_database, desk.channel, pictures=Painter())
    desk.door.troubles = [None] * call + [Trouble.CUT]  # type: ignore[list-item]
    incident = await world.open()
    await world.run(60)
    assert len(desk.door.of_channel()) == 1
    assert world.link(incident).state is LinkState.IN_STEP


async def test_mail_has_it_inline_and_is_whole_without_it(
    sqlite_database: Database, mail: SmtpBench
) -> None:
    painter = Painter()
    world = TellingWorld(sqlite_database, mail.channel, pictures=painter)
    incident = await world.open()
    await world.run()
    (one,) = mail.relay.mailbox
    page, plain = one.get_body(("html",)), one.get_body(("plain",))
    assert isinstance(page, EmailMessage)
    assert isinstance(plain, EmailMessage)
    (image,) = [part for part in one.walk() if part.get_content_type() == "image/png"]
    cid = str(image["Content-ID"]).strip("<>")
    assert f'src="cid:{cid}"' in page.get_content()
    assert f'alt="{incident.number} Mail is down' in page.get_content()
    assert image.get_payload(decode=True) == painter.content
    assert image.get_content_disposition() == "inline"
    assert "Mail is down" in plain.get_content()


async def test_a_relay_that_refuses_pictures_still_delivers(
    sqlite_database: Database, mail: SmtpBench
) -> None:
    mail.relay.largest = 20_000
    painter = Painter(content=b"x" * 30_000)
    world = TellingWorld(sqlite_database, mail.channel, pictures=painter)
    incident = await world.open()
    await world.run()
    (one,) = mail.relay.mailbox
    assert not [part for part in one.walk() if part.get_content_type() == "image/png"]
    assert mail.relay.attempts == 2
    assert world.link(incident).state is LinkState.IN_STEP


async def test_jira_holds_the_newest_one(sqlite_database: Database, issues: HttpBench) -> None:
    await told(TellingWorld(sqlite_database, issues.channel, pictures=Painter()))
    door = issues.door
    assert isinstance(door, Jira)
    (issue,) = door.issues
    assert [name for name, _ in issue.attachments.values()] == ["INC-2026-0001-sextant.png"]
    assert door.made == 2


@pytest.mark.parametrize(("attaches", "held"), [(False, 0), (True, 1)])
async def test_what_jira_forbids_is_left_alone_and_told_all_the_same(
    *, attaches: bool, held: int, sqlite_database: Database, issues: HttpBench
) -> None:
    door = issues.door
    assert isinstance(door, Jira)
    door.attaches, door.deletes = attaches, False
    await told(TellingWorld(sqlite_database, issues.channel, pictures=Painter()))
    (issue,) = door.issues
    assert (len(issue.attachments), len(issue.comments), issue.status) == (held, 2, "Resolved")


async def test_users_get_words_alone(sqlite_database: Database, desk: SlackBench) -> None:
    painter = Painter()
    facts = ChannelFacts(name="desk", kind="slack", audience=Audience.USERS)
    world = TellingWorld(sqlite_database, desk.channel, pictures=painter)
    object.__setattr__(world.terms, "facts", facts)
    await world.open()
    await world.run()
    assert (len(desk.door.of_channel()), painter.drawn) == (1, [])


@pytest.mark.parametrize(
    ("pictures", "worst"),
    [
        (Spared(Painter(fails=RuntimeError("no brush"))), "ERROR"),
        (Spared(Painter(fails=StorageUnavailable())), "INFO"),  # the database is told of elsewhere
        (Painter(content=b"x" * (LARGEST + 1)), "INFO"),
    ],
)
async def test_a_picture_that_fails_holds_nothing_back(
    pictures: IncidentPictures,
    worst: str,
    sqlite_database: Database,
    desk: SlackBench,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "app")
    await told(TellingWorld(sqlite_database, desk.channel, pictures=pictures))
    assert (len(desk.door.of_channel()), desk.door.shown()) == (1, [])
    assert max((r.levelno for r in caplog.records), default=0) == getattr(logging, worst)


async def test_a_card_links_to_it_where_the_console_has_an_address(
    sqlite_database: Database,
) -> None:
    async with teams() as bench:
        painter = Painter()
        await told(TellingWorld(sqlite_database, bench.channel, pictures=painter))
        assert painter.drawn == []  # there is no place for a file
        assert "picture.png" not in "".join(bench.shown())  # http://x is for nobody's eyes


@pytest.fixture
def quick() -> Iterator[Database]:
    database = Inline()  # nothing depends on threads here
    yield database
    database.close()


def files(world: MirrorWorld) -> list[Record]:
    return list(world.instance.tables["sys_attachment"].values())


async def test_a_ticket_holds_the_newest_one(quick: Database) -> None:
    world = MirrorWorld(quick, pictures=Painter(), terms=TERMS)
    incident = await world.open()
    await world.run(300)
    assert [f["table_sys_id"] for f in files(world)] == [world.ticket()["sys_id"]]
    first = files(world)[0]["sys_id"]
    await world.do("notes", incident, text="we look")
    await world.run(300)
    assert [f["sys_id"] for f in files(world)] == [first]  # a note is no turn
    await world.do("severity", incident, severity="critical", reason="worse")
    await world.run(300)
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run(300)
    (last,) = files(world)
    assert (last["sys_id"] != first, last["file_name"]) == (True, "INC-2026-0001-sextant.png")
    assert world.link(incident).state is LinkState.IN_STEP


@pytest.mark.parametrize(("attaching", "held"), [("none", 0), ("add", 1)])
async def test_an_acl_is_said_and_not_fought(attaching: str, held: int, quick: Database) -> None:
    world = MirrorWorld(quick, pictures=Painter(), terms=TERMS)
    world.instance.attaching = attaching
    incident = await world.open()
    await world.run(300)
    await world.do("severity", incident, severity="critical", reason="worse")
    await world.run(300)
    link = world.link(incident)
    assert (len(files(world)), link.state) == (held, LinkState.IN_STEP)
    assert "pictures = false" in link.explanation
    assert world.ticket()["impact"] == "1"


async def test_an_instance_that_takes_small_files_only_gets_its_ticket(
    quick: Database,
) -> None:
    world = MirrorWorld(quick, pictures=Painter(), terms=TERMS)
    world.instance.largest_file = 4
    incident = await world.open()
    await world.run(1200)
    assert (files(world), world.link(incident).state) == ([], LinkState.IN_STEP)
    assert len([one for one in world.instance.log if one.path.endswith("/file")]) == 1


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.COMMIT_RESET, Kind.THROTTLED])
async def test_a_lost_upload_makes_no_second_ticket_and_no_second_picture(
    kind: Kind, quick: Database
) -> None:
    world = MirrorWorld(quick, pictures=Painter(), terms=TERMS)
    fault = Fault(kind=kind, path="/api/now/attachment/file", method="POST", seconds=5.0)
    world.instance.faults.append(fault)
    incident = await world.open()
    await world.run(1200)
    await world.do("severity", incident, severity="critical", reason="worse")
    await world.run(300)
    assert (len(world.tickets()), len(files(world))) == (1, 1)
    assert world.link(incident).state is LinkState.IN_STEP
