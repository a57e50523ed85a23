"""Which subscriptions an event goes to, and why."""

from typing import Any

import pytest

from app.core.events import EventType
from app.core.retry import Standing
from app.core.route import (
    Facts,
    Filter,
    PlannedEvent,
    Subscription,
    Verdict,
    judge,
    planned,
    route,
)
from app.core.types import Severity, Status
from app.core.wire import thin
from tests.builders import NOW, TENANT, an_event, an_incident


def a_subscription(**changes: Any) -> Subscription:
    values: dict[str, Any] = {
        "id": "sub_1", "tenant": TENANT, "revision": 1, "url": "https://receiver.example/",
        "event_types": ("*",), "filter": Filter(), "format": "native", "detail": "full",
        "signing": "v1", "description": "", "state": Standing.ACTIVE, "secret": "sealed",
        "created_by": "anna", "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    return Subscription(**{**values, **changes})


def a_planned(**changes: Any) -> PlannedEvent:
    values: dict[str, Any] = {
        "id": "evt_1", "type": EventType.OPENED, "sequence": 1, "incident": "inc_1",
        "facts": Facts(
            services=("exchange-online",), severity=Severity.MAJOR, status=Status.CONFIRMED,
            regions=("de",),
        ),
    }  # fmt: skip
    return PlannedEvent(**{**values, **changes})


STALE = a_planned(type=EventType.SOURCE_STALE, incident=None, facts=None)
LABELLED = a_planned(facts=Facts(labels=(("cost", "42"), ("team", "mail"))))
NEWS = a_planned(type=EventType.SUBSCRIPTION_FAILING, incident=None, facts=None, subject="sub_1")


@pytest.mark.parametrize(
    ("changes", "event", "verdict"),
    [
        ({}, a_planned(), Verdict.WANTED),
        ({"event_types": ("incident.*",)}, a_planned(), Verdict.WANTED),
        ({"event_types": ("incident.opened",)}, a_planned(), Verdict.WANTED),
        ({"event_types": ("incident.closed",)}, a_planned(), Verdict.TYPE),
        ({"event_types": ("source.*",)}, a_planned(), Verdict.TYPE),
        ({}, a_planned(type=EventType.TEST_PING), Verdict.TYPE),
        ({}, STALE, Verdict.WANTED),
        ({"filter": Filter(services=("intune",))}, STALE, Verdict.WANTED),
        ({}, NEWS, Verdict.OWN_NEWS),
        ({"id": "sub_2"}, NEWS, Verdict.WANTED),
        ({"event_types": ("subscription.failing",)}, NEWS, Verdict.WANTED),
        ({"filter": Filter(services=("intune",))}, a_planned(), Verdict.SERVICE),
        ({"filter": Filter(services=("intune", "exchange-online"))}, a_planned(), Verdict.WANTED),
        ({"filter": Filter(min_severity=Severity.CRITICAL)}, a_planned(), Verdict.SEVERITY),
        ({"filter": Filter(min_severity=Severity.MAJOR)}, a_planned(), Verdict.WANTED),
        ({"filter": Filter(statuses=(Status.RESOLVED,))}, a_planned(), Verdict.STATUS),
        ({"filter": Filter(regions=("us",))}, a_planned(), Verdict.REGION),
        ({"filter": Filter(regions=("us",))}, a_planned(facts=Facts()), Verdict.WANTED),
        ({"filter": Filter(labels=(("team", "mail"),))}, a_planned(), Verdict.LABEL),
        ({"filter": Filter(labels=(("team", "mail"),))}, LABELLED, Verdict.WANTED),
        ({"filter": Filter(labels=(("team", "web"),))}, LABELLED, Verdict.LABEL),
        (
            {"filter": Filter(labels=(("site", "x"), ("team", "mail")))},
            LABELLED,
            Verdict.LABEL,
        ),
    ],
)
def test_what_a_subscription_gets(
    changes: dict[str, Any], event: PlannedEvent, verdict: Verdict
) -> None:
    assert judge(a_subscription(**changes), event, already_told=False) is verdict


def test_a_resolve_goes_to_whom_the_opening_was_sent() -> None:
    subscription = a_subscription(filter=Filter(statuses=(Status.CONFIRMED,)))
    opened = a_planned()
    resolved = a_planned(id="evt_2", type=EventType.RESOLVED, facts=Facts(status=Status.RESOLVED))
    assert judge(subscription, resolved, already_told=True) is Verdict.WAS_TOLD
    assert [event.id for event, _ in route([opened, resolved], [subscription], set())] == [
        "evt_1",
        "evt_2",
    ]
    assert route([resolved], [subscription], set()) == []
    assert len(route([resolved], [subscription], {("sub_1", "inc_1")})) == 1


def test_being_told_before_does_not_widen_the_filter_for_what_goes_on() -> None:
    subscription = a_subscription(filter=Filter(min_severity=Severity.CRITICAL))
    updated = a_planned(type=EventType.UPDATED)
    assert judge(subscription, updated, already_told=True) is Verdict.SEVERITY


def test_an_event_is_reduced_to_what_routing_needs() -> None:
    event = planned(an_event(incident=an_incident(regions=("de",))))
    assert event.facts == Facts(
        services=("exchange-online",),
        severity=Severity.MAJOR,
        status=Status.CONFIRMED,
        regions=("de",),
    )
    news = planned(an_event(incident=None, facts={"subscription": {"id": "sub_9"}}))
    assert (news.facts, news.subject) == (None, "sub_9")
    assert planned(an_event(facts={"subscription": "odd"})).subject is None


def test_a_thin_document_names_the_incident_and_how_it_stands() -> None:
    document = {
        "id": "evt_1",
        "data": {
            "incident": {"id": "inc_1", "status": "confirmed", "summary": "long"},
            "previous": {"summary": "older", "status": "suspected"},
        },
    }
    assert thin(document) == {
        "id": "evt_1",
        "data": {
            "incident": {"id": "inc_1", "status": "confirmed"},
            "previous": {"status": "suspected"},
        },
    }
    assert thin({"id": "evt_2", "data": {"incident": None}})["data"] == {"incident": None}
    assert thin({"id": "evt_3"}) == {"id": "evt_3", "data": {}}
