"""The incident and its advisory, as they stood at any moment of the outage."""

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


def linked(now: datetime) -> list[dict]:
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
        "advisories": linked(now),
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
