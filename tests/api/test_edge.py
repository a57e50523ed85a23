"""The edge: every refusal is a problem, bodies keep to their limits, nothing is echoed."""

import gzip
import json
import os
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import zstandard
from fastapi import FastAPI

from app.api.inflate import inflate
from app.api.problems import STATUS, kebab, pointer, validation_errors
from app.core.errors import AppError, PayloadTooLarge, StorageUnavailable, UnreadablePayload
from tests.api.conftest import URL, Context, make_key

MEGABYTE = 1024 * 1024


def is_problem(answer: httpx.Response, status: int, kind: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"{URL}/problems/{kind}"
    assert body["status"] == status
    assert body["instance"] == answer.headers["x-request-id"]
    assert {"title", "detail"} <= set(body)


def test_every_error_has_a_status() -> None:
    def below(cls: type[AppError]) -> set[type[AppError]]:
        return {cls} | {found for inner in cls.__subclasses__() for found in below(inner)}

    ours = {cls for cls in below(AppError) - {AppError} if cls.__module__ == "app.core.errors"}
    assert ours == set(STATUS)


async def test_each_problem_has_a_page(client: httpx.AsyncClient) -> None:
    for cls in STATUS:
        page = await client.get(f"/problems/{kebab(cls.__name__)}")
        assert page.status_code == 200
        assert cls.title in page.text.replace("&#x27;", "'")
    is_problem(await client.get("/problems/nothing"), 404, "not-found")


async def test_what_the_framework_refuses_is_a_problem_too(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    is_problem(await client.get("/v1/nowhere", headers=admin), 404, "not-found")
    refused = await client.delete("/v1/incidents", headers=admin)
    is_problem(refused, 405, "method-not-allowed")
    assert "GET" in refused.headers["allow"]


@pytest.mark.parametrize(
    ("content", "headers", "status", "kind"),
    [
        (b"{", {}, 422, "invalid-input"),
        (b"\xff\xfe", {}, 422, "invalid-input"),
        (b'{"a": "\xff"}', {}, 422, "invalid-input"),
        (b"[" * 50_000, {}, 422, "invalid-input"),
        (b"{}", {"content-type": "text/plain"}, 415, "unsupported-media-type"),
        (b"{}", {"content-type": ""}, 415, "unsupported-media-type"),
        (b"{}", {"content-encoding": "br"}, 415, "unsupported-media-type"),
        (b"{}", {"content-encoding": "gzip, gzip"}, 415, "unsupported-media-type"),
        (b"{}", {"content-encoding": "gzip"}, 400, "unreadable-payload"),
        (
            gzip.compress(b"{}", mtime=0)[:-4],
            {"content-encoding": "gzip"},
            400,
            "unreadable-payload",
        ),
        (zstandard.compress(b"{}")[:-1], {"content-encoding": "zstd"}, 400, "unreadable-payload"),
        (b"{}", {"content-encoding": "zstd"}, 400, "unreadable-payload"),
    ],
)
async def test_a_body_that_cannot_be_read_is_a_problem(
    client: httpx.AsyncClient,
    admin: dict[str, str],
    content: bytes,
    headers: dict[str, str],
    status: int,
    kind: str,
) -> None:
    given = {**admin, "content-type": "application/json", **headers}
    answer = await client.post("/v1/incidents", content=content, headers=given)
    is_problem(answer, status, kind)
    if status == 415:
        assert "gzip" in answer.headers["accept-encoding"]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, None])
async def test_a_compressed_body_is_read(
    client: httpx.AsyncClient, admin: dict[str, str], compress: Any
) -> None:
    body = json.dumps({"title": "x", "services": ["teams-of-old"], "severity": "minor"}).encode()
    encoding = {gzip.compress: "gzip", zstandard.compress: "zstd"}.get(compress, "identity")
    headers = {**admin, "content-type": "application/json", "content-encoding": encoding}
    content = body if compress is None else compress(body)
    answer = await client.post("/v1/incidents", content=content, headers=headers)
    assert answer.json()["errors"][0]["pointer"] == "/services/0"


async def test_a_body_over_the_limit_is_refused_by_its_word_and_by_its_length(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    headers = {**admin, "content-type": "application/json"}
    told = await client.post("/v1/incidents", content=b"x" * 70_000, headers=headers)
    is_problem(told, 413, "payload-too-large")
    assert told.headers["connection"] == "close"

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    is_problem(
        await client.post("/v1/incidents", content=endless(), headers=headers),
        413,
        "payload-too-large",
    )


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_costs_next_to_nothing(encoding: str) -> None:
    compress = gzip.compress if encoding == "gzip" else zstandard.compress
    bomb = compress(bytes(16 * MEGABYTE))
    tracemalloc.start()
    with pytest.raises(PayloadTooLarge):
        inflate(bomb * 8, encoding, limit=MEGABYTE)
    with pytest.raises(PayloadTooLarge):
        inflate(bomb, encoding, limit=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MEGABYTE


@pytest.mark.parametrize("body", [b"", b"x", b'{"a": 1}\n' * 50_000, os.urandom(300_000)])
def test_what_was_compressed_comes_back(body: bytes) -> None:
    assert inflate(gzip.compress(body) * 2, "gzip", limit=0) == body * 2
    assert inflate(gzip.compress(body), " GZIP ", limit=0) == body
    for checked in (True, False):
        packer = zstandard.ZstdCompressor(write_checksum=checked)
        assert inflate(packer.compress(body) * 2, "zstd", limit=0) == body * 2
    stream = zstandard.ZstdCompressor().compressobj()
    unsized = stream.compress(body) + stream.flush()
    assert inflate(unsized, "zstd", limit=0) == body


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_cut_or_scrambled_body_is_unreadable_or_as_it_was(encoding: str) -> None:
    body = b"some words " * 40
    whole = gzip.compress(body) if encoding == "gzip" else zstandard.compress(body)
    for length in range(1, len(whole)):
        with pytest.raises(UnreadablePayload):
            inflate(whole[:length], encoding, limit=0)
    with pytest.raises(UnreadablePayload):
        inflate(whole + b"rubbish", encoding, limit=0)
    with pytest.raises(UnreadablePayload):
        inflate(whole * 65, encoding, limit=0)


async def test_a_bug_says_nothing_of_itself(
    api: FastAPI, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise RuntimeError("the password is hunter2")

    async def unreachable() -> None:
        raise StorageUnavailable

    api.add_api_route("/broken", broken)
    api.add_api_route("/unreachable", unreachable)
    answer = await client.get("/broken")
    is_problem(answer, 500, "internal-error")
    assert "hunter2" not in answer.text
    assert [record.getMessage() for record in caplog.records] == ["request_failed"]
    shed = await client.get("/unreachable")
    is_problem(shed, 503, "storage-unavailable")
    assert int(shed.headers["retry-after"]) > 0


async def test_every_answer_is_named_and_hardened(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    answer = await client.get("/v1/incidents", headers={**admin, "x-request-id": "proxy-id-0001"})
    assert answer.headers["x-request-id"] == "proxy-id-0001"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["strict-transport-security"]
    strange = await client.get("/livez", headers={"x-request-id": "a b\tc" * 50})
    assert strange.headers["x-request-id"].startswith("req_")


async def test_requests_are_counted_by_route_and_never_by_path(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    await client.get("/v1/incidents/inc_secret_thing", headers=admin)
    await client.get("/a/scan/for/holes")
    await client.request("BREW", "/livez")
    text = (await client.get("/metrics")).text
    route = 'route="/v1/incidents/{incident_id}",status="4xx"'
    assert f'sextant_http_requests_total{{method="GET",{route}}} 1.0' in text
    assert 'route="unmatched"' in text
    assert 'method="other"' in text
    assert "inc_secret_thing" not in text
    assert "sextant_http_request_seconds_bucket" in text


async def test_faults_are_told_without_what_was_sent(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    body = {"title": {"x": "hunter2"}, "services": "hunter2", "severity": "hunter2"}
    answer = await client.post("/v1/incidents", headers=admin, json=body)
    is_problem(answer, 422, "invalid-input")
    assert "hunter2" not in answer.text
    assert len(answer.json()["errors"]) == 3


def test_pointers_are_escaped_and_short() -> None:
    assert pointer(["a/b", "c~d", 0]) == "/a~1b/c~0d/0"
    assert pointer([]) == ""
    assert len(pointer(["x" * 5000])) == 200
    many = [{"loc": ("query", "limit"), "type": "t", "msg": "m"}] * 500
    found = validation_errors(many)
    assert len(found) == 100
    assert found[0] == {"pointer": "/limit", "detail": "m", "in": "query"}


async def test_a_replica_without_the_api_answers_for_its_health_alone(world: Context) -> None:
    from app.api.app import create_api  # noqa: PLC0415

    transport = httpx.ASGITransport(create_api(world, full=False))
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        assert (await client.get("/livez")).status_code == 200
        key = await make_key(world, "admin")
        for path in ("/v1/incidents", "/docs", "/openapi.json"):
            is_problem(await client.get(path, headers=key), 404, "not-found")
