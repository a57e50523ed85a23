"""The intake log: what goes in comes out, in an order that skips nothing."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.batch import REPORT_FIELDS, RESULT_FIELDS, batch_of_reports, batch_of_results
from app.core.signal import Understood
from app.core.types import Client, SelfCheck, SignalKind, Symptom, TenantId
from app.store import intake
from app.store.engine import Database
from tests.builders import NOW, TENANT, a_command, a_probe_result, a_report, an_advisory

OTHER = TenantId("fabrikam")


def put(c, batch, *, tenant=TENANT, at=NOW):
    chunks = [intake.pack(batch.rows)]
    return intake.append_rows(
        c, tenant, batch.kind, chunks, ids=batch.ids, source="t", intake_id="int_1", received_at=at
    )


def encoded(ids, rows):
    return intake.encode_chunks(ids, [intake.pack(rows[:1]), intake.pack(rows[1:])])


def store(database, *reports, tenant=TENANT, at=NOW):
    batch = batch_of_reports(reports)
    return database.write_now(lambda c: put(c, batch, tenant=tenant, at=at))


def read(database, tx=0, seq=0, *, tenant=TENANT, limit=100):
    return database.read_now(lambda c: intake.after(c, tenant, tx, seq, limit))


def hexed(number: int) -> str:
    return f"{number:016x}"


def test_the_layout_of_a_row_is_that_of_the_signal():
    assert intake.layout(SignalKind.CLIENT_REPORT) == REPORT_FIELDS
    assert intake.layout(SignalKind.PROBE_RESULT) == RESULT_FIELDS


def test_reports_and_results_come_back_equal():
    report = a_report(
        id=hexed(1), message="nö", fine="x", network="n", count=7, weight=0.25, late=True,
        occurred_at=NOW - timedelta(microseconds=1), clamped=True, client=Client.TEAMS_WEB,
    )  # fmt: skip
    result = a_probe_result(
        id=hexed(2), phases={"dns_ms": 1.5}, self_check=SelfCheck.FAILED, symptom=Symptom.SLOW
    )
    for batch, signal in (
        (batch_of_reports([report]), report),
        (batch_of_results([result]), result),
    ):
        body = encoded(batch.ids, batch.rows)
        assert intake.decode(batch.kind, intake.ROWS, body) == (signal,)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.text(max_size=20)), max_size=5))
def test_any_text_comes_back_equal(given_):
    reports = [a_report(id=hexed(key), message=text) for key, text in given_]
    batch = batch_of_reports(reports)
    body = encoded(batch.ids, batch.rows)
    assert intake.decode(SignalKind.CLIENT_REPORT, intake.ROWS, body) == tuple(reports)


def test_values_left_off_at_the_end_take_their_defaults():
    report = a_report(id=hexed(3), code=None, http_status=None, region=None)
    batch = batch_of_reports([report])
    body = encoded(batch.ids, [batch.rows[0][:6]])
    assert intake.decode(SignalKind.CLIENT_REPORT, intake.ROWS, body) == (report,)


def test_advisories_and_commands_come_back_equal():
    advisory = an_advisory(
        understood=Understood(clients=(Client.EWS,), words={"a": "b"}), details=(("k", "v"),)
    )
    command = a_command(body={"text": "x", "list": [1, None, 2.5]})
    body = intake.encode([advisory], {"EX1": b"{}"})
    assert intake.decode(SignalKind.ADVISORY, intake.OBJECTS, body) == (advisory,)
    assert intake.raw_of(intake.OBJECTS, body) == {"EX1": b"{}"}
    assert intake.decode("command", intake.OBJECTS, intake.encode([command])) == (command,)


def test_rows_are_picked_out_of_a_chunk():
    reports = [a_report(id=hexed(n), message=f"é{n}") for n in range(4)]
    batch = batch_of_reports(reports)
    chunk = intake.pick(intake.pack(batch.rows), [True, False, False, True])
    body = intake.encode_chunks([batch.ids[0], batch.ids[3]], [chunk])
    kept = intake.decode(SignalKind.CLIENT_REPORT, intake.ROWS, body)
    assert kept == (reports[0], reports[3])


def test_reading_ends_with_the_row_that_brings_enough(database: Database):
    for first in (1, 3, 5):
        store(database, a_report(id=hexed(first)), a_report(id=hexed(first + 1)))
    for most, rows in ((1, 1), (2, 1), (3, 2), (99, 3)):
        found = database.read_now(lambda c, n=most: intake.after(c, TENANT, 0, 0, 9, most=n))
        assert len(found) == rows


def test_an_unknown_codec_is_refused():
    with pytest.raises(ValueError, match="codec"):
        intake.decode(SignalKind.COMMAND, "later9", b"")


def test_rows_are_read_in_order_per_tenant(database: Database):
    first = store(database, a_report(id=hexed(1)))
    second = store(database, a_report(id=hexed(2)), a_report(id=hexed(3)))
    store(database, a_report(id=hexed(4)), tenant=OTHER)
    found = read(database)
    assert [(row.seq, row.count) for row in found] == [(first, 1), (second, 2)]
    assert [signal.id for signal in found[1].signals] == [hexed(2), hexed(3)]
    assert read(database, found[0].tx, found[0].seq) == found[1:]
    assert read(database, limit=1) == found[:1]
    assert found[0].received_at == NOW


def test_a_folded_command_is_not_folded_again(database: Database):
    def work(c, *, folded):
        return intake.append_signals(
            c, TENANT, [a_command()], source="api", intake_id="int_2", received_at=NOW,
            folded=folded,
        )  # fmt: skip

    database.write_now(lambda c: work(c, folded=True))
    waiting = database.write_now(lambda c: work(c, folded=False))
    assert [row.seq for row in read(database)] == [waiting]
    assert len(read(database, intake.FOLDED_TX)) == 2


def test_ids_are_read_for_the_dedup_memory(database: Database):
    store(database, a_report(id=hexed(1)), at=NOW - timedelta(hours=2))
    seq = store(database, a_report(id=hexed(2)), a_report(id=hexed(3)))
    database.write_now(
        lambda c: intake.append_signals(
            c, TENANT, [a_command()], source="api", intake_id="int_3", received_at=NOW
        )
    )
    recent = database.read_now(lambda c: list(intake.ids_since(c, TENANT, NOW)))
    assert recent == [(seq, NOW, bytes.fromhex(hexed(2) + hexed(3)))]
    assert database.read_now(lambda c: list(intake.ids_after(c, TENANT, seq - 1, NOW))) == recent
    assert database.read_now(lambda c: list(intake.ids_after(c, TENANT, seq, NOW))) == []
    assert database.read_now(lambda c: list(intake.ids_after(c, TENANT, 0, NOW))) == recent


def test_a_row_that_commits_late_is_not_skipped(postgresql_database: Database):
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        def work(c):
            batch = batch_of_reports([a_report(id=hexed(1))])
            put(c, batch)
            begun.set()
            go_on.wait(20)

        postgresql_database.write_now(work)

    thread = threading.Thread(target=slow)
    thread.start()
    begun.wait(20)
    store(postgresql_database, a_report(id=hexed(2)))
    assert read(postgresql_database) == []  # the earlier transaction may still commit
    go_on.set()
    thread.join()
    found = read(postgresql_database)
    assert [row.signals[0].id for row in found] == [hexed(1), hexed(2)]


def test_many_writers_lose_no_row(postgresql_database: Database):
    seen, stop = [], threading.Event()

    def write(writer: int) -> None:
        for number in range(25):
            store(postgresql_database, a_report(id=hexed(writer * 1000 + number)))

    def follow() -> None:
        position = (0, 0)
        while True:
            last = stop.is_set()
            rows = read(postgresql_database, *position, limit=7)
            seen.extend(signal.id for row in rows for signal in row.signals)
            if rows:
                position = (rows[-1].tx, rows[-1].seq)
            elif last:
                return

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    reader = threading.Thread(target=follow)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert sorted(seen) == sorted(hexed(w * 1000 + n) for w in range(4) for n in range(25))


def test_an_id_that_is_not_derived_is_digested():
    (key,) = batch_of_reports([a_report(id="rep-1")]).ids
    again = batch_of_reports([replace(a_report(), id="rep-1")]).ids
    assert again == [key]
    assert len(key) == 8
