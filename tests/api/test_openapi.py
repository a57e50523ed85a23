"""The OpenAPI document: complete, valid, stable, and equal to what is served."""

import json
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api import event_schemas
from app.api.event_schemas import DATA, SENTENCES
from app.api.openapi import SIGNED, differences, document, operations, text, write
from app.core.events import EventType
from tests.api.conftest import Context

# Models that both show; the API's are closed, the events' are open to what later versions add.
SHARED = {
    "AcknowledgedOut", "ActorOut", "AssigneeOut", "CauseOut", "EvidenceShareOut",
    "EvidenceSharesOut", "ImpactOut", "IncidentOut", "LinkRefOut", "LinkedAdvisoryOut", "ReasonOut",
}  # fmt: skip


async def test_the_document_is_valid_and_served(api: FastAPI, client: httpx.AsyncClient) -> None:
    served = (await client.get("/openapi.json")).json()
    assert served == json.loads(text(document(api)))
    assert list(OpenAPIV31SpecValidator(served).iter_errors()) == []


async def test_the_page_for_people_lists_every_operation(
    api: FastAPI, client: httpx.AsyncClient
) -> None:
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text.replace("http_", "")
    assert "<script" not in page.text
    for path, _, _ in operations(api.openapi()):
        assert path in page.text
    for kind in EventType:
        assert kind.value in page.text


def test_every_operation_says_what_it_needs_and_what_may_go_wrong(api: FastAPI) -> None:
    made = document(api)
    names = [operation["operationId"] for _, _, operation in operations(made)]
    assert len(names) == len(set(names))
    for path, method, operation in operations(made):
        assert operation["summary"], path
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]
        if not path.startswith("/v1/"):
            continue
        assert operation["security"], path
        assert {"400", "401", "403", "503"} <= set(operation["responses"])
        parameters = {(p["in"], p["name"].lower()) for p in operation.get("parameters", [])}
        assert (("query", "tenant") in parameters) is (method == "get")
        by_others = len(operation["security"]) > 1 or operation["security"][0].keys() & SIGNED
        writes = method != "get" and not by_others
        assert (("header", "sextant-tenant") in parameters) is writes
        assert (("header", "idempotency-key") in parameters) is (writes and method == "post")


def test_outputs_have_no_optional_keys(api: FastAPI) -> None:
    schemas = document(api)["components"]["schemas"]
    incident = schemas["IncidentOut"]
    assert set(incident["required"]) == set(incident["properties"])


def test_each_event_type_is_a_webhook(api: FastAPI) -> None:
    assert set(document(api)["webhooks"]) == {kind.value for kind in EventType}
    assert set(SENTENCES) == set(DATA) == set(EventType)


def test_an_event_type_that_is_not_described_fails_the_build(
    api: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    for table in (SENTENCES, DATA):
        with monkeypatch.context() as patched:
            patched.delitem(table, EventType.NOTED)
            with pytest.raises(KeyError):
                document(api)


def test_no_schema_of_an_event_hides_one_of_the_api(api: FastAPI) -> None:
    made = event_schemas.components()
    kept = document(api)["components"]["schemas"]
    assert {name for name, schema in made.items() if kept[name] != schema} <= SHARED


def test_a_schema_that_is_no_longer_made_is_found(api: FastAPI, tmp_path: Path) -> None:
    file = tmp_path / "v1.json"
    write(api, file)
    assert len(list((tmp_path / "events").rglob("*.json"))) == 2 * len(EventType)
    (tmp_path / "events/test.ping.json").write_text("{}")
    (tmp_path / "events/old.json").write_text("{}")
    assert differences(api, file) == [
        f"{tmp_path}/events/old.json differs",
        f"{tmp_path}/events/test.ping.json differs",
    ]


def test_the_file_is_compared_place_by_place(api: FastAPI, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "v1.json"
    assert differences(api, file) == [f"{file} is missing"]
    write(api, file)
    assert differences(api, file) == []
    changed = json.loads(file.read_text())
    changed["info"]["title"] = "Another"
    del changed["paths"]["/livez"]
    changed["paths"]["/new"] = {}
    file.write_text(json.dumps(changed))
    assert differences(api, file) == [
        "#/info/title differs",
        "#/paths/~1livez is only in the application",
        "#/paths/~1new is only in the file",
    ]


def test_two_documents_of_one_application_are_equal(api: FastAPI, world: Context) -> None:
    assert text(document(api)) == text(document(api))
