"""The short cut to the hot doors answers as the framework's own way would, to the byte."""

import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.app import create_api
from app.api.shortcut import Shortcut
from app.flow.ingest import Intake
from app.kit.metrics import Registry
from app.sources.client_report import ClientReportReader
from app.sources.probe_result import ProbeResultReader
from app.sources.symptom_table import load_symptom_table
from tests.api.conftest import OTHER, URL, Context, make_key

REPORTS, RESULTS = "/v1/client-reports", "/v1/probe-results"
REPORT = {"service": "exchange-online", "http_status": 503}
GOOD = json.dumps(REPORT).encode()


def _context(world: Context) -> Context:
    classify = load_symptom_table().classify
    world.intake = Intake(world.db)
    world.report_reader = ClientReportReader(classify, key=b"k")
    world.result_reader = ProbeResultReader(classify, key=b"k")
    return world


@pytest.fixture
async def ways(world: Context) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """A client of the application as it is, and one of the same without its short cut."""
    whole = _context(world)
    short, long = create_api(whole), create_api(replace(whole, metrics=Registry()))
    long.user_middleware = [one for one in long.user_middleware if one.cls is not Shortcut]
    assert len(long.user_middleware) == len(short.user_middleware) - 1

    def client(api: FastAPI) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(api, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=URL)

    async with client(short) as one, client(long) as other:
        yield one, other


def _told(answer: httpx.Response) -> tuple[Any, ...]:
    """What an answer says, without what is made anew for each request."""
    body = answer.json()
    assert body.pop("instance", answer.headers["x-request-id"]) == answer.headers["x-request-id"]
    body.pop("intake_id", None)
    headers = dict(answer.headers)
    for name in ("x-request-id", "content-length"):
        headers.pop(name)
    return answer.status_code, body, headers


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for position in range(0, len(body), 7):
        yield body[position : position + 7]


CASES: dict[str, dict[str, Any]] = {
    "one report": {"content": GOOD},
    "a result": {"path": RESULTS, "content": b'{"probe": "owa", "outcome": "failed"}'},
    "no body": {"content": b""},
    "not JSON": {"content": b"{"},
    "a bad one among good ones": {"content": b'[{"service":"exchange-online"},' + GOOD + b"]"},
    "another type": {"content": GOOD, "headers": {"content-type": "text/plain"}},
    "another encoding": {"content": GOOD, "headers": {"content-encoding": "br"}},
    "inflated": {"content": gzip.compress(GOOD), "headers": {"content-encoding": "gzip"}},
    "corrupt": {"content": GOOD, "headers": {"content-encoding": "gzip"}},
    "too long by its word": {"content": b" " * (1024 * 1024 + 1)},
    "too long as it comes": {"chunks": b" " * (1024 * 1024 + 1)},
    "in parts": {"chunks": GOOD},
    "a query": {"path": REPORTS + "?what=1", "content": GOOD},
    "no key": {"content": GOOD, "headers": {"authorization": ""}},
    "a malformed key": {"content": GOOD, "headers": {"authorization": "Bearer x"}},
    "a stranger's scheme": {"content": GOOD, "headers": {"authorization": "Basic eDp5"}},
    "another's tenant": {"content": GOOD, "headers": {"sextant-tenant": OTHER}},
    "another method": {"method": "PUT", "content": GOOD},
    "a path below": {"path": REPORTS + "/", "content": GOOD},
    "a bad idempotency key": {"content": GOOD, "headers": {"idempotency-key": "k" * 256}},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_both_ways_answer_alike(
    world: Context, ways: tuple[httpx.AsyncClient, httpx.AsyncClient], case: dict[str, Any]
) -> None:
    key = await make_key(world, "reports:write", "probes:write")
    headers = {"content-type": "application/json", **key, **case.get("headers", {})}
    answers = []
    for client in ways:
        content = _chunks(case["chunks"]) if "chunks" in case else case["content"]
        method, path = case.get("method", "POST"), case.get("path", REPORTS)
        answers.append(await client.request(method, path, content=content, headers=headers))
    short, long = map(_told, answers)
    assert short[0] == long[0]
    assert short[2] == long[2]
    if short[0] == 202:  # the same database heard it a second time
        assert (short[1]["accepted"], long[1]["accepted"], long[1]["duplicates"]) == (1, 0, 1)
        assert short[1]["rejected"] == long[1]["rejected"]
    else:
        assert short[1] == long[1]


async def test_a_key_without_the_scope_is_refused_both_ways(
    world: Context, ways: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    key = await make_key(world, "incidents:read")
    answers = [
        _told(
            await client.post(REPORTS, json=REPORT, headers={**key, "x-request-id": "given-id-1"})
        )
        for client in ways
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 403


async def test_an_idempotency_key_holds_on_the_short_cut(
    world: Context, ways: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    key = {**await make_key(world, "reports:write"), "idempotency-key": "once-0001"}
    first, again = [await client.post(REPORTS, json=REPORT, headers=key) for client in ways]
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"


async def test_the_short_cut_is_counted_by_its_route(
    world: Context, ways: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    key = await make_key(world, "reports:write")
    await ways[0].post(REPORTS, json=REPORT, headers=key)
    text = (await ways[0].get("/metrics")).text
    assert f'requests_total{{method="POST",route="{REPORTS}",status="2xx"}} 1.0' in text
