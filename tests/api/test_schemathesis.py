"""Schemathesis: what the document permits is taken, and every answer is as the document says.

The gate sends each operation a few random requests, valid and invalid, on a fixed seed; ``make
chaos`` runs all of ``tests/api/fuzz.py``: every bound, many more, and chains of calls.
"""

import json
from pathlib import Path

from app.api.openapi import operations
from tests.api.fuzz import fuzz

EVERYTHING = len(list(operations(json.loads(Path("openapi/v1.json").read_text("utf-8")))))


async def test_what_is_answered_is_what_the_document_says(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/fuzz.db"
    code, said = await fuzz(database, "--phases", "fuzzing", "--max-examples", "4", "--seed", "1")
    assert code == 0, said
    assert f"Tested: {EVERYTHING}" in said, said
