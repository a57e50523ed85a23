"""Deliveries on both databases: planned, claimed in order, fenced, coalesced, never lost."""

from datetime import timedelta

from app.core.events import EventType
from app.core.retry import Standing, Why
from app.core.route import Facts, Filter
from app.core.types import Severity, Status, TenantId
from app.store import deliveries, subscriptions
from app.store.engine import Database
from tests.builders import NOW, TENANT
from tests.core.test_route import a_subscription
from tests.store.queue import EVENTS, LEASE, claim, emit, event, finish, names, subscribe


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
    assert not database.write_now(
        lambda c: subscriptions.stand(c, "sub_1", Standing.ACTIVE, reason="x")
    )


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
