"""Migrations make exactly the tables, on both engines, once."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlmodel import SQLModel

from app.core.errors import StorageUnavailable
from app.store import migrate
from app.store.engine import Database


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    database = Database(empty_url)
    yield database
    database.close()


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(
        compare_metadata(MigrationContext.configure(connection, opts=options), SQLModel.metadata)
    )


def test_migrations_make_the_tables_of_the_code(empty: Database) -> None:
    migrate.upgrade(empty)
    assert empty.read_now(differences) == []


def test_primary_keys_count_up_like_those_of_the_code(empty: Database) -> None:
    migrate.upgrade(empty)
    if empty.dialect == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%' ORDER BY name"
    else:
        query = (
            "SELECT table_name FROM information_schema.columns "
            "WHERE left(column_default, 7) = 'nextval' ORDER BY table_name"
        )
    names = empty.read_now(lambda c: c.exec_driver_sql(query).scalars().all())
    assert names == ["attempts", "intake"]


def test_a_database_is_current_only_after_the_upgrade(empty: Database) -> None:
    assert not migrate.is_current(empty)
    migrate.upgrade(empty)
    assert migrate.is_current(empty)
    migrate.upgrade(empty)


def test_replicas_that_migrate_at_once_do_not_collide(empty_url: str) -> None:
    script = (
        "from app.store.engine import Database\n"
        "from app.store.migrate import upgrade\n"
        f"database = Database({empty_url!r})\n"
        "upgrade(database)\n"
        "database.close()\n"
    )
    replicas = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [replica.wait() for replica in replicas] == [0, 0, 0]


def test_the_initial_revision_can_be_taken_back(empty: Database) -> None:
    migrate.upgrade(empty)

    def down(connection: Connection) -> list[str]:
        migrate.run(connection, migrate.scripts_folder(), "base")
        return inspect(connection).get_table_names()

    assert empty.write_now(down) == ["alembic_version"]


def test_the_code_names_the_newest_revision() -> None:
    scripts = ScriptDirectory(str(migrate.scripts_folder()))
    assert scripts.get_heads() == [migrate.HEAD]


def test_missing_scripts_are_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(migrate, "PROJECT", tmp_path)
    with pytest.raises(StorageUnavailable, match="must lie beside the folder app"):
        migrate.scripts_folder()


def test_asking_whether_the_database_is_current_does_not_import_alembic(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from app.store.engine import Database\n"
        "from app.store.migrate import is_current\n"
        f"is_current(Database('sqlite:///{tmp_path}/x.db'))\n"
        "sys.exit('alembic' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
