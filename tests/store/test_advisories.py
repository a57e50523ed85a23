"""Advisories and the standing of sources, kept on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from app.core.advisory import with_reading
from app.core.signal import Advisory
from app.core.types import SourceState, Status, TenantId
from app.store import advisories, incidents, packing, sources
from app.store.engine import Database
from app.store.sources import SourceRecord
from tests.builders import NOW, TENANT, a_post, an_advisory, an_incident, minutes

OTHER = TenantId("fabrikam")
MINUTE = timedelta(seconds=60)


def put(database: Database, *made: Advisory, tenant: TenantId = TENANT) -> None:
    def unit(c: Connection) -> None:
        for advisory in made:
            raw = b"{}" if advisory.vendor_id == "EX1" else None
            advisories.upsert(c, tenant, advisory, raw, 1)

    database.write_now(unit)


def test_an_advisory_comes_back_as_it_went(database: Database) -> None:
    post = a_post(text="Current status: we reverted the change. <5 ms. ÔÇÖ ☂")
    full = with_reading(
        an_advisory(
            vendor_id="EX1",
            posts=(post,),
            details=(("NotifyInApp", "True"),),
            ended_at=NOW,
            high_impact=True,
        )
    )
    put(database, full)
    stored = database.read_now(lambda c: advisories.get(c, TENANT, "EX1"))
    assert stored is not None
    assert stored.advisory == full
    assert (stored.revision, stored.incidents) == (1, ())
    assert database.read_now(lambda c: advisories.raw(c, TENANT, "EX1")) == b"{}"
    assert database.read_now(lambda c: advisories.get(c, OTHER, "EX1")) is None


def test_a_revision_replaces_the_former_and_keeps_raw_and_incidents(database: Database) -> None:
    first = an_advisory(vendor_id="EX1")
    put(database, first)
    second = replace(first, withdrawn=True, title="gone")

    def work(c: Connection) -> None:
        advisories.set_incidents(c, TENANT, "EX1", ["inc_1"])
        advisories.set_incidents(c, TENANT, "EX404", ["inc_1"])
        advisories.upsert(c, TENANT, second, None, 2)

    database.write_now(work)
    stored = database.read_now(lambda c: advisories.get(c, TENANT, "EX1"))
    assert stored is not None
    assert (stored.advisory, stored.revision, stored.incidents) == (second, 2, ("inc_1",))
    assert database.read_now(lambda c: advisories.raw(c, TENANT, "EX1")) == b"{}"
    assert database.read_now(lambda c: advisories.open_ids(c, TENANT)) == ()


def test_pages_go_from_the_last_modified_back(database: Database) -> None:
    made = [
        an_advisory(
            vendor_id=f"EX{number}",
            last_modified_at=NOW - minutes(number // 2),
            is_resolved=number % 3 == 0,
            service="exchange-online" if number < 6 else "microsoft-teams",
        )
        for number in range(9)
    ]
    put(database, *made)
    put(database, an_advisory(vendor_id="EX99"), tenant=OTHER)
    given: list[str] = []
    after = None
    while True:
        page = database.read_now(
            lambda c, after=after: advisories.page(c, TENANT, limit=2, after=after)
        )
        if not page:
            break
        given += [stored.advisory.vendor_id for stored in page]
        last = page[-1].advisory
        after = (last.last_modified_at, last.vendor_id)
    assert given == [f"EX{number}" for number in range(9)]
    teams = database.read_now(
        lambda c: advisories.page(
            c, TENANT, limit=9, services=["microsoft-teams"], is_resolved=False
        )
    )
    assert [stored.advisory.vendor_id for stored in teams] == ["EX7", "EX8"]
    after = NOW + minutes(10**6)
    assert database.read_now(lambda c: advisories.open_ids(c, TENANT, since=after)) == ()
    found = database.read_now(lambda c: advisories.open_ids(c, TENANT))
    assert found == ("EX1", "EX2", "EX4", "EX5", "EX7", "EX8")


def test_many_are_found_by_id(database: Database) -> None:
    put(database, *(an_advisory(vendor_id=f"EX{number}") for number in range(3)))
    wanted = {f"EX{number}" for number in range(2, 1202)}
    found = database.read_now(lambda c: advisories.by_ids(c, TENANT, wanted))
    assert list(found) == ["EX2"]


# -- sources -------------------------------------------------------------------------------------


def complete(database: Database, *, after: float = 0, interval: timedelta = MINUTE) -> None:
    database.write_now(
        lambda c: sources.record_complete(
            c,
            TENANT,
            "graph",
            kind="graph",
            name="Graph",
            interval=interval,
            now=NOW + minutes(after),
            checkpoint={"full_at": None},
            unreadable=1,
            budget={"used": 2},
        )
    )


def fail(database: Database, *, after: float = 0) -> SourceRecord:
    return database.write_now(
        lambda c: sources.record_error(
            c,
            TENANT,
            "graph",
            kind="graph",
            name="Graph",
            interval=MINUTE,
            now=NOW + minutes(after),
            code="forbidden",
            text="403",
            remedy="grant",
        )
    )


def standing(database: Database) -> SourceRecord:
    (record,) = database.read_now(lambda c: sources.listing(c, TENANT))
    return record


def test_a_complete_read_is_fresh_for_three_intervals_and_ten_seconds(database: Database) -> None:
    complete(database)
    record = standing(database)
    assert (record.first_read_at, record.last_complete_at) == (NOW, NOW)
    assert (record.unreadable, record.budget, record.interval) == (1, {"used": 2}, MINUTE)
    limit = NOW + timedelta(seconds=190)
    assert sources.state_of(record, limit) is SourceState.FRESH
    assert sources.state_of(record, limit + timedelta(seconds=1)) is SourceState.STALE
    complete(database, after=10)
    assert database.read_now(lambda c: sources.first_read(c, TENANT, "graph")) == NOW
    assert database.read_now(lambda c: sources.first_read(c, OTHER, "graph")) is None


def test_a_failing_source_is_failing_then_stale_then_fresh(database: Database) -> None:
    complete(database)
    record = fail(database, after=1)
    assert sources.state_of(record, NOW + minutes(1)) is SourceState.FAILING
    assert sources.state_of(record, NOW + minutes(4)) is SourceState.STALE
    assert record.last_error is not None
    assert (record.last_error.code, record.last_error.remedy) == ("forbidden", "grant")
    again = fail(database, after=2)
    assert again.last_error is not None
    assert (again.last_error.since, again.last_error.at) == (NOW + minutes(1), NOW + minutes(2))
    database.write_now(lambda c: sources.mark_stale(c, TENANT, "graph"))
    assert standing(database).stale_announced
    complete(database, after=5)
    healed = standing(database)
    assert sources.state_of(healed, NOW + minutes(5)) is SourceState.FRESH
    assert not healed.stale_announced
    assert healed.last_error is not None
    fresh_run = fail(database, after=6)
    assert fresh_run.last_error is not None
    assert fresh_run.last_error.since == NOW + minutes(6)


def test_a_source_that_was_never_read_is_never_fresh(database: Database) -> None:
    blank = SourceRecord(tenant=TENANT, id="x", kind="probe", name="x", interval=MINUTE)
    assert sources.state_of(blank, NOW) is SourceState.NEVER_READ
    assert not sources.is_stale(blank, NOW)
    record = fail(database)
    assert sources.state_of(record, NOW + minutes(60)) is SourceState.FAILING
    assert sources.is_stale(record, NOW + minutes(4))
    (told,) = database.read_now(lambda c: sources.freshness(c, TENANT, NOW + minutes(4)))
    assert (told.source, told.kind, told.stale) == ("graph", "advisory", True)


@pytest.mark.parametrize(("status", "open_"), [("confirmed", True), ("resolved", False)])
def test_open_incidents_are_trouble(database: Database, *, status: str, open_: bool) -> None:
    database.write_now(lambda c: incidents.put(c, [an_incident(status=Status(status))]))
    assert database.read_now(lambda c: sources.trouble_is_open(c, TENANT, since=NOW)) is open_
    later = NOW + minutes(1)
    assert not database.read_now(lambda c: sources.trouble_is_open(c, TENANT, since=later))
    assert not database.read_now(lambda c: sources.trouble_is_open(c, OTHER, since=NOW))


def test_many_go_in_at_once_and_what_is_there_keeps_what_it_had(database: Database) -> None:
    first = an_advisory(vendor_id="EX1")
    put(database, first)
    database.write_now(lambda c: advisories.set_incidents(c, TENANT, "EX1", ["inc_1"]))
    many = [(replace(first, title="new"), None, 2)]
    many += [(an_advisory(vendor_id=f"MO{n}"), b'{"n": %d}' % n, 1) for n in range(400)]
    database.write_now(lambda c: advisories.put(c, TENANT, many))
    database.write_now(lambda c: advisories.put(c, TENANT, []))
    known = database.read_now(
        lambda c: advisories.by_ids(c, TENANT, [a.vendor_id for a, *_ in many])
    )
    assert {key: kept.advisory for key, kept in known.items()} == {a.vendor_id: a for a, *_ in many}
    assert (known["EX1"].revision, known["EX1"].incidents) == (2, ("inc_1",))
    assert database.read_now(lambda c: advisories.raw(c, TENANT, "EX1")) == b"{}"
    assert database.read_now(lambda c: advisories.raw(c, TENANT, "MO7")) == b'{"n": 7}'


def test_a_body_is_packed_and_one_from_before_is_read_as_it_is() -> None:
    plain = b'{"value": [' + b'"mailbox", ' * 500 + b"0]}"
    assert len(packing.pack(plain)) < len(plain) / 5
    assert packing.unpack(packing.pack(plain)) == packing.unpack(plain) == plain
