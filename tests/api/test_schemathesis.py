"""Schemathesis: what the document permits is taken, and every answer is as the document says.

The gate tries every bound of every operation with requests that are valid by the document; ``make
chaos`` runs all of ``tests/api/fuzz.py``: invalid requests, random ones, and chains of calls.
"""

from pathlib import Path

from tests.api.fuzz import fuzz


async def test_every_request_that_the_document_permits_is_taken(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/fuzz.db"
    code, said = await fuzz(database, "--phases", "coverage", "--mode", "positive", "--seed", "1")
    assert code == 0, said
    assert "Tested: 75" in said, said  # all of them: see tests/api/test_surface.py
