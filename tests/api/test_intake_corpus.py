"""The doors of intake: bad input gets a clear problem, good input is stored, and both validators
agree."""

import asyncio
import gzip
import json
from datetime import timedelta

import httpx
import pytest
import zstandard
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.api.v1.intake_schemas import ClientReportIn, ProbeResultIn
from app.core.errors import Overloaded
from app.core.types import TenantId
from app.flow.ingest import Intake
from app.sources.client_report import ClientReportReader
from app.sources.probe_result import ProbeResultReader
from app.sources.symptom_table import load_symptom_table
from app.store import intake as store
from tests.api.conftest import OTHER, URL, Context, make_key
from tests.builders import NOW, TENANT

REPORTS, RESULTS = "/v1/client-reports", "/v1/probe-results"
LINES = "application/x-ndjson"


@pytest.fixture
def world(world: Context) -> Context:
    classify = load_symptom_table().classify
    world.intake = Intake(world.db)
    world.report_reader = ClientReportReader(classify, key=b"k")
    world.result_reader = ProbeResultReader(classify, key=b"k")
    return world


def report(**changes):
    return {"service": "exchange-online", "http_status": 503, **changes}


def result(**changes):
    return {"probe": "owa", "outcome": "failed", **changes}


def stored(world: Context, tenant=TENANT):
    rows = world.db.read_now(lambda c: store.after(c, tenant, 0, 0, 1000))
    return [signal for row in rows for signal in row.signals]


async def post(client, headers, value, *, path=REPORTS, media="application/json"):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return await client.post(path, content=body, headers={**headers, "content-type": media})


async def test_one_report_an_array_and_lines_are_taken(world, client, admin):
    lines = b"\n".join(json.dumps(report(id=str(n))).encode() for n in range(3))
    for value, media, count in (
        (report(), "application/json", 1),
        ([report(code="1"), report(code="2")], "application/json", 2),
        (lines, LINES, 3),
    ):
        answer = await post(client, admin, value, media=media)
        assert answer.status_code == 202
        body = answer.json()
        assert body.pop("intake_id").startswith("int_")
        assert body == {"accepted": count, "duplicates": 0, "rejected": []}
    assert len(stored(world)) == 6


async def test_what_was_answered_is_kept_with_a_result(world, client, admin):
    told = {"answer": {"status": "401"}, "diagnostics": {"request-id": "0b1c"}}
    answer = await post(client, admin, result(**told), path=RESULTS)
    assert answer.status_code == 202
    (kept,) = stored(world)
    assert (kept.answer, kept.diagnostics) == (told["answer"], told["diagnostics"])


async def test_results_are_taken(world, client, admin):
    answer = await post(client, admin, [result(), result(location="x")], path=RESULTS)
    assert answer.json()["accepted"] == 2
    assert {signal.location for signal in stored(world)} == {"default", "x"}


async def test_a_repetition_is_told(world, client, admin):
    await post(client, admin, [report(id="1"), report(id="2")])
    again = await post(client, admin, [report(id="2"), report(id="3")])
    assert (again.json()["accepted"], again.json()["duplicates"]) == (1, 1)
    assert len(stored(world)) == 3


async def test_good_lines_are_kept_and_bad_ones_named(world, client, admin):
    good = json.dumps(report(id="1")).encode()
    body = good + b'\n{"service":"\xff"}\n{"service":"nope","code":"1"}\n' + good
    answer = await post(client, admin, body, media=LINES)
    assert answer.status_code == 202
    rejected = answer.json()["rejected"]
    assert [(entry["index"], entry["pointer"]) for entry in rejected] == [(1, ""), (2, "/service")]
    assert (answer.json()["accepted"], answer.json()["duplicates"]) == (1, 1)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"{", ""),
        (b"[1", ""),
        (b"", ""),
        (b"\xff\xfe", ""),
        (b'[{"service":"\xff"}]', ""),
        (b"[[]]", ""),
        (json.dumps([report(colour=1)]).encode(), "/colour"),
        (json.dumps(report(http_status="x")).encode(), "/http_status"),
        (json.dumps({"service": "exchange-online"}).encode(), ""),
    ],
)
async def test_a_body_without_any_good_record_is_422(world, client, admin, body, pointer):
    answer = await post(client, admin, body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["errors"][0]["pointer"] == pointer
    assert problem["errors"][0]["detail"]
    assert stored(world) == []


async def test_another_media_type_is_415(client, admin):
    for media in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=x"):
        assert (await post(client, admin, report(), media=media)).status_code == 415


async def test_an_oversized_body_is_413(world, client, admin):
    huge = json.dumps([report(message="x" * 5000)] * 300).encode()
    assert (await post(client, admin, huge)).status_code == 413
    packed = {**admin, "content-encoding": "gzip"}
    assert (await post(client, packed, gzip.compress(huge))).status_code == 413
    assert stored(world) == []


async def test_compressed_bodies_are_taken(client, admin):
    body = json.dumps([report(id=str(n)) for n in range(50)]).encode()
    for encoding, pack in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
        headers = {**admin, "content-encoding": encoding}
        answer = await post(client, headers, pack(body))
        assert answer.status_code == 202, answer.text


async def test_a_large_body_is_read_beside_the_loop(world, client, admin):
    body = [report(id=str(n), message="word " * 100) for n in range(900)]
    assert (await post(client, admin, body)).json()["accepted"] == 900
    assert len(stored(world)) == 900


async def test_times_are_settled_at_the_door(world, client, admin):
    times = [NOW + timedelta(days=900), NOW - timedelta(days=9000), NOW - timedelta(minutes=1)]
    await post(client, admin, [report(occurred_at=at.isoformat()) for at in times])
    assert [(s.occurred_at, s.late, s.clamped) for s in stored(world)] == [
        (NOW, False, True), (times[1], True, False), (times[2], False, False),
    ]  # fmt: skip


async def test_the_scope_is_needed_and_the_tenant_is_the_keys(world, client):
    other = await make_key(world, "reports:write", tenant=OTHER)
    assert (await post(client, other, report())).status_code == 202
    assert (await post(client, other, result(), path=RESULTS)).status_code == 403
    assert (await post(client, {}, report())).status_code == 401
    crossing = {**other, "sextant-tenant": TENANT}
    assert (await post(client, crossing, report(code="x"))).status_code == 403
    assert stored(world) == []
    assert len(stored(world, OTHER)) == 1


async def test_an_operator_names_the_tenant(world, client):
    operator = await make_key(world, "admin", tenant="*")
    assert (await post(client, operator, report())).status_code == 400
    named = {**operator, "sextant-tenant": TENANT}
    assert (await post(client, named, report())).status_code == 202
    assert len(stored(world)) == 1


async def test_an_unknown_query_parameter_is_refused(client, admin):
    assert (await post(client, admin, report(), path=f"{REPORTS}?dry=1")).status_code == 400


async def test_one_idempotency_key_has_one_effect(world, client, admin):
    keyed = {**admin, "idempotency-key": "k-1"}
    first = await post(client, keyed, report())
    assert (await post(client, keyed, report())).json() == first.json()
    assert (await post(client, keyed, report(code="2"))).status_code == 422


async def test_overload_is_shed_with_a_time_to_come_again(world, client, admin):
    class Full:
        def see_that_there_is_room(self):
            raise Overloaded(retry_after_seconds=2)

    world.intake = Full()
    answer = await post(client, admin, report())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


# Values for each member: the right ones and everything that people send instead.
ODD = (None, "", "x", "exchange-online", 0, 1, -1, 1.0, 1.5, 600, 503, True, [], {}, "x" * 300,
       "2026-03-16T06:00:00Z", "2026-03-16T06:00:00.5+01:00", "2026-03-16T06:00:00", "2026-03-16",
       "outlook_web", "http_5xx", "ok", "failed", {"dns_ms": 1}, {"dns_ms": -1}, {"warp": 1}, 1e9,
       10**30, "x" * 17_000)  # fmt: skip


# What no schema can say; such a refusal is no disagreement.
BEYOND_A_SCHEMA = ("Unknown service", "Give at least one", "Control characters")


def corpus(base, model):
    for name in (*model.model_fields, "unknown"):
        for odd in ODD:
            yield {**base, name: odd}
        if name in base:
            yield {key: value for key, value in base.items() if key != name}


@pytest.mark.parametrize(
    ("reader", "model", "base"),
    [(ClientReportReader, ClientReportIn, report()), (ProbeResultReader, ProbeResultIn, result())],
)
def test_both_validators_agree(reader, model, base):
    read = reader(load_symptom_table().classify, key=b"k").parse
    documented = TypeAdapter(model)
    good = bad = 0
    for body in corpus(base, model):
        text = json.dumps(body).encode()
        faults = read(TENANT, text, "application/json", now=NOW).rejected
        fast = all(fault.detail.startswith(BEYOND_A_SCHEMA) for fault in faults)
        try:
            documented.validate_json(text)
        except ValidationError:
            slow = False
        else:
            slow = True
        assert fast == slow, body
        good, bad = good + slow, bad + (not slow)
    assert min(good, bad) > 50


def test_any_cut_of_lines_stores_exactly_what_is_acknowledged(world: Context, api: FastAPI):
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)

    async def send(body: bytes, tenant: str) -> httpx.Response:
        headers = await make_key(world, "reports:write", tenant=tenant)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            return await post(client, headers, body, media=LINES)

    number = 0

    @settings(max_examples=60)
    @given(
        codes=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6),
        share=st.floats(0, 1),
    )
    def check(codes: list[str], share: float) -> None:
        nonlocal number
        number += 1
        tenant = TenantId(f"t{number}")
        lines = [
            json.dumps(report(id=str(n), code=code), ensure_ascii=False).encode()
            for n, code in enumerate(codes)
        ]
        whole = b"\n".join(lines) + b"\n"
        cut = whole[: round(len(whole) * share)]
        answer = runner.run(send(cut, tenant))
        ends = [len(b"\n".join(lines[: n + 1])) for n in range(len(lines))]
        complete = sum(len(cut) >= end for end in ends)
        accepted = answer.json()["accepted"] if answer.status_code == 202 else 0
        assert answer.status_code == (202 if complete else 422)
        assert accepted == complete == len(stored(world, tenant))

    with asyncio.Runner() as runner:
        check()
