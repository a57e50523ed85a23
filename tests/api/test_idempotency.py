"""A POST under one Idempotency-Key has one effect and one answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from app.store import idempotency, incidents, retention
from app.store.engine import Database
from app.store.idempotency import Claim, Taken
from app.store.incidents import Filters
from tests.api.conftest import OTHER, Context, make_key
from tests.builders import NOW, TENANT

FIELDS = {"title": "Mail is slow", "services": ["exchange-online"], "severity": "minor"}
CLAIM = Claim(tenant="t", principal="p", route="POST /x", key="k", fingerprint="f")


async def test_a_repetition_gets_the_first_answer(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    headers = {**admin, "idempotency-key": "once-0001"}
    first = await client.post("/v1/incidents", headers=headers, json=FIELDS)
    again = await client.post("/v1/incidents", headers=headers, json=FIELDS)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    for name in ("location", "etag", "content-type"):
        assert first.headers[name] == again.headers[name]
    assert await _count(world) == 1


async def test_another_body_under_the_same_key_is_refused(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    headers = {**admin, "idempotency-key": "once-0002"}
    await client.post("/v1/incidents", headers=headers, json=FIELDS)
    other = await client.post("/v1/incidents", headers=headers, json={**FIELDS, "title": "y"})
    assert other.status_code == 422
    assert other.json()["type"].endswith("/problems/idempotency-conflict")


async def test_many_at_once_have_one_effect(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    headers = {**admin, "idempotency-key": "once-0003"}
    answers = await asyncio.gather(
        *(client.post("/v1/incidents", headers=headers, json=FIELDS) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await _count(world) == 1


async def test_keys_of_different_callers_and_routes_do_not_meet(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    theirs = await make_key(world, "admin", tenant=OTHER)
    for key in (admin, theirs):
        answer = await client.post(
            "/v1/incidents", headers={**key, "idempotency-key": "same"}, json=FIELDS
        )
        assert "idempotency-replayed" not in answer.headers
        path = f"{answer.headers['location']}/acknowledge"
        answer = await client.post(path, headers={**key, "idempotency-key": "same"})
        assert answer.status_code == 200


async def test_a_refused_request_may_be_sent_again(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    headers = {**admin, "idempotency-key": "once-0004"}
    for _ in range(2):
        bad = await client.post("/v1/incidents", headers=headers, json={"title": "x"})
        assert bad.status_code == 422
        assert bad.json()["type"].endswith("/problems/invalid-input")
    good = await client.post("/v1/incidents", headers=headers, json=FIELDS)
    assert good.status_code == 201
    assert await _count(world) == 1


async def test_an_answer_is_kept_for_a_day(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    headers = {**admin, "idempotency-key": "once-0005"}
    await client.post("/v1/incidents", headers=headers, json=FIELDS)
    world.clock.at = NOW + timedelta(hours=25)
    again = await client.post("/v1/incidents", headers=headers, json={**FIELDS, "title": "y"})
    assert again.status_code == 201
    assert await _count(world) == 2


async def test_a_kept_answer_cannot_be_read_from_the_database(
    client: httpx.AsyncClient, admin: dict[str, str], world: Context
) -> None:
    headers = {**admin, "idempotency-key": "once-0006"}
    body = {"name": "robot", "scopes": ["admin"]}
    first = await client.post("/v1/keys", headers=headers, json=body)
    again = await client.post("/v1/keys", headers=headers, json=body)
    assert again.json()["key"] == first.json()["key"]
    rows = await world.db.read(lambda c: str(c.execute(idempotency.T.select()).all()))
    assert first.json()["key"] not in rows
    assert "once-0006" not in rows


async def test_a_key_has_a_sensible_length(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    for key in (" ", "x" * 256):
        answer = await client.post(
            "/v1/incidents", headers={**admin, "idempotency-key": key}, json=FIELDS
        )
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["in"] == "header"


async def test_a_body_in_pieces_is_one_body(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        text = json.dumps(FIELDS).encode()
        for start in range(0, len(text), 7):
            yield text[start : start + 7]

    headers = {**admin, "idempotency-key": "once-0007", "content-type": "application/json"}
    first = await client.post("/v1/incidents", headers=headers, content=pieces())
    again = await client.post("/v1/incidents", headers=headers, content=json.dumps(FIELDS))
    assert first.status_code == 201, first.text
    assert again.headers["idempotency-replayed"] == "true"


def test_of_two_under_one_key_the_second_comes_to_nothing(database: Database) -> None:
    def keep(minutes: float, body: bytes) -> None:
        now = NOW + timedelta(minutes=minutes)
        since = now - timedelta(hours=1)
        database.write_now(
            lambda c: idempotency.keep(c, CLAIM, status=201, body=body, now=now, since=since)
        )

    def found(minutes: float) -> bytes | None:
        since = NOW + timedelta(minutes=minutes) - timedelta(hours=1)
        kept = database.read_now(lambda c: idempotency.find(c, CLAIM, since=since))
        return None if kept is None else kept.body

    assert found(0) is None
    keep(0, b"first")
    with pytest.raises(Taken):
        keep(1, b"second")
    assert (found(1), found(61)) == (b"first", None)
    keep(61, b"third")
    assert found(62) == b"third"
    old = retention.old_answers(NOW + timedelta(days=1))
    assert database.read_now(lambda c: retention.count(c, old)) == 1
    assert database.write_now(lambda c: retention.forget(c, old)) == 1
    assert found(62) is None


async def _count(world: Context) -> int:
    found = await world.db.read(lambda c: incidents.page(c, TENANT, Filters(), None, 100))
    return len(found)
