"""Client reports: what is taken, what is refused and why, and what is kept of a person."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from app.core.errors import InvalidInput, UnsupportedMediaType
from app.core.types import Client, Symptom, TenantId
from app.sources.client_report import ClientReportReader
from app.sources.symptom_table import load_symptom_table
from tests.builders import NOW, TENANT

JSON = "application/json"
LINES = "application/x-ndjson"


@pytest.fixture(scope="module")
def reader() -> ClientReportReader:
    return ClientReportReader(load_symptom_table().classify, key=b"key of the tests")


def wire(**changes):
    return {"service": "exchange-online", "http_status": 503, **changes}


def parse(reader, value, media=JSON, tenant=TENANT):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return reader.parse(tenant, body, media, now=NOW)


def one(reader, **changes):
    (report,) = parse(reader, wire(**changes)).good
    return report


def refusal(reader, **changes):
    parsed = parse(reader, [wire(), wire(**changes)])
    assert len(parsed.good) == 1
    (fault,) = parsed.rejected
    assert fault.index == 1
    return fault


def test_a_report_is_normalized(reader):
    report = one(
        reader,
        service="Exchange Online",
        client="outlook_web",
        code="0x8004011D",
        message="Mail to anna@contoso.example failed",
        reporter="anna@contoso.example",
        region="de",
        network="berlin-office",
        count=3,
    )
    assert report.service == "exchange-online"
    assert report.client is Client.OUTLOOK_WEB
    assert (report.symptom, report.fine) == (Symptom.HTTP_5XX, "mailbox_unavailable")
    assert report.message == "Mail to <mail> failed"
    assert (report.region, report.network, report.count) == ("de", "berlin-office", 3)
    assert (report.occurred_at, report.received_at) == (NOW, NOW)
    assert "anna" not in repr(report)


def test_absent_and_null_are_the_same(reader):
    nulls = dict.fromkeys(
        ("client", "code", "message", "symptom", "reporter", "device", "region", "network",
         "count", "occurred_at")
    )  # fmt: skip
    assert one(reader, **nulls) == one(reader)


def test_one_reporter_is_one_actor_whatever_the_letter_case(reader):
    same = {one(reader, reporter=name).actor for name in ("Anna@x.de", "anna@x.de ", "ANNA@X.DE")}
    assert len(same) == 1
    assert one(reader, reporter="ben@x.de").actor not in same


def test_device_then_network_stands_in_and_all_others_are_one(reader):
    assert one(reader, device="d1").actor == one(reader, device="d1", network="n").actor
    assert one(reader, reporter="r", device="d1").actor == one(reader, reporter="r").actor
    assert one(reader, network="n1").actor != one(reader, network="n2").actor
    assert one(reader, device="same").actor != one(reader, reporter="same").actor
    assert one(reader).actor == one(reader, region="de").actor


def test_tenants_and_keys_give_other_actors_and_ids(reader):
    other = ClientReportReader(load_symptom_table().classify, key=b"another key")
    reports = [
        parse(r, wire(reporter="anna", id="1"), tenant=TenantId(tenant)).good[0]
        for r, tenant in ((reader, "a"), (reader, "b"), (other, "a"))
    ]
    assert len({report.actor for report in reports}) == 3
    assert len({report.id for report in reports}) == 3


def test_the_id_comes_from_the_given_one_or_from_the_content(reader):
    assert one(reader, id="x", code="1").id == one(reader, id="x", code="2").id
    assert one(reader, code="1").id == one(reader, code="1").id
    assert one(reader, code="1").id != one(reader, code="2").id
    turned = json.dumps(dict(reversed(wire(code="1").items())), indent=2).encode()
    assert parse(reader, turned).good[0].id == one(reader, code="1").id


@pytest.mark.parametrize(
    ("stated", "at", "late", "clamped"),
    [
        (NOW - timedelta(hours=1), NOW - timedelta(hours=1), False, False),
        (NOW - timedelta(hours=3), NOW - timedelta(hours=3), True, False),
        (NOW + timedelta(minutes=4), NOW, False, False),
        (NOW + timedelta(minutes=6), NOW, False, True),
        (datetime(1969, 7, 20, tzinfo=UTC), datetime(1969, 7, 20, tzinfo=UTC), True, False),
        (datetime(9999, 12, 31, tzinfo=UTC), NOW, False, True),
    ],
)
def test_a_stated_time_is_believed_within_reason(reader, stated, at, late, clamped):
    report = one(reader, occurred_at=stated.isoformat())
    assert (report.occurred_at, report.late, report.clamped) == (at, late, clamped)


def test_another_offset_is_the_same_instant(reader):
    report = one(reader, occurred_at="2026-03-16T07:29:00+01:00")
    assert report.occurred_at == datetime(2026, 3, 16, 6, 29, tzinfo=UTC)
    assert report.occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"service": "Lotus Notes"}, "/service"),
        ({"service": ""}, "/service"),
        ({"service": 1}, "/service"),
        ({"service": None}, "/service"),
        ({"http_status": None}, ""),
        ({"http_status": 99}, "/http_status"),
        ({"http_status": "503"}, "/http_status"),
        ({"http_status": 503.5}, "/http_status"),
        ({"client": "netscape"}, "/client"),
        ({"symptom": "sad"}, "/symptom"),
        ({"count": 0}, "/count"),
        ({"count": True}, "/count"),
        ({"occurred_at": "2026-03-16T06:00:00"}, "/occurred_at"),
        ({"occurred_at": "yesterday"}, "/occurred_at"),
        ({"occurred_at": 1773640000}, "/occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "/occurred_at"),
        ({"message": "x" * 20_000}, "/message"),
        ({"id": ""}, "/id"),
        ({"colour": "red"}, "/colour"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"region": "d\x00e"}, "/region"),
    ],
)
def test_a_refusal_points_at_the_place(reader, changes, pointer):
    assert refusal(reader, **changes).pointer == pointer


def test_an_unknown_service_is_told_how_to_list_them(reader):
    assert "GET /v1/services" in refusal(reader, service="Lotus Notes").detail


def test_a_missing_member_is_named(reader):
    parsed = parse(reader, [{"http_status": 500}])
    assert [fault.pointer for fault in parsed.rejected] == ["/service"]


def test_lines_good_and_bad_are_told_apart(reader):
    good = json.dumps(wire(code="1")).encode()
    body = b"\n".join([good, b'{"service": ', b"", b'{"service":"\xff"}', good, b"7", good])
    parsed = parse(reader, body, LINES)
    assert len(parsed.good) == 3
    assert [fault.index for fault in parsed.rejected] == [1, 3, 5]


def test_two_records_on_one_line_are_refused(reader):
    good = json.dumps(wire()).encode()
    parsed = parse(reader, good + good + b"\n" + good, LINES)
    assert [fault.index for fault in parsed.rejected] == [0]


def test_windows_line_ends_are_taken(reader):
    good = json.dumps(wire()).encode()
    assert len(parse(reader, good + b"\r\n" + good + b"\r\n", "application/jsonl").good) == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"[]", b"7", b"null", b'"x"', b"{", b"[{}", b"[{},]", b"\xef\xbb\xbf{}",
     b"\x00", b"[" * 100_000],
)  # fmt: skip
def test_a_body_that_is_malformed_as_a_whole_is_refused(reader, body):
    with pytest.raises(InvalidInput) as caught:
        parse(reader, body)
    assert caught.value.facts["errors"][0]["pointer"] == ""


def test_what_follows_a_record_is_malformed(reader):
    with pytest.raises(InvalidInput, match="trailing"):
        parse(reader, json.dumps(wire()).encode() + b" {}")


def test_a_record_that_is_nested_too_deeply_is_refused_alone(reader):
    deep = b'{"service": "exchange-online", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    good = json.dumps(wire()).encode()
    parsed = parse(reader, good + b"\n" + deep + b"\n" + good, LINES)
    assert (len(parsed.good), [fault.index for fault in parsed.rejected]) == (2, [1])
    assert parse(reader, deep).rejected[0].detail


def test_the_place_of_malformed_json_is_told(reader):
    with pytest.raises(InvalidInput, match="byte 3"):
        parse(reader, b"[1,]")


def test_too_many_records_are_refused(reader):
    assert len(parse(reader, [wire(id=str(i)) for i in range(1_000)]).good) == 1_000
    with pytest.raises(InvalidInput, match="1,001"):
        parse(reader, [wire()] * 1_001)
    with pytest.raises(InvalidInput, match="10,001"):
        parse(reader, b"{}\n" * 10_001, LINES)


@pytest.mark.parametrize(
    "media", [None, "", "text/plain", "application/xml", "application/json; charset=latin-1"]
)
def test_another_media_type_is_refused(reader, media):
    with pytest.raises(UnsupportedMediaType):
        parse(reader, wire(), media)


def test_a_charset_may_be_stated(reader):
    assert parse(reader, wire(), 'Application/JSON; charset="UTF-8"').good


KEPT = r"\ud800 as a text"  # a backslash and what follows it


@pytest.mark.parametrize("half", [r"\ud800", r"\udc00", r"\ud83d\ud83d", r"\\\uD8aa"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_half_a_surrogate_pair_rejects_its_record_alone(
    reader: ClientReportReader, half: str, place: int
) -> None:
    good = [wire(message=KEPT, id=str(n)) for n in range(3)]
    parts = [json.dumps(one) for one in good]
    parts[place] = parts[place].replace("as a text", half)
    for joined, media in (("[" + " , ".join(parts) + "]", JSON), ("\n".join(parts), LINES)):
        found = reader.parse(TENANT, joined.encode(), media, now=NOW)
        assert [fault.index for fault in found.rejected] == [place]
        assert "surrogate" in found.rejected[0].detail
        assert [report.message for report in found.good] == [KEPT] * 2


def test_half_a_surrogate_pair_in_one_report_is_told(reader: ClientReportReader) -> None:
    found = parse(reader, b'{"service": "exchange-online", "message": "\\ud800"}')
    assert not found.good
    assert "surrogate" in found.rejected[0].detail


def test_a_cut_array_is_still_cut(reader: ClientReportReader) -> None:
    with pytest.raises(InvalidInput):
        parse(reader, b'[{"service": "exchange-online", "message": "\\ud800"}, {')
