"""Deliveries under random failures, and the plans of their statements."""

import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.core.events import EventType
from app.store import claims, deliveries
from app.store.claims import Claimed
from app.store.engine import Database
from app.store.tables import DeliveryRow
from tests.builders import NOW, TENANT
from tests.store.queue import LEASE, claim, emit, event, finish, subscribe


@pytest.mark.parametrize("seed", range(3))
def test_order_holds_and_nothing_is_lost_under_random_failures(  # noqa: C901 - one story
    database: Database, seed: int
) -> None:
    """A model run: arrivals, lapsed leases, failures and parkings in random order."""
    chance = random.Random(seed)
    subscribe(database, "sub_1", "sub_2")
    now, sequence = NOW, 0
    arrived: dict[tuple[str, str], list[int]] = {}
    held: list[Claimed] = []
    for step in range(150):
        now += timedelta(seconds=chance.randint(0, 30))
        if step < 100 and chance.random() < 0.5:
            kinds = (EventType.UPDATED, EventType.UPDATED, EventType.NOTED)
            batch = []
            for _ in range(chance.randint(1, 4)):
                sequence += 1
                incident = f"inc_{chance.randint(1, 3)}"
                batch.append(event(sequence, chance.choice(kinds), incident=incident))
            emit(database, *batch, now=now)
        if chance.random() < 0.7:
            held += claim(database, now=now, token=f"t{step}", limit=chance.randint(1, 8))
        chance.shuffle(held)
        while held and (step >= 100 or chance.random() < 0.6):
            one = held.pop()
            fate = "pending" if step < 100 and chance.random() < 0.2 else "delivered"
            due = now + timedelta(seconds=chance.randint(0, 60))
            kept = finish(database, [one], state=fate, now=now, due=due)
            if kept and fate == "delivered":
                lane = (one.delivery.subscription, one.delivery.lane)
                arrived.setdefault(lane, []).append(one.delivery.position)
        if chance.random() < 0.1:
            held = held[:-1]  # its owner died: the lease lapses
    for _ in range(200):
        now += LEASE * 2
        batch_claimed = claim(database, now=now, token=f"end{now}")
        if not batch_claimed:
            break
        for one in batch_claimed:
            lane = (one.delivery.subscription, one.delivery.lane)
            arrived.setdefault(lane, []).append(one.delivery.position)
        finish(database, batch_claimed, now=now)
    assert all(positions == sorted(positions) for positions in arrived.values())
    rows = database.read_now(lambda c: deliveries.page(c, TENANT, limit=9999))
    assert len(rows) == sequence * 2
    assert {row.state for row in rows} == {"delivered"}


def plan_of(c: Any, statement: Any, **values: Any) -> str:
    made = statement.compile(c.engine, compile_kwargs={"render_postcompile": True})
    params = {**made.params, **values}
    given = tuple(
        v if isinstance(v, int) else str(v) for v in (params[n] for n in made.positiontup or ())
    )
    return "\n".join(str(row) for row in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {made}", given))


def test_indexes_carry_the_claim(sqlite_database: Database) -> None:
    subscribe(sqlite_database, "sub_1")
    emit(sqlite_database, event(1))

    def explain(c: Any) -> str:
        return plan_of(c, claims._heads(pings=False), b_subscription="sub_1", b_room=4, b_now=NOW)

    plan = sqlite_database.read_now(explain)
    assert "USING INDEX ix_deliveries_next (subscription=? AND due_at<?)" in plan
    assert "USING COVERING INDEX ix_deliveries_lane" in plan or "ix_deliveries_lane" in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan


def test_an_index_hit_is_not_lost_on_done_rows(database: Database) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1))
    table = DeliveryRow.__table__
    database.write_now(lambda c: c.execute(update(table).values(state="delivered")))
    assert claim(database) == []
