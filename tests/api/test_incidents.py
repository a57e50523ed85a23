"""Incidents over HTTP: lists, one, conditional reads, commands, and what other tenants see."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import SQLModel

from app.api.paging import Pager
from app.api.v1.schemas import EventOut, EvidenceOut, IncidentOut
from app.core.incident import Incident
from app.core.types import IncidentId, Severity, Status, TenantId
from app.store import evidence, incidents
from app.store.engine import Database
from app.store.incidents import Filters
from app.store.keys import OPERATOR
from tests.api.conftest import OTHER, Context, make_key, put
from tests.builders import NOW, TENANT, an_incident

FIELDS = {"title": "Mail is slow", "services": ["exchange-online"], "severity": "minor"}


async def test_an_incident_answers_with_exactly_the_document_of_the_contract(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    put(world, an_incident())
    answer = await client.get("/v1/incidents/inc_1", headers=admin)
    assert answer.status_code == 200
    IncidentOut.model_validate_json(answer.content)
    assert set(answer.json()) == set(IncidentOut.model_fields)
    assert answer.headers["etag"] == '"r1"'
    assert answer.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("tag", ['"r1"', 'W/"r1"', '"r0", "r1"', "*"])
async def test_an_unchanged_incident_is_not_sent_again(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str], tag: str
) -> None:
    put(world, an_incident())
    answer = await client.get("/v1/incidents/inc_1", headers={**admin, "if-none-match": tag})
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == '"r1"'


@pytest.mark.parametrize(
    "path", ["", "/timeline", "/evidence", "/advisories"], ids=["itself", "timeline", "e", "a"]
)
async def test_another_tenants_incident_looks_like_none(
    client: httpx.AsyncClient, world: Context, path: str
) -> None:
    put(world, an_incident())
    theirs = await make_key(world, "admin", tenant=OTHER)
    answer = await client.get(f"/v1/incidents/inc_1{path}", headers=theirs)
    none = await client.get(f"/v1/incidents/inc_0{path}", headers=theirs)
    assert answer.status_code == none.status_code == 404
    assert {**answer.json(), "instance": 0} == {**none.json(), "instance": 0}


async def test_a_command_on_another_tenants_incident_finds_nothing(
    client: httpx.AsyncClient, world: Context
) -> None:
    put(world, an_incident())
    theirs = await make_key(world, "admin", tenant=OTHER)
    answer = await client.post("/v1/incidents/inc_1/acknowledge", headers=theirs)
    assert answer.status_code == 404


async def test_filters_narrow_the_list(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    put(
        world,
        an_incident(id=IncidentId("inc_1")),
        an_incident(
            id=IncidentId("inc_2"),
            status=Status.RESOLVED,
            severity=Severity.CRITICAL,
            services=("microsoft-teams",),
            regions=("fr",),
            opened_at=NOW - timedelta(days=1),
            title="Teams meetings fail",
        ),
    )

    async def ids(query: str) -> list[str]:
        answer = await client.get(f"/v1/incidents?{query}", headers=admin)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    assert await ids("") == ["inc_1", "inc_2"]
    assert await ids("open=true") == ["inc_1"]
    assert await ids("status=resolved") == ["inc_2"]
    assert await ids("status=resolved,confirmed") == ["inc_1", "inc_2"]
    assert await ids("status=resolved&status=confirmed") == ["inc_1", "inc_2"]
    assert await ids("service=microsoft-teams") == ["inc_2"]
    assert await ids("severity=critical") == ["inc_2"]
    assert await ids("region=fr") == ["inc_2"]
    assert await ids("q=MEETINGS") == ["inc_2"]
    assert await ids("since=2026-03-16T00:00:00Z") == ["inc_1"]
    assert await ids("until=2026-03-16T00:00:00Z") == ["inc_2"]
    assert await ids("symptom=mail_delayed") == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("statsu=resolved", 400),
        ("status=broken", 422),
        ("since=yesterday", 422),
        ("since=2026-03-16T00:00:00", 422),
        ("limit=0", 422),
        ("limit=x", 422),
        ("cursor=%00", 422),
        ("cursor=abc", 400),
    ],
)
async def test_a_query_that_cannot_be_meant_is_a_problem(
    client: httpx.AsyncClient, admin: dict[str, str], query: str, status: int
) -> None:
    answer = await client.get(f"/v1/incidents?{query}", headers=admin)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


async def test_a_cursor_belongs_to_its_filters_and_its_tenant(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    put(world, *(an_incident(id=IncidentId(f"inc_{n}")) for n in range(3)))
    first = (await client.get("/v1/incidents?limit=2&open=true", headers=admin)).json()
    assert len(first["items"]) == 2
    cursor = first["next"]
    rest = await client.get(f"/v1/incidents?open=true&cursor={cursor}", headers=admin)
    assert [item["id"] for item in rest.json()["items"]] == ["inc_0"]
    assert rest.json()["next"] is None
    for query in (f"cursor={cursor}", f"open=true&cursor={cursor[:-1]}", f"cursor={cursor}A"):
        refused = await client.get(f"/v1/incidents?{query}", headers=admin)
        assert refused.status_code == 400
        assert refused.json()["type"].endswith("/problems/cursor-mismatch")
    theirs = await make_key(world, "admin", tenant=OTHER)
    foreign = await client.get(f"/v1/incidents?open=true&cursor={cursor}", headers=theirs)
    assert foreign.status_code == 400


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database for many examples, each with a tenant of its own."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('pages')}/p.db")
    SQLModel.metadata.create_all(database.engine)
    yield database
    database.close()


_tenants = count()


@settings(max_examples=40)
@given(
    at=st.lists(st.integers(0, 5), max_size=25),
    late=st.lists(st.integers(0, 5), max_size=5),
    size=st.integers(1, 7),
)
def test_pages_give_each_incident_that_was_there_throughout_exactly_once(
    at: list[int], late: list[int], size: int, shelf: Database
) -> None:
    tenant = TenantId(f"tenant-{next(_tenants)}")
    throughout = [_at(tenant, f"inc_{n:03}", hours) for n, hours in enumerate(at)]
    shelf.write_now(lambda c: incidents.put(c, throughout))
    pager = Pager(b"secret", "incidents", tenant=tenant)
    pending = [_at(tenant, f"new_{n:03}", hours) for n, hours in enumerate(late)]
    seen: list[str] = []
    cursor = None
    while True:
        after = pager.read(cursor)
        position = None if after is None else (NOW + timedelta(hours=after[0]), after[1])
        rows = shelf.read_now(
            lambda c, position=position: incidents.page(c, tenant, Filters(), position, size + 1)
        )
        items, cursor = pager.page(rows, size, lambda i: [_hours(i), i.id])
        seen += [item.id for item in items]
        if pending:
            newest = pending.pop()  # outside the unit of work, which must be repeatable
            shelf.write_now(lambda c, newest=newest: incidents.put(c, [newest]))
        if cursor is None:
            break
    assert [one for one in seen if one.startswith("inc")] == [
        i.id for i in sorted(throughout, key=lambda i: (i.opened_at, i.id), reverse=True)
    ]
    assert len(seen) == len(set(seen))


def _at(tenant: TenantId, name: str, hours: int) -> Incident:
    at = NOW + timedelta(hours=hours)
    return an_incident(tenant=tenant, id=IncidentId(name), opened_at=at)


def _hours(incident: Incident) -> float:
    return (incident.opened_at - NOW).total_seconds() / 3600


async def test_a_person_opens_an_incident_and_works_on_it(
    client: httpx.AsyncClient, world: Context
) -> None:
    anna = await make_key(world, "incidents:write", name="anna")
    opened = await client.post("/v1/incidents", headers=anna, json=FIELDS)
    assert opened.status_code == 201, opened.text
    incident = IncidentOut.model_validate_json(opened.content)
    assert opened.headers["location"].endswith(f"/v1/incidents/{incident.id}")
    assert incident.status is Status.CONFIRMED
    base = f"/v1/incidents/{incident.id}"
    steps = [
        ("acknowledge", None),
        ("acknowledge", {"note": "On it."}),
        ("assign", {"assignee": "bob"}),
        ("assign", {"assignee": None}),
        ("notes", {"text": "Rebooted <nothing>.", "visibility": "public"}),
        ("severity", {"severity": "major", "reason": "Everyone is hit."}),
        ("severity", {"severity": None}),
        ("resolve", {"resolution": "vendor_fix", "text": "Rolled back."}),
        ("reopen", {"reason": "It came back."}),
        ("dismiss", {"resolution": "not_ours", "reason": "A neighbour's."}),
    ]
    for name, body in steps:
        answer = await client.post(f"{base}/{name}", headers=anna, json=body)
        assert answer.status_code == 200, (name, answer.text)
        IncidentOut.model_validate_json(answer.content)
    again = await client.post(f"{base}/reopen", headers=anna, json={"reason": "No."})
    assert again.status_code == 409
    timeline = (await client.get(f"{base}/timeline", headers=anna)).json()
    for item in timeline["items"]:
        event = EventOut.model_validate(item)
        assert event.data.actor.id in {"anna", "sextant"}
    kinds = [item["type"] for item in timeline["items"]]
    assert kinds[0] == "incident.opened"
    assert kinds.count("incident.acknowledged") == 2
    assert [item["sequence"] for item in timeline["items"]] == list(range(1, len(kinds) + 1))


async def test_a_merged_incident_points_to_the_survivor(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    one = (await client.post("/v1/incidents", headers=admin, json=FIELDS)).json()["id"]
    two = (await client.post("/v1/incidents", headers=admin, json=FIELDS)).json()["id"]
    merged = await client.post(f"/v1/incidents/{one}/merge", headers=admin, json={"into": two})
    assert merged.status_code == 200, merged.text
    found = await client.get(f"/v1/incidents/{one}", headers=admin)
    assert found.status_code == 200
    assert found.json()["merged_into"] == two
    assert found.json()["status"] == "merged"


async def test_a_merger_is_undone_by_the_id_of_the_incident_that_ended(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    one = (await client.post("/v1/incidents", headers=admin, json=FIELDS)).json()["id"]
    two = (await client.post("/v1/incidents", headers=admin, json=FIELDS)).json()["id"]
    await client.post(f"/v1/incidents/{one}/merge", headers=admin, json={"into": two})
    timeline = (await client.get(f"/v1/incidents/{one}/timeline", headers=admin)).json()["items"]
    undo = {"event": timeline[-1]["id"]}
    stale = await client.post(
        f"/v1/incidents/{one}/undo", headers={**admin, "if-match": '"r1"'}, json=undo
    )
    assert stale.status_code == 412, stale.text
    back = await client.post(f"/v1/incidents/{one}/undo", headers=admin, json=undo)
    assert back.status_code == 200, back.text
    assert (back.json()["status"], back.json()["merged_into"]) == ("confirmed", None)
    survivor = (await client.get(f"/v1/incidents/{two}", headers=admin)).json()
    assert survivor["merged_from"] == []
    again = await client.post(f"/v1/incidents/{one}/undo", headers=admin, json=undo)
    assert again.status_code == 409
    assert "cannot be undone" in again.json()["detail"]
    told = (await client.get(f"/v1/incidents/{one}/timeline", headers=admin)).json()["items"]
    assert [e["type"] for e in told][-2:] == ["incident.merged", "incident.reopened"]
    assert told[-1]["data"]["undone"] == undo["event"]
    assert told[-1]["data"]["actor"]["kind"] == "person"


@pytest.mark.parametrize(
    ("tag", "status"), [('"r0"', 412), ("nonsense", 412), ('"r01"', 412), ("*", 200), (None, 200)]
)
async def test_a_command_may_be_held_against_a_revision(
    client: httpx.AsyncClient,
    admin: dict[str, str],
    tag: str | None,
    status: int,
) -> None:
    opened = await client.post("/v1/incidents", headers=admin, json=FIELDS)
    headers = admin if tag is None else {**admin, "if-match": tag}
    answer = await client.post(f"{opened.headers['location']}/acknowledge", headers=headers)
    assert answer.status_code == status
    if tag is None:
        right = {**admin, "if-match": answer.headers["etag"]}
        held = await client.post(f"{opened.headers['location']}/acknowledge", headers=right)
        assert held.status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("", {**FIELDS, "services": ["minecraft"]}, "/services/0"),
        ("", {**FIELDS, "services": []}, "/services"),
        ("", {**FIELDS, "severity": "unknown"}, "/severity"),
        ("", {**FIELDS, "status": "closed"}, "/status"),
        ("", {"title": "x"}, "/services"),
        ("/inc_1/assign", {}, "/assignee"),
        ("/inc_1/notes", {"text": " "}, "/text"),
        ("/inc_1/notes", {"text": "x", "visibility": "secret"}, "/visibility"),
        ("/inc_1/severity", {"severity": "major"}, "/reason"),
        ("/inc_1/resolve", {"resolution": "magic"}, "/resolution"),
        ("/inc_1/merge", [], ""),
    ],
)
async def test_a_malformed_command_names_its_fault(
    client: httpx.AsyncClient, admin: dict[str, str], path: str, body: object, pointer: str
) -> None:
    answer = await client.post(f"/v1/incidents{path}", headers=admin, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


async def test_evidence_is_served_as_it_is_stored(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    put(world, an_incident())
    empty = await client.get("/v1/incidents/inc_1/evidence", headers=admin)
    assert empty.json() == {"advisories": [], "cells": []}
    document = {"advisories": [], "cells": []}
    stored = evidence.encode({**document, "more": 1})
    world.db.write_now(lambda c: evidence.put(c, TENANT, {"inc_1": stored}))
    answer = await client.get("/v1/incidents/inc_1/evidence", headers=admin)
    EvidenceOut.model_validate_json(answer.content)
    assert answer.json()["more"] == 1


async def test_an_operator_reads_all_tenants_and_writes_for_the_one_it_names(
    client: httpx.AsyncClient, world: Context
) -> None:
    operator = await make_key(world, "admin", tenant="*", name="ops")
    put(
        world,
        an_incident(id=IncidentId("inc_1")),
        an_incident(id=IncidentId("inc_2"), tenant=TenantId(OTHER)),
    )
    both = (await client.get("/v1/incidents?limit=1", headers=operator)).json()
    rest = await client.get(f"/v1/incidents?cursor={both['next']}", headers=operator)
    assert [i["id"] for i in both["items"] + rest.json()["items"]] == ["inc_2", "inc_1"]
    one = await client.get(f"/v1/incidents?tenant={OTHER}", headers=operator)
    assert [i["id"] for i in one.json()["items"]] == ["inc_2"]
    unnamed = await client.post("/v1/incidents", headers=operator, json=FIELDS)
    assert unnamed.status_code == 400
    assert unnamed.json()["type"].endswith("/problems/tenant-required")
    named = {**operator, "sextant-tenant": OTHER}
    opened = await client.post("/v1/incidents", headers=named, json=FIELDS)
    assert opened.json()["tenant"] == OTHER
    unknown = await client.get("/v1/incidents?tenant=nobody", headers=operator)
    assert unknown.status_code == 400


async def test_a_tenants_key_cannot_name_another_tenant(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    read = await client.get(f"/v1/incidents?tenant={OTHER}", headers=admin)
    named = {**admin, "sextant-tenant": OTHER}
    written = await client.post("/v1/incidents", headers=named, json=FIELDS)
    in_query = await client.post(f"/v1/incidents?tenant={TENANT}", headers=admin, json=FIELDS)
    assert (read.status_code, written.status_code, in_query.status_code) == (403, 403, 400)


async def test_an_operator_sees_no_small_group_in_the_evidence(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    put(world, an_incident())
    cell = {"source": "client_report", "reporters": 4, "series": [], "exemplars": []}
    stored = evidence.encode({"advisories": [], "cells": [cell]})
    world.db.write_now(lambda c: evidence.put(c, TENANT, {"inc_1": stored}))
    path = "/v1/incidents/inc_1/evidence"
    assert (await client.get(path, headers=admin)).json()["cells"] == [cell]
    operator = await make_key(world, "incidents:read", tenant=OPERATOR)
    seen = (await client.get(path, headers=operator)).json()
    assert (seen["cells"], seen["withheld"]) == ([], 1)
