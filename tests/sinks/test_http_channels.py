"""Teams, PagerDuty and Jira: the rules that only one of them has."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from app.core.announce import Message, Notice, NoticePhase
from app.core.link import LinkState
from app.core.ports import MirrorWord, Telling
from app.core.types import Severity
from app.sinks.jira import JiraIssues, JiraSettings, open_jira
from app.sinks.pagerduty import PagerDutySettings, pages
from app.sinks.teams import BYTES, TeamsSettings, body_of, open_teams
from app.store.engine import Database
from tests.builders import NOW, an_incident
from tests.flow.telling import TellingWorld
from tests.sinks.benches import HttpBench, jira_alerts, jira_issues, pagerduty, teams
from tests.standins.channels.jira import Jira, Operations
from tests.standins.channels.pagerduty import PagerDuty
from tests.standins.channels.teams import Workflow
from tests.standins.channels.trouble import Trouble, serving


def telling(text: str = "Now.", **changes: Any) -> Telling:
    notice = Notice(incident=an_incident(), phase=NoticePhase.FIRST, url="http://x/1", at=NOW)
    values: dict[str, Any] = {
        "key": "sextant:inc_1/first/1", "thread": "sextant:inc_1", "topic": "Mail", "record": "",
        "notice": notice, "message": Message(subject="Mail is down", text=text),
    }  # fmt: skip
    return Telling(**{**values, **changes})


@pytest.fixture
async def paging() -> AsyncIterator[HttpBench]:
    async with pagerduty() as bench:
        yield bench


@pytest.fixture
async def issuing() -> AsyncIterator[HttpBench]:
    async with jira_issues() as bench:
        yield bench


@pytest.mark.parametrize("text", ["ä" * 90_000, "\x01" * 40_000, "a\n\nb" * 9_000, '"' * 60_000])
def test_a_card_fits_whatever_the_text(text: str) -> None:
    body = body_of(telling(text))
    assert 2_000 < len(body) <= BYTES


async def test_a_workflow_that_is_gone_is_said_and_its_signature_is_not() -> None:
    async with teams() as bench:
        bench.refuse(refuses=True)
        answer = await bench.channel.tell(telling())
    assert answer.word is MirrorWord.REFUSED
    assert "its owner has left" in answer.remedy
    assert bench.secret not in answer.why


_LATE = (
    "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error "
    "{} with ContextId tcid=0"
)


def _words(code: str) -> str:
    return json.dumps({"error": {"code": code, "message": "It could not be run."}})


@pytest.mark.parametrize(
    ("status", "body", "remedy"),
    [
        (200, _LATE.format(413), "run history"),
        (202, _words("ActionFailed"), "run history"),
        (400, _words("WorkflowTriggerIsNotEnabled"), "turned off"),
        (401, _words("DirectApiAuthorizationRequired"), "copy it anew"),
        (403, _words("AuthorizationFailed"), "copy it anew"),
        (404, _words("WorkflowNotFound"), "its owner has left"),
        (413, _words("RequestEntityTooLarge"), "larger than Teams takes"),
    ],
)
async def test_each_refusal_of_a_workflow_is_shown_with_what_to_do_and_mended_by_itself(
    sqlite_database: Database, status: int, body: str, remedy: str
) -> None:
    async with teams() as bench:
        door: Workflow = bench.door  # type: ignore[assignment]
        world = TellingWorld(sqlite_database, bench.channel)
        door.answers.append((status, body))
        incident = await world.open()
        await world.run()
        link = world.link(incident)
        assert (link.state, len(door.cards)) == (LinkState.FAILED, 0)
        assert str(status) in link.explanation
        assert remedy in link.explanation
        assert bench.secret not in link.explanation
        await world.run(1000)
        assert (world.link(incident).state, len(door.cards)) == (LinkState.IN_STEP, 1)


@pytest.mark.parametrize(("status", "body"), [(429, ""), (200, _LATE.format(429))])
async def test_a_workflow_that_asks_for_rest_gets_it_also_where_it_says_so_in_words(
    sqlite_database: Database, status: int, body: str
) -> None:
    async with teams() as bench:
        door: Workflow = bench.door  # type: ignore[assignment]
        world = TellingWorld(sqlite_database, bench.channel)
        door.answers.append((status, body))
        incident = await world.open()
        await world.run()
        assert world.link(incident).state is LinkState.PENDING
        await world.run(30)
        assert (world.link(incident).state, len(door.cards)) == (LinkState.IN_STEP, 1)


async def test_a_card_that_was_only_queued_says_which_run_to_look_at(
    sqlite_database: Database,
) -> None:
    async with teams() as bench:
        door: Workflow = bench.door  # type: ignore[assignment]
        door.fails_silently = True
        world = TellingWorld(sqlite_database, bench.channel)
        incident = await world.open()
        await world.run()
        link = world.link(incident)
    assert (link.state, door.cards) == (LinkState.IN_STEP, [])
    assert "as run 08584" in link.explanation
    assert "whether the card was posted, its run history says" in link.explanation


async def test_a_signature_that_was_renewed_is_said() -> None:
    door = Workflow()
    async with serving(door) as root:
        url = door.address(root).replace(door.sig, "old")
        channel = open_teams("t", TeamsSettings(url=SecretStr(url)))
        answer = await channel.tell(telling())
        await channel.aclose()
    assert "copy it anew" in answer.remedy


@pytest.mark.parametrize(
    "url",
    ["https://contoso.webhook.office.com/x", "https://evil.example/?sig=x",
     "http://prod-1.westeurope.logic.azure.com/workflows/1"],
)  # fmt: skip
def test_only_the_address_of_a_workflow_is_taken(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TeamsSettings(url=SecretStr(url))
    assert "sig=x" not in str(caught.value)


async def test_both_forms_of_a_workflow_address_are_taken() -> None:
    for host in ("prod-1.westeurope.logic.azure.com:443", "a.b.environment.api.powerplatform.com"):
        TeamsSettings(url=SecretStr(f"https://{host}/workflows/1/triggers/manual/paths/invoke"))


async def test_pagerduty_follows_an_incident_by_one_key(
    paging: HttpBench, sqlite_database: Database
) -> None:
    door: PagerDuty = paging.door  # type: ignore[assignment]
    world = TellingWorld(sqlite_database, paging.channel)
    incident = await world.open(severity="major")
    await world.run()
    (alert,) = door.alerts
    assert alert["log"][0]["payload"]["severity"] == "error"
    assert alert["log"][0]["dedup_key"] == f"sextant:{incident.id}"
    await world.do("acknowledge", incident, note="looking")
    await world.run()
    assert (alert["status"], len(door.changes), door.pages) == ("acknowledged", 1, 1)
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run()
    assert alert["status"] == "resolved"
    await world.do("reopen", incident, reason="still broken")
    await world.run()
    assert (len(door.alerts), door.pages) == (2, 2)


async def test_pagerduty_does_not_page_again_for_what_a_person_resolved_there(
    paging: HttpBench, sqlite_database: Database
) -> None:
    door: PagerDuty = paging.door  # type: ignore[assignment]
    world = TellingWorld(sqlite_database, paging.channel)
    incident = await world.open(severity="minor")
    await world.run()
    door.alerts[0]["status"] = "resolved"
    await world.do("notes", incident, text="more", visibility="internal")
    await world.run()
    assert (door.pages, len(door.changes)) == (1, 1)
    await world.do("severity", incident, severity="critical", reason="worse")
    await world.run()
    assert door.pages == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"record": "k", "last_phase": "first", "last_severity": Severity.CRITICAL}, False),
        ({"record": "k", "last_phase": "resolved", "last_severity": Severity.CRITICAL}, True),
        ({"record": "k", "last_phase": "first", "last_severity": Severity.INFO}, True),
    ],
)
def test_pages_go_out_at_the_first_when_it_is_worse_and_after_its_end(
    changes: dict[str, Any], *, expected: bool
) -> None:
    assert pages(telling(**changes)) is expected


async def test_a_trial_pages_nobody(paging: HttpBench) -> None:
    door: PagerDuty = paging.door  # type: ignore[assignment]
    answer = await paging.channel.try_out(telling())
    assert (answer.word, door.pages, len(door.changes)) == (MirrorWord.DONE, 0, 1)


def test_a_key_has_32_characters() -> None:
    with pytest.raises(ValidationError, match="32 characters"):
        PagerDutySettings(routing_key=SecretStr("short"))


async def test_an_alert_of_jira_is_closed_and_made_anew(sqlite_database: Database) -> None:
    async with jira_alerts() as bench:
        door: Operations = bench.door  # type: ignore[assignment]
        world = TellingWorld(sqlite_database, bench.channel)
        incident = await world.open(severity="critical")
        await world.run()
        (alert,) = door.alerts
        assert (alert["priority"], alert["alias"]) == ("P1", f"sextant:{incident.id}")
        await world.do("acknowledge", incident, note="looking")
        await world.run()
        assert alert["acknowledged"]
        await world.do("resolve", incident, resolution="vendor_fix")
        await world.run()
        assert alert["status"] == "closed"
        await world.do("reopen", incident, reason="still broken")
        await world.run()
        assert [a["status"] for a in door.alerts] == ["closed", "open"]


async def test_an_issue_is_commented_resolved_and_reopened(
    issuing: HttpBench, sqlite_database: Database
) -> None:
    door: Jira = issuing.door  # type: ignore[assignment]
    world = TellingWorld(sqlite_database, issuing.channel)
    incident = await world.open()
    await world.run()
    (issue,) = door.issues
    assert world.link(incident).url == f"{issuing.channel._settings.base_url}/browse/OPS-1"  # type: ignore[attr-defined]
    await world.do("notes", incident, text="looking", visibility="internal")
    await world.run()
    assert "looking" in str(issue.comments[0])
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run()
    assert (issue.status, len(issue.comments)) == ("Resolved", 2)
    await world.do("reopen", incident, reason="still broken")
    await world.run()
    assert issue.status == "Open"


async def test_an_issue_that_a_person_ended_is_left_alone(
    issuing: HttpBench, sqlite_database: Database
) -> None:
    door: Jira = issuing.door  # type: ignore[assignment]
    world = TellingWorld(sqlite_database, issuing.channel)
    incident = await world.open()
    await world.run()
    door.issues[0].status = "Resolved"
    await world.do("notes", incident, text="more", visibility="internal")
    await world.run()
    await world.do("resolve", incident, resolution="vendor_fix")
    await world.run()
    assert door.issues[0].status == "Resolved"
    moves = [r for r in door.log if r.path.endswith("/transitions") and r.method == "POST"]
    assert moves == []


async def test_an_index_that_lags_makes_no_second_issue(
    issuing: HttpBench, sqlite_database: Database
) -> None:
    door: Jira = issuing.door  # type: ignore[assignment]
    door.unseen = 1  # the first search after the lost answer does not see the issue
    world = TellingWorld(sqlite_database, issuing.channel)
    issuing.trouble(Trouble.CUT)
    incident = await world.open()
    await world.run(20)
    assert world.link(incident).state is LinkState.CREATE_UNKNOWN
    assert "index lags" in world.link(incident).explanation
    await world.run(timedelta(minutes=3).total_seconds())
    assert (len(door.issues), world.link(incident).state) == (1, LinkState.IN_STEP)


async def test_a_deleted_issue_is_not_made_anew(
    issuing: HttpBench, sqlite_database: Database
) -> None:
    door: Jira = issuing.door  # type: ignore[assignment]
    world = TellingWorld(sqlite_database, issuing.channel)
    incident = await world.open()
    await world.run()
    door.issues.clear()
    await world.do("notes", incident, text="more", visibility="internal")
    await world.run(60)
    assert (world.link(incident).state, door.issues) == (LinkState.GONE, [])


async def test_a_workflow_that_lacks_the_move_is_said(sqlite_database: Database) -> None:
    door = Jira()
    async with serving(door) as root:
        issues = JiraIssues(
            base_url=root, email=door.email, api_token=SecretStr(door.api_token), project="OPS",
            resolve_transition="Done",
        )  # fmt: skip
        channel = open_jira("issues", JiraSettings(issues=issues))
        world = TellingWorld(sqlite_database, channel)
        incident = await world.open()
        await world.run()
        await world.do("resolve", incident, resolution="vendor_fix")
        await world.run()
        link = world.link(incident)
        await channel.aclose()
    assert link.state is LinkState.FAILED
    assert "offers Start, Resolve, but not Done" in link.explanation
    assert door.issues[0].comments == []


async def test_a_trial_of_issues_makes_none_and_names_what_is_missing(issuing: HttpBench) -> None:
    door: Jira = issuing.door  # type: ignore[assignment]
    assert (await issuing.channel.try_out(telling())).word is MirrorWord.DONE
    issuing.refuse(refuses=True)
    answer = await issuing.channel.try_out(telling())
    assert "CREATE_ISSUES" in answer.why
    assert door.issues == []
