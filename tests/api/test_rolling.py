"""A rolling upgrade: this version serves, while the next one has brought the tables further."""

import pytest
from sqlalchemy import Connection, inspect, text

from app.core.errors import SettingsError
from app.store import migrate
from app.store.engine import Database
from tests.api.surface import OPEN, furnish, ids_for, in_order, served
from tests.postgres import Postgres

NEXT = "9999_next"


def expand(c: Connection) -> None:
    """What a migration of the next version may do: columns, a table and an index more."""
    kept = {migrate.VERSION_TABLE}
    for name in sorted(set(inspect(c).get_table_names()) - kept):
        c.execute(text(f"ALTER TABLE {name} ADD COLUMN of_the_next text"))
        c.execute(text(f"ALTER TABLE {name} ADD COLUMN also_next integer NOT NULL DEFAULT 7"))
    c.execute(text("CREATE TABLE of_the_next (id text PRIMARY KEY)"))
    c.execute(text("CREATE INDEX ix_next ON incidents (of_the_next)"))
    c.execute(text(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '{NEXT}'"))


@pytest.fixture
def upgraded(postgres: Postgres) -> str:
    url = postgres.create_plain()
    db = Database(url)
    migrate.upgrade(db)
    db.write_now(expand)
    db.close()
    return url


async def test_every_operation_does_its_work_on_the_tables_of_the_next_version(
    upgraded: str,
) -> None:
    surface = await furnish(served(upgraded))
    try:
        async with surface.client() as client:
            assert (await client.get("/readyz")).status_code == 200
            surface.api.state.stopping.set()  # an open stream ends after its first breath
            for operation in in_order(surface.operations()):
                if operation.name in OPEN:
                    continue
                ids = ids_for(surface, operation)
                answer = await surface.call(client, operation, surface.admin, ids)
                assert answer.status_code < 500, (operation.name, answer.text)
            while await surface.api.state.context.fold.step("contoso"):
                pass
    finally:
        surface.db.close()


def test_a_version_that_the_tables_have_left_behind_does_not_start(upgraded: str) -> None:
    db = Database(upgraded)
    put = f"INSERT INTO instance (key, value) VALUES ('{migrate.OLDEST}', '9998_contract')"
    db.write_now(lambda c: c.execute(text(put)))
    db.close()
    with pytest.raises(SettingsError, match="start that version"):
        served(upgraded)
