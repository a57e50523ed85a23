"""Probe results: what is taken, what is refused, and what an error text is read as."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from app.core.types import Client, Outcome, SelfCheck, Symptom
from app.sources.probe_result import ProbeResultReader, wire_line
from app.sources.symptom_table import load_symptom_table
from tests.builders import NOW, TENANT


@pytest.fixture(scope="module")
def reader() -> ProbeResultReader:
    return ProbeResultReader(load_symptom_table().classify, key=b"key of the tests")


def wire(**changes):
    return {"probe": "owa-front-door", "outcome": "failed", **changes}


def one(reader, **changes):
    body = json.dumps(wire(**changes)).encode()
    (result,) = reader.parse(TENANT, body, "application/json", now=NOW).good
    return result


def test_a_result_is_normalized(reader):
    result = one(
        reader,
        location="berlin",
        service="exchange-online",
        feature="outlook-web",
        client="outlook_web",
        region="de",
        http_status=503,
        error="503 for probe@contoso.example",
        latency_ms=812,
        phases={"dns_ms": 3, "first_byte_ms": 700.5},
        self_check="ok",
        occurred_at=(NOW - timedelta(seconds=9)).isoformat(),
    )
    assert (result.probe, result.location) == ("owa-front-door", "berlin")
    assert (result.outcome, result.symptom) == (Outcome.FAILED, Symptom.HTTP_5XX)
    assert result.client is Client.OUTLOOK_WEB
    assert result.region == "de"
    assert result.error == "503 for <mail>"
    assert result.phases == {"dns_ms": 3.0, "first_byte_ms": 700.5}
    assert result.self_check is SelfCheck.OK
    assert result.occurred_at == NOW - timedelta(seconds=9)


def test_only_probe_and_outcome_are_needed(reader):
    result = one(reader)
    assert (result.location, result.service, result.symptom) == ("default", "other", None)
    assert result.self_check is SelfCheck.NONE
    assert result.occurred_at == NOW


def test_a_healthy_result_has_no_symptom(reader):
    assert one(reader, outcome="ok", http_status=200, symptom="slow").symptom is None


def test_a_stated_symptom_is_kept(reader):
    assert one(reader, symptom="dns_failure", http_status=503).symptom is Symptom.DNS_FAILURE


def test_an_old_result_is_late_and_a_future_one_is_now(reader):
    assert one(reader, occurred_at=(NOW - timedelta(hours=3)).isoformat()).late
    ahead = one(reader, occurred_at=(NOW + timedelta(hours=3)).isoformat())
    assert (ahead.occurred_at, ahead.clamped) == (NOW, True)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"outcome": "great"}, "/outcome"),
        ({"outcome": None}, "/outcome"),
        ({"probe": ""}, "/probe"),
        ({"probe": "a\x00b"}, "/probe"),
        ({"region": "d\x00e"}, "/region"),
        ({"region": "d" * 65}, "/region"),
        ({"service": "Lotus Notes"}, "/service"),
        ({"latency_ms": -1}, "/latency_ms"),
        ({"latency_ms": "12"}, "/latency_ms"),
        ({"phases": {"dns_ms": -1}}, "/phases/dns_ms"),
        ({"phases": {"warp_ms": 1}}, "/phases/warp_ms"),
        ({"self_check": "maybe"}, "/self_check"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "/occurred_at"),
        ({"colour": 1}, "/colour"),
    ],
)
def test_a_refusal_points_at_the_place(reader, changes, pointer):
    body = json.dumps([wire(), wire(**changes)]).encode()
    parsed = reader.parse(TENANT, body, "application/json", now=NOW)
    assert [(fault.index, fault.pointer) for fault in parsed.rejected] == [(1, pointer)]
    assert len(parsed.good) == 1


def test_the_id_comes_from_the_given_one_or_from_the_content(reader):
    assert one(reader, id="x").id == one(reader, id="x", http_status=500).id
    assert one(reader).id == one(reader).id != one(reader, http_status=500).id


def test_what_an_agent_writes_is_read_as_it_was_measured(reader):
    measured = one(
        reader, location="berlin", service="exchange-online", feature="outlook-web", region="de",
        client="outlook_web", symptom="timeout", http_status=503, error="no answer", latency_ms=9.5,
        phases={"dns_ms": 3}, self_check="ok", answer={"status": "503"},
        diagnostics={"request-id": "a"},
    )  # fmt: skip
    (read,) = reader.parse(TENANT, wire_line(measured), "application/json", now=NOW).good
    assert replace(read, id=measured.id) == measured
