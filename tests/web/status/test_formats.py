"""The feed, the calendar, the badge and the JSON, as others read them."""

import json
import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import feedparser
import icalendar
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.maintenance import Window
from app.core.types import Severity, Status
from app.store.events import Moment
from app.web.boardview import board_of
from app.web.status import feeds, statuspage_v2
from app.web.status.told import Said
from app.web.status.view import Material, view_of
from app.web.status.words import read_words
from tests.builders import NOW, TENANT
from tests.web.status.stage import an_outage

ADDRESS = "https://status.contoso.example"
ATOM = "{http://www.w3.org/2005/Atom}"
NOTE = "Use <b>Outlook</b> & wait; no, really, \\ wait.\r\nMore at 7:00 — ünïcode \U0001f642 " * 3


def moment(kind: str, minutes: float, incident: str = "inc_1") -> Moment:
    at = NOW + timedelta(minutes=minutes)
    return Moment(id=f"evt_{incident}_{minutes:g}", type=kind, incident=incident, occurred_at=at)


def window(number: int, begins: float) -> Window:
    start = NOW + timedelta(minutes=begins)
    return Window(
        id=f"mnt_{number}", tenant=TENANT, title="secret", starts_at=start,
        ends_at=start + timedelta(hours=1), services=frozenset({"exchange-online"}),
        created_at=NOW - timedelta(days=1),
    )  # fmt: skip


def a_view(
    *,
    condition="failing",
    note=NOTE,
    extra=(),
    name="Contoso & <IT>",
    later=30.0,
    language="en",
    approvals=(),
):
    services = [
        {"service": "exchange-online", "name": "Exchange Online", "condition": condition,
         "sources": {"probe": {"condition": condition, "as_of": "2026-03-16T06:30:00Z"}}},
        {"service": "microsoft-teams", "name": "Microsoft Teams", "condition": "unknown",
         "sources": {"advisory": {"condition": "unknown", "as_of": "2026-03-16T05:00:00Z"}}},
    ]  # fmt: skip
    now = NOW + timedelta(minutes=later)
    over = an_outage(
        id="inc_0", number="INC-2026-0000", status=Status.CLOSED, severity=Severity.MINOR,
        opened_at=NOW - timedelta(days=2), first_signal_at=NOW - timedelta(days=2),
        resolved_at=NOW - timedelta(days=1),
    )  # fmt: skip
    material = Material(
        board=board_of(services, (), (), (), now),
        incidents=[an_outage(status=Status.MITIGATING, approvals=approvals), over],
        moments=[
            moment("incident.confirmed", -2880, "inc_0"),
            moment("incident.resolved", -1440, "inc_0"),
            moment("incident.opened", 1), moment("incident.confirmed", 3),
            moment("incident.mitigating", 9), *extra,
        ],
        notes={"inc_1": [Said(id="evt_note", at=NOW + timedelta(minutes=5), text=note)]},
        windows=[window(1, 600), window(2, 20), window(3, -600)],
    )  # fmt: skip
    return view_of(material, tenant=TENANT, name=name, release="confirmed", services=(), now=now,
                   words=read_words(language))  # fmt: skip


def test_a_reader_of_feeds_understands_the_feed() -> None:
    text = feeds.atom(a_view(), address=ADDRESS, suffix="")
    feed = feedparser.parse(text.encode())
    assert not feed.bozo
    assert feed.version == "atom10"
    assert feed.feed.title == "Contoso & <IT>: status"
    assert [entry.title.partition(":")[0] for entry in feed.entries] == [
        "Fix under way",
        "Resolved",
    ]
    newest = feed.entries[0]
    assert newest.link == f"{ADDRESS}/incidents/INC-2026-0001"
    assert newest.updated_parsed > newest.published_parsed
    assert "&amp; wait" in newest.content[0].value
    assert "<b>" not in newest.content[0].value


def test_the_feed_holds_what_its_standard_asks_for() -> None:
    # RFC 4287, 4.1.1 and 4.1.2: what a feed and an entry must have, and how often.
    root = ET.fromstring(feeds.atom(a_view(), address=ADDRESS, suffix=""))
    for part in (root, *root.findall(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            assert len(part.findall(f"{ATOM}{name}")) == 1, name
        for link in part.findall(f"{ATOM}link"):
            assert link.get("href")
    assert root.find(f"{ATOM}author/{ATOM}name") is not None
    ids = [one.text for one in root.iter(f"{ATOM}id")]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", one) for one in ids)


def test_an_entry_keeps_its_id_and_moves_its_date() -> None:
    before = feedparser.parse(feeds.atom(a_view(), address=ADDRESS, suffix="").encode())
    later = a_view(extra=[moment("incident.monitoring", 15)])
    after = feedparser.parse(feeds.atom(later, address="", suffix=".html").encode())
    assert [one.id for one in before.entries] == [one.id for one in after.entries]
    assert after.entries[0].updated_parsed > before.entries[0].updated_parsed
    assert after.entries[1].updated_parsed == before.entries[1].updated_parsed


@settings(max_examples=10)
@given(st.text(min_size=1, max_size=300))
def test_any_words_make_a_feed_a_calendar_and_a_page_name_that_can_be_read(text: str) -> None:
    view = a_view(note=text, name=text.strip()[:40] or "x")
    assert not feedparser.parse(
        feeds.atom(view, address="", suffix="").encode("utf-8", "replace")
    ).bozo
    ET.fromstring(feeds.badge(view).encode("utf-8", "replace"))
    read = icalendar.Calendar.from_ical(feeds.calendar(view, address="", suffix=""))
    assert len(read.walk("VEVENT")) == 5


def test_a_reader_of_calendars_understands_the_calendar() -> None:
    text = feeds.calendar(a_view(), address=ADDRESS, suffix="")
    assert text.endswith("END:VCALENDAR\r\n")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert "\n" not in text.replace("\r\n", "")
    read = icalendar.Calendar.from_ical(text)
    assert read["version"] == "2.0"
    found = {str(one["summary"]): one for one in read.walk("VEVENT")}
    assert len({str(one["uid"]) for one in found.values()}) == len(found) == 3
    ongoing = next(one for name, one in found.items() if name.endswith("(goes on)"))
    assert ongoing["dtstart"].dt == NOW
    assert ongoing["dtend"].dt == NOW + timedelta(minutes=30)
    assert NOTE.replace("\r\n", "\n").strip() in str(ongoing["description"])
    assert str(ongoing["url"]) == f"{ADDRESS}/incidents/INC-2026-0001"
    assert not any(one.errors for one in read.walk())


@pytest.mark.parametrize(
    ("condition", "word"), [("failing", "Failing"), ("unknown", "Fail|Disturbed|Unknown")]
)
def test_the_badge_says_its_time_and_never_well_of_the_unknown(condition, word) -> None:
    drawn = feeds.badge(a_view(condition=condition))
    assert "16 Mar 07:00 UTC" in drawn
    assert re.search(word, drawn)
    assert "All services work" not in drawn


AT = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
AT_OR_NULL = {"anyOf": [AT, {"type": "null"}]}
TEXT = {"type": "string"}
NULL = {"type": "null"}
STATES = ["operational", "degraded_performance", "partial_outage", "major_outage",
          "under_maintenance"]  # fmt: skip


def exactly(**properties):
    return {
        "type": "object", "properties": properties, "required": list(properties),
        "additionalProperties": False,
    }  # fmt: skip


def several(one):
    return {"type": "array", "items": one}


PAGE = exactly(id=TEXT, name=TEXT, url=TEXT, time_zone=TEXT, updated_at=AT)
STATUS = exactly(
    indicator={"enum": ["none", "minor", "major", "critical", "maintenance"]}, description=TEXT
)
COMPONENT = exactly(
    id=TEXT, name=TEXT, status={"enum": STATES}, created_at=AT, updated_at=AT,
    position={"type": "integer"}, description={"type": ["string", "null"]},
    showcase={"type": "boolean"}, start_date=NULL, group_id=NULL, page_id=TEXT,
    group={"const": False}, only_show_if_degraded={"type": "boolean"},
)  # fmt: skip
AFFECTED = exactly(code=TEXT, name=TEXT, old_status={"enum": STATES}, new_status={"enum": STATES})


def told(*statuses, **more):
    update = exactly(
        id=TEXT, status={"enum": list(statuses)}, body=TEXT, incident_id=TEXT, created_at=AT,
        updated_at=AT, display_at=AT,
        affected_components={"anyOf": [several(AFFECTED), NULL]},
        deliver_notifications={"type": "boolean"}, custom_tweet=NULL, tweet_id=NULL,
    )  # fmt: skip
    return exactly(
        id=TEXT, name=TEXT, status={"enum": list(statuses)}, created_at=AT, updated_at=AT,
        monitoring_at=AT_OR_NULL, resolved_at=AT_OR_NULL,
        impact={"enum": ["none", "minor", "major", "critical", "maintenance"]}, shortlink=TEXT,
        started_at=AT, page_id=TEXT, incident_updates={**several(update), "minItems": 1},
        components=several(COMPONENT), reminder_intervals=NULL, **more,
    )  # fmt: skip


INCIDENTS = several(told("investigating", "identified", "monitoring", "resolved", "postmortem"))
WORKS = several(
    told("scheduled", "in_progress", "verifying", "completed", scheduled_for=AT, scheduled_until=AT)
)
# Shapes of the public API of Statuspage: https://metastatuspage.com/api/v2
SHAPES = {
    "summary.json": exactly(
        page=PAGE, components=several(COMPONENT), incidents=INCIDENTS,
        scheduled_maintenances=WORKS, status=STATUS,
    ),
    "status.json": exactly(page=PAGE, status=STATUS),
    "components.json": exactly(page=PAGE, components=several(COMPONENT)),
    "incidents.json": exactly(page=PAGE, incidents=INCIDENTS),
    "incidents/unresolved.json": exactly(page=PAGE, incidents=INCIDENTS),
    "scheduled-maintenances.json": exactly(page=PAGE, scheduled_maintenances=WORKS),
    "scheduled-maintenances/upcoming.json": exactly(page=PAGE, scheduled_maintenances=WORKS),
    "scheduled-maintenances/active.json": exactly(page=PAGE, scheduled_maintenances=WORKS),
}  # fmt: skip


@pytest.mark.parametrize("name", statuspage_v2.FILES)
def test_the_json_has_the_shape_of_statuspage(name: str) -> None:
    made = json.loads(json.dumps(statuspage_v2.document(name, a_view(), ADDRESS, suffix="")))
    jsonschema.Draft202012Validator(SHAPES[name]).validate(made)


def test_the_summary_tells_what_goes_on() -> None:
    made = statuspage_v2.document("summary.json", a_view(), ADDRESS, suffix="")
    assert made["status"] == {"indicator": "major", "description": "Partial System Outage"}
    (incident,) = made["incidents"]
    assert (incident["status"], incident["impact"]) == ("identified", "major")
    assert [one["status"] for one in incident["incident_updates"]] == [
        "identified", "investigating", "investigating",
    ]  # fmt: skip
    first = incident["incident_updates"][-1]["affected_components"][0]
    assert (first["old_status"], first["new_status"]) == ("operational", "partial_outage")
    assert [one["status"] for one in made["scheduled_maintenances"]] == ["in_progress", "scheduled"]
    ids = {one["id"] for one in made["components"]}
    assert {one["id"] for one in incident["components"]} <= ids


def test_what_is_unknown_is_never_operational() -> None:
    made = statuspage_v2.document("summary.json", a_view(condition="healthy"), ADDRESS, suffix="")
    teams = next(one for one in made["components"] if one["name"] == "Microsoft Teams")
    assert teams["status"] == "degraded_performance"
    assert "not known" in teams["description"]


def test_a_relapse_is_told_again_and_an_end_resolves() -> None:
    view = a_view(extra=[moment("incident.monitoring", 15), moment("incident.confirmed", 20)])
    newest = view.incidents[0].updates[0]
    assert newest.text.startswith("The problem is not over after all.")
    assert newest.status == "investigating"
    over = view.incidents[1]
    assert over.updates[0].after == "operational"
    assert over.updates[-1].at == NOW - timedelta(days=2)
    assert view.as_of == datetime(2026, 3, 16, 7, 0, tzinfo=UTC)
