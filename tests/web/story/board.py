"""The rest of the board at the same morning: another incident, sources, services."""

from datetime import datetime, timedelta

from tests.web.story.told import INCIDENT, at, incident, iso


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
            budget={"used": 118, "requests_per_hour": 700},
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
