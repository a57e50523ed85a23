"""Retiring operations, a second major version beside the first, and links to the next page."""

import logging
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api import openapi
from app.api.retiring import RETIREMENTS, Retirement
from tests.api.conftest import URL, Context, make_key, put
from tests.api.second import RETIRED, with_second
from tests.builders import NOW, an_incident


@pytest.fixture
def both(world: Context) -> FastAPI:
    return with_second(world)


def client_of(api: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=URL)


async def test_the_second_version_lives_beside_the_first(both: FastAPI, world: Context) -> None:
    stored = an_incident()
    put(world, stored)
    headers = await make_key(world, "incidents:read")
    async with client_of(both) as client:
        first = await client.get(f"/v1/incidents/{stored.id}", headers=headers)
        second = await client.get(f"/v2/incidents/{stored.id}", headers=headers)
        assert (first.status_code, second.status_code) == (200, 200)
        assert first.json()["title"] == second.json()["title"]
        assert set(second.json()) == {"id", "title", "status", "times"}
        assert first.headers["etag"] == second.headers["etag"]
        assert (await client.get(f"/v2/incidents/{stored.id}")).status_code == 401
        unknown = await client.get(f"/v2/incidents/{stored.id}?x=1", headers=headers)
        assert unknown.status_code == 400


async def test_a_retiring_operation_says_so_on_every_answer(
    both: FastAPI, world: Context, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    headers = await make_key(world, "incidents:read")
    ends = RETIRED["read_incident"]
    async with client_of(both) as client:
        refused = await client.get("/v1/incidents/inc_none")
        missing = await client.get("/v1/incidents/inc_none", headers=headers)
        assert (refused.status_code, missing.status_code) == (401, 404)
        for answer in (refused, missing):
            told = int(answer.headers["deprecation"].removeprefix("@"))
            assert datetime.fromtimestamp(told, UTC) == ends.deprecated_at
            assert parsedate_to_datetime(answer.headers["sunset"]) == ends.sunset_at
            links = answer.headers.get_list("link")
            assert f'<{ends.page}>; rel="deprecation"; type="text/html"' in links
            assert f'<{ends.successor}>; rel="successor-version"' in links
        for path in ("/v2/incidents/inc_none", "/v1/incidents"):
            other = await client.get(path, headers=headers)
            assert "deprecation" not in other.headers
        counted = (await client.get("/metrics")).text
        line = 'sextant_deprecated_requests_total{operation="read_incident"} 2.0'
        assert line in counted.splitlines()
    keys = [one.key for one in caplog.records if one.message == "deprecated_call"]
    assert keys[0] is None
    assert str(keys[1]).startswith("key_")


def test_each_version_has_its_document_and_the_first_stays_frozen(both: FastAPI) -> None:
    first, second = openapi.document(both), openapi.document(both, major="v2")
    assert openapi.broken(both) == []
    assert [path for path in first["paths"] if path.startswith("/v2")] == []
    assert [path for path in second["paths"] if path.startswith("/v1")] == []
    assert "/v2/incidents/{incident_id}" in second["paths"]
    assert list(OpenAPIV31SpecValidator(second).iter_errors()) == []
    marked = {
        one["operationId"] for _, _, one in openapi.operations(first) if one.get("deprecated")
    }
    assert marked == set(RETIRED)


def test_what_ends_is_declared_in_one_place_and_with_a_year_of_notice(api: FastAPI) -> None:
    names = {one["operationId"] for _, _, one in openapi.operations(openapi.document(api))}
    assert set(RETIREMENTS) <= names
    with pytest.raises(ValueError, match="365 days"):
        Retirement(deprecated_at=NOW, sunset_at=NOW + timedelta(days=364))
    bare = Retirement(deprecated_at=NOW).headers()
    assert bare == [(b"deprecation", f"@{int(NOW.timestamp())}".encode())]


async def test_a_list_links_to_its_next_page(client: httpx.AsyncClient, world: Context) -> None:
    for number in range(3):
        put(world, an_incident(id=f"inc_{number}", number=f"INC-2026-{number:04}"))
    headers = await make_key(world, "incidents:read")
    answer = await client.get("/v1/incidents?limit=2&open=true", headers=headers)
    link, _, relation = answer.headers["link"].partition(">; ")
    assert relation == 'rel="next"'
    following = await client.get(link.removeprefix("<"), headers=headers)
    assert [len(one.json()["items"]) for one in (answer, following)] == [2, 1]
    assert "link" not in following.headers
    assert following.request.url.params["limit"] == "2"
    assert following.request.url.params["open"] == "true"
