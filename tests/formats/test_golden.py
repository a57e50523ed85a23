"""Every event type in every format: frozen in a file, and as the published schema says."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from app.api import event_schemas
from app.core.events import EventType
from app.formats.native_v1 import LIMIT
from tests.builders import an_incident
from tests.formats.golden import FOLDER, FULL, RENDER, WIRES, an_event_of, bodies

SCHEMAS = Path(__file__).parents[2] / "openapi" / "events"


@cache
def validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / name).read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def schema_of(body: dict[str, Any]) -> Draft202012Validator:
    folder = "cloudevents/" if "specversion" in body else ""
    return validator(f"{folder}{body['type']}.json")


def test_there_is_a_file_for_each_body_and_no_other() -> None:
    wanted = {name for kind in EventType for name, _ in bodies(kind)}
    assert {path.name for path in FOLDER.iterdir()} == wanted
    assert len(wanted) == len(EventType) * 4


@pytest.mark.parametrize("kind", list(EventType))
def test_the_bytes_of_a_type_do_not_change(kind: EventType) -> None:
    for name, content in bodies(kind):
        assert (FOLDER / name).read_bytes() == content + b"\n", name


@pytest.mark.parametrize("kind", list(EventType))
def test_the_bodies_of_a_type_are_as_its_schema_says(kind: EventType) -> None:
    for name, content in bodies(kind):
        body = json.loads(content)
        schema_of(body).validate(body)
        model = (event_schemas.cloud if ".cloudevents." in name else event_schemas.native)(kind)
        model.model_validate_json(content)  # closed: what is not described is a bug


@pytest.mark.parametrize("kind", list(EventType))
def test_a_schema_refuses_what_is_not_its_type_and_bears_what_comes_later(kind: EventType) -> None:
    for _, content in bodies(kind):
        body = json.loads(content)
        schema_of(body).validate({**body, "later": 1, "data": {**body["data"], "later": 1}})
        for broken in (
            {**body, "type": "incident.exploded"},
            {name: value for name, value in body.items() if name != "id"},
            {**body, "data": {}},
        ):
            with pytest.raises(ValidationError):
                schema_of(body).validate(broken)


@pytest.mark.parametrize("kind", list(EventType))
def test_a_body_that_had_to_be_cut_is_still_as_its_schema_says(kind: EventType) -> None:
    event = an_event_of(kind)
    if event.incident is None:
        return
    long = an_incident(**{**FULL, "summary": "ß" * 30_000, "title": "x" * 2_000})
    stored = RENDER(event.__class__(**{**_fields(event), "incident": long}))
    assert len(stored) <= LIMIT
    assert json.loads(stored)["data"]["truncated"] is True
    for wire in WIRES:
        body = json.loads(wire.encode(stored, detail="full").content)
        schema_of(body).validate(body)


def _fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__slots__}
