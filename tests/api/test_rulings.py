"""Split and pins through the API: whole requests, with their refusals."""

import httpx
import pytest

FIELDS = {"title": "Mail is down", "services": ["exchange-online"], "severity": "major"}


@pytest.fixture
async def opened(client: httpx.AsyncClient, admin: dict[str, str]) -> httpx.Response:
    return await client.post("/v1/incidents", headers=admin, json=FIELDS)


async def test_a_split_names_the_evidence_that_is_not_there(
    client: httpx.AsyncClient, admin: dict[str, str], opened: httpx.Response
) -> None:
    address = f"{opened.headers['location']}/split"
    refused = await client.post(address, headers=admin, json={"evidence": ["cell_1"]})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/evidence/0"
    empty = await client.post(address, headers=admin, json={"evidence": []})
    assert empty.status_code == 422


async def test_a_pin_asks_for_the_revision_that_was_read(
    client: httpx.AsyncClient, admin: dict[str, str], opened: httpx.Response
) -> None:
    address = f"{opened.headers['location']}/pins/EX1"
    assert (await client.put(address, headers=admin, json={"linked": True})).status_code == 428
    assert (await client.delete(address, headers=admin)).status_code == 428
    right = {**admin, "if-match": opened.headers["etag"]}
    unknown = await client.put(address, headers=right, json={"linked": True})
    assert unknown.status_code == 404
    stale = {**admin, "if-match": '"r9"'}
    assert (await client.put(address, headers=stale, json={"linked": True})).status_code == 412
