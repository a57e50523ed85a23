"""What comes back from Jira: assignee, status and comments as commands, and never the truth."""

import hashlib
import hmac
from collections.abc import AsyncIterator

import pytest

from app.core.errors import Unauthenticated
from app.core.incident import Incident
from app.core.types import Status
from app.flow.returns import Returns
from app.sinks.jira_webhooks import JiraWebhooks
from app.store import incidents
from app.store.engine import Database
from tests.flow.telling import TellingWorld
from tests.sinks.benches import HttpBench, jira_issues
from tests.standins.channels.jira import Jira
from tests.standins.channels.jira_webhooks import AUTOMATION, PERSON, Delivery, People

SECRET = "jira-webhook-secret"
OURS = {"accountId": "ours", "displayName": "Sextant", "accountType": "atlassian"}


class Desk(TellingWorld):
    """Jira's side as well: an issue OPS-1 of one incident."""

    people: People
    incident: Incident

    async def takes(self, delivery: Delivery) -> Incident:
        readers = {self.channel.name: JiraWebhooks(["old", SECRET], "ours")}
        returns = Returns(self.db, self.clock, obey=self.fold.command, readers=lambda: readers)
        await returns.take(self.channel.name, *delivery)
        return self.now

    @property
    def now(self) -> Incident:
        found = self.db.read_now(lambda c: incidents.get(c, self.tenant, self.incident.id))
        assert found is not None
        return found


@pytest.fixture
async def bench() -> AsyncIterator[HttpBench]:
    async with jira_issues() as made:
        yield made


@pytest.fixture
async def desk(sqlite_database: Database, bench: HttpBench) -> Desk:
    door: Jira = bench.door  # type: ignore[assignment]
    made = Desk(sqlite_database, bench.channel)
    made.people = People(door, SECRET)
    made.incident = await made.open()
    await made.run()
    return made


async def test_who_is_assigned_there_is_assigned_here_until_it_is_taken_back(desk: Desk) -> None:
    now = await desk.takes(desk.people.assigns("OPS-1", "Mia Krystof"))
    assert (now.assignee_name, now.assignee_by) == ("Mia Krystof", f"mirror:{desk.channel.name}")
    assert (await desk.takes(desk.people.assigns("OPS-1", None))).assignee_name is None


async def test_work_that_begins_acknowledges_and_an_end_there_ends_nothing_here(desk: Desk) -> None:
    begun = await desk.takes(desk.people.moves("OPS-1", "In Progress"))
    assert begun.acknowledged_at is not None
    ended = await desk.takes(desk.people.moves("OPS-1", "Resolved"))
    assert ended.status is Status.CONFIRMED
    assert "In Progress to Resolved, by Mia Krystof, which resolves nothing" in ended.notes[-1].text
    await desk.run(60)
    moves = [r for r in desk.people.door.log if r.path.endswith("/transitions")]
    assert moves == []  # nor is it fought over


@pytest.mark.parametrize(
    ("where", "visibility"),
    [(("service_desk", True), "public"), (("service_desk", False), "internal"),
     (("software", True), "internal")],
)  # fmt: skip
async def test_a_comment_becomes_a_note_that_is_as_public_as_there(
    desk: Desk, where: tuple[str, bool], visibility: str
) -> None:
    desk.people.project_type, public = where
    text = {"type": "doc", "version": 1, "content": [
        {"type": "paragraph", "content": [{"type": "text", "text": "Two sites"}]}]}  # fmt: skip
    note = (await desk.takes(desk.people.comments("OPS-1", text, public=public))).notes[-1]
    assert (note.text, note.visibility) == ("Mia Krystof in Jira: Two sites", visibility)


async def test_one_delivery_may_tell_of_several_deeds_and_counts_once(desk: Desk) -> None:
    delivery = desk.people.moves("OPS-1", "In Progress", PERSON, ("assignee", None, "Mia"))
    now = await desk.takes(delivery)
    assert now.assignee_name == "Mia"
    assert now.acknowledged_at is not None
    assert (await desk.takes(delivery)).revision == now.revision


async def test_what_we_or_automation_did_is_no_news(desk: Desk) -> None:
    await desk.do("notes", desk.incident, text="looking", visibility="internal")
    await desk.run()
    before = desk.now.revision
    said = desk.people.door.issues[0].comments[-1]["body"]
    await desk.takes(desk.people.comments("OPS-1", said, by=PERSON))  # known by its mark
    await desk.takes(desk.people.comments("OPS-1", "x", by=OURS))
    await desk.takes(desk.people.moves("OPS-1", "In Progress", OURS))
    assert (await desk.takes(desk.people.assigns("OPS-1", "Bot", AUTOMATION))).revision == before


async def test_an_issue_that_moved_is_followed_and_a_label_alone_is_not_believed(
    desk: Desk,
) -> None:
    door = desk.people.door
    other = await desk.open(title="Another")
    await desk.run()
    door.issues[1].fields["labels"] = door.issues[0].fields["labels"]  # by whoever may label
    await desk.takes(desk.people.assigns("OPS-2", "Mia"))
    assert desk.now.assignee_name is None
    taken = desk.db.read_now(lambda c: incidents.get(c, desk.tenant, other.id))
    assert taken is not None
    assert taken.assignee_name == "Mia"
    await desk.takes(desk.people.renames("OPS-1", "IT-7"))
    assert desk.link(desk.incident).remote_id == "IT-7"
    assert (await desk.takes(desk.people.assigns("IT-7", "Ole"))).assignee_name == "Ole"


async def test_a_deleted_issue_is_said(desk: Desk) -> None:
    assert "deleted by Mia" in (await desk.takes(desk.people.deletes("OPS-1"))).notes[-1].text


@pytest.mark.parametrize("body", [b"[]", b'{"issue": 7}', b"\xff", b'{"webhookEvent": "x"}'])
async def test_what_is_signed_and_strange_does_nothing(desk: Desk, body: bytes) -> None:
    before = desk.now.revision
    assert (await desk.takes((_signed(SECRET, body), body))).revision == before


async def test_only_who_knows_the_secret_is_heard(desk: Desk) -> None:
    headers, body = desk.people.assigns("OPS-1", "Mia")
    for wrong in ({}, {"x-hub-signature": "sha256=" + "0" * 64}, {"x-hub-signature": "ä"}):
        with pytest.raises(Unauthenticated):
            await desk.takes((wrong, body))
    with pytest.raises(Unauthenticated):
        await desk.takes((headers, body + b" "))


def _signed(secret: str, body: bytes) -> dict[str, str]:
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-hub-signature": f"sha256={made}"}
