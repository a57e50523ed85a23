"""Announcements that do not rely on what is down, and that reach users only by a person."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.core.announce import WAITS, Audience, ChannelFacts, NoticePhase
from app.core.incident import Incident
from app.core.link import LinkState
from app.core.ports import ChannelAnswer, MirrorWord, Telling
from app.flow.announce import ChannelTools
from app.flow.channel import ChannelLoop
from app.settings import Settings
from app.store import links
from app.store.engine import Database
from app.words import choose_of, say_of
from tests.builders import TENANT
from tests.flow.telling import TellingWorld

MAIL = ChannelFacts(name="mail", kind="smtp", depends_on=("exchange-online",))
PAGER = ChannelFacts(name="pager", kind="webhook", spare=True)
SETTINGS = Settings.model_validate({"tenants": [{"id": TENANT, "name": "Contoso"}]})


class Ear:
    """A channel that keeps what it is told."""

    is_repeatable = True
    pictures = False

    def __init__(self, facts: ChannelFacts) -> None:
        self.name, self.kind = facts.name, facts.kind
        self.told: list[Telling] = []

    async def tell(self, telling: Telling) -> ChannelAnswer:
        self.told.append(telling)
        return ChannelAnswer(word=MirrorWord.DONE, record="1")

    async def heard(self, telling: Telling) -> ChannelAnswer:
        raise NotImplementedError

    async def try_out(self, telling: Telling) -> ChannelAnswer:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass

    @property
    def phases(self) -> list[NoticePhase]:
        return [telling.notice.phase for telling in self.told]


class Plan(TellingWorld):
    """A world of several channels, each with its loop."""

    def __init__(self, db: Database, *plan: ChannelFacts) -> None:
        self.ears = {facts.name: Ear(facts) for facts in plan}
        super().__init__(
            db, self.ears[plan[0].name], plan=plan, choose=choose_of(SETTINGS),
            say=say_of(SETTINGS, TENANT),
        )  # fmt: skip
        self.loops = [self._loop(facts) for facts in plan]

    def _loop(self, facts: ChannelFacts) -> ChannelLoop:
        return ChannelLoop(
            ChannelTools(
                db=self.db, clock=self.clock, channel=self.ears[facts.name], say=self.say,
                choose=self.choose, terms=replace(self.terms, facts=facts), url_of=str,
                announce=self.fold.news,
            )
        )  # fmt: skip

    async def pass_by(self, seconds: float = 60) -> None:
        """Let time pass for all channels."""
        for _ in range(6):
            for loop in self.loops:
                for _ in range(4):
                    await loop.step()
            self.clock.at += timedelta(seconds=seconds / 6)

    def state(self, name: str, incident: Incident) -> tuple[LinkState, str]:
        found = self.db.read_now(lambda c: links.newest(c, name, str(incident.id)))
        assert found is not None
        return found.state, found.explanation


async def test_the_spare_speaks_while_mail_is_down_and_mail_follows_after_recovery(
    sqlite_database: Database,
) -> None:
    world = Plan(sqlite_database, MAIL, PAGER)
    mail, pager = world.ears["mail"], world.ears["pager"]
    incident = await world.open()
    await world.pass_by()
    assert (mail.told, pager.phases) == ([], [NoticePhase.FIRST])
    assert pager.told[0].message.text.startswith(
        "This does not go out on mail for now: it depends on e-mail and calendar (Outlook)"
    )
    state, why = world.state("mail", incident)
    assert state is LinkState.HELD
    assert "mail depends on exchange-online, which INC-2026-0001 touches" in why
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.pass_by()
    assert (mail.phases, pager.phases[-1]) == ([NoticePhase.RESOLVED], NoticePhase.RESOLVED)
    assert mail.told[0].message.text.startswith("This comes late: mail could not be relied on")
    assert "This comes late" not in pager.told[-1].message.text


async def test_on_another_day_the_spare_is_silent(sqlite_database: Database) -> None:
    world = Plan(sqlite_database, replace(MAIL, depends_on=("sharepoint-online",)), PAGER)
    incident = await world.open()
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.pass_by()
    assert world.ears["pager"].told == []


async def test_a_second_incident_may_take_the_channel_of_the_first(
    sqlite_database: Database,
) -> None:
    world = Plan(sqlite_database, replace(MAIL, depends_on=("microsoft-teams",)), PAGER)
    first = await world.open()  # of Exchange, on which Teams depends by the catalogue
    await world.pass_by()
    mail, pager = world.ears["mail"], world.ears["pager"]
    assert (mail.phases, pager.phases) == ([NoticePhase.FIRST], [NoticePhase.FIRST])
    assert "which may not arrive" in mail.told[0].message.text
    await world.do("resolve", first, resolution="vendor_fix")
    await world.pass_by()
    assert (mail.phases[-1], pager.phases[-1]) == (NoticePhase.RESOLVED, NoticePhase.RESOLVED)


USERS = ChannelFacts(name="all", kind="smtp", audience=Audience.USERS, automatic=False)
SAID: dict[str, Any] = {"audience": "users", "language": "en", "title": "T", "text": "As approved."}


@pytest.fixture
def users(sqlite_database: Database) -> Plan:
    return Plan(sqlite_database, USERS)


async def test_users_get_each_approved_message_once_and_nothing_else(users: Plan) -> None:
    ear = users.ears["all"]
    incident = await users.open()
    await users.pass_by()
    assert (ear.told, users.state("all", incident)) == ([], (LinkState.HELD, WAITS))
    await users.do("announce", incident, phase="first", **SAID)
    await users.pass_by()
    await users.do("severity", incident, severity="critical", reason="all sites")
    await users.pass_by()
    assert [(t.notice.phase, t.message.text) for t in ear.told] == [
        (NoticePhase.FIRST, "As approved.")
    ]
    await users.do("announce", incident, phase="update", **{**SAID, "text": "Still so."})
    await users.pass_by()
    assert [t.message.text for t in ear.told] == ["As approved.", "Still so."]
    await users.do("resolve", incident, resolution="vendor_fix")
    await users.pass_by()
    assert len(ear.told) == 2
    assert "Waits for a person" in users.state("all", incident)[1]
    await users.do("announce", incident, phase="resolved", **{**SAID, "text": "Over."})
    await users.pass_by()
    assert [t.message.text for t in ear.told][2:] == ["Over."]


async def test_what_was_let_out_and_is_no_longer_so_is_not_sent(users: Plan) -> None:
    incident = await users.open()
    await users.do("announce", incident, phase="first", **SAID)
    await users.do("resolve", incident, resolution="vendor_fix")
    await users.pass_by()
    assert users.ears["all"].told == []


async def test_users_who_heard_nothing_of_an_incident_hear_nothing_of_its_end(users: Plan) -> None:
    ear = users.ears["all"]
    incident = await users.open()
    await users.pass_by()
    await users.do("resolve", incident, resolution="vendor_fix")
    await users.pass_by()
    await users.do("announce", incident, phase="resolved", **{**SAID, "text": "It was mail."})
    await users.pass_by()
    assert ear.told == []


async def test_a_rule_of_the_operator_tells_users_closed_words(sqlite_database: Database) -> None:
    world = Plan(sqlite_database, replace(USERS, automatic=True, language="de"))
    await world.open(title="<b>Anna sagt</b>")
    await world.pass_by()
    (telling,) = world.ears["all"].told
    assert telling.message.subject == "Störung: E-Mail und Kalender (Outlook)"
    assert "Anna" not in telling.message.text
    assert (telling.notice.lines, telling.notice.url) == ((), "")
    assert telling.message.text.endswith("die Sie schon kennen.")
