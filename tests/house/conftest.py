"""The application as it is served, for tests that look at its surface."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.bootstrap import create_app
from app.settings import Settings


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The application with default settings and a database of its own."""
    path: Path = tmp_path_factory.mktemp("house")
    settings = Settings()
    database = settings.database.model_copy(update={"url": f"sqlite:///{path}/house.db"})
    made = create_app(settings.model_copy(update={"database": database}))
    yield made
    made.state.context.db.close()
