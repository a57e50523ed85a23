"""The committed API document is what the application serves, and is valid."""

from fastapi import FastAPI
from openapi_spec_validator import validate

from app.api import openapi


def test_the_committed_document_equals_the_application(application: FastAPI) -> None:
    assert openapi.differences(application) == []


def test_the_document_breaks_nothing_of_its_last_release(application: FastAPI) -> None:
    assert openapi.broken(application) == []


def test_the_document_is_valid(application: FastAPI) -> None:
    validate(openapi.document(application))
