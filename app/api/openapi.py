"""The OpenAPI document: made from the application, written to and compared with a file."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.problems import MEDIA_TYPE, pointer
from app.api.retiring import Retirements
from app.api.v1 import intake_schemas
from app.api.v1.schemas import ProblemOut
from app.core.events import EventType

Document: TypeAlias = dict[str, Any]

FILE = Path("openapi/v1.json")
RELEASED = Path("openapi/released/v1.json")  # the document of the last release
MAJOR = "v1"
EVENTS = "events"  # folder beside the file, with a JSON Schema for each type and format
METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
FIRST_ERROR = 400
HINT = {
    "type": "apiKey",
    "in": "header",
    "name": "webhook-signature",
    "description": "Standard Webhooks headers, made with the `hint_secret` of the mirror.",
}
DELIVERY = {
    "type": "apiKey",
    "in": "header",
    "name": "X-PagerDuty-Signature",
    "description": "HMAC-SHA256 of the body, made with a secret of the channel (webhooks v3); "
    "Jira sends it as `X-Hub-Signature`.",
}
SIGNED = {"hintSignature", "deliverySignature"}
CONFIGURING = frozenset({"put", "patch", "delete"})  # in these If-Match is required
PROBLEM = {"$ref": "#/components/schemas/ProblemOut"}
KEYED = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes a repetition harmless: the same key and body get the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def document(app: FastAPI, *, major: str = MAJOR) -> Document:
    """Make the document of one major version; what has none stands in each."""
    retirements: Retirements = getattr(app.state, "retirements", {})
    others = re.compile(rf"/(?!{major}/)v\d+/")
    made = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        openapi_version="3.1.0",
        routes=[one for one in app.routes if not others.match(getattr(one, "path", ""))],
        tags=app.openapi_tags,
        separate_input_output_schemas=False,
    )
    for path, method, operation in operations(made):
        _fit_problems(operation)
        if path.startswith(f"/{major}/"):
            _fit_parameters(operation, method)
        if operation["operationId"] in retirements:
            operation["deprecated"] = True
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    made["components"].setdefault("securitySchemes", {})["hintSignature"] = HINT
    made["components"]["securitySchemes"]["deliverySignature"] = DELIVERY
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    # The routes name no model for their problems: it is the same everywhere.
    problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    for name, schema in {**problem.pop("$defs"), "ProblemOut": problem}.items():
        for member in schema["properties"].values():
            member.pop("default", None)  # as the framework does where it is null
        schemas[name] = schema
    from app.api import event_schemas  # noqa: PLC0415 - its models cost a start that needs none

    for name, schema in {**intake_schemas.components(), **event_schemas.components()}.items():
        schemas.setdefault(name, schema)
    made["webhooks"] = {kind.value: event_schemas.webhook(kind) for kind in EventType}
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
    from app.api import event_schemas  # noqa: PLC0415 - as above

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text(document(app)), encoding="utf-8")
    for name, schema in event_schemas.files().items():
        place = file.parent / EVENTS / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(schema, encoding="utf-8")


def differences(app: FastAPI, file: Path = FILE) -> list[str]:
    """What the file says otherwise than the application: paths into the document, sorted."""
    if not file.exists():
        return [f"{file} is missing"]
    kept = json.loads(file.read_text(encoding="utf-8"))
    made = json.loads(text(document(app)))
    return sorted(_differences(kept, made, "#")) + _stale_schemas(file.parent / EVENTS)


def broken(app: FastAPI, file: Path = RELEASED) -> list[str]:
    """What callers of the last release could do with the API and cannot now, one sentence each."""
    from app.api.compatible import breaks  # noqa: PLC0415 - only a build asks

    return breaks(json.loads(file.read_text(encoding="utf-8")), document(app))


def release(app: FastAPI, file: Path = RELEASED) -> None:
    """Freeze the document as that of a release."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text(document(app)), encoding="utf-8")


def _stale_schemas(folder: Path) -> list[str]:
    from app.api import event_schemas  # noqa: PLC0415 - as above

    made = event_schemas.files()
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*.json")}
    return [
        f"{folder / name} differs"
        for name in sorted(made.keys() | there.keys())
        if name not in made or name not in there or there[name].read_text("utf-8") != made[name]
    ]


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


def _is_public(operation: Document) -> bool:
    """Whether others than holders of keys send to it: such a call names no tenant, repeats none."""
    needs = operation.get("security", ())
    return len(needs) > 1 or any(SIGNED & one.keys() for one in needs)


def _fit_parameters(operation: Document, method: str) -> None:
    """A tenant is named in the query of reads and in the header of writes, never in both."""
    reading = method in {"get", "head"}
    foreign = ("header", "sextant-tenant") if reading else ("query", "tenant")
    parameters = [
        parameter
        for parameter in operation.get("parameters", [])
        if (parameter["in"], parameter["name"].lower()) != foreign
    ]
    for parameter in parameters:
        if method in CONFIGURING and parameter["name"].lower() == "if-match":
            parameter["required"] = True
            parameter["schema"] = {"type": "string"}
    if method == "post" and not _is_public(operation):
        parameters.append(KEYED)
    if parameters:
        operation["parameters"] = parameters
