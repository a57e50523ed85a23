"""Migrations make exactly the tables, on both engines, once."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


Tables = dict[str, dict[str, Any]]
PARTS = ("key", "unique", "foreign", "checks")


def looked_at(connection: Connection) -> Tables:
    """Everything that statements of a version rest on, by table."""
    found: Tables = {}
    seen = inspect(connection)
    for name in seen.get_table_names():
        unique = [i["column_names"] for i in seen.get_indexes(name) if i["unique"]]
        unique += [u["column_names"] for u in seen.get_unique_constraints(name)]
        found[name] = {
            "columns": {c["name"]: c for c in seen.get_columns(name)},
            "key": seen.get_pk_constraint(name)["constrained_columns"],
            "unique": sorted(map(str, unique)),
            "foreign": sorted(str(f["constrained_columns"]) for f in seen.get_foreign_keys(name)),
            "checks": len(seen.get_check_constraints(name)),
        }
    return found


def taken_away(before: Tables, after: Tables) -> list[str]:
    """What a migration did that statements of the version before may fail on."""
    found = [f"{name} is gone" for name in before.keys() - after.keys()]
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        parts = (part for part in PARTS if old[part] != new[part])
        found += [f"{name}: {part} {old[part]} is {new[part]}" for part in parts]
        for column, was in old["columns"].items():
            now = new["columns"].get(column)
            if now is None or str(now["type"]) != str(was["type"]):
                found.append(f"{name}.{column} is {now and now['type']}")
            elif was["nullable"] and not now["nullable"]:
                found.append(f"{name}.{column} must not be null")
        for column in new["columns"].keys() - old["columns"].keys():
            made = new["columns"][column]
            if not made["nullable"] and made["default"] is None:
                found.append(f"{name}.{column} must be given")
    return found


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    """A database that is looked at quickly."""
    database = Database(f"sqlite:///{tmp_path}/climb.db")
    yield database
    database.close()


def test_every_migration_leaves_what_the_version_before_uses(file: Database) -> None:
    """Expand, then contract: one that takes away says whom it leaves behind."""
    scripts = migrate.scripts_folder()
    order = [one.revision for one in ScriptDirectory(str(scripts)).walk_revisions()][::-1]

    def climb(connection: Connection) -> None:
        before: Tables = {}
        for revision in order:
            migrate.run(connection, scripts, revision, up=True)
            after = looked_at(connection)
            oldest = connection.execute(migrate._OLDEST).scalar_one_or_none()
            assert taken_away(before, after) == [] or oldest == revision, revision
            before = after

    file.write_now(climb)


def test_what_is_taken_away_is_seen(file: Database) -> None:
    def spoil(connection: Connection) -> list[str]:
        for statement in (
            "CREATE TABLE kept (id integer PRIMARY KEY, a text, b text)",
            "CREATE TABLE gone (id integer PRIMARY KEY)",
        ):
            connection.exec_driver_sql(statement)
        before = looked_at(connection)
        for statement in (
            "DROP TABLE gone",
            "ALTER TABLE kept DROP COLUMN a",
            "ALTER TABLE kept ADD COLUMN c text",
            "ALTER TABLE kept ADD COLUMN d text NOT NULL DEFAULT 'x'",
            "CREATE UNIQUE INDEX ix_kept ON kept (b)",
        ):
            connection.exec_driver_sql(statement)
        return taken_away(before, looked_at(connection))

    assert file.write_now(spoil) == [
        "gone is gone", "kept: unique [] is [\"['b']\"]", "kept.a is None",
    ]  # fmt: skip


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
