"""Foreign formats: what real monitors sent, and what is made of it."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from app.core.errors import UnreadablePayload
from app.core.foreign import REPORT_MEMBERS, RESULT_MEMBERS, Hints
from app.doors import foreign_formats
from app.sources.client_report import ClientReportWire
from app.sources.intake.alertmanager import STANDS, Alertmanager
from app.sources.intake.frame import SPOKEN_ON_CHANGE, instant
from app.sources.intake.gatus import Gatus
from app.sources.intake.icinga import Icinga
from app.sources.intake.pingdom import Pingdom
from app.sources.intake.uptime_kuma import UptimeKuma
from app.sources.probe_result import ProbeResultReader, ProbeResultWire
from app.sources.symptom_table import load_symptom_table
from tests.builders import NOW, TENANT

FOLDER = Path("tests/fixtures/monitors")
HERE = Hints()


def saved(name):
    return (FOLDER / name).read_bytes()


def read(kind, body, **hints):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return kind.read(body, hints=Hints(**hints), now=NOW)


def only(found):
    ((_, document),) = found.results
    return document


def test_the_members_of_our_documents_are_those_of_the_doors():
    assert frozenset(ProbeResultWire.__struct_fields__) == RESULT_MEMBERS
    assert frozenset(ClientReportWire.__struct_fields__) == REPORT_MEMBERS


# -- the exam that every format sits -------------------------------------------------------------

GOOD = {
    "alertmanager": ["alertmanager_1.json", "alertmanager_v4_probe_failure_0_34.json",
                     "grafana_unified_v4_instance_down.json", "alertmanager_v4_alerta.json"],
    "uptime-kuma": ["uptime-kuma_1.json", "uptime-kuma_2.json", "uptime_kuma_down.json"],
    "gatus": ["gatus_endpoint_statuses.json"],
    "pingdom": ["pingdom_http_down.json", "pingdom_http_up.json"],
    "icinga": ["icinga2_checkresult_event.json"],
}  # fmt: skip
CASES = [(name, file) for name, files in GOOD.items() for file in files]


@pytest.mark.parametrize(("name", "file"), CASES)
def test_what_was_sent_is_taken_by_our_own_door(name, file):
    found = read(foreign_formats()[name], saved(file))
    assert found.results
    assert not found.refused
    reader = ProbeResultReader(load_symptom_table().classify, key=b"k")
    lines = b"\n".join(json.dumps(document).encode() for _, document in found.results)
    parsed = reader.parse(TENANT, lines, "application/x-ndjson", now=NOW)
    assert not parsed.rejected
    assert len(parsed.good) == len(found.results)


@pytest.mark.parametrize(("name", "file"), CASES)
def test_the_same_body_says_the_same_whenever_it_comes(name, file):
    kind = foreign_formats()[name]
    later = kind.read(saved(file), hints=HERE, now=NOW + timedelta(hours=1))
    assert later == read(kind, saved(file))


@pytest.mark.parametrize("name", sorted(foreign_formats()))
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"7",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b"[" * 5000,
        b"[null, 7, []]",
        b"[{}]",
        b"{}",
    ],
)
def test_nonsense_is_refused_and_breaks_nothing(name, body):
    try:
        found = foreign_formats()[name].read(body, hints=HERE, now=NOW)
    except UnreadablePayload:
        return
    assert not found.results
    assert found.refused or found.passed_over or (name == "sentry" and body == b"{}")


@pytest.mark.parametrize(("name", "file"), CASES)
def test_any_member_may_be_missing_or_of_another_kind(name, file):
    kind = foreign_formats()[name]
    whole = json.loads(saved(file))
    for path in paths(whole):
        for value in (None, [], {}, -1, 1e300, "x" * 5000, "\x00"):
            body = json.dumps(changed(whole, path, value)).encode()
            try:
                kind.read(body, hints=HERE, now=NOW)
            except UnreadablePayload:
                continue


def paths(value, at=()):
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in steps:
        yield (*at, key)
        if isinstance(inner, dict | list):
            yield from paths(inner, (*at, key))


def changed(whole, path, value):
    copy = json.loads(json.dumps(whole))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy


# -- Alertmanager ----------------------------------------------------------------------------------


def test_the_real_alertmanager_fires_and_resolves():
    firing, resolved = (only(read(Alertmanager(), saved(f"alertmanager_{n}.json"))) for n in (1, 2))
    assert firing["probe"].startswith("ProbeFailure http://127.0.0.1:")
    assert firing["probe"].endswith("/owa/ owa_front_door")
    assert (firing["location"], firing["service"]) == ("berlin", "exchange-online")
    assert (firing["outcome"], resolved["outcome"]) == ("failed", "ok")
    assert "probe_success is 0" in firing["error"]
    assert "error" not in resolved
    assert firing["probe"] == resolved["probe"]
    assert firing["id"] != resolved["id"]
    assert instant(resolved["occurred_at"]) > instant(firing["occurred_at"])


def entry(status="firing", **labels):
    return {
        "version": "4",
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": "OwaDown", **labels},
                "startsAt": "2026-03-16T06:20:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
            }
        ],
    }


def test_a_target_of_the_vendor_names_the_service():
    found = only(read(Alertmanager(), entry(instance="https://outlook.office365.com/owa/")))
    assert found["service"] == "exchange-online"
    assert "service" not in only(read(Alertmanager(), entry(instance="db7:9100", service="web")))
    assert only(read(Alertmanager(), entry(), service="Teams"))["service"] == "Teams"


def test_a_mild_rule_degrades_and_a_place_is_a_label_or_a_hint():
    assert only(read(Alertmanager(), entry(severity="warning")))["outcome"] == "degraded"
    assert only(read(Alertmanager(), entry(region="eu"), location="x"))["location"] == "eu"
    assert only(read(Alertmanager(), entry(), location="berlin"))["location"] == "berlin"


def test_a_firing_word_stands_longer_than_the_repetition():
    assert read(Alertmanager(), entry()).holds == {0: STANDS}


def test_entries_that_were_cut_off_are_told():
    found = read(Alertmanager(), {**entry(), "truncatedAlerts": 3})
    assert [one.pointer for one in found.refused] == ["/truncatedAlerts"]
    assert len(found.results) == 1


def test_another_version_is_not_guessed_at():
    with pytest.raises(UnreadablePayload, match="version 4"):
        read(Alertmanager(), {**entry(), "version": "3"})


# -- Uptime Kuma -----------------------------------------------------------------------------------


def test_the_real_uptime_kuma_goes_down_and_up():
    down, up = (only(read(UptimeKuma(), saved(f"uptime-kuma_{n}.json"))) for n in (1, 2))
    assert (down["probe"], down["outcome"], up["outcome"]) == ("EXO OWA front door", "failed", "ok")
    assert (down["http_status"], up["http_status"]) == (503, 200)
    assert down["occurred_at"].endswith("+00:00")
    assert "error" not in up
    assert set(down) < RESULT_MEMBERS


def test_a_test_message_and_a_pending_beat_say_nothing():
    assert read(UptimeKuma(), saved("uptime_kuma_test.json")).passed_over == 1
    body = json.loads(saved("uptime_kuma_down.json"))
    body["heartbeat"]["status"] = 2
    assert read(UptimeKuma(), body).passed_over == 1


def test_maintenance_is_not_failure():
    body = json.loads(saved("uptime_kuma_down.json"))
    body["heartbeat"]["status"] = 3
    assert only(read(UptimeKuma(), body))["outcome"] == "unknown"


def test_nothing_of_a_monitor_but_its_name_and_address_goes_on():
    body = json.loads(saved("uptime_kuma_down.json"))
    body["monitor"] |= {"basic_auth_pass": "canary-1", "headers": "canary-2"}
    assert "canary" not in json.dumps(only(read(UptimeKuma(), body)))


# -- the others ------------------------------------------------------------------------------------


def test_results_of_gatus_are_measured_and_a_call_stands():
    found = read(Gatus(), saved("gatus_endpoint_statuses.json"))
    assert found.holds == {}
    well, failed = (document for _, document in found.results)
    assert (well["probe"], well["outcome"], well["latency_ms"]) == ("group / name", "ok", 150.0)
    assert failed["error"].startswith("error-1: error-2")
    call = read(
        Gatus(),
        {"endpoint": "owa", "group": "m365", "status": "TRIGGERED", "errors": "503",
         "url": "https://outlook.office365.com/owa/"},
    )  # fmt: skip
    assert only(call)["outcome"] == "failed"
    assert only(call)["service"] == "exchange-online"
    assert call.holds == {0: SPOKEN_ON_CHANGE}


def test_pingdom_is_one_location_and_names_its_probes():
    down = only(read(Pingdom(), saved("pingdom_http_down.json")))
    up = only(read(Pingdom(), saved("pingdom_http_up.json")))
    assert (down["probe"], down["location"]) == (up["probe"], up["location"])
    assert down["http_status"] == 503
    assert "Strasbourg 5, France and Stockholm 2, Sweden" in down["error"]


def icinga_event(**changes):
    return {**json.loads(saved("icinga2_checkresult_event.json")), **changes}


def test_icinga_says_where_from_what_and_how_long():
    found = only(read(Icinga(), icinga_event()))
    assert (found["probe"], found["location"]) == ("m365-exchange!owa", "icinga-sat-eu")
    assert (found["outcome"], found["service"]) == ("failed", "exchange-online")
    assert found["latency_ms"] == pytest.approx(1600, abs=1)


def test_icinga_events_come_on_lines_and_the_rest_is_passed_over():
    events = [
        icinga_event(),
        icinga_event(type="CommentAdded"),
        icinga_event(type="StateChange", state=2, state_type=0),
        icinga_event(type="StateChange", state=2, state_type=1),
        icinga_event(type="Notification", notification_type="ACKNOWLEDGEMENT"),
        icinga_event(service=None, state=1),
    ]
    found = read(Icinga(), b"\n".join(json.dumps(event).encode() for event in events))
    assert found.passed_over == 3
    assert [document["outcome"] for _, document in found.results] == ["failed"] * 3
    assert list(found.holds) == [1]


def test_what_fails_in_an_announced_downtime_is_unknown():
    assert only(read(Icinga(), icinga_event(downtime_depth=1)))["outcome"] == "unknown"


def test_issues_of_another_collector_become_advisories():
    issues = Path("tests/fixtures/graph/issues_in_v1_shape.json").read_bytes()
    whole = json.loads(issues)
    listed = whole["value"] if isinstance(whole, dict) else whole
    found = read(foreign_formats()["graph"], {"value": [*listed, {"id": "EX1"}]})
    assert [advisory.vendor_id for advisory, _ in found.advisories] == [i["id"] for i in listed]
    assert [one.index for one in found.refused] == [len(listed)]
