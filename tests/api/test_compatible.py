"""The API is frozen: what breaks callers of the released document is found, the rest is let be."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.api.compatible import breaks

Document = dict[str, Any]
Change = Callable[[Document], Any]

RELEASED: Document = json.loads(Path("openapi/released/v1.json").read_text("utf-8"))
INCIDENT = "/v1/incidents/{incident_id}"


def schema(document: Document, name: str) -> Document:
    found: Document = document["components"]["schemas"][name]
    return found


def operation(document: Document, path: str = INCIDENT, method: str = "get") -> Document:
    found: Document = document["paths"][path][method]
    return found


def with_field(name: str, key: str, value: Any) -> Change:
    return lambda d: schema(d, name)["properties"]["title"].__setitem__(key, value)


BREAKING: dict[str, Change] = {
    "a path is gone": lambda d: d["paths"].pop("/v1/services"),
    "a method is gone": lambda d: d["paths"]["/v1/keys"].pop("post"),
    "another operationId": lambda d: operation(d).update(operationId="get_one"),
    "an answer is gone": lambda d: operation(d)["responses"].pop("200"),
    "a scope more": lambda d: operation(d).update(security=[{"apiKey": ["admin"]}]),
    "a parameter is gone": lambda d: operation(d, "/v1/incidents").update(parameters=[]),
    "a parameter is required": lambda d: operation(d, "/v1/incidents")["parameters"].append(
        {"name": "x", "in": "query", "required": True, "schema": {"type": "string"}}
    ),
    "a field of an answer is gone": lambda d: schema(d, "IncidentOut")["properties"].pop("title"),
    "a field of an answer may be missing": lambda d: schema(d, "IncidentOut")["required"].remove(
        "title"
    ),
    "a field of an answer may be null": lambda d: schema(d, "IncidentOut")["properties"].update(
        title={"anyOf": [{"type": "string"}, {"type": "null"}]}
    ),
    "a field of an answer is a number": lambda d: schema(d, "IncidentOut")["properties"].update(
        title={"type": "number"}
    ),
    "a field of a body is gone": lambda d: schema(d, "IncidentIn")["properties"].pop("summary"),
    "a field of a body is required": lambda d: schema(d, "IncidentIn")["required"].append(
        "summary"
    ),
    "a text of a body is shorter": with_field("IncidentIn", "maxLength", 10),
    "a text of a body is longer": with_field("IncidentIn", "minLength", 10),
    "a text of a body has a pattern": with_field("IncidentIn", "pattern", "^a"),
    "a word is taken no longer": lambda d: schema(d, "DismissIn")["properties"]["resolution"][
        "enum"
    ].remove("duplicate"),
    "an event is gone": lambda d: d["webhooks"].pop("incident.opened"),
}
HARMLESS: dict[str, Change] = {
    "nothing": lambda d: None,
    "a new path": lambda d: d["paths"].update({"/v1/new": d["paths"]["/v1/keys"]}),
    "a new field of an answer": lambda d: schema(d, "IncidentOut")["properties"].update(
        new={"type": "string"}
    ),
    "a new optional field of a body": lambda d: schema(d, "IncidentIn")["properties"].update(
        new={"type": "string"}
    ),
    "a longer text of a body": with_field("IncidentIn", "maxLength", 10_000),
    "other words about it": lambda d: operation(d).update(summary="Other words."),
    "a new word of an answer": lambda d: schema(d, "IncidentOut")["properties"].update(
        origin={"type": "string", "enum": ["vendor", "new"]}
    ),
    "a new optional parameter": lambda d: operation(d)["parameters"].append(
        {"name": "x", "in": "query", "required": False, "schema": {"type": "string"}}
    ),
}


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_callers_is_found(name: str) -> None:
    made = copy.deepcopy(RELEASED)
    BREAKING[name](made)
    assert made != RELEASED
    assert breaks(RELEASED, made), name


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_added_breaks_nobody(name: str) -> None:
    made = copy.deepcopy(RELEASED)
    HARMLESS[name](made)
    assert breaks(RELEASED, made) == []
