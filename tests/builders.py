"""Builders with sensible defaults: a test states only what matters to it."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from app.core.events import ENGINE, Event, EventType
from app.core.incident import Incident
from app.core.signal import Advisory, ClientReport, Command, Post, ProbeResult
from app.core.types import (
    Client,
    EventId,
    IncidentId,
    Origin,
    Outcome,
    SelfCheck,
    Severity,
    SignalId,
    Status,
    Symptom,
    TenantId,
)

NOW = datetime(2026, 3, 16, 6, 30, tzinfo=UTC)
TENANT = TenantId("contoso")

_numbers = count(1)


def _next(prefix: str) -> str:
    return f"{prefix}-{next(_numbers):06d}"


def minutes(number: float) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=number)


def a_report(**changes: Any) -> ClientReport:
    """A client report of Outlook meeting a 503, received at ``NOW``; every call has a new id."""
    at = changes.pop("at", NOW)
    values: dict[str, Any] = {
        "id": SignalId(_next("rep")),
        "service": "exchange-online",
        "client": Client.OUTLOOK_DESKTOP,
        "symptom": Symptom.HTTP_5XX,
        "actor": _next("actor"),
        "occurred_at": at,
        "received_at": at,
        "code": "503",
        "http_status": 503,
        "region": "de",
    }
    return ClientReport(**{**values, **changes})


def a_probe_result(**changes: Any) -> ProbeResult:
    """A failed probe of the Outlook front door from Berlin at ``NOW``, its self-check sound."""
    at = changes.pop("at", NOW)
    outcome = changes.get("outcome", Outcome.FAILED)
    values: dict[str, Any] = {
        "id": SignalId(_next("prb")),
        "probe": "owa-front-door",
        "location": "berlin",
        "outcome": outcome,
        "occurred_at": at,
        "received_at": at,
        "service": "exchange-online",
        "feature": "outlook-web",
        "client": Client.OUTLOOK_WEB,
        "symptom": None if outcome is Outcome.OK else Symptom.HTTP_5XX,
        "http_status": 200 if outcome is Outcome.OK else 503,
        "latency_ms": 120.0,
        "self_check": SelfCheck.OK,
    }
    return ProbeResult(**{**values, **changes})


def an_advisory(**changes: Any) -> Advisory:
    """An open Exchange Online incident of the vendor, published at ``NOW``."""
    at = changes.pop("at", NOW)
    number = next(_numbers)
    values: dict[str, Any] = {
        "id": SignalId(f"adv-{number:06d}"),
        "vendor_id": "EX1253275",
        "service": "exchange-online",
        "service_name": "Exchange Online",
        "classification": "incident",
        "status": "serviceDegradation",
        "title": "Users may be unable to access their mailbox",
        "impact_description": "Users may be unable to access their mailbox through any method.",
        "is_resolved": False,
        "started_at": at - minutes(37),
        "last_modified_at": at,
        "first_seen_at": at,
        "received_at": at,
        "digest": f"{number:016x}",
        "published_at": at,
        "posts": (a_post(created_at=at),),
    }
    return Advisory(**{**values, **changes})


def a_post(**changes: Any) -> Post:
    """A post that says the vendor is looking into it."""
    values: dict[str, Any] = {
        "id": _next("post"),
        "created_at": NOW,
        "type": "regular",
        "text": "We are investigating a potential issue.",
        "html": "<p>We are investigating a potential issue.</p>",
    }
    return Post(**{**values, **changes})


def a_command(**changes: Any) -> Command:
    """A person's note on the incident of ``an_incident``."""
    values: dict[str, Any] = {
        "id": SignalId(_next("cmd")),
        "name": "notes",
        "actor_kind": "person",
        "actor": "anna",
        "received_at": NOW,
        "body": {"text": "Looking into it.", "visibility": "internal"},
        "incident": "inc_1",
    }
    return Command(**{**values, **changes})


def an_incident(**changes: Any) -> Incident:
    """A confirmed incident of Exchange Online, opened at ``NOW`` on our own evidence."""
    at = changes.pop("at", NOW)
    values: dict[str, Any] = {
        "id": IncidentId("inc_1"),
        "number": "INC-2026-0001",
        "tenant": TENANT,
        "revision": 1,
        "key": "vendor:exchange-online",
        "title": "Exchange Online fails for many",
        "summary": "Reports and probes agree.",
        "status": Status.CONFIRMED,
        "status_reason": "quorum",
        "severity": Severity.MAJOR,
        "origin": Origin.VENDOR,
        "services": ("exchange-online",),
        "symptoms": (Symptom.HTTP_5XX,),
        "opened_at": at,
        "updated_at": at,
        "onset_at": at,
        "first_signal_at": at,
        "detected_at": at,
        "confirmed_at": at,
    }
    return Incident(**{**values, **changes})


def an_event(**changes: Any) -> Event:
    """The opening of ``an_incident``, as the first event of its tenant."""
    values: dict[str, Any] = {
        "id": EventId(_next("evt")),
        "type": EventType.OPENED,
        "tenant": TENANT,
        "sequence": 1,
        "occurred_at": NOW,
        "actor": ENGINE,
        "reason": "quorum",
        "incident": an_incident(),
    }
    return Event(**{**values, **changes})
