"""The intake log: what goes in comes out, in an order that skips nothing."""

import threading
from dataclasses import replace
from datetime import timedelta
from itertools import compress, product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.batch import (
    REPORT_FIELDS,
    RESULT_FIELDS,
    ResultBatch,
    batch_of_reports,
    batch_of_results,
    keys_in,
)
from app.core.signal import Understood
from app.core.types import Client, SelfCheck, SignalKind, Symptom, TenantId
from app.store import chunks, intake
from app.store.engine import Database
from tests.builders import NOW, TENANT, a_command, a_probe_result, a_report, an_advisory

OTHER = TenantId("fabrikam")


def put(c, batch, *, tenant=TENANT, at=NOW):
    parts = [chunks.pack(batch)]
    return intake.append_rows(
        c, tenant, batch.kind, parts, ids=batch.ids, source="t", intake_id="int_1", received_at=at
    )


def encoded(batch):
    """One group of two requests."""
    halves = (
        [batch.only([True, *others]), batch.only([False, *(not one for one in others)])]
        if (others := [False] * (len(batch) - 1))
        else [batch]
    )
    return chunks.encode_chunks(batch.ids, [chunks.pack(half) for half in halves])


def earlier(batch):
    """The reports of a batch as releases before wrote them, row by row."""
    pack = msgspec.msgpack.Encoder().encode
    return chunks.encode_chunks(batch.ids, [pack(batch.rows[:1]), pack(batch.rows[1:])])


def store(database, *reports, tenant=TENANT, at=NOW):
    batch = batch_of_reports(reports)
    return database.write_now(lambda c: put(c, batch, tenant=tenant, at=at))


def read(database, tx=0, seq=0, *, tenant=TENANT, limit=100):
    return database.read_now(lambda c: intake.after(c, tenant, tx, seq, limit))


def hexed(number: int) -> str:
    return f"{number:016x}"


def test_the_layout_of_a_row_is_that_of_the_signal():
    assert chunks.layout(SignalKind.CLIENT_REPORT) == REPORT_FIELDS
    assert chunks.layout(SignalKind.PROBE_RESULT) == RESULT_FIELDS


def everything(number: int):
    return a_report(
        id=hexed(number), message="nö", fine="x", network="n", count=7, weight=0.25, late=True,
        occurred_at=NOW - timedelta(microseconds=1), clamped=True, client=Client.TEAMS_WEB,
    )  # fmt: skip


def test_reports_come_back_equal():
    reports = (everything(1), a_report(id=hexed(2), actor="f" * 32), a_report(id=hexed(3)))
    batch = batch_of_reports(reports)
    assert chunks.codec_of(batch.kind) == chunks.COLUMNS
    assert intake.decode(batch.kind, chunks.COLUMNS, encoded(batch)) == reports
    assert intake.decode(batch.kind, chunks.ROWS, earlier(batch)) == reports
    assert tuple(dict(zip(REPORT_FIELDS, row, strict=True)) for row in batch.rows) == tuple(
        {name: getattr(report, name) for name in REPORT_FIELDS} for report in reports
    )


@pytest.mark.parametrize("actor", ["a" * 32, "A" * 32, "a", "", "zz" * 16, "ab" * 15 + " a"])
def test_whatever_stands_for_a_reporter_comes_back_equal(actor):
    reports = (a_report(id=hexed(1), actor="0" * 32), a_report(id=hexed(2), actor=actor))
    batch = batch_of_reports(reports)
    assert intake.decode(batch.kind, chunks.COLUMNS, encoded(batch)) == reports


def test_results_come_back_equal():
    result = a_probe_result(
        id=hexed(2), phases={"dns_ms": 1.5}, self_check=SelfCheck.FAILED, symptom=Symptom.SLOW
    )
    batch = batch_of_results([result])
    body = chunks.encode_chunks(batch.ids, [chunks.pack(batch)])
    assert intake.decode(batch.kind, chunks.codec_of(batch.kind), body) == (result,)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.text(max_size=20)), max_size=5))
def test_any_text_comes_back_equal(given_):
    reports = tuple(a_report(id=hexed(key), message=text) for key, text in given_)
    batch = batch_of_reports(reports)
    assert intake.decode(SignalKind.CLIENT_REPORT, chunks.COLUMNS, encoded(batch)) == reports


def test_values_left_off_at_the_end_take_their_defaults():
    result = a_probe_result(id=hexed(3))
    (row,) = batch_of_results([result]).rows
    short = ResultBatch(bytes.fromhex(hexed(3)), [row[: RESULT_FIELDS.index("answer")]])
    body = chunks.encode_chunks(short.ids, [chunks.pack(short)])
    assert intake.decode(SignalKind.PROBE_RESULT, chunks.ROWS, body) == (result,)


def test_advisories_and_commands_come_back_equal():
    advisory = an_advisory(
        understood=Understood(clients=(Client.EWS,), words={"a": "b"}), details=(("k", "v"),)
    )
    command = a_command(body={"text": "x", "list": [1, None, 2.5]})
    body = intake.encode([advisory], {"EX1": b"{}"})
    assert intake.decode(SignalKind.ADVISORY, intake.OBJECTS, body) == (advisory,)
    assert intake.raw_of(intake.OBJECTS, body) == {"EX1": b"{}"}
    assert intake.decode("command", intake.OBJECTS, intake.encode([command])) == (command,)


def test_reports_are_picked_out_of_a_chunk():
    reports = [everything(0), *(a_report(id=hexed(n), message=f"é{n}") for n in range(1, 4))]
    batch = batch_of_reports(reports)
    for chosen in product((True, False), repeat=4):
        kept = tuple(compress(reports, chosen))
        chunk = chunks.pick(batch.kind, chunks.pack(batch), chosen)
        body = chunks.encode_chunks(b"".join(compress(keys_in(batch.ids), chosen)), [chunk])
        assert intake.decode(SignalKind.CLIENT_REPORT, chunks.COLUMNS, body) == kept


def test_results_are_picked_out_of_a_chunk():
    results = [a_probe_result(id=hexed(n), error=f"é{n}") for n in range(3)]
    batch = batch_of_results(results)
    chunk = chunks.pick(batch.kind, chunks.pack(batch), [True, False, True])
    body = chunks.encode_chunks(batch.ids[:8] + batch.ids[16:], [chunk])
    assert intake.decode(batch.kind, chunks.ROWS, body) == (results[0], results[2])


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
    key = batch_of_reports([a_report(id="rep-1")]).ids
    again = batch_of_reports([replace(a_report(), id="rep-1")]).ids
    assert again == key
    assert len(key) == 8
