"""What every test may ask for: a database of either kind, and the profile of property tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlmodel import SQLModel

import app.store.tables  # noqa: F401 - the tables register themselves with the metadata
from app.store.engine import Database
from tests.postgres import Postgres

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of this run; started by the first test that asks for it."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """A PostgreSQL database that holds the tables, to copy from."""
    name = postgres.create()
    database = Database(postgres.url(name))
    SQLModel.metadata.create_all(database.engine)
    database.close()
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that holds the tables: a copy costs a twentieth of making them."""
    path = tmp_path_factory.mktemp("template") / "tables.db"
    database = Database(f"sqlite:///{path}")
    SQLModel.metadata.create_all(database.engine)
    database.close()
    return path


@pytest.fixture
def sqlite_database(tmp_path: Path, sqlite_template: Path) -> Iterator[Database]:
    """A fresh SQLite database with all tables."""
    shutil.copyfile(sqlite_template, tmp_path / "test.db")
    database = Database(f"sqlite:///{tmp_path}/test.db")
    yield database
    database.close()


@pytest.fixture
def postgresql_database(postgres: Postgres, template: str) -> Iterator[Database]:
    """A fresh PostgreSQL database with all tables."""
    name = postgres.create(template=template)
    database = Database(postgres.url(name))
    yield database
    database.close()
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A fresh database with all tables, of each kind in turn."""
    made: Database = request.getfixturevalue(f"{request.param}_database")
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables, of each kind in turn; for migrations and chaos."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    server.drop(name)
