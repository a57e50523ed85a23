"""The whole surface, generated from the document: tenants apart, writes audited, POSTs once."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.errors import StorageUnavailable
from app.store import audit, intake
from tests.api.surface import (
    CALLS,
    OPEN,
    OTHER,
    Operation,
    Surface,
    furnish,
    ids_for,
    in_order,
    random_ids,
    served,
)
from tests.builders import TENANT

PURE = {"read_error"}  # a POST that changes nothing


@pytest.fixture(params=["sqlite", "walled postgresql"])
async def surface(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Surface]:
    url = f"sqlite:///{tmp_path}/surface.db"
    if request.param != "sqlite":
        url = request.getfixturevalue("postgres").create_plain()
    made = served(url)
    try:
        yield await furnish(made)
    finally:
        made.db.close()


def writes(surface: Surface) -> list[Operation]:
    """The operations that change something, in an order in which each can."""
    found = (one for one in surface.operations() if one.method != "GET")
    return in_order(one for one in found if not one.is_intake and one.name not in PURE | OPEN)


def entries(surface: Surface) -> list[audit.Entry]:
    kept: list[audit.Entry] = surface.db.read_now(lambda c: audit.page(c, None, limit=10_000))
    return kept


def test_a_new_operation_has_a_scope_and_a_call_here(tmp_path: Any) -> None:
    surface = served(f"sqlite:///{tmp_path}/bare.db")
    found = list(surface.operations())
    surface.db.close()
    assert len(found) > 60
    assert [one.name for one in found if not one.scopes and one.name not in OPEN] == []
    changing = {one.name for one in found if one.method != "GET"}
    assert changing == set(CALLS)


async def test_nobody_learns_of_another_tenant(surface: Surface) -> None:
    stranger = await surface.key("admin", tenant=OTHER)
    cells = 0
    async with surface.client() as client:
        for operation in surface.operations():
            if operation.name in OPEN:
                continue
            ids = ids_for(surface, operation)
            if not operation.steps:
                await _list_shows_nothing(surface, client, operation, stranger)
                continue
            nothing = random_ids(ids)
            theirs = await surface.call(client, operation, stranger, ids)
            nobodys = await surface.call(client, operation, stranger, nothing)
            assert theirs.status_code == nobodys.status_code == 404, (operation.name, theirs.text)
            assert _bare(theirs, ids) == _bare(nobodys, nothing), operation.name
            cells += 1
    assert cells > 30
    mine = [entry for entry in entries(surface) if entry.tenant == OTHER]
    assert {entry.target for entry in mine}.isdisjoint(surface.ids.values())


async def _list_shows_nothing(
    surface: Surface, client: httpx.AsyncClient, operation: Operation, stranger: dict[str, str]
) -> None:
    answer = await surface.call(client, operation, stranger)
    assert answer.status_code < 500, (operation.name, answer.text)
    shown = [name for name, value in surface.ids.items() if value in answer.text]
    # Whoever sends an id of another tenant is told of that id and of nothing else.
    assert [name for name in shown if f"${name}" not in json.dumps(CALLS.get(operation.name))] == []
    if operation.method == "GET":
        for tenant in (TENANT, "nobody"):
            named = await client.get(operation.path, params={"tenant": tenant}, headers=stranger)
            assert named.status_code == 403, operation.name
            assert TENANT not in named.text


def _bare(answer: httpx.Response, ids: dict[str, str]) -> Any:
    text = answer.text
    for value in ids.values():
        text = text.replace(value, "…")
    shown = json.loads(text)
    assert shown.pop("instance")
    headers = {
        k: v for k, v in answer.headers.items() if k not in {"x-request-id", "content-length"}
    }
    return shown, headers


async def test_every_write_is_in_the_audit_log_with_its_actor(surface: Surface) -> None:
    known = {entry.id for entry in entries(surface)}
    async with surface.client() as client:
        for operation in writes(surface):
            answer = await surface.call(
                client, operation, surface.admin, ids_for(surface, operation)
            )
            assert answer.is_success, (operation.name, answer.text)
            new = [entry for entry in entries(surface) if entry.id not in known]
            known |= {entry.id for entry in new}
            assert [entry.action for entry in new] == [operation.name]
            (entry,) = new
            assert (entry.tenant, entry.actor_kind, entry.actor_name) == (TENANT, "key", "anna")
            assert entry.request_id == answer.headers["x-request-id"]
            assert entry.before != entry.after, operation.name
            created = operation.method == "POST" and not operation.steps
            assert (entry.before is None) or not created
            if operation.name == "delete_subscription":
                assert entry.after is None
    kept = json.dumps([(entry.before, entry.after) for entry in entries(surface)], default=str)
    assert "whsec_" not in kept
    assert "sxt_key_" not in kept


async def test_a_refused_write_is_no_write(surface: Surface) -> None:
    known = len(entries(surface))
    async with surface.client() as client:
        for operation in writes(surface):
            if operation.steps:
                ids = random_ids(ids_for(surface, operation))
                answer = await surface.call(client, operation, surface.admin, ids)
                assert answer.status_code == 404, operation.name
    assert len(entries(surface)) == known


def die_after_one_write(surface: Surface) -> Callable[[], None]:
    """Let one transaction through and no other, as when the process is killed right after it."""
    db = surface.db
    real, left = db.write, [None]

    async def write(work: Callable[..., Any]) -> Any:
        if not left:
            raise StorageUnavailable
        left.pop()
        return await real(work)

    db.write = write
    return lambda: delattr(db, "write")


async def test_a_post_under_one_key_has_one_effect_though_its_answer_was_lost(
    surface: Surface,
) -> None:
    posts = [one for one in writes(surface) if one.method == "POST"]
    async with surface.client() as client:
        await client.get("/v1/keys", headers=surface.admin)  # the key's use is noted
        for operation in posts:
            ids = ids_for(surface, operation)
            headers = {**surface.admin, "idempotency-key": f"once {operation.name}"}
            revive = die_after_one_write(surface)
            lost = await surface.call(client, operation, headers, ids)
            revive()
            again = await surface.call(client, operation, headers, ids)
            assert again.headers.get("idempotency-replayed") == "true", (operation.name, lost.text)
            assert again.status_code == lost.status_code
            assert again.content == lost.content
            done = [entry for entry in entries(surface) if entry.request_id]
            mine = [e for e in done if e.request_id == lost.headers["x-request-id"]]
            assert len(mine) == 1, operation.name
            after = [e for e in done if e.request_id == again.headers["x-request-id"]]
            assert after == [], operation.name
    assert len(posts) > 20


async def test_intake_under_one_key_is_stored_once(surface: Surface) -> None:
    def stored() -> int:
        rows = surface.db.read_now(lambda c: intake.after(c, TENANT, 0, 0, 1000))
        return sum(len(row.signals) for row in rows)

    headers = {**surface.admin, "idempotency-key": "once"}
    async with surface.client() as client:
        for operation in surface.operations():
            if not operation.is_intake or len(operation.scopes) > 1:
                continue  # a browser names no key of repetition
            first = await surface.call(client, operation, headers)
            assert first.is_success, (operation.name, first.text)
            before = stored()
            again = await surface.call(client, operation, headers)
            assert again.content == first.content, operation.name
            assert stored() == before, operation.name


async def test_an_incident_that_evidence_joins_at_once_is_answered_with(surface: Surface) -> None:
    body = {"title": "x", "services": ["exchange-online"], "severity": "minor"}
    async with surface.client() as client:
        for _ in range(4):
            opened = await client.post("/v1/incidents", json=body, headers=surface.admin)
            assert opened.status_code == 201, opened.text
            read = await client.get(opened.headers["location"], headers=surface.admin)
            assert read.json()["id"] == opened.json()["id"]
