"""HEAD wherever GET is served, and every method of a path in ``Allow``."""

import asyncio

import httpx
import pytest


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/subscriptions", {"GET", "HEAD", "POST"}),
        ("/v1/subscriptions/sub_1", {"DELETE", "GET", "HEAD", "PATCH"}),
        ("/v1/subscriptions/sub_1/replays", {"GET", "HEAD", "POST"}),
        ("/v1/incidents/inc_1/resolve", {"POST"}),
        ("/livez", {"GET", "HEAD"}),
    ],
)
async def test_a_refused_method_is_told_all_that_are_served(
    client: httpx.AsyncClient, admin: dict[str, str], path: str, allowed: set[str]
) -> None:
    answer = await client.put(path, headers=admin)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/livez", "/v1/subscriptions", "/v1/events", "/openapi.json"])
async def test_head_is_get_without_the_body(
    client: httpx.AsyncClient, admin: dict[str, str], path: str
) -> None:
    got = await client.get(path, headers=admin)
    head = await client.head(path, headers=admin)
    assert (head.status_code, head.content) == (got.status_code, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == got.headers[name]


async def test_head_of_what_is_only_posted_to_is_refused(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    answer = await client.head("/v1/client-reports", headers=admin)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "POST", b"")


async def test_head_of_a_stream_ends(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    async with asyncio.timeout(5):
        answer = await client.head("/v1/events/stream", headers=admin)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_head_needs_what_get_needs(client: httpx.AsyncClient) -> None:
    assert (await client.head("/v1/subscriptions")).status_code == 401
