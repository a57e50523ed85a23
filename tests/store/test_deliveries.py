"""Deliveries on both databases: planned, claimed in order, fenced, coalesced, never lost."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from app.core.events import EventType
from app.core.retry import Standing, Why
from app.core.route import Facts, Filter, PlannedEvent
from app.core.types import Severity, Status, TenantId
from app.store import claims, deliveries, subscriptions
from app.store.claims import Claimed, Recorded
from app.store.deliveries import Attempt
from app.store.engine import Database
from app.store.tables import DeliveryRow, EventRow
from tests.builders import NOW, TENANT
from tests.core.test_route import a_subscription

EVENTS = EventRow.__table__
LEASE = timedelta(seconds=40)


def event(number: int, type_: EventType = EventType.OPENED, **more: Any) -> PlannedEvent:
    values: dict[str, Any] = {
        "id": f"evt_{number:06d}", "type": type_, "sequence": number, "incident": "inc_1",
        "facts": Facts(services=("exchange-online",), severity=Severity.MAJOR),
    }  # fmt: skip
    return PlannedEvent(**{**values, **more})


def document(identity: str) -> bytes:
    return b'{"id":"%s"}' % identity.encode()


def emit(
    database: Database, *events: PlannedEvent, tenant: TenantId = TENANT, now: datetime = NOW
) -> int:
    def work(c: Any) -> int:
        c.execute(
            insert(EVENTS),
            [
                {
                    "tenant": tenant, "sequence": e.sequence, "id": e.id, "type": e.type.value,
                    "incident": e.incident, "occurred_at": now, "body": document(e.id),
                }
                for e in events
            ],
        )  # fmt: skip
        return deliveries.plan(c, tenant, events, now)

    return database.write_now(work)


def subscribe(database: Database, *names: str, **changes: Any) -> None:
    for name in names:
        made = a_subscription(id=name, **changes)
        database.write_now(lambda c, made=made: subscriptions.add(c, made))


def claim(
    database: Database, *, now: datetime = NOW, token: str = "t1", limit: int = 100, **more: Any
) -> list[Claimed]:
    return database.write_now(
        lambda c: claims.claim(
            c, token=token, now=now, until=now + LEASE, limit=limit, **{"share": 8, **more}
        )
    )


def finish(
    database: Database,
    claimed: Sequence[Claimed],
    *,
    state: str = "delivered",
    now: datetime = NOW,
    due: datetime | None = None,
) -> set[str]:
    attempt = Attempt(at=now, status=200, outcome="delivered", duration_ms=1.0, excerpt="ok")
    results = [
        Recorded(claimed=c, attempt=attempt, state=state, reason=Why.ACCEPTED, due_at=due or now)
        for c in claimed
    ]
    return database.write_now(lambda c: claims.record(c, results, now=now))


def names(claimed: Sequence[Claimed]) -> list[tuple[str, str]]:
    return sorted((c.delivery.subscription, c.delivery.event) for c in claimed)


def test_an_event_is_planned_for_whoever_wants_it(database: Database) -> None:
    subscribe(database, "sub_1")
    subscribe(database, "sub_2", filter=Filter(services=("intune",)))
    subscribe(database, "sub_3", state=Standing.UNVERIFIED)
    subscribe(database, "sub_4", state=Standing.DISABLED)
    subscribe(database, "sub_5", tenant=TenantId("fabrikam"))
    subscribe(database, "sub_6", state=Standing.FAILING)
    assert emit(database, event(1)) == 2
    assert names(claim(database)) == [("sub_1", "evt_000001"), ("sub_6", "evt_000001")]
    assert claim(database)[:0] == []


def test_a_claim_brings_the_frozen_document_and_the_subscription(database: Database) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1))
    [claimed] = claim(database)
    assert claimed.document == b'{"id":"evt_000001"}'
    assert claimed.subscription.url == "https://receiver.example/"
    assert claimed.delivery.attempts == 1


def test_a_lane_goes_one_by_one_and_lanes_go_side_by_side(database: Database) -> None:
    subscribe(database, "sub_1")
    emit(
        database,
        event(1),
        event(2, EventType.CONFIRMED),
        event(3, incident="inc_2"),
        event(4, EventType.RESOLVED),
    )
    first = claim(database)
    assert names(first) == [("sub_1", "evt_000001"), ("sub_1", "evt_000003")]
    assert claim(database, token="t2") == []
    finish(database, first)
    second = claim(database, token="t3")
    assert names(second) == [("sub_1", "evt_000002")]
    finish(database, second, state="parked")
    assert names(claim(database, token="t4")) == [("sub_1", "evt_000004")]


def test_a_head_that_waits_holds_its_lane_back(database: Database) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1), event(2, EventType.CONFIRMED))
    later = NOW + timedelta(minutes=2)
    finish(database, claim(database), state="pending", due=later)
    assert claim(database, now=later - timedelta(seconds=1), token="t2") == []
    again = claim(database, now=later, token="t3")
    assert names(again) == [("sub_1", "evt_000001")]
    assert again[0].delivery.attempts == 2
    finish(database, again, now=later)
    assert names(claim(database, now=later, token="t4")) == [("sub_1", "evt_000002")]


def test_a_lapsed_lease_is_taken_over_and_its_owner_is_fenced_off(database: Database) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1))
    stale = claim(database, token="old")
    later = NOW + LEASE
    fresh = claim(database, token="new", now=later)
    assert names(fresh) == names(stale)
    assert finish(database, stale, state="parked", now=later) == set()
    assert finish(database, fresh, now=later) == {fresh[0].delivery.id}
    found = database.read_now(lambda c: deliveries.get(c, TENANT, fresh[0].delivery.id))
    assert found is not None
    assert found[0].state == "delivered"
    assert len(found[1]) == 2  # both attempts happened and are shown


def test_waiting_updates_coalesce_into_the_newest(database: Database) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1))
    held = claim(database)
    emit(database, event(2, EventType.UPDATED))
    emit(database, event(3, EventType.UPDATED), event(4, EventType.UPDATED))
    emit(database, event(5, EventType.CONFIRMED))
    emit(database, event(6, EventType.UPDATED))
    finish(database, held)
    second = claim(database, token="t2")
    assert names(second) == [("sub_1", "evt_000005")]
    finish(database, second)
    [last] = claim(database, token="t3")
    assert last.delivery.event == "evt_000006"
    assert last.delivery.superseded == ("evt_000002", "evt_000003", "evt_000004")
    waiting = database.read_now(lambda c: deliveries.page(c, TENANT, state="pending"))
    assert len(waiting) == 4
    finish(database, [last])
    assert database.read_now(lambda c: deliveries.page(c, TENANT, state="pending")) == []
    done = database.read_now(lambda c: deliveries.page(c, TENANT, state="delivered"))
    assert {d.event for d in done if d.superseded_by == last.delivery.id} == {
        "evt_000002",
        "evt_000003",
        "evt_000004",
    }


def test_an_update_that_is_being_sent_is_not_superseded(database: Database) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1, EventType.UPDATED))
    held = claim(database)
    emit(database, event(2, EventType.UPDATED))
    assert finish(database, held) == {held[0].delivery.id}
    [following] = claim(database, token="t2")
    assert following.delivery.superseded == ()


def test_a_superseding_update_keeps_the_pause_of_what_it_stands_for(database: Database) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1, EventType.UPDATED))
    later = NOW + timedelta(minutes=10)
    finish(database, claim(database), state="pending", due=later)
    emit(database, event(2, EventType.UPDATED))
    assert claim(database, token="t2") == []
    [claimed] = claim(database, token="t3", now=later)
    assert claimed.delivery.superseded == ("evt_000001",)


def test_one_subscription_takes_no_more_than_its_share(database: Database) -> None:
    subscribe(database, "sub_1", "sub_2")
    emit(database, *[event(n, incident=f"inc_{n}") for n in range(1, 21)])
    claimed = claim(database, limit=10, share=4)
    assert [name for name, _ in names(claimed)] == ["sub_1"] * 4 + ["sub_2"] * 4
    more = claim(database, limit=10, share=4, token="t2", busy=["sub_1"])
    assert {name for name, _ in names(more)} == {"sub_2"}


def test_a_resolve_goes_to_whom_the_opening_was_sent(database: Database) -> None:
    subscribe(database, "sub_1", filter=Filter(statuses=(Status.CONFIRMED,)))
    subscribe(database, "sub_2", filter=Filter(min_severity=Severity.CRITICAL))
    assert emit(database, event(1, facts=Facts(severity=Severity.MAJOR))) == 1
    ended = Facts(severity=Severity.MAJOR, status=Status.RESOLVED)
    assert emit(database, event(2, EventType.RESOLVED, facts=ended)) == 1
    assert emit(database, event(3, EventType.RESOLVED, facts=ended, incident="inc_2")) == 0


def test_nothing_but_a_ping_is_sent_before_verification(database: Database) -> None:
    subscribe(database, "sub_1", state=Standing.UNVERIFIED, verified_at=NOW)
    subscription = a_subscription(state=Standing.UNVERIFIED)
    assert emit(database, event(1)) == 1  # it was verified before: its events wait
    database.write_now(
        lambda c: deliveries.ping(c, subscription, event="evt_ping", body=b"{}", now=NOW)
    )
    [ping] = claim(database)
    assert (ping.delivery.event_type, ping.document) == ("test.ping", b"{}")
    finish(database, [ping])
    assert claim(database, token="t2") == []
    assert database.write_now(lambda c: subscriptions.verified(c, "sub_1", now=NOW))
    assert names(claim(database, token="t3")) == [("sub_1", "evt_000001")]


def test_what_waits_for_a_disabled_subscription_is_parked_in_plain_sight(
    database: Database,
) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1), event(2, EventType.UPDATED), event(3, EventType.UPDATED))
    database.write_now(lambda c: deliveries.park_all(c, "sub_1", reason=Why.DISABLED, now=NOW))
    parked = database.read_now(lambda c: deliveries.page(c, TENANT, state="parked"))
    assert {d.event for d in parked} == {"evt_000001", "evt_000002", "evt_000003"}
    assert claim(database) == []


def test_a_parked_delivery_can_be_delivered_again_with_what_it_stands_for(
    database: Database,
) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1, EventType.UPDATED))
    emit(database, event(2, EventType.UPDATED))
    [claimed] = claim(database)
    finish(database, [claimed], state="parked")
    assert len(database.read_now(lambda c: deliveries.page(c, TENANT, state="parked"))) == 2
    identity = claimed.delivery.id
    other = TenantId("fabrikam")
    assert database.write_now(lambda c: deliveries.redeliver(c, other, identity, now=NOW)) is None
    again = database.write_now(lambda c: deliveries.redeliver(c, TENANT, identity, now=NOW))
    assert again is not None
    assert (again.state, again.attempts) == ("pending", 0)
    [second] = claim(database, token="t2")
    assert second.delivery.superseded == ("evt_000001",)
    finish(database, [second])
    assert len(database.read_now(lambda c: deliveries.page(c, TENANT, state="delivered"))) == 2


def test_redelivering_what_is_in_flight_takes_it_from_nobody(database: Database) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1))
    [claimed] = claim(database)
    database.write_now(lambda c: deliveries.redeliver(c, TENANT, claimed.delivery.id, now=NOW))
    assert claim(database, token="t2") == []
    assert finish(database, [claimed]) == {claimed.delivery.id}


def test_a_delivery_whose_event_is_no_longer_kept_is_parked(database: Database) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1))
    database.write_now(lambda c: c.execute(EVENTS.delete()))
    assert claim(database) == []
    [parked] = database.read_now(lambda c: deliveries.page(c, TENANT))
    assert (parked.state, parked.reason) == ("parked", "event_expired")


def test_pages_follow_on_and_filters_hold(database: Database) -> None:
    subscribe(database, "sub_1", "sub_2")
    for n in range(1, 6):
        emit(database, event(n, incident=f"inc_{n}"), now=NOW + timedelta(seconds=n))
    seen: list[str] = []
    after = None
    while rows := database.read_now(
        lambda c, after=after: deliveries.page(
            c, TENANT, subscription="sub_1", after=after, limit=2
        )
    ):
        seen += [row.event for row in rows]
        after = (rows[-1].created_at, rows[-1].id)
    assert seen == [f"evt_{n:06d}" for n in (5, 4, 3, 2, 1)]
    assert len(database.read_now(lambda c: deliveries.page(c, TENANT, incident="inc_2"))) == 2
    assert database.read_now(lambda c: deliveries.page(c, TenantId("fabrikam"))) == []


def test_a_replay_uses_the_same_event_and_revival_takes_only_what_was_parked(
    database: Database,
) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1), event(2, incident="inc_2"))
    one, two = claim(database)
    finish(database, [one])
    finish(database, [two], state="parked")
    wanted = ["evt_000001", "evt_000002", "evt_000009"]
    known = database.read_now(lambda c: deliveries.known(c, "sub_1", wanted))
    assert known == {"evt_000001": "delivered", "evt_000002": "parked"}
    assert (
        database.write_now(lambda c: deliveries.revive(c, "sub_1", wanted, name="rpl_1", now=NOW))
        == 1
    )
    database.write_now(
        lambda c: deliveries.replay(c, a_subscription(), [event(1)], name="rpl_1", now=NOW)
    )
    assert {c.delivery.replay for c in claim(database, token="t2")} == {"rpl_1"}


def test_a_row_of_failures_is_counted_and_ends_with_a_success(database: Database) -> None:
    subscribe(database, "sub_1", state=Standing.FAILING)
    later = NOW + timedelta(hours=1)
    assert database.write_now(lambda c: subscriptions.failed(c, "sub_1", now=NOW)) == (
        Standing.FAILING,
        NOW,
    )
    assert database.write_now(lambda c: subscriptions.failed(c, "sub_1", now=later)) == (
        Standing.FAILING,
        NOW,
    )
    assert database.write_now(lambda c: subscriptions.succeeded(c, ["sub_1"])) == ["sub_1"]
    assert database.write_now(lambda c: subscriptions.succeeded(c, ["sub_1"])) == []
    found = database.read_now(lambda c: subscriptions.get(c, TENANT, "sub_1"))
    assert found is not None
    assert (found.state, found.failing_since) == (Standing.ACTIVE, None)
    assert not database.write_now(lambda c: subscriptions.stand(c, "sub_1", Standing.ACTIVE))


def test_a_change_over_another_revision_is_refused(database: Database) -> None:
    subscribe(database, "sub_1")
    changed = a_subscription(revision=2, url="https://other.example/")
    assert database.write_now(lambda c: subscriptions.replace(c, changed, revision=1))
    assert not database.write_now(lambda c: subscriptions.replace(c, changed, revision=1))
    assert not database.write_now(
        lambda c: subscriptions.delete(c, TENANT, "sub_1", revision=1, now=NOW)
    )
    assert database.write_now(
        lambda c: subscriptions.delete(c, TENANT, "sub_1", revision=2, now=NOW)
    )
    assert database.read_now(lambda c: subscriptions.get(c, TENANT, "sub_1")) is None
    assert database.read_now(lambda c: subscriptions.page(c, TENANT, after=None, limit=9)) == []


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


def test_the_due_index_carries_the_claim(sqlite_database: Database) -> None:
    database = sqlite_database
    subscribe(database, "sub_1")
    emit(database, event(1))

    def explain(c: Any) -> str:
        made = claims._due(NOW, ["sub_9"], 100).compile(
            c.engine, compile_kwargs={"render_postcompile": True}
        )
        values = tuple(str(made.params[name]) for name in made.positiontup or ())
        return "\n".join(
            str(row) for row in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {made}", values)
        )

    plan = database.read_now(explain)
    assert "ix_deliveries_due" in plan
    assert "ix_deliveries_lane" in plan


def test_an_index_hit_is_not_lost_on_done_rows(database: Database) -> None:
    subscribe(database, "sub_1")
    emit(database, event(1))
    table = DeliveryRow.__table__
    database.write_now(lambda c: c.execute(update(table).values(state="delivered")))
    assert claim(database) == []
