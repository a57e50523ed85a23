"""What probes and users saw of the outage, and its events."""

from datetime import datetime, timedelta

from tests.web.story.told import at, incident, iso, linked


def _shape(minute: int) -> float:
    """How strong the storm is, 0 to 1, by minute after 06:00."""
    if minute < 5:
        return 0.0
    if minute < 25:
        return (minute - 5) / 20
    if minute < 85:
        return 1.0
    if minute < 155:
        return max(0.0, 1 - (minute - 85) / 62)
    return 0.0


def _ripple(minute: int, salt: int) -> float:
    return 0.78 + 0.44 * ((minute * 37 + salt * 53) % 29) / 29


def _series(now: datetime, peak: float, salt: int, begin: int = 0) -> list[dict]:
    series = []
    for minute in range(begin, 190):
        moment = at("06:00") + timedelta(minutes=minute)
        count = round(peak * _shape(minute) * _ripple(minute, salt))
        if moment > now or count == 0:
            continue
        series.append(
            {
                "minute": iso(moment),
                "count": count,
                "reporters": round(count * 0.7),
                "expected": 0.4,
            }
        )
    return series


def _cell(
    number: int, now: datetime, client: str, symptom: str, peak: float, text: str, code: str | None
) -> dict:
    series = _series(now, peak, number)
    return {
        "id": f"cell_{number}",
        "source": "client_report",
        "service": "exchange-online",
        "feature": None,
        "client": client,
        "symptom": symptom,
        "region": "de",
        "location": None,
        "first_at": series[0]["minute"] if series else None,
        "last_at": series[-1]["minute"] if series else None,
        "count": sum(point["count"] for point in series),
        "reporters": round(sum(point["count"] for point in series) * 0.22),
        "series": series,
        "exemplars": [
            {
                "id": f"r{number}",
                "occurred_at": iso(at("06:06")),
                "text": text,
                "code": code,
                "http_status": 503 if symptom == "http_5xx" else None,
            }
        ],
    }


def _probe(
    number: int, now: datetime, location: str, check: str, until: str, symptom: str = "http_5xx"
) -> dict:
    series = []
    for minute in range(-20, 190):
        moment = at("06:00") + timedelta(minutes=minute)
        if moment > now:
            break
        if location == "munich" and -9 <= minute <= -2:
            continue
        failed = at("06:06") <= moment < at(until)
        series.append({"minute": iso(moment), "count": int(failed), "reporters": 0, "expected": 1})
    failing = [point for point in series if point["count"]]
    return {
        "id": f"cell_p{number}",
        "source": "probe",
        "service": "exchange-online",
        "feature": check,
        "client": "outlook_web",
        "symptom": symptom,
        "region": "de",
        "location": location,
        "first_at": failing[0]["minute"] if failing else None,
        "last_at": failing[-1]["minute"] if failing else None,
        "count": len(failing),
        "reporters": 0,
        "series": series,
        "exemplars": [
            {
                "id": f"s{number}",
                "occurred_at": iso(at("06:06")),
                "probe": check,
                "text": "503 Service Unavailable from the front door",
                "code": None,
                "http_status": 503,
            }
        ],
    }


def evidence(now: datetime) -> dict:
    return {
        "advisories": linked(now),
        "cells": [
            _cell(1, now, "outlook_web", "http_5xx", 12, "503 Service Unavailable", "503"),
            _cell(2, now, "outlook_desktop", "timeout", 7, "Trying to connect…", "0x8004011D"),
            _cell(3, now, "outlook_desktop", "auth_loop", 4.5, "Sign-in repeats without end", None),
            _cell(4, now, "activesync", "connection_failed", 2.5, "Cannot get mail", "0x85010014"),
            _probe(1, now, "berlin", "owa-front-door", "08:35"),
            _probe(2, now, "frankfurt", "owa-front-door", "07:52"),
            _probe(3, now, "munich", "owa-front-door", "08:00", "timeout"),
            _probe(4, now, "frankfurt", "ews", "07:48", "auth_loop"),
        ],
        "usual": [
            {
                "service": "exchange-online",
                "hours": [
                    {"from": iso(at(clock)), "expected": mean, "upper": mean + 2 * mean**0.5}
                    for clock, mean in (("05:00", 0.4), ("07:00", 0.9), ("08:00", 1.6))
                ],
            }
        ],
    }


_EVENTS = (
    ("06:07", "incident.opened", [], {}, "report_burst", "engine", "sextant"),
    (
        "06:10",
        "incident.confirmed",
        ["status", "severity"],
        {"status": "suspected", "severity": "minor"},
        "probe_quorum",
        "engine",
        "sextant",
    ),
    ("06:14", "incident.acknowledged", ["acknowledged"], {}, "command", "person", "m.weber"),
    (
        "06:19",
        "incident.updated",
        ["impact", "severity"],
        {"severity": "major"},
        "impact_grew",
        "engine",
        "sextant",
    ),
    (
        "06:43",
        "incident.advisory_linked",
        ["advisories", "vendor_published_at"],
        {},
        "advisory_match",
        "source",
        "graph",
    ),
    ("07:04", "incident.advisory_updated", ["posts"], {}, "advisory_revision", "source", "graph"),
    (
        "07:25",
        "incident.mitigating",
        ["status", "mitigated_at"],
        {"status": "confirmed"},
        "vendor_restoring",
        "source",
        "graph",
    ),
    ("07:31", "incident.noted", [], {}, "command", "person", "m.weber"),
    (
        "08:05",
        "incident.updated",
        ["disagreement"],
        {"disagreement": "none"},
        "vendor_ahead",
        "engine",
        "sextant",
    ),
    (
        "08:35",
        "incident.updated",
        ["disagreement"],
        {"disagreement": "vendor_ahead"},
        "evidence_turned",
        "engine",
        "sextant",
    ),
    (
        "08:46",
        "incident.resolved",
        ["status", "resolved_at"],
        {"status": "mitigating"},
        "quiet_period_over",
        "engine",
        "sextant",
    ),
)


def events(now: datetime) -> list[dict]:
    return [
        {
            "id": f"evt_{i:04}",
            "type": kind,
            "version": 1,
            "occurred_at": iso(at(clock)),
            "tenant": "contoso",
            "sequence": 100 + i,
            "data": {
                "incident": incident(at(clock, 59)),
                "changed": changed,
                "previous": previous,
                "reason": reason,
                "actor": {"kind": who, "id": name},
                **(
                    {
                        "note": {
                            "text": "Told the service desk. Webmail status page is up.",
                            "visibility": "internal",
                        }
                    }
                    if kind == "incident.noted"
                    else {}
                ),
            },
        }
        for i, (clock, kind, changed, previous, reason, who, name) in enumerate(_EVENTS)
        if at(clock) <= now
    ]
