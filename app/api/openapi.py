"""The OpenAPI document: made from the application, written to and compared with a file."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.problems import MEDIA_TYPE, pointer
from app.api.v1.schemas import ProblemOut
from app.core.events import EventType

Document: TypeAlias = dict[str, Any]

FILE = Path("openapi/v1.json")
METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
FIRST_ERROR = 400
PROBLEM = {"$ref": "#/components/schemas/ProblemOut"}
KEYED = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes a repetition harmless: the same key and body get the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
# What each event says; a type without a sentence here is a gap that a test finds.
SENTENCES: Mapping[EventType, str] = {
    EventType.OPENED: "An incident was opened, suspected or confirmed.",
    EventType.CONFIRMED: "An incident was confirmed.",
    EventType.UPDATED: "Something that a receiver can see changed; `changed` lists it.",
    EventType.MITIGATING: "A fix is on its way.",
    EventType.MONITORING: "A fix is said to be in place and is being watched.",
    EventType.RESOLVED: "An incident was resolved on evidence, or by a person.",
    EventType.REOPENED: "A resolved incident goes on.",
    EventType.CLOSED: "A resolved incident was closed for good.",
    EventType.DISMISSED: "An incident turned out to be none.",
    EventType.MERGED: "An incident was merged into another; `merged_into` names it.",
    EventType.SPLIT: "Evidence of an incident went on as another one.",
    EventType.ACKNOWLEDGED: "Someone took notice.",
    EventType.NOTED: "A note was added.",
    EventType.ADVISORY_LINKED: "An advisory joined the incident.",
    EventType.ADVISORY_UPDATED: "A linked advisory changed.",
    EventType.SOURCE_STALE: "A source cannot be read; what it said is no longer trusted.",
    EventType.SOURCE_RECOVERED: "A stale source is read again.",
    EventType.SOURCE_UNKNOWN_VALUE: "A source used a word that has no meaning here.",
    EventType.SUBSCRIPTION_FAILING: "A receiver refuses or does not answer.",
    EventType.SUBSCRIPTION_DISABLED: "A subscription was switched off.",
    EventType.SUBSCRIPTION_RECOVERED: "A failing receiver takes deliveries again.",
    EventType.SUBSCRIPTION_REPLAY_FINISHED: "A replay is through.",
    EventType.LINK_CONFLICT: "A remote record was changed by a person in a way we respect.",
    EventType.TEST_PING: "A test; it says nothing of any incident.",
}


def document(app: FastAPI) -> Document:
    """Make the document."""
    made = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        openapi_version="3.1.0",
        routes=app.routes,
        tags=app.openapi_tags,
        separate_input_output_schemas=False,
    )
    for path, method, operation in operations(made):
        _fit_problems(operation)
        if path.startswith("/v1/"):
            _fit_parameters(operation, method)
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    # The routes name no model for their problems: it is the same everywhere.
    problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    for name, schema in {**problem.pop("$defs"), "ProblemOut": problem}.items():
        for member in schema["properties"].values():
            member.pop("default", None)  # as the framework does where it is null
        schemas[name] = schema
    made["webhooks"] = {kind.value: _webhook(kind) for kind in EventType}
    return made


def operations(made: Document) -> Iterator[tuple[str, str, Document]]:
    """Every operation as (path, lower-case method, operation)."""
    for path, item in made["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def text(made: Document) -> str:
    """Write the document so that equal documents are equal files."""
    return json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write(app: FastAPI, file: Path = FILE) -> None:
    """Write the document to its file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text(document(app)), encoding="utf-8")


def differences(app: FastAPI, file: Path = FILE) -> list[str]:
    """What the file says otherwise than the application: paths into the document, sorted."""
    if not file.exists():
        return [f"{file} is missing"]
    kept = json.loads(file.read_text(encoding="utf-8"))
    made = json.loads(text(document(app)))
    return sorted(_differences(kept, made, "#"))


def _differences(kept: Any, made: Any, place: str) -> Iterator[str]:
    if isinstance(kept, dict) and isinstance(made, dict):
        for key in kept.keys() | made.keys():
            inner = place + pointer([key])
            if key not in made:
                yield f"{inner} is only in the file"
            elif key not in kept:
                yield f"{inner} is only in the application"
            else:
                yield from _differences(kept[key], made[key], inner)
    elif kept != made:
        yield f"{place} differs"


def _fit_problems(operation: Document) -> None:
    """Errors are problems: the framework would list its own body for 422, and plain JSON."""
    for status, response in operation.get("responses", {}).items():
        if status.isdigit() and int(status) >= FIRST_ERROR:
            response["content"] = {MEDIA_TYPE: {"schema": PROBLEM}}


def _fit_parameters(operation: Document, method: str) -> None:
    """A tenant is named in the query of reads and in the header of writes, never in both."""
    reading = method in {"get", "head"}
    foreign = ("header", "sextant-tenant") if reading else ("query", "tenant")
    parameters = [
        parameter
        for parameter in operation.get("parameters", [])
        if (parameter["in"], parameter["name"].lower()) != foreign
    ]
    if method == "post":
        parameters.append(KEYED)
    if parameters:
        operation["parameters"] = parameters


def _webhook(kind: EventType) -> Document:
    headers = [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    ]
    event = {
        "allOf": [
            {"$ref": "#/components/schemas/EventOut"},
            {"properties": {"type": {"const": kind.value}}},
        ]
    }
    return {
        "post": {
            "operationId": "receive_" + kind.value.replace(".", "_"),
            "summary": SENTENCES[kind],
            "tags": ["webhooks"],
            "parameters": headers,
            "requestBody": {"required": True, "content": {"application/json": {"schema": event}}},
            "responses": {
                "2XX": {"description": "Taken."},
                "410": {"description": "Never again: the subscription is disabled."},
            },
        }
    }
