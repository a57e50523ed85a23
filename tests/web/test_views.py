"""View models: words that a tired reader cannot misread."""

from app.web.boardview import board_of
from app.web.evidenceview import evidence_lines
from app.web.filters import Filters
from app.web.pages.operator import changes_of
from app.web.timeline import timeline
from app.web.views import card, facts, grounds
from tests.web import story
from tests.web.story import at


def test_a_card_tells_since_and_lead() -> None:
    now = at("08:20")
    item = card(story.incident(now), now)
    assert item.duration == "2 h 15 min"
    assert (item.lead, item.lead_kind) == ("+35 min", "ahead")
    assert item.disagreement == "Microsoft says fixed, we still see it fail"
    assert item.acknowledged == "m.weber"


def test_lead_says_when_the_vendor_is_silent_first_or_not_concerned() -> None:
    now = at("06:25")
    incident = story.incident(now)
    assert card(incident, now).lead == "+18 min so far"
    assert card(incident | {"origin": "local"}, now).lead_kind == "none"
    assert card(incident | {"detected_at": None}, now).lead == "vendor only"
    assert card(incident | {"lead_time_seconds": -600}, now).lead_kind == "behind"
    assert card(incident | {"status": "resolved"}, now).lead == "vendor silent"


def test_a_resolved_incident_has_lasted_until_its_resolution() -> None:
    now = at("12:00")
    incident = story.incident(now)
    assert facts(incident, now)[0].value == "2 h 41 min"
    assert facts(incident, now)[0].label == "Lasted"


def test_what_speaks_for_it_comes_first_and_by_weight() -> None:
    lines = grounds(story.incident(at("08:20")), at("08:20"))
    assert [line.supports for line in lines] == [True] * 5 + [False] * 2
    assert lines[0].share == 100
    assert [line.weight[1:] for line in lines][-2:] == ["3.5", "1.8"]


def test_the_timeline_is_newest_first_and_says_what_changed() -> None:
    told = timeline(story.events(at("09:10")), at("09:10"))
    assert [told[0].title, told[-1].title] == ["Resolved", "Opened"]
    note = next(event for event in told if event.kind == "noted")
    assert note.detail.startswith("Told the service desk")
    updated = next(event for event in told if event.kind == "confirmed")
    assert updated.detail == "severity minor → critical · probe quorum"


def test_a_run_of_mere_figures_is_one_line() -> None:
    events = [
        story.events(at("06:20"))[3]
        | {"sequence": 200 + i, "occurred_at": story.iso(at(f"06:2{i}"))}
        for i in range(5)
    ]
    for event in events:
        event["data"] = event["data"] | {"changed": ["impact", "summary"], "previous": {}}
    (line,) = timeline(events, at("06:30"))
    assert line.title == "Figures moved 5 times"
    assert (line.since.short, line.when.short) == ("06:20", "06:24")
    assert line.detail.endswith("3 of 3 locations failing")


def test_only_cells_with_something_bad_are_evidence() -> None:
    lines = evidence_lines(story.evidence(at("06:05")), at("06:05"))
    assert lines == ()
    lines = evidence_lines(story.evidence(at("08:20")), at("08:20"))
    assert {line.source for line in lines} == {"Users", "Probes"}
    assert all(max(line.levels) == 1 for line in lines)


def a_board(**changes: object):
    now = at("08:20")
    values = {
        "services": story.services(now),
        "sources": story.sources(now),
        "incidents": [story.incident(now)],
        "recent": [story.office_fault()],
        "now": now,
    } | changes
    return board_of(**values)


def test_the_board_puts_the_worst_first_and_the_unheard_aside() -> None:
    board = a_board()
    assert board.services[0].slug == "exchange-online"
    assert [row.slug for row in board.calm] == ["onedrive"]
    assert [row.slug for row in board.unheard] == ["viva", "power-bi"]
    assert board.services[0].incidents[0].number == "INC-2026-0042"


def test_a_stale_kind_of_source_is_never_shown_as_healthy() -> None:
    sources = [source | {"state": "stale"} for source in story.sources(at("08:20"))]
    board = a_board(sources=sources, incidents=[])
    shown = {cell.condition for row in board.services for cell in row.cells}
    assert "healthy" not in shown
    assert all(cell.stale for row in board.services for cell in row.cells if cell.as_of)
    assert board.tone != "healthy"


def test_what_microsoft_alone_vouched_for_is_one_line_when_it_is_not_readable() -> None:
    now = at("05:00")
    told = {"condition": "healthy", "as_of": story.iso(at("04:00"))}
    silent = {"condition": "unknown", "as_of": None}
    many = [
        {"service": slug, "name": slug, "condition": "healthy", "incidents": [],
         "sources": {"advisory": told, "probe": silent, "client_report": silent}}
        for slug in ("intune", "defender", "viva")
    ]  # fmt: skip
    many[2]["sources"] = many[2]["sources"] | {"probe": told}
    graph = {"id": "graph", "kind": "graph", "state": "stale"}
    board = a_board(services=many, sources=[graph], incidents=[], recent=[], now=now)
    assert [row.slug for row in board.dark] == ["defender", "intune"]
    assert {row.condition for row in board.dark} == {"unknown"}
    assert [row.slug for row in board.services] == ["viva"]
    assert board.calm == ()
    assert board.tone == "unknown"
    many[0]["sources"] = many[0]["sources"] | {"advisory": told | {"condition": "degraded"}}
    bad = a_board(services=many, sources=[graph], incidents=[], recent=[], now=now)
    assert "intune" in {row.slug for row in bad.services}  # what was bad stays a row
    one = a_board(services=many[1:2], sources=[graph], incidents=[], now=now,
                  wanted=Filters(service="defender"))  # fmt: skip
    assert [row.slug for row in one.services] == ["defender"]


def test_one_stale_source_of_several_is_named_in_the_heading() -> None:
    column = a_board().columns[1]
    assert (column.lost, column.all) == (1, 3)


def test_a_board_without_anything_heard_is_empty_and_not_healthy() -> None:
    board = a_board(services=[], sources=[], incidents=[], recent=[])
    assert board.is_empty
    assert board.tone == "unknown"


def test_a_healthy_board_says_so_only_of_what_it_sees() -> None:
    now = at("05:00")
    services = [row for row in story.services(now) if row["condition"] == "healthy"]
    sources = [source | {"state": "fresh"} for source in story.sources(now)]
    board = a_board(services=services, incidents=[], sources=sources)
    assert board.verdict == "No open incident. What we can see is healthy."


def test_values_of_the_audit_log_are_written_as_people_write() -> None:
    before = {"filter": {"announced": False, "labels": []}, "at": None, "types": ["*", "a"]}
    after = {"filter": {"announced": True}, "at": "2026-03-16T14:46:47.111664+00:00", "types": []}
    assert changes_of(before, after) == [
        ("at", "", "2026-03-16 14:46:47 UTC"),
        ("filter", "announced no", "announced yes"),
        ("types", "*, a", ""),
    ]
