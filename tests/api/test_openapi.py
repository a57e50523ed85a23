"""The OpenAPI document: complete, valid, stable, and equal to what is served."""

import json
from pathlib import Path

import httpx
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api.openapi import SENTENCES, differences, document, operations, text, write
from app.core.events import EventType
from tests.api.conftest import Context


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
        assert (("header", "sextant-tenant") in parameters) is (method != "get")
        assert (("header", "idempotency-key") in parameters) is (method == "post")


def test_outputs_have_no_optional_keys(api: FastAPI) -> None:
    schemas = document(api)["components"]["schemas"]
    incident = schemas["IncidentOut"]
    assert set(incident["required"]) == set(incident["properties"])


def test_each_event_type_is_a_webhook(api: FastAPI) -> None:
    assert set(document(api)["webhooks"]) == {kind.value for kind in EventType}
    assert set(SENTENCES) == set(EventType)


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
