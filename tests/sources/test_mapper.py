"""The declarative mapper: tables of the settings read the bodies of tools that have no format."""

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest
from pydantic import ValidationError

from app.core.errors import UnreadablePayload
from app.core.foreign import Hints
from app.sources.intake.mapper import Mapper, MapperSettings, look_up
from tests.builders import NOW

FOLDER = Path("tests/fixtures/monitors")


def mapper(fields, **changes):
    rules = [{"to": to, **rule} for to, rule in fields.items()]
    return Mapper(MapperSettings.model_validate({"name": "tool", "fields": rules, **changes}))


def read(made, body, **hints):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return made.read(body, hints=Hints(**hints), now=NOW)


def saved(name):
    return json.loads((FOLDER / name).read_bytes())


def test_statuscake_posts_a_form():
    made = mapper(
        {
            "probe": {"path": "/Name"},
            "outcome": {"path": "/Status", "map": {"Up": "ok", "Down": "failed"}},
            "http_status": {"path": "/StatusCode"},
            "service": {"value": "exchange-online"},
        },
        body="form",
        stands_hours=24,
    )
    found = read(made, urlencode(saved("statuscake_down.json")).encode(), location="statuscake")
    ((_, document),) = found.results
    assert document == {
        "probe": "EXO OWA",
        "outcome": "failed",
        "http_status": 503,
        "service": "exchange-online",
        "location": "statuscake",
    }
    assert found.holds


def test_uptimerobot_counts_its_words_and_seconds():
    made = mapper(
        {
            "probe": {"path": "/monitorFriendlyName"},
            "outcome": {
                "path": "/alertType",
                "map": {"1": "failed", "2": "ok"},
                "default": "unknown",
            },
            "occurred_at": {"path": "/alertDateTime", "time": "unix"},
            "http_status": {"path": "/alertDetails", "pattern": r"^(\d{3})\b"},
        },
        when={"/monitorURL": "https://outlook.office365.com/owa/"},
    )
    ((_, document),) = read(made, saved("uptimerobot_down.json")).results
    assert document["occurred_at"] == "2026-03-16T06:52:10+00:00"
    assert (document["outcome"], document["http_status"]) == ("failed", 503)
    other = {**saved("uptimerobot_down.json"), "monitorURL": "https://elsewhere.example/"}
    assert read(made, other).passed_over == 1


def test_zabbix_has_its_date_in_words():
    made = mapper(
        {
            "probe": {"path": "/event_name"},
            "location": {"path": "/host_name"},
            "outcome": {"path": "/event_value", "map": {"1": "failed", "0": "ok"}},
            "occurred_at": {"path": "/event_date", "time": "%Y.%m.%d"},
        }
    )
    ((_, document),) = read(made, saved("zabbix_webhook_generic.json")).results
    assert document["occurred_at"] == "2026-03-16T00:00:00+00:00"
    assert document["location"] == "m365-exchange"


def test_thousandeyes_holds_a_list_of_agents():
    made = mapper(
        {
            "probe": {"path": "/ruleName"},
            "outcome": {"value": "failed"},
            "location": {"path": "/agentName"},
        },
        each="/alert/agents",
    )
    body = {"alert": {"agents": [{"ruleName": "r", "agentName": "a"}, {"ruleName": "r"}, 7]}}
    found = read(made, body)
    assert [document.get("location") for _, document in found.results] == ["a", None]
    assert [one.index for one in found.refused] == [2]
    with pytest.raises(UnreadablePayload, match="/alert/agents"):
        read(made, {"alert": {}})


def test_cloud_events_bring_their_id_and_time():
    made = mapper(
        {"probe": {"path": "/subject"}, "outcome": {"path": "/data/state"}}, body="cloudevents"
    )
    event = {
        "specversion": "1.0", "id": "7", "source": "/probes/berlin", "type": "t", "subject": "owa",
        "time": "2026-03-16T06:52:10Z", "data": {"state": "failed"},
    }  # fmt: skip
    ((_, document),) = read(made, event).results
    assert document["id"] == "/probes/berlin 7"
    assert document["occurred_at"] == "2026-03-16T06:52:10+00:00"
    with pytest.raises(UnreadablePayload, match="specversion"):
        read(made, {"data": {}})


def test_client_reports_are_made_as_well():
    made = mapper(
        {
            "code": {"path": "/err/code"},
            "reporter": {"path": "/who"},
            "service": {"value": "Teams"},
        },
        makes="client_report",
    )
    ((_, document),) = read(made, {"err": {"code": 503}, "who": "anna"}).reports
    assert document == {"code": "503", "reporter": "anna", "service": "Teams"}


def test_a_pointer_finds_what_rfc_6901_says():
    document = {"a/b": {"m~n": [{"x": 1}]}, "": 2}
    assert look_up(document, "/a~1b/m~0n/0/x") == 1
    assert look_up(document, "/") == 2
    assert look_up(document, "") == document
    assert look_up(document, "/a~1b/m~0n/7/x") is None


@pytest.mark.parametrize(
    ("fields", "changes", "words"),
    [
        ({"probe": {"path": "/a"}}, {}, "makes no outcome"),
        ({"prob": {"path": "/a"}}, {}, 'no field "prob"'),
        ({"probe": {"path": "/a", "value": "b"}}, {}, "one of the two"),
        ({"probe": {}}, {}, "one of the two"),
        ({"probe": {"path": "/a", "pattern": "("}}, {}, "cannot be read"),
        ({"service": {"path": "/a"}}, {"makes": "client_report", "stands_hours": 1}, "only probe"),
    ],
)
def test_a_mapper_that_cannot_work_stops_the_start(fields, changes, words):
    with pytest.raises(ValidationError, match=words):
        mapper(fields, **changes)
