"""The second wall: a query that forgets its tenant finds nothing of another one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import ProgrammingError
from sqlmodel import SQLModel

from app.store.walls import stand_within
from tests.api.surface import OPEN, OTHER, Surface, furnish, ids_for, in_order, served
from tests.builders import TENANT
from tests.postgres import Postgres

TABLES = sorted(name for name, table in SQLModel.metadata.tables.items() if "tenant" in table.c)
UNSCOPED = ("api_keys", "idempotency")  # looked at before it is known who asks


@pytest.fixture
async def surface(postgres: Postgres) -> AsyncIterator[Surface]:
    made = served(postgres.create_plain())
    yield await furnish(made)
    made.db.close()


def counts(c: Connection) -> dict[str, int]:
    tables = [*TABLES, "attempts"]
    return {t: c.execute(text(f"SELECT count(*) FROM {t}")).scalar_one() for t in tables}


async def test_every_table_with_a_tenant_stands_behind_the_wall(surface: Surface) -> None:
    walled = text(
        "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity ORDER BY relname"
    )
    found = surface.db.read_now(lambda c: c.execute(walled).scalars().all())
    assert sorted(found) == sorted([*TABLES, "attempts"])


async def test_a_query_without_a_tenant_sees_its_own_rows_alone(surface: Surface) -> None:
    async def within(*tenants: str) -> dict[str, int]:
        stand_within(tenants)
        seen: dict[str, int] = await surface.db.read(counts)
        return seen

    whole = await surface.db.read(counts)
    filled = {name for name, number in whole.items() if number}
    assert len(filled) > 12
    theirs = await asyncio.create_task(within(OTHER))
    assert {name for name, number in theirs.items() if number} == set()
    assert await asyncio.create_task(within(TENANT)) == whole
    assert await asyncio.create_task(within(OTHER, TENANT)) == whole
    assert await surface.db.read(counts) == whole


async def test_nothing_of_another_tenant_can_be_changed_or_planted(surface: Surface) -> None:
    async def within(statement: str) -> int:
        stand_within([OTHER])
        rows: int = await surface.db.write(lambda c: c.execute(text(statement)).rowcount)
        return rows

    before = await surface.db.read(counts)
    for table in TABLES:
        assert await asyncio.create_task(within(f"DELETE FROM {table}")) == 0
        moved = f"UPDATE {table} SET tenant = '{OTHER}'"
        assert await asyncio.create_task(within(moved)) == 0
    plant = f"INSERT INTO evidence (tenant, incident, body) VALUES ('{TENANT}', 'x', '')"
    with pytest.raises(ProgrammingError, match="row-level security"):
        await asyncio.create_task(within(plant))
    assert await surface.db.read(counts) == before


async def test_who_says_nothing_sees_nothing(surface: Surface) -> None:
    def silent(c: Connection) -> dict[str, int]:
        c.execute(text("RESET sextant.tenants"))
        c.execute(text("SET LOCAL sextant.tenants = ''"))
        return counts(c)

    assert set(surface.db.read_now(silent).values()) == {0}


@contextmanager
def listening(surface: Surface) -> Iterator[list[list[str]]]:
    """What each transaction says, in order."""
    told: list[list[str]] = []

    def begun(_: object) -> None:
        told.append([])

    def said(_c: object, _k: object, statement: str, parameters: object, *_: object) -> None:
        told[-1].append(f"{statement} {parameters}")

    engine = surface.db.engine
    event.listen(engine, "begin", begun)
    event.listen(engine, "before_cursor_execute", said)
    yield told
    event.remove(engine, "begin", begun)
    event.remove(engine, "before_cursor_execute", said)


async def test_every_operation_stands_within_its_tenant(surface: Surface) -> None:
    async with surface.client() as client:
        for operation in in_order(surface.operations()):
            if operation.name in OPEN:
                continue
            with listening(surface) as told:
                answer = await surface.call(
                    client, operation, surface.admin, ids_for(surface, operation)
                )
            assert answer.is_success or operation.name == "follow_feed", answer.text
            for statements in told:
                outside = [s for s in statements if any(t in s for t in TABLES)]
                outside = [s for s in outside if not any(t in s for t in UNSCOPED)]
                if "maintenance_windows.ends_at >" in " ".join(outside):
                    continue  # what is known of all tenants, read anew
                if outside:
                    assert "set_config" in statements[0], (operation.name, outside[0])
                    assert f"'{TENANT}'" in statements[0]
