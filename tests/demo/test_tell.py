"""The teller prints what matters in one line, and text of others stays text."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from app.demo.tell import Teller
from app.demo.watch import said

AT = "2026-03-16T06:09:10Z"


def an_event(kind: str, *, changed: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """An event as the feed gives it."""
    incident = {
        "id": "inc_1", "number": "INC-2026-0001", "title": "Exchange [red]fails[/red]",
        "status": "suspected", "status_reason": "burst", "severity": "major", "origin": "vendor",
        "confidence": 0.97, "lead_time_seconds": 1980, "disagreement": "none",
        "resolution": "rollback", "url": "http://127.0.0.1/x", "cause": None,
        "advisories": [{"id": "EX931445", "status": "serviceDegradation"}],
        "impact": {"level": "many", "reporters": 4, "reports": 9, "locations_failing": 3,
                   "locations_total": 3},
        "resolved_at": AT,
    } | more  # fmt: skip
    data = {"incident": incident, "changed": changed or [], "reason": "r"}
    return {"type": kind, "occurred_at": AT, "data": data}


@pytest.fixture
def out() -> StringIO:
    """What is printed."""
    return StringIO()


@pytest.fixture
def teller(out: StringIO) -> Teller:
    """A teller without colours."""
    return Teller(Console(file=out, width=200, no_color=True))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (an_event("incident.opened"), "06:09  incident.opened  INC-2026-0001 suspected  Exchange"),
        (an_event("incident.confirmed"), "3 of 3 locations fail, origin vendor, confidence 0.97"),
        (an_event("incident.advisory_linked"), "EX931445 belongs to it; 33 min before Microsoft"),
        (an_event("incident.advisory_updated"), "EX931445 serviceDegradation"),
        (an_event("incident.updated", changed=["severity"]), "major, 4 reporters"),
        (an_event("incident.resolved"), "as rollback; 33 min before Microsoft"),
        ({"type": "source.stale", "occurred_at": AT, "data": {"reason": "x"}}, "source.stale x"),
    ],
)  # fmt: skip
def test_each_event_is_one_line(
    teller: Teller, out: StringIO, event: dict[str, Any], words: str
) -> None:
    teller.event(event)
    (line,) = out.getvalue().splitlines()
    assert words in line


def test_a_small_update_is_not_told(teller: Teller, out: StringIO) -> None:
    teller.event(an_event("incident.updated", changed=["impact"]))
    assert out.getvalue() == ""


def test_a_disagreement_is_told_when_it_begins_and_when_it_ends(
    teller: Teller, out: StringIO
) -> None:
    for word in ("vendor_ahead", "vendor_ahead", "none"):
        teller.event(an_event("incident.updated", disagreement=word))
    began, ended = out.getvalue().splitlines()
    assert "vendor_ahead: Microsoft says it is fixed; we still see it fail" in began
    assert "agree" in ended


def test_the_summary_names_times_and_lead(teller: Teller, out: StringIO) -> None:
    teller.summary(an_event("incident.resolved")["data"]["incident"])
    teller.summary(None)
    text = out.getvalue()
    assert "33 min before Microsoft" in text
    assert "06:09" in text
    assert "No vendor incident" in text


def test_the_vendors_words_are_those_of_the_newest_post() -> None:
    posts = [{"text": "old"}, {"text": "Title: x\n\nCurrent status: We're on it.\n\nScope: y"}]
    assert list(said({"posts": posts})) == ["We're on it."]
    assert list(said({"posts": [{"text": "A report has been published."}]})) == [
        "A report has been published."
    ]
    assert list(said({"posts": []})) == []


def test_a_delivery_is_told_with_its_verdict(teller: Teller, out: StringIO) -> None:
    entry = {"at": datetime(2026, 3, 16, 6, 9, tzinfo=UTC).isoformat(), "type": "incident.opened",
             "attempt": 1, "status": 503, "valid": True, "problem": ""}  # fmt: skip
    teller.delivery(entry)
    assert "incident.opened attempt 1: refused (503), signature valid" in out.getvalue()
