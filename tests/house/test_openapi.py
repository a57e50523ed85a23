"""The committed API document is what the application serves, and is valid."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from openapi_spec_validator import validate

from app.api import openapi


def test_the_committed_document_equals_the_application(application: FastAPI) -> None:
    assert openapi.differences(application) == []


def test_the_document_breaks_nothing_of_its_last_release(application: FastAPI) -> None:
    assert openapi.broken(application) == []


def test_the_document_is_valid(application: FastAPI) -> None:
    validate(openapi.document(application))


def test_no_two_models_have_one_name(application: FastAPI) -> None:
    assert namesakes(openapi.document(application)["components"]["schemas"]) == []


def test_two_models_of_one_name_are_found() -> None:
    # FastAPI tells two classes of one name apart by their modules; generators fall over both.
    apart = {"app__api__a__NoteOut": {"title": "NoteOut"}, "app__api__b__NoteOut": {}}
    assert namesakes(apart) == ["app__api__a__NoteOut", "app__api__b__NoteOut"]
    assert namesakes({"NoteOut": {"title": "NoteOut"}, "Note": {"title": "NoteOut"}}) == ["NoteOut"]
    assert namesakes({"NoteOut": {}, "noteOut": {}}) == ["noteOut"]
    assert namesakes({"NoteOut": {"title": "NoteOut"}, "NoteIn": {}}) == []


def namesakes(schemas: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Schemas that a generated client would give the name of another one."""
    found: list[str] = []
    taken: dict[str, str] = {}
    for name in sorted(schemas):
        titles = {name.casefold(), str(schemas[name].get("title", name)).casefold()}
        if not name.isidentifier() or "__" in name or taken.keys() & titles:
            found.append(name)
        taken |= dict.fromkeys(titles, name)
    return found
