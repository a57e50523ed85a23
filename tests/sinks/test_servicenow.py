"""The mirror's own reading of an instance: known defects of others, each with its test."""

from typing import Any

import httpx
import pytest

from app.clients.servicenow import Basic, ClientCredentials, ServiceNowClient, SignIn
from app.core.link import TicketState
from app.core.ports import MirrorWord
from app.core.ticket import Change
from app.kit.clock import FixedClock
from app.kit.cutting import cut
from app.sinks.servicenow.draft import title_of
from app.sinks.servicenow.sink import ServiceNowMirror
from app.sinks.servicenow.text import plain
from tests.builders import NOW, an_incident
from tests.flow.mirroring import BASE, Breaking, settings_of
from tests.standins.servicenow import Application, Fault, Instance, Kind, User

FIRST = "2000-01-01 00:00:00"


class Desk:
    """An instance and a mirror into it."""

    def __init__(self, sign_in: SignIn | None = None, **user: Any) -> None:
        self.clock = FixedClock(NOW)
        self.instance = Instance(now=self.clock.now)
        self.instance.add_user(User(name="sextant", password="pw", **user))
        self.instance.applications["client"] = Application(secret="s3cret", user="sextant")
        http = httpx.AsyncClient(transport=Breaking(self.instance), base_url=BASE)
        client = ServiceNowClient(http, sign_in or Basic("sextant", "pw"))
        self.mirror = ServiceNowMirror(client, settings_of(), monotonic=lambda: 0.0)

    async def made(self, name: str) -> str:
        answer = await self.mirror.create(name, {"short_description": name}, "made\n[mark]")
        assert answer.word is MirrorWord.DONE
        return answer.tickets[0].remote_id


def oauth(scope: str = "") -> ClientCredentials:
    return ClientCredentials("client", "s3cret", now=lambda: NOW, scope=scope)


@pytest.mark.parametrize("zone", ["GMT", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
async def test_more_changes_than_a_page_come_in_whatever_the_users_zone(zone: str) -> None:
    desk = Desk(zone=zone)  # Keep never advances its offset; XSOAR drops what is beyond a page
    for number in range(450):
        desk.instance.insert(
            "incident", correlation_display="Sextant", correlation_id=f"sextant:{number}",
            state="1", number=f"INC{number:07d}",
        )  # fmt: skip
    first = await desk.mirror.changed(FIRST)
    assert len(first.tickets) == 450
    changed = await desk.made("sextant:late")
    again = await desk.mirror.changed(first.cursor)
    assert changed in {ticket.remote_id for ticket in again.tickets}


async def test_a_revoked_token_is_replaced_once_and_nobody_notices() -> None:
    desk = Desk(oauth())
    await desk.made("sextant:1")
    desk.instance.faults.append(Fault(kind=Kind.REVOKED))
    assert (await desk.mirror.find("sextant:1")).word is MirrorWord.DONE


async def test_a_scoped_client_is_told_what_to_do() -> None:
    desk = Desk(oauth())
    desk.instance.applications["client"] = Application(secret="s3cret", user="sextant", scoped=True)
    answer = await desk.mirror.find("sextant:1")
    assert answer.word is MirrorWord.REFUSED
    assert 'scope = "useraccount"' in answer.remedy


async def test_a_refused_sign_in_names_its_usual_causes() -> None:
    desk = Desk(oauth())
    desk.instance.grant_enabled = False
    answer = await desk.mirror.find("sextant:1")
    assert "OAuth Application User" in answer.remedy


async def test_a_redirect_is_not_followed_and_no_cookie_comes_back() -> None:
    desk = Desk()
    desk.instance.faults.append(Fault(kind=Kind.REDIRECT))
    answer = await desk.mirror.find("sextant:1")
    assert (answer.word, "login.invalid" in answer.why) == (MirrorWord.REFUSED, True)


async def test_sleep_is_no_success_and_nothing_was_done() -> None:
    desk = Desk()  # 200 for every verb: only a 201 with our name is a create
    await desk.mirror.find("warm")
    desk.instance.faults.append(Fault(kind=Kind.HIBERNATING, times=None))
    answer = await desk.mirror.create("sextant:1", {}, "x\n[mark]")
    assert answer.word is MirrorWord.UNREACHED


async def test_a_lookup_that_finds_nothing_writes_nothing() -> None:
    desk = Desk()  # Elastic sent the empty result on to its update
    other = await desk.made("sextant:2")
    desk.instance.log.clear()
    assert (await desk.mirror.find("sextant:1")).word is MirrorWord.ABSENT
    answer = await desk.mirror.change("", Change(note="x\n[mark]"))
    assert answer.word is MirrorWord.ABSENT
    assert [one for one in desk.instance.log if one.method != "GET"] == []
    assert (await desk.mirror.find("sextant:2")).tickets[0].remote_id == other


async def test_state_seven_cannot_be_written_by_any_change() -> None:
    desk = Desk()  # Elastic closes with 7 and a close code that newer instances do not have
    identity = await desk.made("sextant:1")
    await desk.mirror.change(identity, Change(state=TicketState.RESOLVED, text="Over."))
    (record,) = desk.instance.incidents()
    assert (record["state"], record["close_code"]) == ("6", "Solution provided")


async def test_an_unknown_group_is_left_out_and_said() -> None:
    desk = Desk()
    desk.mirror = ServiceNowMirror(
        desk.mirror._client, settings_of(assignment_group="No such group"), monotonic=lambda: 0.0
    )
    answer = await desk.mirror.create("sextant:1", {"assignment_group": "No such group"}, "x\n[m]")
    assert answer.word is MirrorWord.DONE
    assert "No such group" in answer.why


def test_what_could_run_in_a_journal_is_taken_apart() -> None:
    assert "[code]" not in plain("<[code]<script>[/CODE]")
    assert plain("a\x00b") == "ab"


def test_a_text_is_cut_between_graphemes_and_keeps_its_end() -> None:
    family = "👨‍👩‍👧"
    made = cut("x" * 150 + family * 3, 160, tail=" [EX1]")
    assert made.endswith("… [EX1]")
    assert "‍…" not in made
    assert len(made.encode("utf-16-le")) // 2 <= 160


def test_the_title_keeps_the_advisory_however_long_it_is() -> None:
    incident = an_incident(title="y" * 300)
    assert len(title_of(incident, settings_of(), 160)) == 160
