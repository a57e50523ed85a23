"""What comes back from PagerDuty: people's deeds once each, and never the truth."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.core.errors import Unauthenticated
from app.core.incident import Incident
from app.core.link import LinkState
from app.core.types import Status
from app.flow.returns import Returns
from app.sinks.pagerduty_webhooks import PagerDutyWebhooks
from app.store import incidents
from app.store.engine import Database
from tests.flow.telling import TellingWorld
from tests.sinks.benches import HttpBench, pagerduty

SECRET = "pd-webhook-secret"
USER = {"type": "user_reference", "summary": "Tenex Engineer", "id": "PLH1HKV"}


class Desk(TellingWorld):
    """PagerDuty's side as well: it sends what people did there."""

    @property
    def returns(self) -> Returns:
        readers = {self.channel.name: PagerDutyWebhooks(["old", SECRET])}
        return Returns(self.db, self.clock, obey=self.fold.command, readers=lambda: readers)

    async def sends(
        self, kind: str, about_: Incident, *, event: str = "e1", agent: Any = USER,
        secret: str = SECRET, **data: Any,
    ) -> None:  # fmt: skip
        about = {
            "id": "PGR0VU2", "type": "incident", "incident_key": f"sextant:{about_.id}",
            "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2", **data,
        }  # fmt: skip
        body = json.dumps({"event": {"id": event, "event_type": kind, "agent": agent,
                                     "data": about}}).encode()  # fmt: skip
        made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"x-pagerduty-signature": f"v1={'0' * 64},v1={made}"}
        await self.returns.take(self.channel.name, headers, body)

    def now(self, incident: Incident) -> Incident:
        found = self.db.read_now(lambda c: incidents.get(c, self.tenant, incident.id))
        assert found is not None
        return found


@pytest.fixture
async def bench() -> AsyncIterator[HttpBench]:
    async with pagerduty() as made:
        yield made


@pytest.fixture
async def told(sqlite_database: Database, bench: HttpBench) -> tuple[Desk, Incident]:
    desk = Desk(sqlite_database, bench.channel)
    incident = await desk.open()
    await desk.run()
    return desk, incident


async def test_an_acknowledgement_there_is_one_here_and_is_not_echoed(
    told: tuple[Desk, Incident], bench: HttpBench
) -> None:
    desk, incident = told
    await desk.sends("incident.acknowledged", incident)
    found = desk.now(incident)
    assert (found.acknowledged_by, found.status) == (desk.channel.name, Status.CONFIRMED)
    calls = bench.calls()
    await desk.run()
    assert bench.calls() == calls
    assert desk.link(incident).url == "https://acme.pagerduty.com/incidents/PGR0VU2"


async def test_a_repetition_changes_nothing(told: tuple[Desk, Incident]) -> None:
    desk, incident = told
    for _ in range(3):
        await desk.sends("incident.annotated", incident, type="incident_note", content="hm",
                         incident={"id": "PGR0VU2"}, event="n1")  # fmt: skip
    assert len(desk.now(incident).notes) == 1


async def test_a_note_finds_its_incident_by_what_it_is_called_there(
    told: tuple[Desk, Incident],
) -> None:
    desk, incident = told
    await desk.sends("incident.triggered", incident)  # tells both names
    await desk.sends("incident.annotated", incident, type="incident_note", incident_key=None,
                     content="I look", incident={"id": "PGR0VU2"}, event="n1")  # fmt: skip
    (note,) = desk.now(incident).notes
    assert note.text == "Tenex Engineer in PagerDuty: I look"
    assert note.visibility == "internal"


async def test_a_reassignment_assigns(told: tuple[Desk, Incident]) -> None:
    desk, incident = told
    await desk.sends("incident.reassigned", incident, assignees=[{"summary": "User 123"}])
    found = desk.now(incident)
    assert (found.assignee_name, found.assignee_by) == ("User 123", f"mirror:{desk.channel.name}")


async def test_a_resolution_there_is_said_and_resolves_nothing_here(
    told: tuple[Desk, Incident],
) -> None:
    desk, incident = told
    await desk.sends("incident.resolved", incident)
    found = desk.now(incident)
    assert found.status is Status.CONFIRMED
    assert "it was resolved" in found.notes[0].text


@pytest.mark.parametrize("agent", [None, {"type": "service_reference", "summary": "API"}])
async def test_automation_is_not_listened_to(told: tuple[Desk, Incident], agent: Any) -> None:
    desk, incident = told
    await desk.sends("incident.resolved", incident, agent=agent)
    assert desk.now(incident).notes == ()


async def test_only_who_knows_the_secret_is_heard(told: tuple[Desk, Incident]) -> None:
    desk, incident = told
    with pytest.raises(Unauthenticated):
        await desk.sends("incident.acknowledged", incident, secret="wrong")
    with pytest.raises(Unauthenticated):
        await desk.returns.take("nobody", {}, b"{}")
    assert desk.now(incident).acknowledged_at is None


async def test_strange_deliveries_are_taken_and_do_nothing(told: tuple[Desk, Incident]) -> None:
    desk, incident = told
    await desk.sends("pagey.ping", incident)
    await desk.sends("incident.acknowledged", incident, incident_key="sextant:inc_other", id="P9")
    body = b"[]"
    made = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    await desk.returns.take(desk.channel.name, {"x-pagerduty-signature": f"v1={made}"}, body)
    assert desk.now(incident).acknowledged_at is None
    assert desk.link(incident).state is LinkState.IN_STEP


async def test_what_comes_after_the_end_is_left_alone(told: tuple[Desk, Incident]) -> None:
    desk, incident = told
    await desk.do("resolve", incident, resolution="vendor_fix")
    await desk.sends("incident.acknowledged", incident)
    assert desk.now(incident).acknowledged_at is None
