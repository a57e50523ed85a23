"""Plain words for the status page, made of closed lists: nothing of an incident's own text."""

from collections.abc import Sequence
from datetime import datetime

from app.core.explain import listed
from app.core.incident import Incident
from app.core.types import ImpactLevel, Origin, Resolution, Severity, Status
from app.web.words import service_name

FEWEST = 5  # people who are counted in public; fewer could be told who they are
BANDS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
MANY_SERVICES = 3

MEETS = {
    "http_5xx": "error messages",
    "timeout": "no answer in time",
    "connection_failed": "no connection",
    "dns_failure": "no connection",
    "tls_failure": "no secure connection",
    "auth_loop": "repeated sign-in prompts",
    "auth_rejected": "refused sign-ins",
    "throttled": "requests turned away",
    "slow": "slow answers",
    "mail_delayed": "delayed mail",
    "mail_rejected": "returned mail",
    "sync_failed": "failed synchronization",
    "not_found": "missing items",
    "content_error": "wrong content",
    "data_stale": "outdated content",
    "other": "errors",
}
REACH = {
    ImpactLevel.NONE: "We have not seen anybody affected so far.",
    ImpactLevel.SINGLE: "Some people may be affected.",
    ImpactLevel.SOME: "Some people are affected.",
    ImpactLevel.MANY: "Many people are affected.",
    ImpactLevel.ALL: "Probably everybody is affected.",
    ImpactLevel.UNKNOWN: "How many people are affected is not known.",
}
CAUSE = {
    Origin.VENDOR: "The fault lies with Microsoft.",
    Origin.LOCAL: "The fault lies in our own network.",
    Origin.THIRD_PARTY: "The fault lies with a provider between us and Microsoft.",
    # Why our own sign-in fails may be an attack, of which nothing is said in public.
    Origin.IDENTITY: "We are looking for the cause.",
    Origin.UNKNOWN: "We are looking for the cause.",
}
ENDED = {
    Resolution.VENDOR_FIX: "Microsoft has fixed the problem.",
    Resolution.ROLLBACK: "A change was taken back, and the problem is over.",
    Resolution.CUSTOMER_FIX: "We have fixed the problem.",
    Resolution.FALSE_POSITIVE: "It was a false alarm: nothing was wrong.",
    Resolution.NOT_OURS: "It does not concern us.",
}
TOLD = {
    "incident.opened": "We have confirmed a problem and are looking into it.",
    "incident.confirmed": "We have confirmed a problem and are looking into it.",
    "incident.mitigating": "A fix is under way.",
    "incident.monitoring": "It seems to be fixed. We are watching whether that holds.",
    "incident.resolved": "The problem is over.",
    "incident.dismissed": "It was a false alarm: nothing was wrong.",
    "incident.reopened": "The problem has come back. We are looking into it.",
}
STILL = "The problem is not over after all. We are looking into it."
IMPACT = {
    Severity.CRITICAL: "critical",
    Severity.MAJOR: "major",
    Severity.MINOR: "minor",
    Severity.WARNING: "minor",
    Severity.INFO: "none",
    Severity.UNKNOWN: "minor",  # unknown is never harmless
}
PHASE = {
    "investigating": "Investigating",
    "identified": "Fix under way",
    "monitoring": "Watching",
    "resolved": "Resolved",
    "scheduled": "Planned",
    "in_progress": "In progress",
    "completed": "Completed",
}
PHASE_OF = {
    Status.MITIGATING: "identified",
    Status.MONITORING: "monitoring",
    Status.RESOLVED: "resolved",
    Status.CLOSED: "resolved",
    Status.DISMISSED: "resolved",
}
STATE = {
    "operational": "Working",
    "degraded_performance": "Disturbed",
    "partial_outage": "Failing",
    "major_outage": "Not working",
    "under_maintenance": "Planned work",
    "unknown": "Not known",
}


def title_of(incident: Incident) -> str:
    """Name an incident by its services and by what people meet."""
    names = [service_name(slug) for slug in incident.services]
    where = listed(names) if len(names) <= MANY_SERVICES else "Several services"
    if incident.origin is Origin.LOCAL:
        return f"Part of our network: {where or 'services'} cannot be reached well"
    met = dict.fromkeys(MEETS.get(symptom.value, MEETS["other"]) for symptom in incident.symptoms)
    what = listed(list(met)[:3])
    if not what:
        what = "a problem that Microsoft reports" if incident.advisories else "a problem"
    return f"{where or 'Microsoft 365'}: {what}"


def summary_of(incident: Incident) -> str:
    """Say who is affected and whose fault it is, without a figure that could point at somebody."""
    parts = []
    count = banded(incident.impact.reporters)
    if incident.resolution not in {Resolution.FALSE_POSITIVE, Resolution.NOT_OURS}:
        over = incident.status in {Status.RESOLVED, Status.CLOSED}
        reach = REACH[incident.impact.level]
        parts.append(reach.replace(" are ", " were ").replace(" is ", " was ") if over else reach)
        if count:
            parts.append(f"{count:,} or more people have reported it.")
        parts.append(CAUSE[incident.origin].replace(" lies ", " lay ") if over
                     else CAUSE[incident.origin])  # fmt: skip
    return " ".join(parts)


def banded(people: int) -> int:
    """The number of people as far as it is told in public: the band it reaches, 0 for none."""
    return max((band for band in BANDS if band <= people), default=0)


def told(kind: str, incident: Incident, *, again: bool) -> str:
    """What an event of the lifecycle says in public; ``again`` when it was confirmed before."""
    if kind == "incident.confirmed" and again:
        return STILL
    if kind in {"incident.resolved", "incident.dismissed"} and incident.resolution is not None:
        return ENDED.get(incident.resolution, TOLD[kind])
    return TOLD[kind]


def work_name(services: Sequence[str]) -> str:
    """Name planned work by its services."""
    names = [service_name(slug) for slug in services]
    return f"Planned work: {listed(names)}" if names else "Planned work"


def spoken(at: datetime) -> str:
    """An instant as a page tells it when no script runs."""
    return f"{at:%-d %B %Y, %H:%M} UTC"


def briefly(at: datetime, now: datetime) -> str:
    """The same in short: without the date where that is today's."""
    return f"{at:%H:%M} UTC" if at.date() == now.date() else f"{at:%-d %b %H:%M} UTC"
