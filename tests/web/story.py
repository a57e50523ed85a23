"""The story of the demo as documents: an Exchange outage as it stood at any moment of it."""

from datetime import UTC, datetime, timedelta

DAY = datetime(2026, 3, 16, tzinfo=UTC)
INCIDENT = "inc_01kkt3v6p0exchange00"
EX = "EX931445"


def at(clock: str, second: int = 0) -> datetime:
    hour, minute = clock.split(":")
    return DAY + timedelta(hours=int(hour), minutes=int(minute), seconds=second)


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def past(clock: str, now: datetime, second: int = 0) -> str | None:
    return iso(at(clock, second)) if at(clock, second) <= now else None


PHASES = (
    ("06:42", "serviceDegradation", "degraded", False),
    ("07:25", "restoringService", "degraded", False),
    ("08:05", "serviceRestored", "healthy", True),
)
POSTS = (
    (
        "06:42",
        "Regular",
        "Title: Some users may be unable to access their Exchange Online mailbox",
        "<p>We're investigating an issue with <b>Exchange Online</b>. Users may see errors.</p>",
    ),
    (
        "07:03",
        "Quick",
        "Telemetry points at a recent configuration change",
        "<p>Telemetry points at a recent <b>configuration change</b> to front door routing.</p>",
    ),
    (
        "07:25",
        "Regular",
        "We are rolling the change back",
        "<p>We're <b>rolling back</b> the change.</p><ul><li>Next update: 08:30 UTC</li></ul>",
    ),
    (
        "08:05",
        "Regular",
        "Service is restored",
        "<p>We've confirmed after monitoring that the service is <b>restored</b>.</p>",
    ),
)


def advisory(now: datetime) -> dict:
    status, condition, resolved = "serviceDegradation", "degraded", False
    for clock, word, seen, done in PHASES:
        if at(clock) <= now:
            status, condition, resolved = word, seen, done
    return {
        "id": EX,
        "tenant": "contoso",
        "service": "exchange-online",
        "service_name": "Exchange Online",
        "feature": "Sign-in and connection",
        "classification": "incident",
        "status": status,
        "condition": condition,
        "origin": "microsoft",
        "title": "Some users may be unable to access their Exchange Online mailbox",
        "impact_description": "Users may be unable to access their mailbox using any method.",
        "is_resolved": resolved,
        "started_at": iso(at("06:00")),
        "stated_started_at": iso(at("05:58")),
        "ended_at": None,
        "published_at": iso(at("06:42")),
        "last_modified_at": iso(now),
        "first_seen_at": iso(at("06:42", 41)),
        "withdrawn": False,
        "url": "https://admin.cloud.microsoft/?#/servicehealth/:/alerts/EX931445",
        "posts": [
            {"id": f"p{i}", "created_at": iso(at(clock)), "type": kind, "text": text, "html": html}
            for i, (clock, kind, text, html) in enumerate(POSTS)
            if at(clock) <= now
        ],
        "incidents": [INCIDENT],
        "revision": 3,
    }


def _linked(now: datetime) -> list[dict]:
    if now < at("06:42", 41):
        return []
    whole = advisory(now)
    keys = (
        "id",
        "title",
        "classification",
        "status",
        "condition",
        "published_at",
        "started_at",
        "is_resolved",
        "url",
    )
    return [{key: whole[key] for key in keys}]


def _status(now: datetime) -> tuple[str, str]:
    steps = (
        ("06:07", "suspected", "Reports far above what this hour usually brings."),
        ("06:10", "confirmed", "Probes at three locations and users agree."),
        ("07:25", "mitigating", "Microsoft says that the change is being rolled back."),
        ("08:46", "resolved", "Probes clean and reports at baseline for ten minutes."),
    )
    word, reason = "suspected", ""
    for clock, status, text in steps:
        if at(clock) <= now:
            word, reason = status, text
    return word, reason


def _share(now: datetime) -> float:
    begin, full = at("06:05"), at("08:35")
    return min(max((now - begin) / (full - begin), 0.0), 1.0)


def _reasons(now: datetime) -> list[dict]:
    lines = (
        (
            "probe_quorum",
            "+",
            20.8,
            "probe",
            "06:10",
            "outlook-web fails at 3 of 3 locations, two of them on separate networks.",
        ),
        (
            "report_burst",
            "+",
            17.4,
            "client_report",
            "06:07",
            "31 distinct reporters in 4 minutes where 0.4 were expected.",
        ),
        (
            "advisory_match",
            "+",
            6.2,
            "advisory",
            "06:42",
            "EX931445 names the same service and symptoms and an earlier start.",
        ),
        (
            "several_clients",
            "+",
            2.1,
            "client_report",
            "06:09",
            "Outlook on the web, Outlook desktop and ActiveSync fail alike.",
        ),
        (
            "location_sound",
            "+",
            1.4,
            "probe",
            "06:10",
            "The control check is clean at every location, so it is not our own line.",
        ),
        (
            "neighbour_healthy",
            "-",
            1.8,
            "probe",
            "06:12",
            "Teams and SharePoint are healthy at the same locations.",
        ),
        (
            "vendor_restored",
            "-",
            3.5,
            "advisory",
            "08:05",
            "Microsoft says restored, yet berlin still fails.",
        ),
    )
    return [
        {
            "reason": reason,
            "effect": effect,
            "weight": weight,
            "text": text,
            "source": source,
            "at": iso(at(clock)),
        }
        for reason, effect, weight, source, clock, text in lines
        if at(clock) <= now
    ]


def _summary(source: str, count: int, first: str, now: datetime, weight: float) -> dict:
    if at(first) > now:
        return {"count": 0, "first_at": None, "last_at": None, "weight": 0.0}
    del source
    last = min(now, at("08:35"))
    return {"count": count, "first_at": iso(at(first)), "last_at": iso(last), "weight": weight}


def incident(now: datetime) -> dict:
    status, reason = _status(now)
    share = _share(now)
    published = past("06:42", now)
    disagreement = "none"
    if at("08:05") <= now < at("08:35"):
        disagreement = "vendor_ahead"
    elif published is None and now >= at("06:30"):
        disagreement = "vendor_silent"
    return {
        "id": INCIDENT,
        "number": "INC-2026-0042",
        "tenant": "contoso",
        "revision": 17,
        "url": f"http://127.0.0.1:8000/incidents/{INCIDENT}",
        "title": "Exchange Online: HTTP 503, timeouts and sign-in loops in all clients",
        "summary": "Mailbox access fails for many users at every location since 06:05. "
        "Probes and users agree; Microsoft names a configuration change.",
        "status": status,
        "status_reason": reason,
        "severity": "critical",
        "services": ["exchange-online"],
        "features": ["outlook-web"],
        "clients": ["outlook_web", "outlook_desktop", "activesync"],
        "symptoms": ["http_5xx", "timeout", "auth_loop"],
        "regions": ["de"],
        "origin": "vendor",
        "impact": {
            "level": "many",
            "reporters": round(412 * share) + 4,
            "reports": round(1893 * share) + 9,
            "locations_failing": 1 if now >= at("08:00") else 3,
            "locations_total": 3,
        },
        "confidence": 0.97,
        "confidence_label": "high",
        "evidence": {
            "advisory": _summary("advisory", 3, "06:42", now, 6.2),
            "probe": _summary("probe", 512, "06:06", now, 22.2),
            "client_report": _summary("client_report", 1893, "06:05", now, 19.5),
        },
        "explanation": _reasons(now),
        "advisories": _linked(now),
        "disagreement": disagreement,
        "cause": {
            "category": "configuration_change",
            "text": "A recent configuration change to the front door routing.",
            "source": "advisory",
        }
        if now >= at("07:03")
        else None,
        "resolution": "rollback" if status == "resolved" else None,
        "acknowledged": {"by": "m.weber", "at": iso(at("06:14")), "note": None}
        if now >= at("06:14")
        else None,
        "assignee": None,
        "suppressed": None,
        "stale_sources": [],
        "first_signal_at": iso(at("06:05", 12)),
        "detected_at": past("06:07", now),
        "confirmed_at": past("06:10", now),
        "vendor_started_at": iso(at("05:58")) if published else None,
        "vendor_published_at": published,
        "mitigated_at": past("07:25", now),
        "resolved_at": past("08:46", now),
        "closed_at": None,
        "updated_at": iso(min(now, at("08:46"))),
        "lead_time_seconds": 2100 if published else None,
        "merged_into": None,
        "merged_from": [],
        "split_from": None,
        "pins": [],
        "labels": {},
        "links": [],
    }


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
        "advisories": _linked(now),
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


def office_fault() -> dict:
    """The local fault of one office earlier the same morning."""
    document = incident(at("05:50"))
    return document | {
        "id": "inc_01kkt1office000000",
        "number": "INC-2026-0041",
        "status": "resolved",
        "title": "berlin-office: connections fail, control check fails as well",
        "severity": "minor",
        "origin": "local",
        "services": ["exchange-online"],
        "first_signal_at": iso(at("05:10")),
        "detected_at": iso(at("05:12")),
        "confirmed_at": iso(at("05:15")),
        "resolved_at": iso(at("05:41")),
        "disagreement": "none",
        "resolution": "self_restored",
        "lead_time_seconds": None,
        "vendor_published_at": None,
        "impact": {
            "level": "some",
            "reporters": 7,
            "reports": 19,
            "locations_failing": 1,
            "locations_total": 3,
        },
    }


def sources(now: datetime) -> list[dict]:
    def row(name: str, kind: str, label: str, seconds: int, **more: object) -> dict:
        return {
            "id": name,
            "tenant": "contoso",
            "kind": kind,
            "name": label,
            "state": "fresh",
            "last_complete_at": iso(now - timedelta(seconds=seconds)),
            "last_error": None,
            "checkpoint": None,
            "unreadable": 0,
            "budget": None,
        } | more

    return [
        row(
            "graph",
            "graph",
            "Microsoft Graph service health",
            38,
            budget={"used": 118, "limit": 700},
        ),
        row("probe:berlin", "probe", "berlin", 22),
        row("probe:frankfurt", "probe", "frankfurt", 24),
        row(
            "probe:munich",
            "probe",
            "munich",
            412,
            state="stale",
            last_error={
                "code": "no_results",
                "text": "No result for 6 min.",
                "remedy": "Check that the probe runner at munich is up.",
                "at": iso(now - timedelta(seconds=60)),
            },
        ),
        row("client_report", "client_report", "Client reports", 3),
    ]


def services(now: datetime) -> list[dict]:
    def row(slug: str, name: str, condition: str, words: tuple, incidents: list) -> dict:
        kinds = ("advisory", "probe", "client_report")
        ages = (38, 22, 3)
        return {
            "service": slug,
            "name": name,
            "condition": condition,
            "incidents": incidents,
            "sources": {
                kind: {
                    "condition": word or "unknown",
                    "as_of": iso(now - timedelta(seconds=age)) if word else None,
                }
                for kind, age, word in zip(kinds, ages, words, strict=True)
            },
        }

    return [
        row(
            "exchange-online",
            "Exchange Online",
            "failing",
            ("degraded", "failing", "failing"),
            [INCIDENT],
        ),
        row("microsoft-teams", "Microsoft Teams", "healthy", ("healthy", "healthy", "healthy"), []),
        row("sharepoint-online", "SharePoint Online", "healthy", ("healthy", "healthy", None), []),
        row("entra-id", "Microsoft Entra", "degraded", ("healthy", "healthy", "degraded"), []),
        row("onedrive", "OneDrive for Business", "healthy", ("healthy", None, None), []),
        row("intune", "Microsoft Intune", "degraded", ("degraded", None, None), []),
        row("power-bi", "Power BI", "unknown", (None, None, None), []),
        row("viva", "Microsoft Viva", "unknown", (None, None, None), []),
    ]
